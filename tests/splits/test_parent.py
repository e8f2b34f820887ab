"""What a partition does because its rows say that it is being split, was split, or came of a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.node.running_node import RunningNode
from tests.node.writes import Waiter, Write, number_of, row_key
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.errors import Throttling, TransactionConflict
from varley.indexes.delivery import Arriving, deliver, open_child
from varley.item import stored
from varley.item.key_bytes import TALLY_SPACE
from varley.node.partition import Partition
from varley.node.settled import Told
from varley.storage.log_format import DERIVED, PUT, Row
from varley.table import parting
from varley.table.index_tally import index_tally, sizes_of
from varley.table.outgoing import source_key, source_slot
from varley.table.parting import End, Origin, Parting

AT = row_key("m")[1:]
PARENT, CHILD = 1, 2


class Outgoing:
    """Takes what entries carry."""

    oldest = None

    def __init__(self) -> None:
        self.taken: list[list[bytes]] = []

    def chosen(self, slot: int, rows: Sequence[Row]) -> None:
        self.taken.append([key for _, key, _, _ in rows])


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path, ForgetfulDisk())
    yield node
    node.stop()


@pytest.fixture
def parent(node: RunningNode) -> Partition:
    return node.partitions[PARENT]


@pytest.fixture
def child(node: RunningNode) -> Partition:
    return node.partitions[CHILD]


def say(node: RunningNode, partition: Partition, key: bytes, value: bytes) -> None:
    told: list[BaseException | None] = []
    partition.propose([(PUT, key, value, DERIVED)], partition.next_timestamp(), Told(told.append))
    node.loop.turns()
    assert told == [None]


def begin(node: RunningNode, parent: Partition) -> None:
    say(node, parent, parting.PARTING_KEY, parting.parting_value(Parting(AT, CHILD, is_copied=False), 1))


def end(node: RunningNode, parent: Partition) -> int:
    time_us = parent.next_timestamp()
    say(node, parent, parting.END_KEY, parting.end_value(End(AT, CHILD, time_us)))
    return time_us


def test_an_entry_says_that_it_has_something_for_the_child_and_no_other_does(
    node: RunningNode, parent: Partition
) -> None:
    outgoing = Outgoing()
    parent.carry_outgoing(outgoing)
    node.write(PARENT, Write("z", 1))
    begin(node, parent)
    node.write(PARENT, Write("a", 2))
    node.write(PARENT, Write("z", 3))
    assert outgoing.taken[-2:] == [[row_key("a")], [row_key("z"), parting.carried_key(CHILD)]]
    assert parting.carried_key(CHILD) not in outgoing.taken[0]
    end(node, parent)
    node.write(PARENT, Write("a", 4))
    assert outgoing.taken[-1] == [row_key("a")]


def test_behind_its_end_nothing_is_written_and_nothing_is_prepared(node: RunningNode, parent: Partition) -> None:
    node.write(PARENT, Write("z", 1))
    begin(node, parent)
    end(node, parent)
    with pytest.raises(Throttling):
        parent.write(Write("z", 2), Waiter())
    with pytest.raises(Throttling):
        parent.write(Write("m", 2), Waiter())    # the location itself is the child's
    assert node.write(PARENT, Write("l", 2)).answer == b"2"

    class Check:
        key, is_check = row_key("z"), True

        def evaluate(self, old: bytes | None, timestamp_us: int) -> bytes | None:
            return old

        def follow(self, *given: object) -> list[tuple[bytes, bytes | None]]:
            return []

    refused = parent.participant.evaluate([Check()], parent.tree.last_timestamp_us + 1)
    assert isinstance(refused.refusals[0], TransactionConflict)
    assert parent.participant.version(row_key("z")).is_marked    # to a transaction that reads: somebody is at it
    assert not parent.participant.version(row_key("l")).is_marked


def test_what_is_about_to_end_opens_again_unless_it_has_ended(node: RunningNode, parent: Partition) -> None:
    begin(node, parent)
    parent.tree.closed_from = AT
    with pytest.raises(Throttling):
        parent.write(Write("z", 1), Waiter())
    parent.tree.open_up()
    assert node.write(PARENT, Write("z", 1)).answer == b"1"
    end(node, parent)
    parent.tree.open_up()
    with pytest.raises(Throttling):
        parent.write(Write("z", 2), Waiter())


def test_all_of_that_is_known_after_a_restart(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    parent = node.partitions[PARENT]
    begin(node, parent)
    time_us = end(node, parent)
    open_child(node.partitions[CHILD], Origin(PARENT, time_us), [], lambda error: None)
    node.loop.turns()
    node.stop()
    node = RunningNode(tmp_path, disk)
    tree = node.partitions[PARENT].tree
    assert (tree.parting, tree.end) == (Parting(AT, CHILD, is_copied=False), End(AT, CHILD, time_us))
    assert (tree.closed_from, tree.carried) == (AT, None)
    assert node.partitions[CHILD].tree.origin == Origin(PARENT, time_us)
    node.stop()


def test_a_child_takes_items_and_what_follows_from_them_and_counts_the_items(
    node: RunningNode, parent: Partition, child: Partition
) -> None:
    node.write(PARENT, Write("z", 1))
    value = parent.get(row_key("z"))
    assert value is not None
    follows = b"\x30" + bytes(8) + row_key("z")[1:]
    deliver(child, [Arriving(PARENT, 5, False, [(row_key("z"), value), (follows, value)])], lambda error: None)
    node.loop.turns()
    assert number_of(child.get(row_key("z"))) == 1 and child.get(follows) == value
    assert child.tree.item_count == 1
    assert source_slot(child.get(source_key(PARENT))) == 5


def test_a_child_keeps_the_tally_of_the_rows_of_local_indexes_that_come(
    node: RunningNode, parent: Partition, child: Partition
) -> None:
    told: list[BaseException | None] = []

    def come(
        slot: int, rows: list[tuple[bytes, bytes | None]], *, is_filling: bool = False
    ) -> dict[str, tuple[int, int]]:
        deliver(child, [Arriving(PARENT, slot, is_filling, rows)], told.append)
        node.loop.turns()
        tally = child.get(TALLY_SPACE)
        assert tally is not None and told[-1] is None
        return sizes_of(tally)

    def stored_of(size: int) -> bytes:
        return stored.pack(b"{}", size, 1)

    empty = index_tally({"by-x": (0, 0), "by-a": (0, 0)}, 1)    # in the order of their spaces
    first, second = (b"\x01" + row_key("z")[1:], b"\x02" + row_key("z")[1:])
    assert come(4, [(TALLY_SPACE, empty)], is_filling=True) == {"by-x": (0, 0), "by-a": (0, 0)}
    assert come(5, [(first, stored_of(10)), (second, stored_of(7))]) == {"by-x": (1, 10), "by-a": (1, 7)}
    # A slice as of the same slot brings what is there already, and a row more.
    rows: list[tuple[bytes, bytes | None]] = [(first, stored_of(10)), (first + b"z", stored_of(3))]
    assert come(5, rows, is_filling=True) == {"by-x": (2, 13), "by-a": (1, 7)}
    assert come(5, rows, is_filling=True) == {"by-x": (2, 13), "by-a": (1, 7)}
    # The tally is sent again, by a leader who did not hear that it had arrived.
    again = index_tally({"by-x": (0, 0), "by-a": (0, 0)}, 2)
    assert come(5, [(TALLY_SPACE, again)], is_filling=True) == {"by-x": (2, 13), "by-a": (1, 7)}
    assert come(6, [(first, stored_of(11)), (second, None)]) == {"by-x": (2, 14), "by-a": (0, 0)}
    assert come(6, [(first, None)]) == {"by-x": (2, 14), "by-a": (0, 0)}    # of a slot that it has
    assert come(7, [(first, None), (first + b"z", None), (second, None)]) == {"by-x": (0, 0), "by-a": (0, 0)}
    assert child.tree.item_count == 0


def test_two_changes_of_a_row_that_come_together_are_counted_once(
    node: RunningNode, parent: Partition, child: Partition
) -> None:
    key = b"\x01" + row_key("z")[1:]
    empty = index_tally({"by-x": (0, 0)}, 1)
    deliver(child, [Arriving(PARENT, 1, True, [(TALLY_SPACE, empty)])], lambda error: None)
    changes = [Arriving(PARENT, 2 + size, False, [(key, stored.pack(b"{}", size, 1))]) for size in range(3)]
    deliver(child, changes, lambda error: None)    # the tally before is not decided yet
    node.loop.turns()
    tally = child.get(TALLY_SPACE)
    assert tally is not None and sizes_of(tally) == {"by-x": (1, 2)}


def test_a_child_that_serves_passes_over_what_its_parent_still_sends(
    node: RunningNode, parent: Partition, child: Partition
) -> None:
    """Story: the parent's leader before was stopped with a slice on its way; since then the item was deleted here."""
    node.write(PARENT, Write("z", 1))
    value = parent.get(row_key("z"))
    assert value is not None
    told: list[BaseException | None] = []
    open_child(child, Origin(PARENT, 1), [], told.append)
    node.loop.turns()
    deliver(child, [Arriving(PARENT, 9, True, [(row_key("z"), value)])], told.append)
    deliver(child, [Arriving(PARENT, 10, False, [(row_key("z"), value)])], told.append)
    node.loop.turns()
    assert told == [None, None, None] and child.get(row_key("z")) is None


