"""From a write to what its table's global indexes show, on a node whose loop turns when it is told to."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from tests.indexes.indexed_node import BY_G, BY_G_KEYS, NAME, IndexedNode, index, rows_of, table
from tests.node.stepped_loop import SteppedLoop
from tests.node.writes import Waiter
from tests.storage.forgetful_disk import ForgetfulDisk
from tests.table.tables import provisioned_table
from varley.api.put_item import Put
from varley.api.writes import Terms
from varley.errors import DiskFull, ProvisionedThroughputExceeded, Throttling
from varley.indexes import backfill
from varley.indexes.backfill import SLICE_ITEMS
from varley.item.marker import Name
from varley.metadata.memory import MemoryStore
from varley.node.node import Node
from varley.node.partition import Partition
from varley.table.outgoing import progress_key
from varley.table.schema import AttributeDefinition, Projection
from varley.transactions.action import Action, follow_of


class World:
    """What outlives a node: disk, trees, tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = ForgetfulDisk()
        self.store = MemoryStore()
        self.node: IndexedNode

    def start(self, **options: Any) -> IndexedNode:
        self.node = IndexedNode(self.folder, self.disk, self.store, **options)
        return self.node

    def kill(self, **options: Any) -> IndexedNode:
        """kill -9, and another start."""
        left = self.disk.after_kill()
        self.node.kill()
        self.disk = left
        return self.start(**options)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def started(world: World, *indexes: Any, **options: Any) -> IndexedNode:
    node = world.start(**options)
    node.create(table(*(indexes or (BY_G, BY_G_KEYS))))
    return node


def test_changes_reach_the_indexes(world: World) -> None:
    node = started(world)
    node.put("a", g="one", n="1")
    node.put("b", g="one")
    node.put("c")
    assert {item["pk"]["S"] for item in node.rows("by-g").values()} == {"a", "b"}
    node.assert_indexes_equal_table()
    node.put("a", g="two", n="2")    # another key: a row goes, a row comes
    node.put("b", g="one", n="3")
    node.put("c", g="two")
    node.assert_indexes_equal_table()
    node.delete("a")
    node.put("b", n="4")    # not in the indexes any more
    assert len(node.rows("by-g")) == 1
    node.assert_indexes_equal_table()
    node.stop()


def test_a_write_that_changes_nothing_of_an_index_sends_it_nothing(world: World) -> None:
    node = started(world)
    node.put("a", g="one", n="1")
    slots = node.slots("by-g"), node.slots("by-g-keys")
    node.put("a", g="one", n="2")
    assert (node.slots("by-g"), node.slots("by-g-keys")) == (slots[0] + 1, slots[1])
    node.put("a", g="one", n="2")
    assert node.slots("by-g") == slots[0] + 1
    node.stop()


def test_changes_of_one_turn_share_a_slot(world: World) -> None:
    node = started(world, BY_G, index_partitions=1)
    for number in range(20):
        node.propose_put(f"k{number}", g="one")
    node.settle()
    assert len(node.rows("by-g")) == 20
    assert node.slots("by-g") == 1
    node.assert_indexes_equal_table()
    node.stop()


def test_an_index_that_projects_everything_does_not_lengthen_the_log_entry(world: World) -> None:
    node = started(world, BY_G)
    long = "x" * 3000
    before = node.log.bytes_in_log
    node.propose_put("a", g="one", long=long)
    node.loop.turns(3)
    assert node.log.bytes_in_log - before < 2 * len(long)
    node.settle()
    node.assert_indexes_equal_table()
    node.stop()


def test_what_was_chosen_and_not_delivered_is_delivered_after_kill_9(world: World) -> None:
    node = started(world, delay_seconds=1e9)
    for number in range(5):
        node.propose_put("a", g=f"g{number}", n=str(number))
    node.propose_put("b", g="one")
    node.settle()
    assert node.rows("by-g") == {}
    node = world.kill()
    assert len(node.undelivered) == 6
    node.settle()
    assert len(node.rows("by-g")) == 2
    node.assert_indexes_equal_table()
    slots = node.slots("by-g")
    node = world.kill()
    assert node.undelivered == []
    node.settle()
    assert node.slots("by-g") == slots
    node.stop()


