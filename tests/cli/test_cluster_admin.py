"""`varley cluster drain --wait`: how long it waits, what it says meanwhile, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from varley.cli import cluster_admin
from varley.cli.cluster_admin import wait_empty
from varley.errors import WorldError


def told(replicas: int, *, may_stop: bool = False, drains: tuple[str, ...] = ("n2",)) -> dict[str, Any]:
    node = {"name": "n2", "draining": True, "may_stop": may_stop, "replicas": replicas, "leads": 0}
    return {"drains": list(drains), "state": {"nodes": [node]}, "moves": []}


class Waiting:
    """A node that says one thing after the other, the last one for ever; a clock that moves while it is waited."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self._answers = list(answers)
        self.clock = 0.0
        self.said: list[str] = []

    def look(self) -> dict[str, Any]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pause(self, seconds: float) -> None:
        self.clock += seconds

    def run(self, seconds: float = 60) -> None:
        wait_empty("n2", seconds, self.look, lambda: self.clock, self.pause, self.said.append)


def test_it_says_how_far_it_is_and_returns_when_the_node_is_empty() -> None:
    waiting = Waiting(told(9), told(9), told(4), told(0, may_stop=True))
    waiting.run()
    assert waiting.said == ["n2: it has 9 replicas, and leads 0", "n2: it has 4 replicas, and leads 0"]


def test_it_does_not_wait_for_ever() -> None:
    waiting = Waiting(told(2))
    with pytest.raises(WorldError, match=r"not empty after 60 s: it has 2 replicas") as raised:
        waiting.run()
    assert waiting.clock == 60
    assert "--wait" in raised.value.hint and "--cancel" in raised.value.hint


def test_nobody_may_answer_for_a_while() -> None:
    waiting = Waiting(told(3), WorldError("No node of the cluster answers"), told(0, may_stop=True))
    waiting.run()
    assert waiting.said[-1] == "n2: No node of the cluster answers"


def test_somebody_takes_it_back() -> None:
    with pytest.raises(WorldError, match="was taken back"):
        Waiting(told(3), told(3, drains=())).run()


def test_the_node_asked_may_hear_of_the_order_later() -> None:
    Waiting(told(3, drains=()), told(3), told(0, may_stop=True)).run()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    calls: list[tuple[str, Any]] = []

    def ask(urls: object, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        calls.append((path, body))
        return told(0, may_stop=True) if body is None else {"refused": None}

    monkeypatch.setattr(cluster_admin, "ask", ask)
    return calls


def call(*words: str) -> Callable[[], Any]:
    return lambda: CliRunner().invoke(cluster_admin.drain, [*words, "--admin", "127.0.0.1:1"], catch_exceptions=False)


def test_whoever_waits_again_does_not_order_it_again(asked: list[tuple[str, Any]]) -> None:
    done = call("n2", "--wait")()
    assert "n2 is empty: it may stop." in done.output
    assert [path for path, _ in asked] == ["/repairs", "/repairs"]


def test_an_order_is_given_once_without_wait(asked: list[tuple[str, Any]]) -> None:
    call("n2")()
    assert asked == [("/drain", {"node": "n2", "cancel": False})]


def test_there_is_nothing_to_wait_for_when_it_is_taken_back(asked: list[tuple[str, Any]]) -> None:
    with pytest.raises(WorldError, match="both given"):
        call("n2", "--wait", "--cancel")()
    assert asked == []
