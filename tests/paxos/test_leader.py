from __future__ import annotations

import pytest

from tests.paxos.group import TIMING, Group, members
from varley.paxos.effects import NotProposed, NotRead, Proposed, ReadAt
from varley.paxos.events import (
    AddLearner,
    HandOver,
    Promote,
    Propose,
    Read,
    Reconfigure,
    Remove,
    Tick,
    Trim,
)
from varley.paxos.lease import Timing
from varley.paxos.membership import LOG, Member
from varley.paxos.messages import (
    KEPT_BY_NOBODY,
    VALUE,
    Accept,
    Accepted,
    Beat,
    Entry,
    Granted,
    Learn,
    Prepare,
    Promise,
    Reborn,
    Yield,
)


def led(**settings: Timing) -> Group:
    group = Group(*members(*"ABC"), **settings)
    group.elect("A")
    return group


def test_accepts_leave_at_once_and_the_own_vote_when_the_own_disk_has_it() -> None:
    group = led()
    effects = group.propose("A", b"x", b"y")
    last = group.replicas["A"].log.last
    assert effects.proposed == Proposed(last - 1)
    assert [to for to, message in effects.send_at_once if isinstance(message, Accept)] == ["B", "C"]
    assert effects.send == (("A", Accepted(group.replicas["A"].promised, last)),)


def test_chosen_by_a_majority_of_names_and_not_by_repeated_answers() -> None:
    group = led()
    group.propose("A", b"x")
    group.wire.clear()
    a = group.replicas["A"]
    for _ in range(3):
        group.receive("A", "B", Accepted(a.promised, a.log.last))
    assert a.chosen == a.log.last - 1
    assert group.receive("A", "C", Accepted(a.promised, a.log.last)).apply[-1][1].value == b"x"


def test_what_was_accepted_in_another_ballot_does_not_count() -> None:
    group = led()
    group.propose("A", b"x")
    group.wire.clear()
    a = group.replicas["A"]
    for name in "ABC":
        group.receive("A", name, Accepted(a.promised - 65536, a.log.last))
    assert a.chosen == a.log.last - 1


def test_many_slots_are_under_way_up_to_the_window_and_the_rest_goes_in_one_message() -> None:
    group = led(timing=Timing(window_entries=3))
    for at in range(9):
        group.propose("A", b"%d" % at)
    sent = [message for _, to, message in group.wire if to == "B" and isinstance(message, Accept)]
    assert [len(accept.entries) for accept in sent] == [1, 1, 1]
    group.wire.clear()
    effects = group.receive("A", "B", Accepted(group.replicas["A"].promised, sent[-1].first))
    assert [len(message.entries) for _, message in effects.send_at_once if isinstance(message, Accept)] == [3]


def test_values_that_were_evaluated_under_another_leadership_are_refused() -> None:
    group = led()
    old = group.replicas["A"].serving_ballot
    group.wait(TIMING.lease_us * 2, without="A")
    assert isinstance(group.step("A", Propose(old, (b"x",))).proposed, NotProposed)


def test_a_leader_without_a_quorum_steps_down_and_drops_what_is_speculative() -> None:
    group = led()
    ballot = group.replicas["A"].serving_ballot
    group.propose("A", b"x")
    group.now += TIMING.lease_us
    dropped = group.step("A", Tick()).dropped
    assert dropped is not None
    assert dropped.ballot == ballot


def test_a_read_by_lease_is_checked_again_after_it_was_computed() -> None:
    group = led()
    a = group.replicas["A"]
    effects = group.step("A", Read(1, by_lease=True))
    assert effects.reads == (ReadAt(1, a.chosen, a.serving_ballot, is_leased=True),)
    assert a.may_answer(a.serving_ballot, group.now)
    assert not a.may_answer(a.serving_ballot, group.now + TIMING.lease_us), "it was stopped meanwhile"


def test_a_read_by_index_waits_for_a_round_that_began_after_it() -> None:
    group = led()
    a = group.replicas["A"]
    group.wire.clear()
    effects = group.step("A", Read(1, by_lease=False))
    beat = next(message for _, message in effects.send_at_once if isinstance(message, Beat))
    group.step("A", Read(2, by_lease=False))
    old = Granted(beat.ballot, beat.sequence - 1, beat.sent_at, beat.ballot, 1, a.log.last)
    assert all(group.receive("A", name, old).reads == () for name in "ABC")
    new = Granted(beat.ballot, beat.sequence, beat.sent_at, beat.ballot, 1, a.log.last)
    assert group.receive("A", "B", new).reads == ()
    assert [read.read for read in group.receive("A", "C", new).reads] == [1], "2 began while the round was under way"


def test_who_does_not_lead_reads_nothing_and_says_who_may() -> None:
    assert led().step("B", Read(1, by_lease=True)).reads == (NotRead(1, "A"),)


def test_hand_over_gives_up_the_lease_first_and_waits_for_none() -> None:
    group = led()
    began, a = group.now, group.replicas["A"]
    ballot = a.serving_ballot
    effects = group.step("A", HandOver("B"))
    assert (effects.refusal, effects.dropped is not None) == (None, True)
    assert ("B", Yield(ballot)) in effects.send_at_once
    assert not a.may_answer(ballot, group.now)
    group.deliver()
    assert group.replicas["B"].serving_ballot > ballot
    assert group.now == began


