"""One question on its way: whom it asks, in which order, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from varley.net.outcome import NoAnswer, NotSent, Outcome
from varley.node.elsewhere import Need
from varley.remote.journey import ANSWER, End, Journey, not_here
from varley.remote.leaders import Known, Leaders

MEMBERS = ("n1", "n2", "n3", "n4")


class Trip:
    """A journey from n1; `answers` of each node, in turn; the last one stays."""

    def __init__(self, known: Known | None, answers: dict[str, list[Outcome]], need: Need = Need.LEADER) -> None:
        self.loop = asyncio.new_event_loop()
        self.leaders = Leaders()
        if known is not None:
            self.leaders.learn(7, known)
        self.answers = answers
        self.asked: list[str] = []
        self.is_here = False
        self.ends: list[bytes | End] = []
        self.journey = Journey(
            self.loop, self.leaders, "n1", self._ask, 7, need, 1, b"?", lambda: self.is_here, self.ends.append
        )

    def _ask(
        self, to: str, service: int, payload: bytes, then: Callable[[Outcome], None], *, timeout_seconds: float
    ) -> None:
        self.asked.append(to)
        given = self.answers[to]
        answer = given.pop(0) if len(given) > 1 else given[0]
        self.loop.call_soon(then, answer)

    def run(self, seconds: float = 30.0) -> bytes | End | None:
        """To its end, in a time that passes as fast as it can be turned."""
        now = self.loop.time()
        self.loop.time = lambda: now  # type: ignore[method-assign]
        self.journey.begin()
        begun = now
        while not self.ends and now < begun + seconds:
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            now += 0.01
        self.loop.close()
        assert len(self.ends) <= 1
        return self.ends[0] if self.ends else None


def test_the_leader_is_asked_first_and_answers() -> None:
    trip = Trip(Known(2, "n3", MEMBERS), {"n3": [ANSWER + b"yes"]})
    assert trip.run() == b"yes"
    assert trip.asked == ["n3"]


def test_whoever_is_asked_in_vain_tells_who_leads() -> None:
    newer = not_here(Known(5, "n2", MEMBERS))
    trip = Trip(Known(2, "n3", MEMBERS), {"n3": [newer], "n2": [ANSWER + b"yes"]})
    assert trip.run() == b"yes"
    assert trip.asked == ["n3", "n2"]


def test_older_news_do_not_send_it_back() -> None:
    older = not_here(Known(1, "n4", MEMBERS))
    trip = Trip(Known(2, "n3", MEMBERS), {"n3": [older, ANSWER + b"yes"], "n2": [older], "n4": [older]})
    assert trip.run() == b"yes"
    assert trip.asked == ["n3", "n2", "n4", "n3"] or trip.asked == ["n3", "n2", "n4", "n2", "n3"]


def test_two_who_point_at_each_other_are_asked_once_a_round() -> None:
    at_3, at_2 = not_here(Known(9, "n3", MEMBERS)), not_here(Known(9, "n2", MEMBERS))
    trip = Trip(Known(2, "n3", MEMBERS), {"n3": [at_2], "n2": [at_3], "n4": [at_3]})
    assert trip.run() is End.UNREACHED
    assert len(trip.asked) < 150


def test_what_was_not_sent_is_sent_to_the_next() -> None:
    trip = Trip(Known(2, "n3", MEMBERS), {"n3": [NotSent("")], "n2": [ANSWER + b"yes"]}, Need.WRITE)
    assert trip.run() == b"yes"


def test_a_read_without_an_answer_is_asked_again_and_a_write_is_not() -> None:
    answers: dict[str, list[Outcome]] = {"n3": [NoAnswer("")], "n2": [ANSWER + b"yes"]}
    assert Trip(Known(2, "n3", MEMBERS), answers).run() == b"yes"
    write = Trip(Known(2, "n3", MEMBERS), answers, Need.WRITE)
    assert write.run() is End.UNKNOWN
    assert write.asked == ["n3"]


def test_an_election_is_waited_for() -> None:
    nobody = not_here(None)
    trip = Trip(Known(2, None, MEMBERS), {name: [nobody] for name in MEMBERS})
    trip.answers["n4"] = [nobody, nobody, ANSWER + b"yes"]
    assert trip.run() == b"yes"
    assert trip.asked.count("n4") == 3


def test_a_group_that_nobody_has_heard_of_is_waited_for_too() -> None:
    assert Trip(None, {}).run() is End.UNREACHED


def test_it_ends_here_if_this_node_can_answer_now() -> None:
    trip = Trip(Known(2, "n3", MEMBERS), {"n3": [NotSent("")]})
    trip.is_here = True
    assert trip.run() is End.HERE
    assert trip.asked == []


def test_for_a_copy_any_member_will_do_and_a_refusal_says_nothing_of_the_leader() -> None:
    trip = Trip(Known(2, "n3", MEMBERS), {"n3": [not_here(None)], "n2": [ANSWER + b"old"]}, Need.COPY)
    assert trip.run() == b"old"
    known = trip.leaders.find(7)
    assert known is not None and known.leader == "n3"
