"""The pages of the admin port, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from varley.admin.metrics import Metrics
from varley.admin.pages import Page, Pages, Request
from varley.clock import MovableClock, StoppedClock
from varley.counters import Counters
from varley.errors import Throttling
from varley.http.traffic import Traffic

START = 1_700_000_000.0


class Admin:
    """A set of pages and what they tell about."""

    def __init__(self, *, movable: bool = True) -> None:
        self.clock = MovableClock(StoppedClock(START))
        self.reason: str | None = None
        self.pages = Pages(
            Metrics(Traffic(["GetItem"]), Counters()),
            self.clock,
            movable_clock=self.clock if movable else None,
            why_not_ready=lambda: self.reason,
            rotate_shards=self.rotate_shards,
        )
        self.rotated: list[str] = []    # tables
        self.refusal: Throttling | None = None

    def rotate_shards(self, table: str) -> int:
        if self.refusal is not None:
            raise self.refusal
        self.rotated.append(table)
        return 3 if table == "Music" else 0

    def get(self, path: str) -> Page:
        return self.pages.answer(Request("GET", path))

    def post(self, path: str, body: bytes, **headers: str) -> Page:
        return self.pages.answer(Request("POST", path, headers, body))

    def move(self, **wanted: object) -> dict[str, Any]:
        page = self.post("/clock", json.dumps(wanted).encode())
        assert page.status == 200, page
        decoded: dict[str, Any] = json.loads(page.body)
        return decoded


@pytest.fixture
def admin() -> Admin:
    return Admin()


def test_it_is_healthy_even_when_it_is_not_ready(admin: Admin) -> None:
    admin.reason = "recovering"
    assert admin.get("/health").status == 200
    ready = admin.get("/ready")
    assert (ready.status, ready.body) == (503, b"recovering\n")
    admin.reason = None
    assert admin.get("/ready").status == 200


def test_metrics_have_the_content_type_that_scrapers_look_at(admin: Admin) -> None:
    page = admin.get("/metrics")
    assert page.status == 200
    assert page.content_type.startswith("text/plain; version=0.0.4")
    assert b"varley_build_info" in page.body


def test_the_clock_is_shown_advanced_and_set(admin: Admin) -> None:
    assert json.loads(admin.get("/clock").body) == {"now": START, "offset_seconds": 0.0, "movable": True}
    assert admin.move(advance_seconds=60) == {"now": START + 60, "offset_seconds": 60.0, "movable": True}
    assert admin.move(set=START - 5)["now"] == START - 5
    assert admin.clock.time() == START - 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"tomorrow",
        b"[1]",
        b"{}",
        b'{"advance": 5}',
        b'{"advance_seconds": "5"}',
        b'{"advance_seconds": true}',
        b'{"advance_seconds": -5}',
        b'{"advance_seconds": 1e999}',
        b'{"set": -1}',
        b'{"set": 5, "advance_seconds": 5}',
    ],
)
def test_a_move_that_is_none_says_what_one_looks_like(admin: Admin, body: bytes) -> None:
    page = admin.post("/clock", body)
    assert page.status == 400
    assert "advance_seconds" in json.loads(page.body)["message"]
    assert admin.clock.time() == START


def test_a_clock_that_is_not_movable_is_shown_and_not_moved() -> None:
    admin = Admin(movable=False)
    assert json.loads(admin.get("/clock").body)["movable"] is False
    page = admin.post("/clock", b'{"advance_seconds": 5}')
    assert page.status == 403
    assert b"--development-clock" in page.body
    assert admin.clock.time() == START


def test_a_web_page_may_not_move_the_clock(admin: Admin) -> None:
    page = admin.post("/clock", b'{"advance_seconds": 5}', origin="https://example.org")
    assert page.status == 403
    assert admin.clock.time() == START


def test_other_pages_and_methods(admin: Admin) -> None:
    assert admin.get("/metric").status == 404
    assert b"/metrics" in admin.get("/metric").body
    assert admin.post("/health", b"").status == 405
    assert b"/clock" in admin.get("/").body


def test_shards_end_on_command(admin: Admin) -> None:
    page = admin.post("/shards", b'{"table": "Music"}')
    assert (page.status, json.loads(page.body)) == (200, {"ending": 3})
    assert admin.rotated == ["Music"]
    assert admin.post("/shards", b'{"table": "Films"}').status == 404
    for wrong in (b"", b"[]", b"{}", b'{"table": 1}', b'{"table": "Music", "shard": 1}'):
        assert admin.post("/shards", wrong).status == 400
    assert admin.post("/shards", b'{"table": "Music"}', origin="https://example.com").status == 403
    assert admin.get("/shards").status == 405
    admin.refusal = Throttling("Try again in a moment.")
    assert admin.post("/shards", b'{"table": "Music"}').status == 503