def test_a_child_is_opened_once_and_decides_behind_its_parent(node: RunningNode, child: Partition) -> None:
    told: list[BaseException | None] = []
    far_us = child.tree.last_timestamp_us + 10**12
    shard = b"\x20" + bytes(17)
    open_child(child, Origin(PARENT, far_us), [(shard, b"a shard")], told.append)
    open_child(child, Origin(PARENT, far_us), [(shard, b"another")], told.append)
    node.loop.turns()
    assert told == [None, None] and child.get(shard) == b"a shard"
    assert child.tree.last_timestamp_us > far_us
    child.begins_with_all()
    assert child.participant.gone_us == child.participant.checked_us > far_us


def test_a_partition_of_an_index_that_was_split_takes_nothing_of_its_childs(
    node: RunningNode, parent: Partition
) -> None:
    begin(node, parent)
    end(node, parent)
    told: list[BaseException | None] = []
    deliver(parent, [Arriving(7, 1, False, [(row_key("a"), None), (row_key("z"), None)])], told.append)
    assert isinstance(told[0], Throttling)    # who sends has an old map: it sends each its own, soon
    deliver(parent, [Arriving(7, 1, False, [(row_key("a"), None)])], told.append)
    node.loop.turns()
    assert told[1] is None


def test_from_the_copy_to_the_end_no_source_gets_ahead_of_what_the_child_was_sent(
    node: RunningNode, parent: Partition
) -> None:
    """Who sends knows the new map: slot 1 of it has a row for the child, and slot 2 one for the parent."""
    behind = [Arriving(7, 2, False, [(row_key("a"), None)])]
    told: list[BaseException | None] = []
    begin(node, parent)
    value = parting.parting_value(Parting(AT, CHILD, is_copied=True), 1)
    say(node, parent, parting.PARTING_KEY, value)
    deliver(parent, behind, told.append)
    node.loop.turns()
    assert [type(error) for error in told] == [Throttling]
    assert source_slot(parent.get(source_key(7))) == 0
    end(node, parent)
    outgoing = Outgoing()
    parent.carry_outgoing(outgoing)
    deliver(parent, behind, told.append)
    node.loop.turns()
    assert told[1:] == [None]
    assert source_slot(parent.get(source_key(7))) == 2
    assert outgoing.taken == [[source_key(7)]], "nothing of it goes to the child"
