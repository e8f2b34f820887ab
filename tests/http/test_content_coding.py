"""Compressed bodies, both ways."""

from __future__ import annotations

import gzip
import random
import time
import zlib

import pytest
from house import House, request

from varley.http.content_coding import accepts_gzip, decode
from varley.http.wire import MalformedHttpRequest, RequestEntityTooLarge

TEXT = b'{"TableName":"t"}' * 50


def gzipped(data: bytes) -> bytes:
    """Without the time, which would be in the names of these tests."""
    return gzip.compress(data, mtime=0)


RAW = zlib.compressobj(wbits=-15)
RAW_DEFLATE = RAW.compress(TEXT) + RAW.flush()
LIMIT = 100_000


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzipped(TEXT)),
        (b"x-gzip", gzipped(TEXT)),
        (b" GZip ", gzipped(TEXT)),
        (b"gzip", gzipped(TEXT[:10]) + gzipped(TEXT[10:])),
        (b"deflate", zlib.compress(TEXT)),
        (b"deflate", RAW_DEFLATE),
        (b"identity", TEXT),
        (b"", TEXT),
        (b"deflate, gzip", gzipped(zlib.compress(TEXT))),
        (b"deflate,, identity, gzip", gzipped(zlib.compress(TEXT))),
        (b"gzip", gzipped(TEXT) + gzipped(b"") * 63),
    ],
)
def test_codings_are_undone(coding: bytes, body: bytes) -> None:
    assert decode(body, coding, LIMIT) == TEXT


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", b"not gzip"),
        (b"gzip", gzipped(TEXT)[:-1]),
        (b"gzip", gzipped(TEXT) + b"tail"),
        (b"deflate", b"\xff\xff\xff"),
        (b"br", TEXT),
        (b"gzip, gzip, gzip", gzipped(gzipped(gzipped(TEXT)))),
        (b"gzip", gzipped(TEXT) + gzipped(b"") * 64),
    ],
)
def test_bodies_that_are_not_of_their_coding(coding: bytes, body: bytes) -> None:
    with pytest.raises(MalformedHttpRequest):
        decode(body, coding, LIMIT)


def test_members_may_begin_and_end_anywhere_in_the_pieces_that_zlib_is_given() -> None:
    chance = random.Random(7)
    texts = [chance.randbytes(length) for length in (65_518, 65_536, 1, 0, 65_510, 200_000)]
    for count in range(len(texts) + 1):
        body = b"".join(gzipped(text) for text in texts[:count])
        assert decode(body, b"gzip", 10**6) == b"".join(texts[:count])


def test_a_body_may_unfold_to_the_limit() -> None:
    assert len(decode(gzipped(bytes(LIMIT)), b"gzip", LIMIT)) == LIMIT


@pytest.mark.parametrize(
    "bomb",
    [
        gzipped(bytes(LIMIT + 1)),
        gzipped(bytes(LIMIT)) + gzipped(b"x"),
        gzipped(bytes(1000 * LIMIT)),
    ],
)
def test_bombs_are_not_unfolded(bomb: bytes) -> None:
    with pytest.raises(RequestEntityTooLarge):
        decode(bomb, b"gzip", LIMIT)


def test_a_body_of_empty_members_is_given_up_early() -> None:
    """All 800,000 of them would take a minute."""
    began = time.process_time()
    with pytest.raises(MalformedHttpRequest):
        decode(gzipped(b"") * (16 * 1024**2 // 20), b"gzip", LIMIT)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (b"gzip", True),
        (b"deflate, GZIP;q=0.5", True),
        (b"*", True),
        (b"identity", False),
        (b"", False),
        (b"br", False),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000", False),
        (b"*;q=0", False),
        (b"gzip;q=0, *", False),
    ],
)
def test_who_accepts_gzip(header: bytes, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


def test_a_compressed_request(house: House) -> None:
    assert house.ask(request(body=gzipped(TEXT), Content_Encoding="gzip")).body == TEXT


def test_a_bomb_is_refused(house: House) -> None:
    wire = house.connect()
    answer = wire.ask(request(body=gzipped(bytes(17 * 1024**2)), Content_Encoding="gzip"))
    assert answer.status == 413
    assert wire.ask(request()).status == 200


def test_a_large_answer_is_compressed_for_who_asks(house: House) -> None:
    body = TEXT * 10
    answer = house.ask(request(body=body, Accept_Encoding="gzip, deflate"))
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["x-amz-crc32"] == str(zlib.crc32(answer.body))    # of what is sent
    assert gzip.decompress(answer.body) == body


def test_a_small_answer_is_not_compressed(house: House) -> None:
    assert "content-encoding" not in house.ask(request(Accept_Encoding="gzip")).headers


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "br"])
def test_an_answer_is_not_compressed_for_others(house: House, accepted: str) -> None:
    answer = house.ask(request(body=TEXT * 10, Accept_Encoding=accepted))
    assert answer.body == TEXT * 10
    assert "content-encoding" not in answer.headers