def test_what_the_trees_have_is_delivered_from_the_log_too(world: World) -> None:
    """A clean stop writes all trees; the log must keep what an index has not."""
    node = started(world, BY_G, delay_seconds=1e9)
    node.propose_put("a", g="one")
    node.settle()
    node.indexes.close()    # stops, but sends nothing: as if the index could not take it
    node.loop.run(node.node.stop())
    node.loop.close()
    node = world.start()
    assert node.items().keys() == {"a"}
    assert len(node.undelivered) == 1
    node.settle()
    node.assert_indexes_equal_table()
    node.stop()
    node = world.start()
    assert node.undelivered == []
    node.assert_indexes_equal_table()
    node.stop()


def test_a_checkpoint_that_ends_before_indexes_begin_releases_nothing_that_they_have_not(world: World) -> None:
    """A start takes several turns of the loop, and the node makes checkpoints meanwhile."""
    node = started(world, BY_G, delay_seconds=1e9)
    for number in range(30):
        node.propose_put(f"{number}", g="one", filler="x" * 1000)
        node.settle()
    assert len(world.disk.paths) > 4, "segments of the log"

    def finish_checkpoints(node: Node) -> None:
        assert node._checkpoints._frozen, "so this test tries what it says"
        while node._checkpoints._frozen:
            loop.wait_for_call()
        assert node.checkpoints == 2

    loop = SteppedLoop()
    node = world.kill(loop=loop, overlay_bytes_max=1000, before_indexes=finish_checkpoints)
    assert len(node.undelivered) == 30
    node = world.kill()    # before anything was sent
    assert len(node.undelivered) == 30
    node.settle()
    node.assert_indexes_equal_table()
    assert len(node.rows("by-g")) == 30
    node.stop()


def test_a_log_that_an_index_holds_is_not_shortened_in_vain(world: World) -> None:
    """The log is over its limit, and has to stay: checkpoints, ten a second, would not change that."""
    node = world.start(delay_seconds=3600.0, log_bytes_max=20_000)
    node.create(table(BY_G))
    for number in range(30):
        node.propose_put(f"{number}", g="one", filler="x" * 1000)
        node.loop.turns(4)
        node.loop.advance(0.1)
    assert node.log.bytes_in_log > 30_000, "so this test tries what it says"
    assert node.node.checkpoints == 0 and not node.node._checkpoints._frozen
    node.clock.advance(3601)
    node.loop.advance(0.1)
    node.settle()
    node.assert_indexes_equal_table()
    for _ in range(100):
        node.loop.advance(0.1)
        while node.node._checkpoints._frozen:
            node.loop.wait_for_call()
    assert node.log.oldest_slots() is None, "but for the segment that is being written, all has gone"
    assert 0 < node.node.checkpoints < 10
    node.stop()


def test_stopping_delivers_what_was_held_back(world: World) -> None:
    node = started(world, delay_seconds=3600.0)
    node.propose_put("a", g="one")
    node.settle()
    node.stop()
    node = world.start()
    assert node.undelivered == []
    assert len(node.rows("by-g")) == 1
    node.stop()


def test_changes_are_held_back_until_the_clock_says_so(world: World) -> None:
    node = started(world, delay_seconds=5.0)
    node.propose_put("a", g="one")
    node.settle()
    node.clock.advance(4.9)
    node.loop.advance(0.1)
    node.settle()
    assert node.rows("by-g") == {}
    node.clock.advance(0.2)
    node.loop.advance(0.1)
    node.settle()
    assert len(node.rows("by-g")) == 1
    node.assert_indexes_equal_table()
    node.stop()


def test_an_index_that_the_disk_refuses_gets_everything_later_in_order(world: World) -> None:
    node = started(world, BY_G)
    node.put("a", g="one")
    waiter = node.propose_put("a", g="two")
    while waiter.answer is None:
        node.loop.turn()
    world.disk.fail("write_synced", errno.ENOSPC, times=2)    # the frame, and the head of the next segment
    node.settle()
    assert isinstance(node.node.refusal, DiskFull)
    assert [item["g"]["S"] for item in node.rows("by-g").values()] == ["one"]
    world.disk.heal()
    waiter = node.propose_put("a", g="three")
    node.settle()
    assert waiter.answer == b"{}"
    assert "two" not in [item["g"]["S"] for item in node.rows("by-g").values()]    # its turn has not come again
    node.loop.advance(1.0)
    node.settle()
    assert [item["g"]["S"] for item in node.rows("by-g").values()] == ["three"]
    node.assert_indexes_equal_table()
    node.stop()


