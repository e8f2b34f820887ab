"""How long a connection may take: one test per line of the table in patience.py."""

from __future__ import annotations

import pytest

from varley.errors import ApiError
from varley.http.patience import Patience
from varley.http.reception import FrontDoorSettings
from varley.http.request_reader import RequestReader

SETTINGS = FrontDoorSettings(
    head_seconds=10, body_seconds=30, body_bytes_per_second_min=100, idle_seconds=180, write_seconds=60,
    linger_seconds=3, drain_seconds=1,
)  # fmt: skip
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n"


class _Receiver:
    """Only looks at the time, as a connection does."""

    is_deaf = False
    now = 100.0
    reader: RequestReader

    def request(self, url: bytes, head: dict[bytes, bytes], body: bytes) -> None:
        pass

    def incomplete(self) -> None:
        assert self.reader.watch(self.now) is None

    def unreadable(self, error: ApiError) -> None:
        raise AssertionError(error)


@pytest.fixture
def reader() -> RequestReader:
    receiver = _Receiver()
    receiver.reader = RequestReader(receiver)
    return receiver.reader


def test_idle(reader: RequestReader) -> None:
    patience = Patience(SETTINGS, 100.0)
    assert patience.with_request(280.0, reader, is_draining=False) == "patience"
    assert patience.with_request(280.5, reader, is_draining=False) == "close"
    patience.since = 200.0
    assert patience.with_request(280.5, reader, is_draining=False) == "patience"


def test_a_head_that_arrives(reader: RequestReader) -> None:
    patience = Patience(SETTINGS, 0.0)
    reader.feed(HEAD[:20])
    assert patience.with_request(110.0, reader, is_draining=False) == "patience"
    assert patience.with_request(110.5, reader, is_draining=False) == "refuse"


def test_a_body_that_arrives_has_more_time_the_more_of_it_there_is(reader: RequestReader) -> None:
    patience = Patience(SETTINGS, 0.0)
    reader.feed(HEAD + b"x")
    assert patience.with_request(130.0, reader, is_draining=False) == "patience"
    assert patience.with_request(130.5, reader, is_draining=False) == "refuse"
    reader.feed(b"x" * 999)
    assert patience.with_request(140.0, reader, is_draining=False) == "patience"
    assert patience.with_request(140.5, reader, is_draining=False) == "refuse"


def test_while_the_server_stops_the_rest_must_come_soon(reader: RequestReader) -> None:
    patience = Patience(SETTINGS, 0.0)
    reader.feed(HEAD)
    assert patience.with_request(101.0, reader, is_draining=True) == "patience"
    assert patience.with_request(101.5, reader, is_draining=True) == "cut off"


def test_a_whole_request_is_followed_by_idleness(reader: RequestReader) -> None:
    patience = Patience(SETTINGS, 100.0)
    reader.feed(HEAD)
    reader.feed(b"x" * 2000)
    assert patience.with_request(200.0, reader, is_draining=False) == "patience"


@pytest.mark.parametrize(("is_lingering", "seconds"), [(True, 3), (False, 60)])
def test_the_end(is_lingering: bool, seconds: int) -> None:
    patience = Patience(SETTINGS, 100.0)
    assert patience.with_ending(100.0 + seconds, is_lingering=is_lingering) == "patience"
    assert patience.with_ending(100.5 + seconds, is_lingering=is_lingering) == "cut off"


def test_a_client_that_takes_a_byte_now_and_then_is_kept() -> None:
    patience = Patience(SETTINGS, 0.0)
    patience.buffer_is_full(100.0, 5000)
    assert patience.with_unsent(160.0, 4999) == "patience"
    assert patience.with_unsent(220.0, 4999) == "patience"
    assert patience.with_unsent(220.5, 4999) == "cut off"
