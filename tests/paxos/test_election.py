from __future__ import annotations

from tests.paxos.group import Group, members
from varley.paxos.ballot import ballot_of
from varley.paxos.election import Candidate
from varley.paxos.events import Tick
from varley.paxos.log import Log
from varley.paxos.membership import LOG, Configuration, Member
from varley.paxos.messages import CONFIGURATION, VALUE, Answer, Ask, Beat, Entry, Prepare, Promise, Refused, Resigned
from varley.paxos.records import Promised

ONE, TWO, THREE = ballot_of(1, 1), ballot_of(2, 3), ballot_of(3, 1)


def promise(accepted: int, *entries: Entry, chosen: int = 1) -> Promise:
    return Promise(THREE, accepted, chosen, 1, 0, 1 + len(entries), entries)


def candidate(configuration: Configuration) -> Candidate:
    log = Log()
    log.rebase(1, 0, configuration)
    return Candidate(THREE, log, 1, 0, 10**9)


def value(origin: int, text: bytes) -> Entry:
    return Entry(origin, VALUE, text)


def test_the_whole_log_of_the_highest_accepted_ballot_and_nothing_else() -> None:
    """The story at the top of acceptor.py: y was computed from x, and x is not taken over."""
    one = candidate(Configuration(members(*"ABC")))
    one.promised("A", promise(ONE, value(ONE, b"x"), value(ONE, b"y")))
    one.promised("B", promise(TWO, value(TWO, b"z")))
    assert [entry.value for entry in one.best()[1].entries] == [b"z"]


def test_among_equal_ballots_the_longest_log() -> None:
    one = candidate(Configuration(members(*"ABC")))
    one.promised("A", promise(ONE, value(ONE, b"x")))
    one.promised("B", promise(ONE, value(ONE, b"x"), value(ONE, b"y")))
    assert one.best()[0] == "B"


def test_a_repeated_promise_is_one_promise() -> None:
    one = candidate(Configuration(members(*"ABC")))
    for _ in range(3):
        one.promised("A", promise(ONE))
    assert not one.is_elected()
    one.promised("D", promise(ONE))
    assert not one.is_elected(), "D does not belong to the group"
    one.promised("B", promise(ONE))
    assert one.is_elected()


def test_a_configuration_in_the_log_to_be_taken_over_must_agree_too() -> None:
    one = candidate(Configuration(members(*"ABC")))
    four = Entry(ONE, CONFIGURATION, Configuration(members(*"ABCD")).encoded())
    one.promised("C", promise(0))
    one.promised("B", promise(ONE, four))
    assert not one.is_elected()
    one.promised("D", promise(ONE, four))
    assert one.is_elected()


def silent(group: Group) -> None:
    group.now += group.timing.election_us + group.timing.spread_us


def test_who_hears_no_leader_asks_all_others_before_anything_else() -> None:
    group = Group(*members(*"ABC"))
    silent(group)
    effects = group.step("B", Tick())
    assert effects.send_at_once == (("A", Ask(1)), ("C", Ask(1)))
    assert effects.persist == ()


def test_one_who_was_shown_a_lease_ends_the_election() -> None:
    group = Group(*members(*"ABC"))
    silent(group)
    group.step("B", Tick())
    group.receive("B", "A", Answer(1, True, 1, 0))
    effects = group.receive("B", "C", Answer(1, False, 1, 0))
    assert (effects.persist, effects.send) == ((), ())


def test_without_a_majority_that_answers_no_ballot_is_raised() -> None:
    group = Group(*members(*"ABCDE"))
    for _ in range(5):
        silent(group)
        group.step("B", Tick())
        assert group.receive("B", "A", Answer(1, False, 1, 0)).persist == ()
    assert group.replicas["B"].promised == 0


def test_a_prepare_waits_until_its_ballot_is_written_down() -> None:
    group = Group(*members(*"ABC"))
    silent(group)
    group.step("B", Tick())
    effects = group.receive("B", "A", Answer(1, False, 1, 0))
    ballot = ballot_of(1, 2)
    assert effects.persist == (Promised(ballot),)
    assert [to for to, message in effects.send if message == Prepare(ballot, 1, 0)] == ["A", "B", "C"]
    assert effects.send_at_once == ()
    group.restart("B")
    assert group.replicas["B"].promised == ballot, "never used again"


def test_log_members_and_learners_never_stand() -> None:
    for member in (Member("Z", 9, LOG), Member("Z", 9, votes=False)):
        group = Group(*members(*"AB"), member)
        silent(group)
        assert group.step("Z", Tick()).send_at_once == ()


def test_a_peer_that_hears_a_leader_without_a_lease_does_not_keep_it_in_office() -> None:
    """Chained: A leads, only C hears it, and A hears nobody. C must not say that A is healthy."""
    group = Group(*members(*"ABC"))
    group.elect("A")
    group.now += group.timing.lease_us
    beat = group.replicas["A"].step(Tick(), group.now)
    assert beat.dropped is not None, "it steps down: no quorum has renewed its lease"
    answer = group.receive("C", "B", Ask(7)).send_at_once[0][1]
    assert isinstance(answer, Answer)
    assert not answer.is_healthy


def test_the_next_leader_serves_within_three_seconds() -> None:
    group = Group(*members(*"ABC"))
    group.elect("A")
    group.propose("A", b"x")
    group.deliver()
    group.wait(3_000_000, without="A")
    assert [name for name in "BC" if group.replicas[name].serving_ballot]


def resigned(group: Group) -> Resigned:
    """A has led, and heard nobody for as long as its lease lasts."""
    group.elect()
    group.wait(group.timing.beat_us)
    ballot = group.replicas["A"].serving_ballot
    while group.replicas["A"].serving_ballot:
        group.now = group.replicas["A"].due
        group.step("A", Tick())
    said = {to: message for sender, to, message in group.wire if isinstance(message, Resigned)}
    group.wire.clear()
    assert said == {"B": Resigned(ballot), "C": Resigned(ballot)}
    return said["B"]


def test_a_leader_without_a_lease_says_that_nobody_has_to_wait_for_it() -> None:
    group = Group(*members(*"ABC"))
    said = resigned(group)
    now = group.now
    b = group.replicas["B"]
    # What it beat last, B and C had no reason not to grant.
    for name in "BC":
        group.receive(name, "A", Beat(said.ballot, 99, now, 0, b.chosen, 0))
    group.receive("B", "A", said)
    group.step("B", Tick())
    group.deliver(without="A")
    assert b.serving_ballot > said.ballot, "C is told with the question that the lease was given up"
    assert group.now == now


def test_a_grant_of_another_ballot_binds_on() -> None:
    group = Group(*members(*"ABC"))
    said = resigned(group)
    b = group.replicas["B"]
    group.receive("B", "A", Beat(said.ballot, 99, group.now, 0, b.chosen, 0))
    group.receive("B", "A", Resigned(said.ballot - 1))
    effects = group.receive("B", "C", Prepare(ballot_of(9, 3), b.chosen, 0))
    assert effects.send == (("C", Refused(ballot_of(9, 3), said.ballot, True)),)
    group.receive("B", "A", said)
    effects = group.receive("B", "C", Prepare(ballot_of(9, 3), b.chosen, 0))
    [(to, message)] = effects.send
    assert to == "C" and isinstance(message, Promise)