def test_an_item_that_moves_may_be_under_both_keys_for_a_moment(world: World) -> None:
    """Partitions of an index that the disk has refused try again each in its own time; nobody waits for the other."""
    node = started(world, BY_G)
    first, second = node.index("by-g").partitions
    old, new = value_in(node, first), value_in(node, second)
    node.put("moves", g=old)
    waiter = node.propose_put("other", g=old)
    while waiter.answer is None:
        node.loop.turn()
    world.disk.fail("write_synced", errno.ENOSPC, times=2)    # the frame, and the head of the next segment
    node.settle()
    assert isinstance(node.node.refusal, DiskFull)
    world.disk.heal()
    node.put("moves", g=new)
    assert len(rows_of(first, b"\x00")) == len(rows_of(second, b"\x00")) == 1
    assert [item["pk"]["S"] for item in node.rows("by-g").values()] == ["moves", "moves"]
    node.loop.advance(1.0)
    node.settle()
    node.assert_indexes_equal_table()
    node.stop()


def value_in(node: IndexedNode, partition: Partition) -> str:
    """A value of g whose items are in this partition of the index."""
    index = node.index("by-g")
    values = (f"g{number}" for number in range(100))
    return next(g for g in values if index.partition_of(index.codec.item_collection([{"S": g}])) is partition)


@pytest.mark.parametrize("is_provisioned", [False, True])
def test_writes_are_refused_while_an_index_is_too_far_behind(world: World, is_provisioned: bool) -> None:
    node = world.start(delay_seconds=5.0, backlog_bytes=1000)
    made = table(BY_G_KEYS)
    if is_provisioned:
        made = provisioned_table(
            name=made.name, attribute_definitions=made.attribute_definitions, global_indexes=made.global_indexes
        )
    node.create(made)
    waiters = [node.propose_put(f"k{number}", g="one") for number in range(3)]
    node.settle()
    waiters += [node.propose_put(f"l{number}", g="one") for number in range(12)]
    node.settle()
    assert waiters[2].answer == b"{}"
    refusals = [node.propose_put("m", g="one").answer, node.propose_delete("k0").answer]
    for refusal in refusals:
        assert isinstance(refusal, ProvisionedThroughputExceeded if is_provisioned else Throttling)
        assert "one or more global secondary indexes" in refusal.message
    other = node.propose_put("n")    # adds nothing to it
    node.settle()
    assert other.answer == b"{}"
    node.clock.advance(6.0)
    node.loop.advance(0.1)
    node.settle()
    assert node.index("by-g-keys").backlog.bytes == 0
    node.clock.advance(6.0)
    waiter = node.propose_put("m", g="one")
    node.settle()
    assert waiter.answer == b"{}"
    node.stop()


def test_a_deleted_table_takes_its_deliveries_with_it(world: World) -> None:
    node = started(world, delay_seconds=5.0)
    for number in range(5):
        node.propose_put(f"k{number}", g="one")
    node.settle()
    groups = [partition.group for each in node.route.global_indexes for partition in each.partitions]
    node.delete_table()
    assert not any(node.indexes.propagation.is_target(group) for group in groups)
    node.clock.advance(10.0)
    node.loop.advance(1.0)
    node.settle()
    node.create(table(BY_G))    # the same name, and an index of the same id
    node.settle()
    assert node.rows("by-g") == {}
    node.stop()
    node = world.start()
    assert node.undelivered == []
    node.stop()


# Indexes that come and go


def filled(node: IndexedNode, items: int) -> None:
    for number in range(items):
        node.propose_put(f"k{number:05}", g=f"g{number % 7}", n=str(number))
        if number % 100 == 99:
            node.loop.turns(3)
    node.settle()


