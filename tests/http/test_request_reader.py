"""Bytes in pieces of any size, whole requests out."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass, field

import pytest

from varley.errors import ApiError
from varley.http.request_reader import RequestReader
from varley.http.wire import MalformedHttpRequest, RequestEntityTooLarge, RequestHeadTooLarge
from varley.limits import REQUEST_BODY_BYTES_MAX, REQUEST_HEAD_BYTES_MAX

REQUESTS = (
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    b"GET /health HTTP/1.1\r\nHost: a\r\nAccept: x\r\naccept: y\r\n\r\n"
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nde\r\n1\r\nf\r\n0\r\nAuthorization: no\r\n\r\n"
)
EXPECTED = [
    (b"/", {b"host": b"a", b"content-length": b"3"}, b"abc"),
    (b"/health", {b"host": b"a", b"accept": b"x,y"}, b""),
    (b"/", {b"host": b"a", b"transfer-encoding": b"chunked"}, b"def"),
]


@dataclass
class Receiver:
    is_deaf: bool = False
    requests: list[tuple[bytes, dict[bytes, bytes], bytes]] = field(default_factory=list)
    refusals: list[ApiError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = RequestReader(self)

    def request(self, url: bytes, head: dict[bytes, bytes], body: bytes) -> None:
        self.requests.append((url, head, body))

    def incomplete(self) -> None:
        refusal = self.reader.watch(1.0)
        if refusal is not None:
            self.refusals.append(refusal)
            self.is_deaf = True

    def unreadable(self, error: ApiError) -> None:
        self.refusals.append(error)
        self.is_deaf = True


@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 1000])
def test_where_the_bytes_are_cut_does_not_matter(piece_bytes: int) -> None:
    receiver = Receiver()
    for start in range(0, len(REQUESTS), piece_bytes):
        receiver.reader.feed(REQUESTS[start : start + piece_bytes])
    assert receiver.requests == EXPECTED
    assert receiver.refusals == []
    assert receiver.reader.is_between_messages
    assert receiver.reader.began is None


def test_what_is_not_http_is_told_once() -> None:
    receiver = Receiver()
    receiver.reader.feed(b"\x16\x03\x01")
    assert [type(refusal) for refusal in receiver.refusals] == [MalformedHttpRequest]
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("start", "piece", "refusal"),
    [
        (b"GET /", b"a" * 4096, RequestHeadTooLarge),
        (b"GET / HTTP/1.1\r\n", b"A: " + b"a" * 4093 + b"\r\n", RequestHeadTooLarge),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (REQUEST_BODY_BYTES_MAX + 1), b"", RequestEntityTooLarge),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"a: " + b"t" * 4096 + b"\r\n",
         RequestHeadTooLarge),
    ],
)  # fmt: skip
def test_an_endless_message_is_refused_while_it_is_small(start: bytes, piece: bytes, refusal: type) -> None:
    receiver = Receiver()
    receiver.reader.feed(start)
    fed = 0
    while piece and not receiver.refusals and fed <= 4 * REQUEST_HEAD_BYTES_MAX:
        receiver.reader.feed(piece)
        fed += len(piece)
    assert [type(each) for each in receiver.refusals] == [refusal]
    assert receiver.requests == []


def test_a_closed_reader_leaves_nothing_to_collect() -> None:
    gc.collect()
    gc.disable()
    try:
        receiver = Receiver()
        receiver.reader.feed(REQUESTS)
        gone = weakref.ref(receiver)
        receiver.reader.close()
        del receiver.reader, receiver
        assert gone() is None
    finally:
        gc.enable()