def test_while_it_hands_over_it_proposes_nothing_and_goes_on_if_that_takes_too_long() -> None:
    group = led()
    group.propose("A", b"x")
    group.step("A", HandOver("C"))
    assert group.propose("A", b"y").proposed == NotProposed("C")
    group.wait(TIMING.hand_over_us + TIMING.beat_us, without="C")
    assert isinstance(group.propose("A", b"y").proposed, Proposed)


@pytest.mark.parametrize("to", ["A", "X"])
def test_leadership_goes_to_another_full_member_only(to: str) -> None:
    assert led().step("A", HandOver(to)).refusal == "it cannot lead"


def test_no_configuration_before_an_entry_of_the_own_ballot_is_chosen() -> None:
    group = Group(*members(*"ABC"))
    group.now += TIMING.election_us + TIMING.spread_us
    group.step("A", Tick())
    while group.replicas["A"]._leader is None:
        sender, to, message = group.wire.pop(0)
        group.receive(to, sender, message)
    refusal = group.step("A", Reconfigure(Remove("C"))).refusal
    assert refusal == "no entry of this leader is chosen yet"


def test_one_change_at_a_time() -> None:
    group = led()
    assert group.step("A", Reconfigure(Remove("C"))).refusal is None
    assert group.step("A", Reconfigure(Remove("B"))).refusal == "the change before is not chosen yet"


def test_a_leader_does_not_remove_itself() -> None:
    assert "hand over first" in str(led().step("A", Reconfigure(Remove("A"))).refusal)


def test_a_learner_catches_up_before_it_gets_a_vote() -> None:
    group = led()
    log_member = Member("L", 7, LOG, votes=False)
    group.join(log_member)
    assert group.step("A", Reconfigure(AddLearner(log_member))).refusal is None
    group.deliver(without="L")
    assert group.step("A", Reconfigure(Promote("L"))).refusal == "it has not caught up"
    group.wait(TIMING.resend_us * 2)
    assert group.step("A", Reconfigure(Promote("L"))).refusal is None
    group.wait(TIMING.beat_us * 2)
    assert group.replicas["L"].configuration.voters == set("ABCL")
    assert group.replicas["L"].chosen == group.replicas["A"].chosen


def test_a_member_that_lost_its_log_comes_back_without_a_vote_and_gets_one_when_it_is_level() -> None:
    group = led()
    group.step("A", Trim(group.replicas["A"].chosen - 1))
    del group.replicas["C"]
    group.join(Member("D", 4, LOG, votes=False))
    group.receive("A", "D", Reborn("C", Member("D", 4, LOG, votes=False)))
    assert group.replicas["A"].configuration.voters == set("AB")
    group.wait(TIMING.resend_us * 3)
    assert group.replicas["A"].configuration.voters == set("ABD")
    assert group.replicas["D"].chosen == group.replicas["A"].chosen


def test_log_members_drop_only_what_enough_full_members_hold_or_an_archive() -> None:
    """The story in Replica._trim."""
    group = Group(*members(*"AB"), Member("L", 7, LOG))
    group.elect("A")
    for value in (b"x", b"y", b"z"):
        group.propose("A", value)
    group.deliver(without="B")
    group.wait(TIMING.beat_us * 2, without="B")
    log_member, base = group.replicas["L"], group.replicas["B"].log.last
    assert log_member.chosen > base
    group.step("L", Trim(log_member.chosen))
    assert log_member.log.base <= base
    group.step("L", Trim(log_member.chosen, archived=log_member.chosen))
    assert log_member.log.base == log_member.chosen


def test_a_group_of_one_chooses_by_itself() -> None:
    group = Group(*members("A"))
    group.elect("A")
    group.propose("A", b"x")
    group.deliver()
    assert group.applied["A"][-1][1].value == b"x"


def test_who_knows_less_than_the_leaders_base_but_has_the_entries_gets_no_snapshot() -> None:
    """As after a restart: what was chosen is forgotten, what was accepted is not."""
    group = led()
    group.propose("A", b"x", b"y", b"z")
    group.deliver()
    group.wait(2 * TIMING.beat_us)
    group.step("C", Trim(group.replicas["C"].chosen - 1))
    c = group.elect("C", without=("B",))
    b = group.restart("B")
    assert b.chosen < c.log.base < b.log.last
    group.wait(3 * TIMING.resend_us, without=("A",))
    assert b.chosen == c.chosen
    assert not any(effects.snapshots for effects in group.effects["C"])


