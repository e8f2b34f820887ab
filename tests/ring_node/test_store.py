"""The store: what a crash leaves, under which actor a node goes on, damaged rows, failing disks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ring_node.pretended import ForgetfulDisk, PretendedLoop, PretendedWriter
from tests.simulation.world import World
from varley.errors import DiskFull, WorldError
from varley.ring.hash_tree import HashTree
from varley.ring.siblings import NONE, Siblings, Stamp, put
from varley.ring.vector_clock import VectorClock
from varley.ring_node import rows
from varley.ring_node.engines.engine import Engine, Entry
from varley.ring_node.engines.memory import MemoryEngine
from varley.ring_node.keys import place_of, ring_key
from varley.ring_node.settings import SIBLINGS_MAX, RingSettings
from varley.ring_node.store import FLUSH_SECONDS, RETRY_SECONDS, Store, TooMany

KEY = ring_key("b", b"k")
START_US = 1_000_000


class Machine:
    """A store that can be killed, and its disk."""

    def __init__(self, disk: Engine | None = None, buffer_bytes: int = 0) -> None:
        self.disk = disk or ForgetfulDisk()
        self.buffer_bytes = buffer_bytes
        self.world = World(1)
        self.start()

    def start(self, now_us: int | None = None) -> None:
        self.loop = PretendedLoop(self.world)
        self.writer = PretendedWriter(self.disk, self.loop)
        self.store = Store(
            self.disk, self.writer, self.loop, RingSettings(), "n", lambda _: 3, now_us or self.now_us,
            self.buffer_bytes,
        )  # fmt: skip

    def kill(self) -> None:
        self.loop.is_dead = True

    @property
    def now_us(self) -> int:
        return START_US + self.world.now_us

    def run(self, seconds: float = 0.01) -> None:
        self.world.run_until(self.world.now_us + int(seconds * 1e6))

    def stamp(self, value: bytes | None = b"v", context: VectorClock | None = None, hint_for: str | None = None) -> str:
        """Put, without waiting; the actor that it was stamped by."""
        store, now_us = self.store, self.store.stamp_time_us(self.now_us)
        stamp = Stamp("n", context or VectorClock(), value, now_us, remembers_since_us=store.remembers_since_us(KEY))
        store.stamp(KEY, stamp, hint_for, self.stamped.append)
        held = store.row(KEY) if hint_for is None else store.hint(hint_for, KEY)
        return max(held, key=lambda version: version.dot.time_us).dot.actor

    @property
    def stamped(self) -> list[Siblings]:
        return self.__dict__.setdefault("_stamped", [])  # type: ignore[no-any-return]


def test_a_write_is_told_when_it_is_durable_and_shown_not_before() -> None:
    machine = Machine()
    machine.stamp(b"1")
    assert machine.store.row(KEY).values == (b"1",)
    assert machine.store.shown(KEY) is machine.store.shown_row(KEY) is NONE and machine.stamped == []
    machine.run(0.0001)     # the batch is on its way
    machine.stamp(b"2")
    machine.run(0.0006)
    assert len(machine.stamped) == 1 and len(machine.store.row(KEY)) == 2
    assert machine.store.shown(KEY).values == (b"1",), "the second one is not on disk"
    machine.run()
    assert len(machine.store.shown(KEY)) == len(machine.stamped) == 2


def test_all_of_one_turn_is_one_batch() -> None:
    machine = Machine()
    batches: list[int] = []
    write = machine.writer.write
    machine.writer.write = lambda batch, done: (batches.append(len(batch)), write(batch, done))[1]  # type: ignore
    for index in range(10):
        machine.store.merge(ring_key("b", b"%d" % index), one(b"v"), None, lambda: None)
    machine.run()
    assert batches == [10]


def one(value: bytes | None, actor: str = "x", time_us: int = 5) -> Siblings:
    return put(NONE, VectorClock(), actor, time_us, value)


def test_what_is_recovered_is_what_was_there() -> None:
    machine = Machine()
    machine.stamp()
    machine.store.merge(ring_key("b", b"dead"), one(None), None, lambda: None)
    machine.stamp(hint_for="other")
    machine.run()
    before = machine.store
    machine.kill()
    machine.start()
    after = machine.store
    assert (after.row_count, after.tombstones, after.hint_counts) == (
        before.row_count, before.tombstones, before.hint_counts
    ) == (2, {ring_key("b", b"dead"): 5}, {"other": 1})  # fmt: skip
    digests = {head.ring_key: head.digest for head in after.heads(0, 1 << 128)}
    assert after.trees[3].broken_rules(digests) == [] and after.trees[3].root == before.trees[3].root != HashTree().root


# ---- Actors


def test_a_durable_node_goes_on_with_its_actor_after_a_crash() -> None:
    machine = Machine()
    actor = machine.stamp()
    machine.run()
    machine.kill()
    machine.start()
    assert machine.stamp() == actor


def test_an_actor_is_given_up_where_something_was_deleted_also_over_a_restart() -> None:
    machine = Machine()
    first = machine.stamp(hint_for="other")
    machine.run()
    assert machine.store.delete(KEY, "other", machine.store.hint("other", KEY).digest, machine.now_us)
    assert machine.store.hint_counts == {}
    machine.run()
    second = machine.stamp(hint_for="other")
    assert second != first
    assert machine.store.delete(KEY, "other", machine.store.hint("other", KEY).digest, machine.now_us)
    machine.run()
    machine.kill()
    machine.start()
    assert machine.stamp(hint_for="other") not in (first, second)


def test_a_hint_that_has_changed_is_not_deleted() -> None:
    machine = Machine()
    machine.stamp(hint_for="other")
    digest = machine.store.hint("other", KEY).digest
    machine.stamp(b"later", hint_for="other")
    assert not machine.store.delete(KEY, "other", digest, machine.now_us)
    assert len(machine.store.hint("other", KEY)) == 2


@pytest.mark.parametrize("machine", [lambda: Machine(buffer_bytes=10**6), lambda: Machine(MemoryEngine())])
def test_a_node_that_may_have_forgotten_stamps_as_another_after_a_restart(machine: Callable[[], Machine]) -> None:
    some = machine()
    actor = some.stamp()
    some.run(1)
    some.kill()
    some.start()
    assert some.stamp() != actor


def test_the_clock_of_a_node_does_not_go_back_over_a_restart() -> None:
    machine = Machine()
    machine.run(100)
    machine.stamp()
    machine.run()
    time_us = machine.store.row(KEY).clock.time_us
    machine.kill()
    machine.start(now_us=START_US)
    assert machine.store.stamp_time_us(START_US) > time_us


# ---- Write buffer


def test_a_buffered_write_is_told_at_once_and_a_crash_takes_it() -> None:
    machine = Machine(buffer_bytes=10**6)
    machine.stamp()
    machine.run(FLUSH_SECONDS / 10)
    assert len(machine.stamped) == 1 and machine.store.buffer_bytes > 0
    machine.kill()
    machine.start()
    assert machine.store.row(KEY) is NONE
    machine.stamp()
    machine.run(2 * FLUSH_SECONDS)
    assert machine.store.buffer_bytes == 0
    machine.kill()
    machine.start()
    assert machine.store.row(KEY).values == (b"v",)


def test_a_durable_write_of_a_buffered_node_waits_for_the_disk_and_takes_the_rest_along() -> None:
    machine = Machine(buffer_bytes=10**6)
    machine.stamp()
    told: list[str] = []
    machine.store.merge(ring_key("b", b"2"), one(b"v"), None, lambda: told.append("durable"), is_durable=True)
    machine.run(FLUSH_SECONDS / 10)
    assert told == ["durable"] and machine.store.buffer_bytes == 0


def test_a_durable_write_of_what_is_just_being_written_is_told_too() -> None:
    machine = Machine(buffer_bytes=10**6)
    told: list[str] = []
    machine.store.merge(KEY, one(b"v"), None, lambda: None, is_durable=True)
    machine.run(0.0001)     # the batch is on its way
    machine.store.merge(KEY, one(b"v"), None, lambda: told.append("durable"), is_durable=True)
    machine.run(1)
    assert told == ["durable"]


def test_with_a_full_buffer_acknowledgements_wait() -> None:
    machine = Machine(buffer_bytes=10_000)
    for index in range(20):
        machine.store.merge(ring_key("b", b"%d" % index), one(b"v" * 1000), None, lambda: machine.stamped.append(NONE))
    machine.run(0.0001)
    assert 5 < len(machine.stamped) < 10
    machine.run()
    assert len(machine.stamped) == 20


# ---- Trouble


@pytest.mark.parametrize("part", ["head", "body"])
@pytest.mark.parametrize("where", ["row", "hint"])
def test_a_damaged_row_is_given_up_and_kept_aside(part: str, where: str, caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    hint_for = "other" if where == "hint" else None
    actor = machine.stamp(hint_for=hint_for)
    machine.run()
    key = rows.hint_key("other", place_of(KEY)) if hint_for else rows.row_key(place_of(KEY))
    entry = machine.disk.get(key)
    assert entry is not None
    bad = Entry(*(raw[:-1] + bytes([raw[-1] ^ 1]) if name == part else raw
                  for name, raw in zip(("head", "body"), entry, strict=True)))  # fmt: skip
    machine.disk.write({key: bad})
    machine.kill()
    machine.start()
    assert machine.store.held(KEY) is NONE
    assert machine.store.damaged == [key.hex()] and key.hex() in caplog.text
    assert machine.store.hint_counts == {} and machine.store.row_count == 0
    assert machine.store.trees.get(3, HashTree()).root == HashTree().root
    machine.run()
    assert machine.disk.get(rows.DAMAGED + key) == bad and machine.disk.get(key) is None
    assert machine.stamp(hint_for=hint_for) != actor, "what it had counted is gone"


def test_a_damaged_hint_does_not_hide_the_others_for_its_home() -> None:
    machine = Machine()
    for key in b"1", b"2":
        machine.store.merge(ring_key("b", key), one(b"v"), "other", lambda: None)
    machine.run()
    damage(machine, rows.hint_key("other", place_of(ring_key("b", b"1"))))
    machine.kill()
    machine.start()
    machine.run()
    assert machine.store.hint_counts == {"other": 1}
    assert machine.store.held(ring_key("b", b"2")).values == (b"v",)


@pytest.mark.parametrize("found_by", ["a read", "a scan"])
def test_a_row_whose_head_is_damaged_is_missing_from_the_tree_so_that_others_bring_it_back(found_by: str) -> None:
    machine = Machine()
    machine.store.merge(KEY, one(b"v"), None, lambda: None)
    machine.store.merge(ring_key("b", b"2"), one(None), None, lambda: None)
    machine.run()
    root = machine.store.trees[3].root
    damage(machine, rows.row_key(place_of(KEY)))
    if found_by == "a read":
        assert machine.store.row(KEY) is NONE
    else:
        assert len(list(machine.store.heads(0, 1 << 128))) == 1
    machine.run()
    assert machine.store.row_count == 1 and machine.store.trees[3].root != root
    machine.store.merge(KEY, one(b"v"), None, lambda: None)
    assert machine.store.trees[3].root == root and machine.store.tombstones == {ring_key("b", b"2"): 5}


def damage(machine: Machine, key: bytes) -> None:
    entry = machine.disk.get(key)
    assert entry is not None
    machine.disk.write({key: Entry(entry.head[:-1] + bytes([entry.head[-1] ^ 1]), entry.body)})


def test_a_full_disk_is_tried_again_and_nothing_is_told_before() -> None:
    machine = Machine()
    machine.writer.failure = DiskFull("full", path="p", operation="write", hint="")
    machine.stamp()
    machine.run()
    assert machine.stamped == [] and isinstance(machine.store.failed, DiskFull)
    machine.writer.failure = None
    machine.run(2 * RETRY_SECONDS)
    assert len(machine.stamped) == 1 and machine.store.failed is None


def test_after_another_failure_nothing_is_written_any_more() -> None:
    machine = Machine()
    machine.writer.failure = WorldError("broken", path="p", operation="write", hint="")
    machine.stamp()
    machine.run(10)
    assert machine.stamped == [] and machine.store.failed is not None
    assert machine.disk.get(rows.row_key(place_of(KEY))) is None


def test_a_put_without_a_context_beside_too_many_versions_is_refused_and_one_with_it_is_not() -> None:
    machine = Machine()
    for _ in range(SIBLINGS_MAX):
        machine.stamp()
    with pytest.raises(TooMany):
        machine.stamp()
    before = machine.store.row(KEY)
    assert len(before) == SIBLINGS_MAX
    machine.stamp(b"all", before.clock)
    assert machine.store.row(KEY).values == (b"all",)
