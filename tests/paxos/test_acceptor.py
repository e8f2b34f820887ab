"""One test for each rule of what must be durable before which message, and of what an acceptor takes."""

from __future__ import annotations

from tests.paxos.group import Group, members
from varley.paxos.acceptor import Acceptor
from varley.paxos.ballot import ballot_of
from varley.paxos.effects import Outbox
from varley.paxos.messages import VALUE, Accept, Accepted, Behind, Entry, Learn, Prepare, Promise, Refused
from varley.paxos.records import Adopted, Appended, Learnt, Promised

ONE, TWO, THREE = ballot_of(1, 1), ballot_of(2, 3), ballot_of(3, 1)


def entries(origin: int, *values: bytes) -> tuple[Entry, ...]:
    return tuple(Entry(origin, VALUE, value) for value in values)


def accept(ballot: int, first: int, *entry: Entry, before: int = 0, adopted_last: int = 1, chosen: int = 1) -> Accept:
    return Accept(ballot, first, before, entry, adopted_last, chosen, 0)


def group() -> Group:
    return Group(*members(*"ABC"))


def test_a_promise_waits_for_its_record() -> None:
    effects = group().receive("B", "A", Prepare(ONE, 1, 0))
    assert effects.persist == (Promised(ONE),)
    assert effects.send == (("A", Promise(ONE, 0, 1, 1, 0, 1, ())),)
    assert effects.send_at_once == ()


def test_accepted_waits_for_the_entries_and_includes_the_promise() -> None:
    own = group()
    effects = own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x")))
    assert effects.persist == (Adopted(ONE, 1, entries(ONE, b"x")),)
    assert effects.send == (("A", Accepted(ONE, 2)),)
    assert effects.send_at_once == ()
    assert Acceptor(own.records["B"]).promised == ONE


def test_after_a_promise_nothing_lower_is_accepted() -> None:
    own = group()
    own.receive("B", "C", Prepare(TWO, 1, 0))
    effects = own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x")))
    assert effects.send == (("A", Refused(ONE, TWO, False)),)
    assert effects.persist == ()


def test_a_promise_survives_a_restart() -> None:
    own = group()
    own.receive("B", "C", Prepare(TWO, 1, 0))
    own.restart("B")
    assert own.receive("B", "A", Prepare(ONE, 1, 0)).send == (("A", Refused(ONE, TWO, False)),)


def test_slots_are_accepted_one_behind_the_other() -> None:
    own = group()
    own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x")))
    effects = own.receive("B", "A", accept(ONE, 4, *entries(ONE, b"z")))
    assert effects.send == (("A", Behind(ONE, ONE, 1, 2)),)
    assert own.receive("B", "A", accept(ONE, 3, *entries(ONE, b"y", b"z"))).persist == (
        Appended(3, entries(ONE, b"y", b"z")),
    )


def test_a_repeated_accept_writes_nothing_and_is_answered() -> None:
    own = group()
    for _ in range(2):
        effects = own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x")))
        assert effects.send == (("A", Accepted(ONE, 2)),)
    assert effects.persist == ()


def test_the_first_accept_of_a_ballot_is_the_whole_adopted_log_in_one_record() -> None:
    own = group()
    own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x", b"y")))
    part = own.receive("B", "C", accept(TWO, 2, *entries(ONE, b"x"), adopted_last=3))
    assert part.persist == ()
    assert isinstance(part.send[0][1], Behind)
    whole = own.receive("B", "C", accept(TWO, 2, *entries(ONE, b"x", b"y"), adopted_last=3))
    assert whole.persist == (Adopted(TWO, 1, entries(ONE, b"x", b"y")),)


def test_adopting_drops_what_the_new_leader_does_not_have() -> None:
    own = group()
    own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x", b"y")))
    own.receive("B", "C", accept(TWO, 2, *entries(TWO, b"z")))
    assert own.replicas["B"].log.last == 2
    assert own.replicas["B"].log.entry(2).value == b"z"


def test_who_has_learnt_from_others_is_level_with_nobody_until_it_adopts_again() -> None:
    """The story at the top of acceptor.py."""
    own = group()
    own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x", b"y")))
    learnt = entries(ONE, b"x") + entries(TWO, b"z", b"w")
    assert own.receive("B", "C", Learn(0, 2, 0, learnt, 4)).persist == (Learnt(2, learnt),)
    effects = own.receive("B", "A", accept(ONE, 4, *entries(ONE, b"v"), before=ONE))
    assert [message for _, message in effects.send] == [Behind(ONE, 0, 4, 4)]
    effects = own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x", b"y", b"v", b"u")))
    assert [message for _, message in effects.send] == [Behind(ONE, 0, 4, 4)], "slot 4 is another one there"
    effects = own.receive("B", "C", accept(TWO, 5, *entries(TWO, b"t"), before=TWO, adopted_last=2))
    assert [message for _, message in effects.send] == [Accepted(TWO, 5)]


def test_learning_what_is_there_keeps_what_is_behind_it() -> None:
    """It may have been chosen with this member's word."""
    own = group()
    own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x", b"y")))
    effects = own.receive("B", "C", Learn(0, 2, 0, entries(ONE, b"x"), 2))
    assert effects.persist == ()
    assert (own.replicas["B"].chosen, own.replicas["B"].log.last) == (2, 3)


def test_memory_is_what_the_records_say() -> None:
    own = group()
    own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x", b"y")))
    own.receive("B", "C", Prepare(TWO, 1, 0))
    own.receive("B", "C", Learn(0, 2, 0, entries(TWO, b"z"), 2))
    again = Acceptor(own.records["B"])
    assert again.log.after(1) == own.replicas["B"].log.after(1)
    assert (again.promised, again.accepted_ballot, again.level) == (TWO, ONE, 0)


def test_a_snapshot_keeps_the_suffix_it_is_a_prefix_of_and_drops_any_other() -> None:
    for origin, last in ((ONE, 4), (TWO, 3)):
        acceptor = Acceptor()
        acceptor.write(Adopted(ONE, 0, entries(ONE, b"w", b"x", b"y", b"z")), out := Outbox())
        acceptor.rebase(3, origin, acceptor.log.configuration, out)
        assert (acceptor.log.base, acceptor.log.last) == (3, last)


def test_what_was_learnt_from_others_stays_chosen_after_a_restart() -> None:
    """Or a late message of a ballot could take back what was accepted in that ballot."""
    own = group()
    own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x", b"y")))
    own.receive("B", "C", Learn(0, 2, 0, entries(ONE, b"x", b"y", b"z"), 4))
    own.restart("B")
    assert own.replicas["B"].chosen == 4
    effects = own.receive("B", "A", accept(ONE, 2, *entries(ONE, b"x")))
    assert effects.persist == ()
    assert effects.send == (("A", Behind(ONE, 0, 4, 4)),)
    assert own.replicas["B"].log.last == 4
