"""What "Distributed Transactions at Scale in Amazon DynamoDB" (ATC 2023) says, sentence by sentence, in our own words.

The number after each test's name is the section. Where Varley departs, the test says how it does, and which decision
says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.writes import Waiter
from tests.storage.forgetful_disk import ForgetfulDisk
from tests.transactions.bank import REQUEST, Bank, account, write_of
from varley.errors import TransactionCanceled, TransactionConflict
from varley.item import stored
from varley.item.marker import Name
from varley.transactions.action import Action
from varley.transactions.coordinator import State
from varley.transactions.record import Record, id_of_token


@pytest.fixture
def disk() -> ForgetfulDisk:
    return ForgetfulDisk()


@pytest.fixture
def bank(tmp_path: Path, disk: ForgetfulDisk) -> Iterator[Bank]:
    bank = Bank(tmp_path, disk)
    for name in ("a", "a2", "b", "b2"):
        bank.put(name, 100)
    yield bank
    bank.stop()


def leave_prepared(bank: Bank, *names: str, number: int = 1) -> Name:
    """A transaction that puts 7 everywhere, whose coordinator is gone after it has prepared."""
    latest_us = max(partition.tree.last_timestamp_us for partition in bank.node.partitions.values())
    name = Name(b"%016d" % number, latest_us + 1)
    for each in names:
        participant = bank.partition_of(each).participant
        action = Action(bank.route, write_of(each, 7))
        participant.prepare(name, participant.evaluate([action], name.timestamp_us), Waiter())
    bank.node.loop.turns()
    return name


def timestamp(bank: Bank, name: str) -> int:
    value = bank.partition_of(name).get(account(name))
    assert value is not None
    return stored.timestamp(value)


def test_transactions_are_put_in_an_order_by_timestamps_that_coordinators_give_3_1(bank: Bank) -> None:
    bank.transfer({"a": 1, "b": 1})
    first = timestamp(bank, "a")
    bank.transfer({"a": 1, "b": 1})
    assert timestamp(bank, "a") > first


def test_a_transaction_is_prepared_everywhere_before_it_is_committed_anywhere_3_2(bank: Bank) -> None:
    waiter = bank.begin(write_of("a", 1), write_of("b", 2))
    seen = []
    while waiter.answer is None:
        seen.append((bank.numbers("a", "b"), bank.markers))
        bank.node.loop.turn()
    assert ([100, 100], 2) in seen
    assert all(numbers == [100, 100] for numbers, markers in seen if markers == 2), "none is committed while all wait"


def test_the_write_timestamp_of_every_item_becomes_the_transactions_3_2(bank: Bank) -> None:
    bank.transfer({"a": 1, "b": 1})
    assert timestamp(bank, "a") == timestamp(bank, "b")
    before = timestamp(bank, "b2")
    bank.begin(write_of("a", 1), checks=[write_of("b2", 100, if_number=100)])
    bank.turns()
    assert timestamp(bank, "b2") == before, "an item that was checked keeps its own: decision 0053"
    assert bank.partition_of("b2").participant.checked_us == timestamp(bank, "a")


def test_the_partition_remembers_the_latest_delete_and_keeps_no_tombstones_3_2(bank: Bank) -> None:
    waiter = bank.begin(write_of("a", None), write_of("b", 1))
    bank.turns()
    assert waiter.answer == b"done"
    partition = bank.partition_of("a")
    assert partition.get(account("a")) is None
    assert partition.participant.gone_us >= timestamp(bank, "b")


def test_commits_and_cancels_that_come_again_change_nothing_3_3(bank: Bank) -> None:
    name = leave_prepared(bank, "a")
    participant = bank.partition_of("a").participant
    assert participant.cancel(name, [account("a")], Waiter())
    assert not participant.cancel(name, [account("a")], Waiter())
    bank.turns()
    assert bank.number("a") == 100


def test_the_ledger_has_the_outcome_of_each_transaction_3_3(bank: Bank) -> None:
    bank.transfer({"a": 1, "b": 1}, token="t")
    bank.turns()
    found = bank.ledger.find(id_of_token("t"))
    assert found is not None
    assert found.state is State.COMMITTED


def test_a_transaction_that_was_decided_is_committed_by_whoever_finds_it_3_5(
    bank: Bank, disk: ForgetfulDisk, tmp_path: Path
) -> None:
    name = leave_prepared(bank, "a", "b")
    rows = tuple(("accounts", account(each)) for each in ("a", "b"))
    bank.ledger.ask(Record(name, State.COMMITTING, REQUEST, rows), lambda held: None)
    bank.turns()
    again = Bank(tmp_path, disk.after_kill())
    again.turns()
    assert again.numbers("a", "b") == [7, 7]
    found = again.ledger.find(name.id)
    assert found is not None
    assert found.state is State.COMMITTED
    again.halt()


def test_a_transaction_that_was_not_decided_is_cancelled_3_5(bank: Bank, disk: ForgetfulDisk, tmp_path: Path) -> None:
    name = leave_prepared(bank, "a", "b")
    again = Bank(tmp_path, disk.after_kill())
    again.turns()
    assert (again.numbers("a", "b"), again.markers) == ([100, 100], 0)
    found = again.ledger.find(name.id)
    assert found is not None
    assert found.state is State.CANCELLED, "so that nobody decides otherwise: decision 0051"
    again.halt()


@pytest.mark.parametrize("who", ["a write", "a transaction", "a read in a transaction"])
def test_whoever_meets_the_item_of_a_stalled_transaction_has_it_finished_3_5(bank: Bank, who: str) -> None:
    leave_prepared(bank, "a", "b")
    if who == "a write":
        with pytest.raises(TransactionConflict):
            bank.partition_of("a").write(write_of("a", 1), Waiter())
    elif who == "a transaction":
        assert isinstance(bank.begin(write_of("a", 1), write_of("b2", 1)).answer, TransactionCanceled)
    else:
        assert isinstance(bank.read("a", "b2").answer, TransactionCanceled)
    bank.turns()
    assert bank.markers == 0
    assert bank.transfer({"a": 1, "b": 1}).answer == b"done"


def test_a_read_transaction_writes_nothing_3_4(bank: Bank) -> None:
    before = [partition.tree.applied_slot for partition in bank.node.partitions.values()]
    assert bank.read("a", "b", "nothing").answer == b"[100, 100, None]"
    bank.turns()
    assert [partition.tree.applied_slot for partition in bank.node.partitions.values()] == before


def test_a_read_of_one_item_is_never_in_anybodys_way_4_1(bank: Bank) -> None:
    bank.begin(write_of("a", 1), write_of("b", 2))
    for _ in range(8):
        undecided = bank.partition_of("a").undecided(account("a"))
        assert bank.number("a") in (100, 1), undecided
        bank.node.loop.turn()
    assert bank.number("a") == 1


def test_items_of_one_partition_need_one_round_4_4(bank: Bank) -> None:
    before = bank.partition_of("a").tree.applied_slot
    assert bank.transfer({"a": 1, "a2": 1}).answer == b"done"
    assert bank.partition_of("a").tree.applied_slot == before + 1
