"""Requests for resources of another API than DynamoDB's: answered now or later, in order, in that API's words."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from house import SOCKET_SECONDS, HandClock, Wire, request

from varley.errors import ApiError, DiskFull
from varley.http.call import Call
from varley.http.reception import FrontDoorSettings
from varley.http.routes import PlainResponse
from varley.http.server import FrontDoor
from varley.http.visit import Visit
from varley.http.wording import Wording

WORDING = Wording(
    error=lambda error: json.dumps({"wrong": error.code}).encode(),
    error_type=b"application/json",
    nothing=b"nothing",
    nothing_type=b"text/plain",
    exposed=b"X-Told",
)


class Library:
    """GET /books/now, /books/later (the test answers), /books/broken, /books/full."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.later: list[Visit] = []
        self.came = threading.Condition()
        self.visits: list[Visit] = []
        self.wires: list[Wire] = []
        self.door = FrontDoor(
            self.handle,
            operations=["Book", "Refused"],
            resources=lambda method, path: "Book" if path.startswith("/books/") else None,
            wording=WORDING,
            clock=HandClock(),
            settings=FrontDoorSettings(connections_max=2),
        )
        self.port = asyncio.run_coroutine_threadsafe(self.door.start("127.0.0.1", 0), loop).result(SOCKET_SECONDS)

    def handle(self, call: Call) -> bytes | None:
        assert isinstance(call, Visit)
        self.visits.append(call)
        match call.request.path:
            case "/books/later":
                with self.came:
                    self.later.append(call)
                    self.came.notify()
            case "/books/broken":
                raise ZeroDivisionError("a bug of ours")
            case "/books/full":
                raise DiskFull("The disk is full", path="/secret")
            case _:
                call.respond(told(call.request.body))
        return None

    def first_waiting(self) -> Visit:
        """As soon as it is there."""
        with self.came:
            assert self.came.wait_for(lambda: self.later, SOCKET_SECONDS)
            return self.later.pop(0)

    def answer_later(self, body: bytes) -> None:
        visit = self.first_waiting()
        self.loop.call_soon_threadsafe(lambda: visit.respond(told(body)))

    def connect(self) -> Wire:
        wire = Wire(socket.create_connection(("127.0.0.1", self.port), SOCKET_SECONDS))
        self.wires.append(wire)
        return wire


def told(body: bytes) -> PlainResponse:
    return PlainResponse(201, body, b"text/book", {"X-Told": "yes"})


@pytest.fixture
def library(loop: asyncio.AbstractEventLoop) -> Iterator[Library]:
    made = Library(loop)
    yield made
    loop.call_soon_threadsafe(made.door.close_now)
    for wire in made.wires:
        wire.close()


def ask(path: str, body: bytes = b"", method: str = "PUT", **headers: str) -> bytes:
    return request(body=body, line=f"{method} {path} HTTP/1.1", drop=("X-Amz-Target", "Content-Type"), **headers)


def test_an_answer_has_a_status_a_type_and_headers_of_its_own(library: Library) -> None:
    answer = library.connect().ask(ask("/books/now?a=b", b"text"))
    assert (answer.status, answer.body, answer.headers["content-type"]) == (201, b"text", "text/book")
    assert answer.headers["x-told"] == "yes"
    visit = library.visits[0]
    assert (visit.request.method, visit.query, visit.operation) == ("PUT", b"a=b", "Book")
    assert library.door.traffic.requests("Book") == 1


def test_answers_that_come_later_leave_in_the_order_of_their_requests(library: Library) -> None:
    wire = library.connect().send(ask("/books/later") + ask("/books/now", b"2") + ask("/nowhere") + ask("/books/later"))
    library.answer_later(b"1")
    assert [wire.receive().body for _ in range(3)] == [b"1", b"2", b"nothing"]
    library.answer_later(b"4")
    assert wire.receive().body == b"4"


def test_a_head_is_answered_without_its_body_whatever_comes_of_it(library: Library) -> None:
    wire = library.connect()
    for path, status in (("/books/now", 201), ("/books/broken", 500), ("/nowhere", 404)):
        answer = wire.ask(ask(path, method="HEAD"), has_body=False)
        assert answer.status == status
    assert wire.ask(ask("/books/now", b"whole")).body == b"whole"


def test_what_goes_wrong_is_worded_by_the_api(library: Library) -> None:
    broken, full = (library.connect().ask(ask(path)) for path in ("/books/broken", "/books/full"))
    assert (broken.status, broken.json) == (500, {"wrong": "InternalServerError"})
    assert (full.status, full.json) == (500, {"wrong": "InternalServerError"})
    assert broken.headers["content-type"] == "application/json"
    third = library.connect().ask(ask("/books/now"))
    assert (third.status, third.json) == (503, {"wrong": "ServiceUnavailable"})     # one connection too many
    assert third.headers["connection"] == "close"


def test_bytes_that_are_no_http_are_refused_in_its_words(library: Library) -> None:
    answer = library.connect().ask(b"\x00\x01\r\n\r\n")
    assert (answer.status, answer.json) == (400, {"wrong": "MalformedHttpRequestException"})


def test_web_pages_may_read_what_the_api_exposes(library: Library) -> None:
    answer = library.connect().ask(ask("/books/now", Origin="http://page.example"))
    assert answer.headers["access-control-expose-headers"] == "X-Told"


def test_a_body_that_is_compressed_is_not_when_the_handler_sees_it(library: Library) -> None:
    answer = library.connect().ask(ask("/books/now", gzip.compress(b"text"), Content_Encoding="gzip"))
    assert answer.body == b"text"


def test_a_visit_that_fails_is_counted(library: Library) -> None:
    class Mine(ApiError):
        code = "Mine"
        status = 418

    wire = library.connect().send(ask("/books/later"))

    visit = library.first_waiting()
    library.loop.call_soon_threadsafe(lambda: visit.fail(Mine()))
    assert wire.receive().json == {"wrong": "Mine"}
    assert library.door.traffic.failures == {("Book", 418, "Mine"): 1}
