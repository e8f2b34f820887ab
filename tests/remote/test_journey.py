"""One question on its way: whom it asks, in which order, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random

from varley.net.channels import RELAY
from varley.net.outcome import NoAnswer, NotSent, Outcome
from varley.node.elsewhere import Need
from varley.remote.journey import ANSWER, WRITE_SECONDS, End, Journey, not_here
from varley.remote.memds_node import MemdsNode
from varley.remote.relay import Relay
from varley.router.memds import UNKNOWN, Group, Memds

MEMBERS = ("n1", "n2", "n3", "n4")


class Trip:
    """A journey from n1; `answers` of each node, in turn; the last one stays. `others`: what they know of who leads."""

    def __init__(self, known: Group | None, answers: dict[str, list[Outcome]], need: Need = Need.LEADER) -> None:
        self.loop = asyncio.new_event_loop()
        self.need = need
        self.others = {name: Memds(Random(name)) for name in MEMBERS[1:]}
        self.looked_up: list[str] = []
        self.on_look_up: Callable[[int], None] = lambda count: None
        self.memds = MemdsNode(self.loop, "n1", self._send, Random(1))
        for name in self.others:
            self.memds.is_connected(name, True)
        self.looked_up.clear()
        if known is not None:
            self.memds.learn(7, known)
        self.answers = answers
        self.beyond: dict[tuple[str, str], Outcome] = {}    # (through, to): what comes back; else it is not sent
        self.relayed: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.is_here = False
        self.ends: list[bytes | End] = []
        self.journey = Journey(
            self.loop, self.memds, self._ask, 7, need, 1, b"?", lambda: self.is_here, self.ends.append
        )

    def _ask(
        self, to: str, service: int, payload: bytes, then: Callable[[Outcome], None], *, timeout_seconds: float
    ) -> None:
        if service == RELAY:
            via, relay = to, Relay(partial(self._relay, to), lambda node: True)
            relay.asked("n1", payload, partial(self.loop.call_soon, then))
            assert timeout_seconds > WRITE_SECONDS or self.need is not Need.WRITE, "the second half has its time too"
            assert relay.count == 1, via
            return
        self.asked.append(to)
        given = self.answers[to]
        answer = given.pop(0) if len(given) > 1 else given[0]
        self.loop.call_soon(then, answer)

    def _relay(
        self, via: str, to: str, service: int, payload: bytes, then: Callable[[Outcome], None], *,
        timeout_seconds: float,
    ) -> None:  # fmt: skip
        assert (service, payload) == (1, b"?")
        self.relayed.append((via, to))
        self.loop.call_soon(then, self.beyond.get((via, to), NotSent("")))

    def _send(self, to: str, channel: int, payload: bytes) -> None:
        self.looked_up.append(to)
        self.on_look_up(len(self.looked_up))
        for _, told in self.others[to].receive("n1", payload).send:
            self.loop.call_soon(self.memds.heard, to, told)

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
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [ANSWER + b"yes"]})
    assert trip.run() == b"yes"
    assert trip.asked == ["n3"]


def test_whoever_is_asked_in_vain_tells_who_leads() -> None:
    newer = not_here(Group(1, MEMBERS, 5, "n2"))
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [newer], "n2": [ANSWER + b"yes"]})
    assert trip.run() == b"yes"
    assert trip.asked == ["n3", "n2"]


def test_older_news_do_not_send_it_back() -> None:
    older = not_here(Group(1, MEMBERS, 1, "n4"))
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [older, ANSWER + b"yes"]})
    assert trip.run() == b"yes"
    assert trip.asked == ["n3", "n3"]


def test_two_who_point_at_each_other_are_asked_once_a_round() -> None:
    at_3, at_2 = not_here(Group(1, MEMBERS, 9, "n3")), not_here(Group(1, MEMBERS, 9, "n2"))
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [at_2], "n2": [at_3], "n4": [at_3]})
    assert trip.run() is End.UNREACHED
    assert len(trip.asked) < 150


def test_what_was_not_sent_goes_to_whoever_leads_by_now() -> None:
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [NotSent("")], "n2": [ANSWER + b"yes"]}, Need.WRITE)
    for other in trip.others.values():
        other.learn(7, Group(1, MEMBERS, 3, "n2"))
    assert trip.run() == b"yes"
    assert trip.asked == ["n3", "n2"]


def test_nobody_is_sent_a_write_who_is_not_known_to_lead() -> None:
    """It could fall silent, and then nobody would know what became of it."""
    trip = Trip(Group(1, MEMBERS), {"n4": [ANSWER + b"yes"]}, Need.WRITE)
    trip.others["n4"].learn(7, Group(1, MEMBERS, 3, "n4"))
    assert trip.run() == b"yes"
    assert trip.asked == ["n4"]
    assert len(set(trip.looked_up[:2])) == 2


def test_what_was_not_sent_goes_through_another_node_once_a_round() -> None:
    for need in (Need.WRITE, Need.LEADER):
        trip = Trip(Group(1, ("n1", "n3", "n4"), 2, "n3"), {"n3": [NotSent("")]}, need)
        trip.beyond["n4", "n3"] = ANSWER + b"yes"
        assert trip.run() == b"yes"
        assert trip.asked == ["n3"]
        assert trip.relayed == [("n4", "n3")], "a member first"


def test_who_is_not_connected_is_asked_through_another_at_once() -> None:
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {}, Need.WRITE)
    trip.memds.is_connected("n3", False)
    trip.beyond["n2", "n3"] = ANSWER + b"yes"
    assert trip.run() == b"yes"
    assert trip.asked == []


def test_a_copy_is_asked_of_a_member_that_is_connected_first() -> None:
    trip = Trip(Group(1, MEMBERS), {"n4": [ANSWER + b"old"]}, Need.COPY)
    trip.memds.is_connected("n2", False)
    trip.memds.is_connected("n3", False)
    assert trip.run() == b"old"
    assert trip.asked == ["n4"]


def test_a_later_leader_is_tried_by_the_same_ways_again() -> None:
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [NotSent("")], "n4": [NotSent("")]}, Need.WRITE)

    def elect(looked_up: int) -> None:
        trip.others["n2"].learn(7, Group(1, MEMBERS, 3, "n4"))

    trip.on_look_up = elect
    trip.beyond["n2", "n4"] = ANSWER + b"yes"
    assert trip.run() == b"yes"
    assert (trip.relayed[0], trip.relayed[-1]) == (("n2", "n3"), ("n2", "n4"))


def test_each_round_tries_another_way() -> None:
    trip = Trip(Group(1, ("n1", "n3", "n4"), 2, "n3"), {"n3": [NotSent("")]}, Need.WRITE)
    trip.beyond["n2", "n3"] = ANSWER + b"yes"
    assert trip.run() == b"yes"
    assert trip.relayed == [("n4", "n3"), ("n2", "n3")]


def test_nobody_knows_of_a_write_that_was_lost_behind_the_node_that_relays() -> None:
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [NotSent("")]}, Need.WRITE)
    trip.beyond["n2", "n3"] = NoAnswer("")
    assert trip.run() is End.UNKNOWN
    assert trip.relayed == [("n2", "n3")]


def test_a_leader_whom_nobody_reaches_is_told_as_not_done() -> None:
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [NotSent("")]}, Need.WRITE)
    assert trip.run() is End.UNREACHED
    assert trip.relayed == [("n2", "n3"), ("n4", "n3")], "each way once"


def test_what_a_newer_version_knows_is_passed_over() -> None:
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [b"\x01\xff", ANSWER + b"yes"]})
    assert trip.run() == b"yes"


def test_a_read_without_an_answer_is_asked_again_and_a_write_is_not() -> None:
    answers: dict[str, list[Outcome]] = {"n3": [NoAnswer("")], "n2": [ANSWER + b"yes"]}
    read = Trip(Group(1, MEMBERS, 2, "n3"), answers)
    for other in read.others.values():
        other.learn(7, Group(1, MEMBERS, 3, "n2"))
    assert read.run() == b"yes"
    write = Trip(Group(1, MEMBERS, 2, "n3"), answers, Need.WRITE)
    assert write.run() is End.UNKNOWN
    assert write.asked == ["n3"]


def test_an_election_is_waited_for() -> None:
    trip = Trip(Group(1, MEMBERS, 2, None), {"n4": [not_here(UNKNOWN), ANSWER + b"yes"]})

    def elect(looked_up: int) -> None:
        if looked_up == 6:
            for other in trip.others.values():
                other.learn(7, Group(1, MEMBERS, 3, "n4"))

    trip.on_look_up = elect
    assert trip.run() == b"yes"
    assert trip.asked == ["n4", "n4"]


def test_a_group_that_nobody_has_heard_of_is_waited_for_too() -> None:
    assert Trip(None, {}).run() is End.UNREACHED


def test_it_ends_here_if_this_node_can_answer_now() -> None:
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [NotSent("")]})
    trip.is_here = True
    assert trip.run() is End.HERE
    assert trip.asked == []


def test_for_a_copy_any_member_will_do_and_a_refusal_says_nothing_of_the_leader() -> None:
    trip = Trip(Group(1, MEMBERS, 2, "n3"), {"n3": [not_here(UNKNOWN)], "n2": [ANSWER + b"old"]}, Need.COPY)
    assert trip.run() == b"old"
    assert trip.memds.find(7).leader == "n3"