def test_a_new_index_gets_what_was_there_before(world: World) -> None:
    node = started(world, BY_G_KEYS)
    filled(node, 3 * SLICE_ITEMS + 7)
    node.add_index(BY_G)
    assert node.definition.global_indexes[1].status == "CREATING"
    assert node.definition.global_indexes[1].is_backfilling
    with pytest.raises(Exception, match="Cannot read from backfilling global secondary index: by-g"):
        node.route.index("by-g")
    node.loop.turns(100)
    assert [each.status for each in node.definition.global_indexes] == ["ACTIVE", "ACTIVE"]
    assert node.route.index("by-g") is node.index("by-g")
    assert len(node.rows("by-g")) == 3 * SLICE_ITEMS + 7
    node.assert_indexes_equal_table()
    for partition in node.route.partitions:
        assert rows_of(partition, b"\x40") == []
    node.stop()


def test_writes_go_on_while_an_index_is_filled(world: World) -> None:
    node = started(world, BY_G_KEYS)
    chance = Random(7)
    filled(node, 300)
    node.propose_put("undecided", g="g1")    # evaluated before anybody knows of the index
    node.add_index(BY_G)
    turns = 0
    while node.definition.global_indexes[1].status == "CREATING":
        key = f"k{chance.randrange(310):05}"
        if chance.random() < 0.3:
            node.propose_delete(key)
        else:
            node.propose_put(key, g=f"g{chance.randrange(9)}", n=str(turns))
        node.loop.turn()
        turns += 1
    assert turns > 10
    node.settle()
    node.assert_indexes_equal_table()
    assert any(item["pk"]["S"] == "undecided" for item in node.rows("by-g").values())
    node.stop()


def test_what_cannot_be_a_key_of_the_index_is_left_out(world: World) -> None:
    node = started(world, BY_G_KEYS)
    on_h = index("by-h", 3)
    on_h = type(on_h)(
        name="by-h", id=on_h.id, hash_keys=(AttributeDefinition(name="h", kind="S"),),
        projection=Projection(kind="ALL"), warm=on_h.warm,
    )  # fmt: skip
    node.put("number", h={"N": "1"})
    node.put("empty", h="")
    node.put("long", h="x" * 2049)
    node.put("lacking")
    node.put("right", h="yes")
    node.add_index(on_h)
    node.loop.turns(30)
    assert {item["pk"]["S"] for item in node.rows("by-h").values()} == {"right"}
    assert {each.name for each in node.definition.attribute_definitions} == {"pk", "g", "h"}
    node.put("number", h="mended")
    assert {item["pk"]["S"] for item in node.rows("by-h").values()} == {"right", "number"}
    node.assert_indexes_equal_table()
    node.delete_index("by-h")
    assert {each.name for each in node.definition.attribute_definitions} == {"pk", "g"}
    node.stop()


def test_filling_goes_on_where_it_was_after_kill_9(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "SLICE_ITEMS", 5)
    monkeypatch.setattr(backfill, "PROGRESS_SLICES", 3)
    node = started(world, BY_G_KEYS, overlay_bytes_max=1 << 20)
    filled(node, 400)
    node.add_index(BY_G)
    while len(node.rows("by-g")) < 150:
        node.loop.turn()
    ratio = next(each for each in node.indexes.readings() if each.name == "by-g").backfill_ratio
    assert ratio is not None and 0.1 < ratio < 0.9
    node = world.kill()
    assert node.definition.global_indexes[1].is_backfilling
    begun = len(node.rows("by-g"))
    slots = node.slots("by-g")
    node.loop.turns(2000)
    assert node.definition.global_indexes[1].status == "ACTIVE"
    node.assert_indexes_equal_table()
    # What was there already is not sent again, but for a few slices.
    assert node.slots("by-g") - slots <= 2 * ((400 - begun) // 5 + 10)
    for partition in node.route.partitions:
        assert rows_of(partition, b"\x40") == []
    node.stop()


def test_an_index_can_be_deleted_while_it_is_filled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "SLICE_ITEMS", 5)
    monkeypatch.setattr(backfill, "PROGRESS_SLICES", 1)
    node = started(world, BY_G_KEYS)
    filled(node, 200)
    node.add_index(BY_G)
    while len(node.rows("by-g")) < 60:
        node.loop.turn()
    groups = [partition.group for partition in node.index("by-g").partitions]
    node.propose_put("k00001", g="undecided")    # carries something to an index that is gone when it is chosen
    node.delete_index("by-g")
    node.loop.turns(30)
    assert [each.name for each in node.definition.global_indexes] == ["by-g-keys"]
    node.assert_indexes_equal_table()
    for partition in node.route.partitions:
        assert rows_of(partition, b"\x40") == []
    node = world.kill()
    assert node.undelivered == []
    assert not any(node.indexes.propagation.is_target(group) for group in groups)
    node.stop()


