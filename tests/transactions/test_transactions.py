"""Transactions on the real parts: log, trees, partitions, ledger; and on disks that fail at every single step."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from tests.node.writes import Waiter
from tests.storage.forgetful_disk import ForgetfulDisk, PowerCut
from tests.transactions.bank import REQUEST, Bank, account, write_of
from varley.clock import MovableClock, StoppedClock
from varley.errors import (
    DiskFull,
    IdempotentParameterMismatch,
    TransactionCanceled,
    TransactionConflict,
    TransactionInProgress,
)
from varley.item.key_bytes import MARKER_SPACE, PURGE_SPACE, TOKEN_SPACE
from varley.item.marker import Name
from varley.storage.log_reader import LogReader
from varley.storage.tree import Tree
from varley.transactions import ledger, record, recovery
from varley.transactions.action import Action
from varley.transactions.coordinator import State


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    bank = Bank(tmp_path, ForgetfulDisk())
    for name in ("a", "a2", "b", "b2"):
        bank.put(name, 100)
    yield bank
    bank.stop()


def codes(waiter: Waiter) -> list[str]:
    assert isinstance(waiter.answer, TransactionCanceled), waiter.answer
    return [reason["Code"] for reason in waiter.answer.reasons]


def rows(bank: Bank, space: bytes) -> int:
    """In all trees, applied."""
    end = bytes((space[0] + 1,))
    return sum(sum(1 for _ in partition.tree.scan(space, end)) for partition in bank.node.partitions.values())


def entries(bank: Bank, disk: ForgetfulDisk) -> int:
    return sum(1 for _ in LogReader(disk, "log"))


# In several partitions


def test_all_is_done_and_nothing_is_left_behind(bank: Bank) -> None:
    waiter = bank.begin(write_of("a", -10, add=True), write_of("b", 10, add=True))
    assert waiter.answer is None
    assert bank.markers == 2
    bank.turns()
    assert waiter.answer == b"done"
    assert bank.numbers("a", "b") == [90, 110]
    assert bank.markers == 0
    assert rows(bank, MARKER_SPACE) == 0


def test_items_come_and_go(bank: Bank) -> None:
    waiter = bank.begin(write_of("a", None), write_of("b new", 5))
    bank.turns()
    assert waiter.answer == b"done"
    assert bank.numbers("a", "b new") == [None, 5]
    assert [bank.node.partitions[group].tree.item_count for group in (1, 2)] == [1, 3]


def test_a_refusal_writes_nothing_and_tells_which_action_was_at_fault(bank: Bank) -> None:
    before = [partition.tree.applied_slot for partition in bank.node.partitions.values()]
    waiter = bank.begin(write_of("a", 1), write_of("b", 2, if_number=7), write_of("b2", 3))
    assert codes(waiter) == ["None", "ConditionalCheckFailed", "None"]
    bank.turns()
    assert [partition.tree.applied_slot for partition in bank.node.partitions.values()] == before
    assert bank.numbers("a", "b", "b2") == [100, 100, 100]


def test_a_refusal_by_an_undecided_write_is_told_when_that_is_decided(bank: Bank) -> None:
    first = Waiter()
    assert bank.partition_of("a").write(write_of("a", 7), first) is None
    waiter = bank.begin(write_of("a", 1, if_number=100), write_of("b", 2))
    assert waiter.answer is None
    bank.turns()
    assert first.answer == b"7"
    assert codes(waiter) == ["ConditionalCheckFailed", "None"]


def test_nobody_else_writes_an_item_meanwhile(bank: Bank) -> None:
    waiter = bank.begin(write_of("a", 1), write_of("b", 2))
    with pytest.raises(TransactionConflict):
        bank.partition_of("a").write(write_of("a", 3), Waiter())
    assert codes(bank.begin(write_of("a2", 1), write_of("b", 3))) == ["None", "TransactionConflict"]
    assert bank.number("a") == 100, "reads go on, and see what was there before"
    bank.turns()
    assert waiter.answer == b"done"
    assert bank.put("a", 3).answer == b"3"


def test_an_item_that_is_only_checked_is_not_written_by_others_either(bank: Bank) -> None:
    waiter = bank.begin(write_of("a", 1), checks=[write_of("b", 100, if_number=100)])
    with pytest.raises(TransactionConflict):
        bank.partition_of("b").write(write_of("b", 3), Waiter())
    before = bank.partition_of("b").get(account("b"))
    bank.turns()
    assert waiter.answer == b"done"
    assert bank.partition_of("b").get(account("b")) == before
    assert bank.put("b", 3).answer == b"3"


def test_what_is_in_the_way_of_nobody_goes_on(bank: Bank) -> None:
    first = bank.begin(write_of("a", 1), write_of("b", 2))
    second = bank.begin(write_of("a2", 3), write_of("b2", 4))
    bank.turns()
    assert (first.answer, second.answer) == (b"done", b"done")
    assert bank.numbers("a", "b", "a2", "b2") == [1, 2, 3, 4]


def test_a_clock_that_was_set_back_refuses_nobody(tmp_path: Path) -> None:
    clock = MovableClock(StoppedClock())
    bank = Bank(tmp_path, ForgetfulDisk(), clock=clock)
    bank.put("a", 1)
    bank.put("b", 1)
    bank.put("b gone", 1)
    bank.put("b gone", None)
    clock.set(clock.time() - 30 * 86400)
    assert bank.transfer({"a": 1, "b": 1, "b gone": 3}).answer == b"done"
    assert bank.transfer({"a": 1, "b": 1, "b gone": 3}).answer == b"done"
    assert bank.numbers("a", "b", "b gone") == [3, 3, 6]
    bank.stop()


@pytest.mark.parametrize("names", [("a", "a2"), ("a", "b")], ids=["one partition", "two"])
def test_a_clock_that_was_set_back_counts_ten_minutes_all_the_same(tmp_path: Path, names: tuple[str, str]) -> None:
    clock = MovableClock(StoppedClock())
    bank = Bank(tmp_path, ForgetfulDisk(), clock=clock)
    bank.transfer({"a": 1, "b": 1})
    clock.set(clock.time() - 30 * 86400)
    amounts = dict.fromkeys(names, 1)
    assert bank.transfer(amounts, token="t").answer == b"done"
    clock.advance(590)
    assert bank.transfer(amounts, token="t").answer == b"done before"
    clock.advance(20)
    bank.node.loop.advance(1)
    bank.turns()
    assert bank.ledger.find(record.id_of_token("t")) is None
    assert rows(bank, TOKEN_SPACE) == 0
    bank.stop()


# In one partition


def test_one_partition_takes_one_entry_and_the_ledger_another(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    bank = Bank(tmp_path, disk)
    waiter = bank.transfer({"a": 1, "a2": 2}, token="once")
    assert waiter.answer == b"done"
    assert bank.numbers("a", "a2") == [1, 2]
    assert entries(bank, disk) == 2
    assert bank.transfer({"a": 1, "a2": 2}).answer == b"done"
    assert entries(bank, disk) == 3, "what nobody can ask for again is in no ledger"
    bank.stop()


def test_a_transaction_that_changes_nothing_is_answered(bank: Bank) -> None:
    """There is no slot to wait for, if nothing was undecided."""
    assert bank.begin(write_of("a nothing", None), checks=[write_of("a", 100, if_number=100)]).answer == b"done"
    assert bank.begin(write_of("a nothing", None), write_of("b nothing", None)).answer is None
    bank.turns()
    first = Waiter()
    assert bank.partition_of("a").write(write_of("a", 7), first) is None
    waiter = bank.begin(checks=[write_of("a", 7, if_number=7)])
    assert waiter.answer is None
    bank.turns()
    assert (first.answer, waiter.answer) == (b"7", b"done")


# The same request again


@pytest.mark.parametrize("names", [("a", "a2"), ("a", "b")], ids=["one partition", "two"])
def test_a_request_that_comes_again_is_not_done_again(bank: Bank, names: tuple[str, str]) -> None:
    amounts = dict.fromkeys(names, 1)
    first = bank.begin(*(write_of(name, 1, add=True) for name in names), token="t")
    during = bank.begin(*(write_of(name, 1, add=True) for name in names), token="t")
    assert isinstance(during.answer, TransactionInProgress)
    other = bank.begin(write_of("a", 1), token="t", request=REQUEST[::-1])
    assert isinstance(other.answer, IdempotentParameterMismatch)
    bank.turns()
    assert first.answer == b"done"
    assert bank.transfer(amounts, token="t").answer == b"done before"
    assert isinstance(bank.transfer(amounts, token="t", request=REQUEST[::-1]).answer, IdempotentParameterMismatch)
    assert bank.numbers(*names) == [101, 101]
    assert bank.transfer(amounts, token="other").answer == b"done"


@pytest.mark.parametrize("names", [("a", "a2"), ("a", "b")], ids=["one partition", "two"])
def test_ten_minutes_after_it_was_done_a_token_is_new(bank: Bank, names: tuple[str, str]) -> None:
    amounts = dict.fromkeys(names, 1)
    bank.transfer(amounts, token="t")
    bank.clock.advance(599)
    assert bank.transfer(amounts, token="t").answer == b"done before"
    bank.clock.advance(2)
    assert bank.transfer(amounts, token="t").answer == b"done"
    assert bank.transfer(amounts, token="t").answer == b"done before"
    bank.clock.advance(599)
    assert bank.transfer(amounts, token="t").answer == b"done before", "counted from the second time"
    assert bank.numbers(*names) == [102, 102]


def test_a_token_may_be_used_again_after_a_refusal(bank: Bank) -> None:
    assert codes(bank.begin(write_of("a", 1), write_of("b", 2, if_number=7), token="t")) == [
        "None",
        "ConditionalCheckFailed",
    ]
    assert bank.transfer({"a": 1, "b": 1}, token="t").answer == b"done"


def test_records_go_after_ten_minutes_and_what_goes_with_them(bank: Bank) -> None:
    for number in range(250):
        assert bank.transfer({"a": 1, "a2": 1}, token=f"one {number}").answer == b"done"
    bank.transfer({"a": 1, "b": 1}, token="two")
    bank.turns()
    assert bank.ledger.partition.tree.item_count == 251
    assert rows(bank, TOKEN_SPACE) == 250
    bank.clock.advance(599)
    bank.node.loop.advance(1)
    bank.turns()
    assert bank.ledger.partition.tree.item_count == 251
    bank.clock.advance(3)
    bank.node.loop.advance(1)
    bank.turns()
    assert bank.ledger.partition.tree.item_count == 0
    assert rows(bank, TOKEN_SPACE) == rows(bank, PURGE_SPACE) == 0
    assert list(bank.ledger.partition.tree.scan(b"", None)) == []


def test_what_was_purged_is_not_passed_over_again(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the next checkpoint it is still there, hidden, so a purge begins where the one before it did, or behind."""
    lows = []
    scan = Tree.scan

    def noted(tree: Tree, low: bytes, high: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        if low.startswith(PURGE_SPACE):
            lows.append(low)
        return scan(tree, low, high, reverse=reverse)

    monkeypatch.setattr(ledger, "_PURGED_AT_ONCE", 2)
    for number in range(6):
        bank.transfer({"a": 1, "b": 1}, token=str(number))
        bank.clock.advance(1)
    bank.clock.advance(601)
    monkeypatch.setattr(Tree, "scan", noted)
    for _ in range(2):
        bank.node.loop.advance(1)
        bank.turns()
    bank.clock.set(bank.clock.time() - 7200)
    bank.node.loop.advance(1)
    bank.turns()
    assert len(set(lows[:-1])) >= 3 and lows[:-1] == sorted(lows[:-1])
    assert rows(bank, PURGE_SPACE) == bank.ledger.partition.tree.item_count == 0


def test_when_all_tables_are_gone_no_token_is_remembered(bank: Bank) -> None:
    bank.transfer({"a": 1, "b": 1}, token="t")
    bank.transfer({"a": 1}, token="u")
    bank.node.loop.run(bank.transactions.forget())
    assert list(bank.ledger.partition.tree.scan(b"", None)) == []
    assert bank.ledger.partition.tree.item_count == 0


# Reading


def test_a_read_sees_all_of_a_transaction_or_nothing(bank: Bank) -> None:
    assert bank.read("a", "b", "a nothing").answer == b"[100, 100, None]"
    waiter = bank.begin(write_of("a", -10, add=True), write_of("b", 10, add=True))
    seen = []
    while waiter.answer is None:
        seen.append(bank.read("a", "b"))
        bank.node.loop.turn()
    bank.turns()
    assert bank.read("a", "b").answer == b"[90, 110]"
    for each in seen:
        if each.answer not in (b"[100, 100]", b"[90, 110]"):
            assert set(codes(each)) <= {"TransactionConflict", "None"}


def test_a_read_waits_for_writes_that_are_not_decided(bank: Bank) -> None:
    first = Waiter()
    bank.partition_of("a").write(write_of("a", 7), first)
    read = bank.read("a", "b")
    assert read.answer is None
    bank.turns()
    assert (first.answer, read.answer) == (b"7", b"[7, 100]")


def test_a_read_that_waits_in_several_partitions_is_refused_once(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    bank = Bank(tmp_path, disk)
    bank.put("a", 1)
    disk.fail("write_synced", errno.ENOSPC, times=10)
    for name in ("a", "b"):
        bank.partition_of(name).write(write_of(name, 7), Waiter())
    read = bank.read("a", "b")
    bank.turns()
    assert isinstance(read.answer, DiskFull), "and that asserts that it was told once"
    disk.heal()
    bank.stop()


def test_a_check_does_not_disturb_readers(bank: Bank) -> None:
    bank.begin(write_of("a", 1), checks=[write_of("b", 100, if_number=100)])
    assert bank.read("b", "a2").answer == b"[100, 100]"
    assert codes(bank.read("b", "a")) == ["None", "TransactionConflict"]
    bank.turns()


# When the disk refuses


def test_a_disk_that_is_full_leaves_nothing_and_is_finished_later(tmp_path: Path) -> None:
    """At each write to the disk in turn: the client is told that nobody knows, and then all is done or nothing."""
    seen: list[tuple[bool, list[int | None]]] = []    # whether the client was told, and what came of it
    for write in range(6):
        folder = tmp_path / str(write)
        folder.mkdir()
        disk = ForgetfulDisk()
        bank = Bank(folder, disk)
        bank.put("a", 100)
        bank.put("b", 100)
        disk.fail("write_synced", errno.ENOSPC, skip=write, times=2)
        waiter = bank.transfer({"a": -10, "b": 10}, token="t")
        bank.heal(disk)
        assert waiter.answer == b"done" or isinstance(waiter.answer, DiskFull)
        numbers = bank.numbers("a", "b")
        seen.append((waiter.answer == b"done", numbers))
        assert bank.markers == rows(bank, MARKER_SPACE) == 0
        again = bank.transfer({"a": -10, "b": 10}, token="t")
        assert again.answer == (b"done" if numbers == [100, 100] else b"done before")
        assert bank.numbers("a", "b") == [90, 110]
        bank.stop()
    assert (False, [100, 100]) in seen, "refused before it was decided"
    assert (False, [90, 110]) in seen, "refused after that, and done all the same"
    assert (True, [90, 110]) in seen
    assert (True, [100, 100]) not in seen


def test_a_token_is_not_believed_whose_entry_the_disk_refused(tmp_path: Path) -> None:
    """The entry of the partition is large and does not fit; the ledger's is in the next frame, and does."""
    disk = ForgetfulDisk()
    bank = Bank(tmp_path, disk)
    bank.put("a", 100)
    amounts = {f"a{number}": 1 for number in range(10, 40)} | {"a": 1}
    disk.fail("write_synced", errno.ENOSPC)
    many = [write_of(name, amount, add=name == "a") for name, amount in amounts.items()]
    first = bank.begin(*many, token="t")
    bank.turns()
    assert isinstance(first.answer, DiskFull)
    assert bank.numbers("a", "a10") == [100, None]
    found = bank.ledger.find(record.id_of_token("t"))
    assert found is not None and found.state is State.COMMITTED, "so this test tries what it says"
    again = bank.begin(*many, token="t")
    bank.turns()
    assert again.answer == b"done"
    assert bank.numbers("a", "a10") == [101, 1]
    third = bank.begin(*many, token="t")
    assert third.answer == b"done before"
    assert bank.number("a") == 101
    bank.stop()


def test_what_the_disk_refused_as_a_whole_is_not_kept_to_be_finished(tmp_path: Path) -> None:
    """A disk may be full for hours, and every transaction that was tried meanwhile is looked at each second."""
    disk = ForgetfulDisk()
    bank = Bank(tmp_path, disk)
    bank.put("a", 100)
    bank.put("b", 100)
    disk.fail("write_synced", errno.ENOSPC, times=1000)
    for _ in range(5):
        assert isinstance(bank.transfer({"a": -10, "b": 10}).answer, DiskFull)
    bank.node.loop.advance(1)
    assert bank.ledger.partition.undecided_range() is None
    bank.heal(disk)
    assert bank.ledger.partition.tree.item_count == 0
    assert bank.transfer({"a": -10, "b": 10}).answer == b"done"
    bank.stop()


def test_a_commit_that_the_disk_refuses_leaves_its_markers(tmp_path: Path) -> None:
    """What was about to be removed is in the way again, at once."""
    disk = ForgetfulDisk()
    bank = Bank(tmp_path, disk)
    bank.put("a", 100)
    bank.put("b", 100)
    disk.fail("write_synced", errno.ENOSPC, skip=3, times=1000)
    waiter = bank.transfer({"a": -10, "b": 10})
    assert isinstance(waiter.answer, DiskFull)
    assert bank.markers == rows(bank, MARKER_SPACE) == 2
    with pytest.raises(TransactionConflict):
        bank.partition_of("a").write(write_of("a", 3), Waiter())
    bank.heal(disk)
    assert bank.numbers("a", "b") == [90, 110]
    bank.stop()


def test_what_is_left_is_not_tried_while_the_disk_refuses_writes(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    bank = Bank(tmp_path, disk)
    bank.put("a", 100)
    bank.put("b", 100)
    disk.fail("write_synced", errno.EROFS, skip=3, times=1000)
    bank.transfer({"a": -10, "b": 10})
    assert bank.markers == 2
    refused = bank.node.node.refused_writes.total()
    for _ in range(10):
        bank.node.loop.advance(1)
        bank.turns()
    assert bank.node.node.refused_writes.total() == refused, "but for the node's own attempts, nothing was written"
    bank.heal(disk)
    assert bank.numbers("a", "b") == [90, 110]
    bank.stop()


def _recovery(bank: Bank) -> recovery.Recovery:
    assert bank.transactions._recovery is not None
    return bank.transactions._recovery


def _leave(bank: Bank, count: int) -> list[Name]:
    """As a crash would: so many transactions that are prepared, of one account each, and known to nobody."""
    participant = bank.partition_of("a").participant
    first_us = bank.node.partitions[1].tree.last_timestamp_us + 1
    names = [Name(bytes([number]) * 16, first_us + 10 * number) for number in range(count)]
    for number, name in enumerate(names):
        evaluation = participant.evaluate([Action(bank.route, write_of(f"a{number}", 1))], name.timestamp_us)
        participant.prepare(name, evaluation, Waiter())
    return names


def test_many_that_are_left_are_finished_in_slices(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash may leave thousands: all in one turn of the loop, nobody else would be served meanwhile."""
    monkeypatch.setattr(recovery, "_FINISHED_AT_ONCE", 4)
    names = _leave(bank, 11)
    bank.turns()
    _recovery(bank)._left.update(names)
    bank.node.loop._now += 1
    under_way = [0]
    while bank.markers:
        bank.node.loop.turn()
        under_way.append(len(bank.transactions._live._requests))
        assert len(under_way) < 100
    assert max(after - before for before, after in pairwise(under_way)) == 4
    idle = bank.transactions.wait_idle()
    bank.node.loop.run(idle)
    assert bank.markers == rows(bank, MARKER_SPACE) == 0


def test_who_waits_until_nothing_is_under_way_waits_for_all_slices(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_FINISHED_AT_ONCE", 2)
    names = _leave(bank, 7)
    bank.turns()
    _recovery(bank)._left.update(names)
    bank.node.loop._now += 1
    bank.node.loop.turn()
    assert _recovery(bank)._next, "so this test tries what it says"
    bank.node.loop.run(bank.transactions.wait_idle())
    assert bank.markers == 0


def test_a_marker_is_left_alone_where_nothing_can_be_finished(bank: Bank) -> None:
    """On a folder that is read-only transactions are not started; a read meets markers there all the same."""
    _leave(bank, 1)
    bank.turns()
    bank.transactions.halt()
    before = bank.partition_of("a").tree.applied_slot
    assert codes(bank.read("a0", "b")) == ["TransactionConflict", "None"]
    bank.turns()
    assert bank.markers == 1
    assert bank.partition_of("a").tree.applied_slot == before
    assert not _recovery(bank)._left


def test_a_token_whose_transaction_is_being_cancelled_is_in_progress(bank: Bank) -> None:
    """After a crash nobody knows what was asked, so nobody can say that it was something else."""
    participant = bank.partition_of("a").participant
    name = Name(record.id_of_token("t"), bank.node.partitions[1].tree.last_timestamp_us + 1)
    evaluation = participant.evaluate([Action(bank.route, write_of("a", 1))], name.timestamp_us)
    participant.prepare(name, evaluation, Waiter())
    bank.turns()
    assert codes(bank.begin(write_of("a", 1), write_of("b", 1), token="t")) == ["TransactionConflict", "None"]
    bank.node.loop.turn()
    again = bank.begin(write_of("a", 1), write_of("b", 1), token="t")
    assert isinstance(again.answer, TransactionInProgress)
    bank.turns()
    assert bank.transfer({"a": 1, "b": 1}, token="t").answer == b"done"


def test_an_answer_that_cannot_be_made_is_told(bank: Bank) -> None:
    for names in (("a", "a2"), ("a", "b")):
        waiter = Waiter()
        bank.transactions.write(
            [Action(bank.route, write_of(name, 1)) for name in names],
            None, REQUEST, waiter, answer=_no_answer, repeated=_no_answer,
        )  # fmt: skip
        bank.turns()
        assert isinstance(waiter.answer, LookupError)


def _no_answer(values: object = None) -> bytes:
    raise LookupError


def test_a_disk_that_refuses_is_not_asked_again_and_again_to_purge(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    bank = Bank(tmp_path, disk)
    for number in range(250):
        bank.transfer({"a": 1}, token=f"one {number}")
    bank.clock.advance(610)
    disk.fail("write_synced", errno.ENOSPC, times=1000)
    before = len(disk.calls)
    bank.node.loop.advance(1)
    bank.turns()
    assert len(disk.calls) - before < 10
    assert bank.ledger.partition.tree.item_count == 250
    bank.heal(disk)
    assert bank.ledger.partition.tree.item_count == 0
    assert rows(bank, TOKEN_SPACE) == rows(bank, PURGE_SPACE) == 0
    bank.stop()


def test_records_of_a_clock_that_was_set_back_go_too(bank: Bank) -> None:
    """They are due before others that are gone already, where nobody would look any more."""
    bank.transfer({"a": 1, "b": 1}, token="before")
    bank.clock.advance(700)
    bank.node.loop.advance(1)
    bank.turns()
    assert bank.ledger.partition.tree.item_count == 0
    finished = record.Record(Name(b"y" * 16, 1), State.COMMITTED, REQUEST, (), 1)
    assert bank.transactions._ledger is not None
    bank.transactions._ledger.ask(finished, lambda held: None)
    bank.node.loop.turns()
    assert bank.ledger.partition.tree.item_count == 1
    bank.node.loop.advance(1)
    bank.turns()
    assert bank.ledger.partition.tree.item_count == 0


def test_a_marker_that_nobody_looks_after_is_finished_when_somebody_meets_it(bank: Bank) -> None:
    """Its coordinator is gone, and nothing of it is in the ledger."""
    participant = bank.partition_of("a").participant
    name = Name(b"x" * 16, bank.node.partitions[1].tree.last_timestamp_us + 1)
    evaluation = participant.evaluate([Action(bank.route, write_of("a", 1))], name.timestamp_us)
    participant.prepare(name, evaluation, Waiter())
    bank.turns()
    with pytest.raises(TransactionConflict):
        bank.partition_of("a").write(write_of("a", 3), Waiter())
    bank.turns()
    found = bank.ledger.find(name.id)
    assert found is not None and found.state is State.CANCELLED
    assert bank.put("a", 3).answer == b"3"


# Crashes


WORK = (
    ({"a": -10, "b": 10}, "first"),
    ({"a": 3, "a2": -3}, "second"),
    ({"b2": -7, "a2": 4, "b": 3}, "third"),
)
NAMES = ("a", "a2", "b", "b2")


@pytest.mark.parametrize("manner", ["none", "torn", "all"])
def test_all_or_nothing_wherever_the_power_goes(tmp_path: Path, manner: str) -> None:
    """The power goes at every single call to the disk, also while the start before that finishes what was left."""
    cut = 0
    while True:
        folder = tmp_path / str(cut)
        folder.mkdir()
        disk = ForgetfulDisk()
        bank = Bank(folder, disk)
        for name in NAMES:
            bank.put(name, 100)
        answered: list[str] = []
        disk.cut_at = len(disk.calls) + cut
        try:
            for amounts, token in WORK:
                if bank.transfer(amounts, token=token).answer == b"done":
                    answered.append(token)
        except PowerCut:
            pass
        else:
            bank.node.loop.close()
            break
        check_after_crash(folder, disk, answered, manner, Random(cut))
        cut += 1
    assert cut >= 10, "the power was cut in few places: this test shows little"


def check_after_crash(folder: Path, disk: ForgetfulDisk, answered: list[str], manner: str, random: Random) -> None:
    """The start after a crash may be cut off too, a few times, before one is let go on to its end."""
    for start in range(4):
        disk = disk.after_power_cut(random, manner)
        if start < 3:
            disk.cut_at = random.randrange(8)
        try:
            bank = Bank(folder, disk)
            bank.turns()
        except PowerCut:
            continue
        break
    disk.cut_at = None
    expected = dict.fromkeys(NAMES, 100)
    for amounts, token in WORK:
        waiter = bank.transfer(amounts, token=token)
        assert waiter.answer in (b"done", b"done before"), waiter.answer
        if token in answered:
            assert waiter.answer == b"done before", "what was acknowledged is done"
        for name, amount in amounts.items():
            expected[name] += amount
    bank.turns()
    assert bank.numbers(*NAMES) == list(expected.values())
    assert bank.markers == rows(bank, MARKER_SPACE) == 0
    bank.halt()


def test_a_crash_between_a_partitions_entry_and_the_ledgers_does_not_do_it_twice(tmp_path: Path) -> None:
    """The entry of the partition is durable, the record behind it is not: the token row tells."""
    disk = ForgetfulDisk()
    bank = Bank(tmp_path, disk)
    bank.put("a", 100)
    partition = bank.partition_of("a")
    name = Name(record.id_of_token("t"), partition.tree.last_timestamp_us + 1)
    action = Action(bank.route, write_of("a", 1, add=True))
    evaluation = partition.participant.evaluate([action], name.timestamp_us)
    partition.participant.write(name, evaluation, record.pack_token(name, REQUEST), Waiter())
    bank.turns()
    bank.halt()
    again = Bank(tmp_path, disk.after_kill())
    assert again.number("a") == 101
    assert again.ledger.find(name.id) is None
    assert again.transfer({"a": 1}, token="t").answer == b"done before"
    assert again.number("a") == 101
    again.turns()
    assert again.ledger.find(name.id) is not None, "now the ledger knows, and the row goes in its time"
    other = again.transfer({"b": 1}, token="t", request=REQUEST[::-1])
    assert isinstance(other.answer, IdempotentParameterMismatch)
    again.stop()