def test_who_does_not_answer_is_sent_a_little_again_and_the_rest_when_that_has_arrived() -> None:
    """It may be slow, or dead, and the leader of many groups would do nothing but send windows again."""
    group = led()
    a, b = group.replicas["A"], group.replicas["B"]
    for _ in range(5):
        group.propose("A", *[b"v" * 1000] * 100)
    group.deliver(without="B")
    missing = a.log.last - b.log.last
    assert missing == 500
    sent: list[int] = []
    for _ in range(10):
        group.now += TIMING.resend_us
        effects = group.step("A", Tick())
        sent += [len(one.entries) for to, one in effects.send_at_once if to == "B" and isinstance(one, Accept)]
        group.deliver(without="B")
    assert len(sent) >= 9 and max(sent) <= 64
    group.now += TIMING.resend_us
    group.step("A", Tick())
    group.deliver()
    assert b.log.last == a.log.last


def bytes_of(message: object) -> int:
    return sum(len(entry.value) for entry in message.entries) if isinstance(message, Accept | Learn) else 0


def test_only_so_many_bytes_are_under_way_to_one_member_and_one_entry_goes_however_large() -> None:
    group = led(timing=Timing(window_bytes=100))
    group.propose("A", b"x" * 60, b"y" * 60, b"z" * 500, b"u")
    sent = [message for _, to, message in group.wire if to == "B" and isinstance(message, Accept)]
    assert [len(message.entries) for message in sent] == [1]
    while group.wire:
        sender, to, message = group.wire.pop(0)
        assert bytes_of(message) <= 100 or len(message.entries) == 1    # type: ignore[attr-defined]
        group.receive(to, sender, message)
    a, b = group.replicas["A"], group.replicas["B"]
    assert b.log.last == a.log.last
    assert a.chosen == a.log.last


def test_who_is_far_behind_in_bytes_learns_piece_by_piece() -> None:
    group = led(timing=Timing(chunk_bytes=100))
    for number in range(10):
        group.propose("A", b"%d" % number * 60)
        group.deliver(without="C")
    group.step("A", Tick())
    group.deliver(without="C")
    group.now += TIMING.lease_us + TIMING.election_us + TIMING.spread_us
    group.step("B", Tick())
    sizes: list[int] = []
    while group.wire:
        sender, to, message = group.wire.pop(0)
        if "A" not in (sender, to):
            sizes += [bytes_of(message)] if isinstance(message, Learn) else []
            group.receive(to, sender, message)
    assert len(sizes) > 5
    assert max(sizes) <= 100
    b, c = group.replicas["B"], group.replicas["C"]
    assert b.serving_ballot
    assert c.log.after(c.log.base) == b.log.after(b.log.base)


def test_no_promise_carries_more_bytes_of_what_is_chosen_than_a_piece() -> None:
    """Whoever stands and is far behind is given what it lacks first."""
    group = led(timing=Timing(chunk_bytes=100))
    for number in range(6):
        group.propose("A", b"%d" % number * 60)
        group.deliver(without="C")
    b, c = group.replicas["B"], group.replicas["C"]
    group.step("A", Tick())
    group.deliver(without="C")
    assert b.chosen > c.chosen + 3
    group.now += TIMING.lease_us + TIMING.election_us + TIMING.spread_us
    group.wire.clear()
    promised = b.promised
    group.receive("B", "C", Prepare(promised + 2, c.chosen, 0))
    [answer] = [message for _, to, message in group.wire if to == "C" and isinstance(message, Learn | Promise)]
    assert isinstance(answer, Learn)
    assert bytes_of(answer) <= 100
    assert b.promised == promised
    group.wait(10_000_000, without="A")
    assert b.serving_ballot or c.serving_ballot
    assert b.log.last == c.log.last


def test_beats_say_what_must_be_kept_and_a_new_leader_goes_on_with_it() -> None:
    group = led()
    a, b = group.replicas["A"], group.replicas["B"]
    assert b.kept == 0, "nothing was said yet: everything is kept"
    a.keep_after(7)
    group.wait(TIMING.beat_us * 2)
    assert b.kept == 7
    group.wait(10_000_000, without="A")
    leader = next(group.replicas[name] for name in "BC" if group.replicas[name].serving_ballot)
    assert leader.kept == 7, "until it says something else"
    leader.keep_after(KEPT_BY_NOBODY)
    group.wait(TIMING.beat_us * 2, without="A")
    assert b.kept == group.replicas["C"].kept == KEPT_BY_NOBODY


def test_a_leader_of_the_past_has_nothing_for_who_knows_more_than_it() -> None:
    """Story, five members: 1. B and C elect A. 2. Before A has a lease, D leads in a higher ballot, with E and C.
    3. B hears of neither, asks around, and learns from E what is chosen. 4. A's Beat comes to B, which has promised
    nothing higher. (Here C tells it.)"""
    group = led()
    a, b = group.replicas["A"], group.replicas["B"]
    last, higher = a.log.last, a.promised + 65536
    group.receive("B", "C", Learn(0, last + 1, a.promised, (Entry(higher, VALUE, b"d"),) * 5, last + 5))
    assert b.chosen == last + 5
    [(_, granted)] = group.receive("B", "A", Beat(a.promised, 77, group.now, 0, a.chosen, 0)).send
    assert isinstance(granted, Granted)
    effects = group.receive("A", "B", granted)
    assert not [message for to, message in effects.send_at_once if to == "B" and not isinstance(message, Beat)]