def test_progress_that_the_disk_kept_goes_with_the_index(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "SLICE_ITEMS", 5)
    node = started(world, BY_G_KEYS)
    filled(node, 50)
    node.add_index(BY_G)
    while node.definition.global_indexes[1].is_backfilling:
        node.loop.turn()
    world.disk.fail("write_synced", errno.ENOSPC, times=2)    # what was to forget it
    node.settle()
    world.disk.heal()
    node.put("a", g="one")
    assert any(rows_of(partition, b"\x40") for partition in node.route.partitions)
    node.delete_index("by-g")
    for partition in node.route.partitions:
        assert rows_of(partition, b"\x40") == []
    node.stop()


def test_an_index_is_not_deleted_while_the_disk_may_keep_its_progress(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is being forgotten already, since the index is filled: that may fail, and then nobody would know of it."""
    monkeypatch.setattr(backfill, "SLICE_ITEMS", 5)
    node = started(world, BY_G_KEYS)
    filled(node, 50)
    node.add_index(BY_G)
    while node.definition.global_indexes[1].is_backfilling:
        node.loop.turn()
    while not all(partition.undecided(progress_key(BY_G.id)) for partition in node.route.partitions):
        node.loop.turn()
    world.disk.fail("write_synced", errno.ENOSPC, times=2)
    with pytest.raises(DiskFull):
        node.delete_index("by-g")
    assert len(node.definition.global_indexes) == 2
    world.disk.heal()
    node.delete_index("by-g")
    for partition in node.route.partitions:
        assert rows_of(partition, b"\x40") == []
    node.stop()


def test_what_was_prepared_before_an_index_was_defined_reaches_it(world: World) -> None:
    node = started(world, BY_G_KEYS)
    route = node.route
    item = {"pk": {"S": "a"}, "g": {"S": "one"}}
    put = Put(route.keys.row_key_of_item(item), msgspec.json.encode(item), 5, None, Terms(route, "PutItem"))
    partition = route.partition_of(put.key)
    name = Name(bytes(16), partition.next_timestamp())
    evaluation = partition.participant.evaluate([Action(route, put)], name.timestamp_us)
    partition.participant.prepare(name, evaluation, Waiter())
    node.settle()
    node.add_index(BY_G)
    node.loop.turns(30)    # filled, and the item is not there yet
    assert node.definition.global_indexes[1].status == "ACTIVE"
    assert partition.participant.commit(name, [(put.key, follow_of(route))], Waiter())
    node.settle()
    assert len(node.rows("by-g")) == 1
    node.assert_indexes_equal_table()
    node.stop()


def test_what_was_counted_of_an_index_goes_with_it(world: World) -> None:
    node = started(world, BY_G)
    node.put("a", g="one")
    keys = [key for key, _ in node.router.counters]
    assert ("PutItem", NAME, "by-g") in keys
    gone = node.index("by-g")
    node.delete_index("by-g")
    gone.counts["Query"].returned_items += 1    # of a page that was begun before
    assert {index for (_, _, index), _ in node.router.counters} == {""}
    node.stop()


def test_an_index_made_again_under_its_old_name_is_another(world: World) -> None:
    node = started(world, BY_G, delay_seconds=5.0)
    node.propose_put("a", g="old")
    node.settle()
    node.delete_index("by-g")
    node.add_index(index("by-g", 9))
    node.loop.turns(30)
    node.clock.advance(10.0)
    node.loop.advance(1.0)
    node.settle()
    assert len(node.rows("by-g")) == 1
    node.assert_indexes_equal_table()
    node.stop()


def test_who_reads_a_page_in_slices_sees_that_table_or_index_is_gone(world: World) -> None:
    node = started(world, BY_G_KEYS)
    held = node.route
    node.add_index(BY_G)    # the table's route has changed, and is the same
    node.loop.turns(30)
    index_held = node.index("by-g")
    node.delete_index("by-g")
    assert index_held.is_closed and not held.is_closed
    index_held = node.index("by-g-keys")
    node.delete_table()
    assert index_held.is_closed and held.is_closed
    node.stop()
