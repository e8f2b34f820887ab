"""Changes reach each target in the order of their slots, each exactly once, whatever is lost on the way.

The world here is a list: a target applies what it is sent by the rule that delivery.py follows, and remembers in which
order. Hypothesis decides what is chosen, sent, acknowledged and lost, and when the node of the sources starts again
with no more than its log.
"""

from __future__ import annotations

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from varley.indexes.propagation import BATCH_BYTES_MAX, BATCH_ROWS_MAX, Delivery, IndexRow, Part, Propagation
from varley.table.global_index_follower import Backlog, Backlogs

SOURCES = (1, 2)
TARGETS = (11, 12, 13)
KEYS = (b"a", b"b", b"c")

Source = st.sampled_from(SOURCES)
Target = st.sampled_from(TARGETS)


class Taker:
    """A target: rows, and what it remembers of its sources."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.has: dict[int, int] = defaultdict(int)
        self.applied: dict[int, list[int]] = defaultdict(list)    # by source: slots, in the order of their application

    def take(self, batch: list[Delivery]) -> None:
        for delivery in batch:
            if delivery.is_filling:
                if self.has[delivery.source] > delivery.slot:
                    continue
            elif self.has[delivery.source] >= delivery.slot:
                continue
            else:
                self.has[delivery.source] = delivery.slot
                self.applied[delivery.source].append(delivery.slot)
            for key, value in delivery.rows:
                if value is None:
                    self.rows.pop(key, None)
                else:
                    self.rows[key] = value


class PropagationMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.takers = {target: Taker() for target in TARGETS}
        self.log: dict[int, list[tuple[int, dict[int, list[IndexRow]]]]] = {source: [] for source in SOURCES}
        self.carried: dict[tuple[int, int], list[int]] = defaultdict(list)    # (source, target) -> slots
        self.slots = dict.fromkeys(SOURCES, 0)
        self.items: dict[tuple[int, bytes], tuple[int, bytes]] = {}     # (source, key) -> where its row is, and what
        self.filled = 0
        self.told = 0
        self._start()

    def _start(self) -> None:
        """A node that has the log of its sources, and knows nothing else."""
        self.backlog = Backlog(Backlogs(1))
        self.propagation = Propagation()
        for target in TARGETS:
            self.propagation.add_target(target)
        self.batches: dict[int, list[Delivery]] = {}
        for source in SOURCES:
            self.propagation.add_source(source)
            for slot, rows in self.log[source]:
                left = {target: its for target, its in rows.items() if self.takers[target].has[source] < slot}
                if left:
                    self.propagation.changed(source, slot, self._parts(left))

    def _parts(self, rows: dict[int, list[IndexRow]]) -> dict[int, Part]:
        return {target: Part(its, self.backlog) for target, its in rows.items()}

    @rule(source=Source, key=st.sampled_from(KEYS), to=st.one_of(st.none(), Target))
    def change(self, source: int, key: bytes, to: int | None) -> None:
        """An item gets another value, and its row is in `to` from now on; None: it is in no index."""
        slot = self.slots[source] = self.slots[source] + 1
        row_key = b"%d" % source + key
        before = self.items.pop((source, key), None)
        rows: dict[int, list[IndexRow]] = {}
        if before is not None and before[0] != to:
            rows[before[0]] = [(row_key, None)]
        if to is not None:
            value = b"%d" % slot
            rows[to] = [(row_key, value)]
            self.items[source, key] = (to, value)
        if not rows:
            return    # a slot that carries nothing
        self.log[source].append((slot, rows))
        for each in rows:
            self.carried[source, each].append(slot)
        self.propagation.changed(source, slot, self._parts(rows))

    @rule(source=Source)
    def fill(self, source: int) -> None:
        """Send all rows that the items of a source have now."""
        rows: dict[int, list[IndexRow]] = {}
        for (of, key), (target, value) in self.items.items():
            if of == source:
                rows.setdefault(target, []).append((b"%d" % source + key, value))
        if rows:
            self.filled += 1
            self.propagation.filled(source, self.slots[source], self._parts(rows), self._tell)

    def _tell(self) -> None:
        self.told += 1

    @rule(to=Target)
    def send(self, to: int) -> None:
        batch = self.propagation.next_batch(to, 0.0)
        assert not batch or to not in self.batches, "two batches under way"
        if batch:
            self.batches[to] = batch

    @rule(to=Target)
    def acknowledge(self, to: int) -> None:
        batch = self.batches.pop(to, None)
        if batch is not None:
            self.takers[to].take(batch)
            for call in self.propagation.acknowledged(to):
                call()

    @rule(to=Target, is_applied=st.booleans())
    def lose(self, to: int, is_applied: bool) -> None:
        """The batch, or the answer to it."""
        batch = self.batches.pop(to, None)
        if batch is not None:
            if is_applied:
                self.takers[to].take(batch)
            self.propagation.unknown(to)

    @rule(is_applied=st.booleans())
    def restart(self, is_applied: bool) -> None:
        for target, batch in self.batches.items():
            if is_applied:
                self.takers[target].take(batch)
        self.filled = self.told    # who filled begins again
        self._start()

    @invariant()
    def what_has_not_arrived_is_in_the_log(self) -> None:
        """The log is cut as far as it may be, so what is missing there is found missing at the next restart."""
        for source in SOURCES:
            oldest = self.propagation.oldest(source)
            self.log[source] = [each for each in self.log[source] if oldest is not None and each[0] >= oldest]

    @invariant()
    def each_is_applied_once_and_in_order(self) -> None:
        for (source, target), slots in self.carried.items():
            applied = self.takers[target].applied[source]
            assert applied == slots[: len(applied)]

    def teardown(self) -> None:
        for target in TARGETS:
            self.acknowledge(target)
            while batch := self.propagation.next_batch(target, 0.0):
                self.batches[target] = batch
                self.acknowledge(target)
        for (source, target), slots in self.carried.items():
            assert self.takers[target].applied[source] == slots
        expected: dict[int, dict[bytes, bytes]] = {target: {} for target in TARGETS}
        for (source, key), (target, value) in self.items.items():
            expected[target][b"%d" % source + key] = value
        assert {target: taker.rows for target, taker in self.takers.items()} == expected
        assert self.told == self.filled
        assert (self.backlog.changes, self.backlog.bytes) == (0, 0)
        assert all(self.propagation.oldest(source) is None for source in SOURCES)


TestPropagation = PropagationMachine.TestCase
TestPropagation.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def propagation() -> Propagation:
    made = Propagation()
    made.add_source(1)
    made.add_target(11)
    made.add_target(12)
    return made


def part(*keys: bytes, due: float = 0.0, backlog: Backlog | None = None, value: bytes = b"v") -> Part:
    return Part([(key, value) for key in keys], backlog or Backlog(Backlogs(1)), due)


def slots(batch: list[Delivery]) -> list[int]:
    return [delivery.slot for delivery in batch]


def test_while_a_batch_is_under_way_the_next_collects() -> None:
    made = propagation()
    made.changed(1, 4, {11: part(b"a")})
    assert slots(made.next_batch(11, 0.0)) == [4]
    made.changed(1, 5, {11: part(b"a")})
    made.changed(1, 7, {11: part(b"b")})
    assert made.next_batch(11, 0.0) == []
    made.acknowledged(11)
    assert slots(made.next_batch(11, 0.0)) == [5, 7]


def test_a_stalled_target_holds_back_the_log_and_no_other_target() -> None:
    made = propagation()
    made.changed(1, 4, {11: part(b"a"), 12: part(b"b")})
    made.changed(1, 5, {12: part(b"b")})
    assert slots(made.next_batch(12, 0.0)) == [4, 5]
    made.acknowledged(12)
    assert made.is_empty(12)
    assert made.oldest(1) == 4
    made.next_batch(11, 0.0)
    made.unknown(11)
    assert made.oldest(1) == 4
    assert slots(made.next_batch(11, 0.0)) == [4]
    made.acknowledged(11)
    assert made.oldest(1) is None


def test_a_batch_is_bounded_but_takes_any_one_delivery() -> None:
    made = propagation()
    for slot in range(1, BATCH_ROWS_MAX + 3):
        made.changed(1, slot, {11: part(b"k")})
    assert len(made.next_batch(11, 0.0)) == BATCH_ROWS_MAX
    large = propagation()
    for slot in (1, 2):
        large.changed(1, slot, {11: part(b"k", value=bytes(BATCH_BYTES_MAX + 1))})
    assert slots(large.next_batch(11, 0.0)) == [1]


def test_what_is_not_due_waits_and_what_is_behind_it_too() -> None:
    made = propagation()
    made.changed(1, 1, {11: part(b"a", due=5.0)})
    made.changed(1, 2, {11: part(b"a")})
    assert made.next_batch(11, 4.9) == []
    assert made.due(11) == 5.0
    assert slots(made.next_batch(11, 5.0)) == [1, 2]


def test_what_was_on_the_way_to_a_removed_target_is_done_with() -> None:
    made, backlog, calls = propagation(), Backlog(Backlogs(1)), []

    def then() -> None:
        calls.append("told")

    made.changed(1, 1, {11: part(b"a", backlog=backlog)})
    made.filled(1, 1, {11: part(b"b", backlog=backlog)}, then)
    made.changed(1, 2, {11: part(b"a", backlog=backlog), 12: part(b"a", backlog=backlog)})
    made.next_batch(11, 0.0)
    made.remove_target(11)
    assert not made.is_target(11)
    assert made.oldest(1) == 2
    made.next_batch(12, 0.0)
    assert made.acknowledged(12) == []
    assert made.oldest(1) is None
    assert (backlog.changes, backlog.bytes, calls) == (0, 0, [])




def test_what_is_on_its_way_to_a_target_that_is_split_goes_on_to_both() -> None:
    propagation = Propagation()
    propagation.add_source(1)
    propagation.add_target(11)
    propagation.add_target(12)
    backlog = Backlog(Backlogs(1 << 20))
    low, high = (b"\x00a", b"1"), (b"\x00m", b"2")
    propagation.changed(1, 1, {11: Part([low, high], backlog)})
    propagation.changed(1, 2, {11: Part([low], backlog)})
    propagation.changed(1, 3, {11: Part([high], backlog)})
    bytes_before = backlog.bytes
    under_way = propagation.next_batch(11, 0.0)
    propagation.split_target(11, 12, b"m")
    assert backlog.bytes == bytes_before
    assert [delivery.rows for delivery in under_way] == [[low], [low], []]
    redirected = propagation.next_batch(12, 0.0)
    assert [(each.source, each.slot, each.rows) for each in redirected] == [(1, 1, [high]), (1, 3, [high])]
    assert propagation.oldest(1) == 1
    propagation.acknowledged(11)
    assert propagation.oldest(1) == 1    # the child has not its part yet
    propagation.acknowledged(12)
    assert propagation.oldest(1) is None and backlog.bytes == 0


def test_filling_is_split_as_changes_are() -> None:
    propagation = Propagation()
    propagation.add_source(1)
    propagation.add_target(11)
    propagation.add_target(12)
    told: list[None] = []
    rows: list[IndexRow] = [(b"\x00a", b"1"), (b"\x00m", b"2")]
    propagation.filled(1, 7, {11: Part(rows, Backlog(Backlogs(1 << 20)))}, lambda: told.append(None))
    propagation.split_target(11, 12, b"m")
    for target in (11, 12):
        [delivery] = propagation.next_batch(target, 0.0)
        assert delivery.is_filling and delivery.slot == 7
    assert propagation.acknowledged(11) == []
    for call in propagation.acknowledged(12):
        call()
    assert told == [None]
