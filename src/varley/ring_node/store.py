"""The store of one node: rows, hints and hash trees, above an engine.

                         stamp, merge, delete          in one turn of the loop: overlay, trees, counts
    loop       dirty     what the next batch will write     ─┐
    writer     writing   what the batch under way writes     ├─ read from the top
               engine    what is durable                    ─┘

One batch for all that a turn of the loop writes, and while it is on its way to the disk the next one gathers: the more
is written, the more shares a sync. `then` of a write is called when its batch is durable.

What a peer or client is shown must not be forgotten, or an event is numbered twice (decision 0074). So what leaves the
node is what is durable: `shown` reads past the overlay, and `stamp` tells its set when that has arrived. What a crash
can take is then known to nobody, and a node whose engine is durable goes on with its actors afterwards. To wait for the
write that is under way and to read the newest then is not enough: another may have been stamped in the meantime.

With a *write buffer* (section 6.1 of the paper) it is the other way round: `then` is called at once, reads are not
kept waiting, and a batch is written at the latest FLUSH_SECONDS later, or now if somebody asked for a durable write.
Lost in a crash is what was acknowledged since, at most `buffer_bytes_max`; when there is that much, acknowledgements
wait. The node then stamps as a new actor from its start on, like one whose engine is memory.

Deletions. `Stamp.remembers_since_us` wants the latest deletion of a key here, for ever: kept in memory by place for
those of this process, as one time for all older ones, which is stored with each deletion. So a restart after
deletions costs each key at most one clock entry. That time, and the latest stamped one, are stored with what they
belong to: the clock of a node does not go back over a restart, whatever the machine's says. A store in which no such
time is found has deleted everything, as far as anybody knows: a node that lost its disk is started like a new one, gets
its own old versions from the others, and must not go on numbering where those happen to end.

Damage. A row whose checksum is wrong is *given up*: moved aside under "d", named in the log and in `damaged`, and
noted as a deletion. The homes of its key bring it back, by read repair or by comparison of trees. Rejected: stopping
the node. The ring is there to go on, and has N copies.
"""

from __future__ import annotations

import logging
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from varley.errors import DiskFull, Exhausted, WorldError
from varley.ring.hash_tree import HashTree
from varley.ring.siblings import NONE, Mode, Siblings, Stamp, reconcile
from varley.ring_node import rows
from varley.ring_node.engines.engine import Engine, Entry, NoRoom
from varley.ring_node.keys import bucket_of, place_at, place_of
from varley.ring_node.rows import BadRow, Head
from varley.ring_node.settings import SET_BYTES_MAX, SIBLINGS_MAX, RingSettings
from varley.ring_node.writer import Loop, Writer

logger = logging.getLogger("varley.ring")

FLUSH_SECONDS: Final = 0.05
RETRY_SECONDS: Final = 1.0
BACKLOG_BYTES_MAX: Final = 128 << 20    # waiting for the disk, beside a write buffer: one that hangs says nothing
DELETIONS_MAX: Final = 100_000      # remembered one by one
_CLOCK: Final = struct.Struct(">QQ")
_CLOCK_KEY: Final = rows.memory_key("clock")
_BUFFER_ROW_BYTES: Final = 300      # of what a row takes in memory beside its bytes

Then = Callable[[], None]
RangeOf = Callable[[bytes], int]    # ring key -> the range whose tree it belongs to


class TooMany(Exception):
    """The put was not done: the key would have more versions, or larger ones, than are kept."""


class Store:
    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        loop: Loop,
        settings: RingSettings,
        node: str,
        range_of: RangeOf,
        now_us: int,
        buffer_bytes_max: int = 0,
    ) -> None:
        self.engine = engine
        self.failed: WorldError | None = None   # nothing is written any more, or for the moment (DiskFull)
        self.damaged: list[str] = []            # rows given up, by key
        self.trees: dict[int, HashTree] = {}    # by range; always those of the rows as `row` gives them
        self.row_count = 0
        self.tombstones: dict[bytes, int] = {}  # ring key -> newest time, of rows that are nothing else
        self.hint_counts: Counter[str] = Counter()      # by home, none of them 0
        self.leaving: set[bytes] = set()        # rows on their way to their homes (handoff.py); who gets one is out
        self._writer = writer
        self._loop = loop
        self._settings = settings
        self._node = node
        self._range_of = range_of
        self._buffer_bytes_max = buffer_bytes_max
        self._dirty: dict[bytes, Entry | None] = {}
        self._writing: dict[bytes, Entry | None] = {}
        self._then_dirty: list[Then] = []       # called when what is dirty now has been written
        self._then_writing: list[Then] = []
        self._dirty_bytes = 0                   # about
        self._writing_bytes = 0
        self._is_flush_soon = False             # in this turn of the loop, or the next
        self._is_flush_due = False              # within FLUSH_SECONDS: write buffer only
        self._is_count_due = False              # in the next turn: a head was damaged
        self._is_closed = False
        self._deleted_us: dict[bytes, int] = {} # place -> latest deletion in this process, if after _floor_us
        # No deletion that is not in _deleted_us is later; nor, where a crash may forget, is the start of the process.
        self._floor_us = 0
        self._latest_us = 0                     # of _deleted_us
        self._clock_us = now_us                 # the latest time that was stamped
        self._recover(now_us)

    @property
    def is_buffered(self) -> bool:
        return self._buffer_bytes_max > 0

    @property
    def buffer_bytes(self) -> int:
        """About, of what is not durable yet."""
        return self._dirty_bytes + self._writing_bytes

    @property
    def refusal(self) -> str | None:
        """Why this node takes no writes now, if it does not. What it holds may be read, if the disk lets it."""
        if self.failed is not None:
            return f"this node's disk takes no writes: {self.failed}"
        if self.buffer_bytes > self._buffer_bytes_max + BACKLOG_BYTES_MAX:
            return f"this node's disk is behind by {self.buffer_bytes} bytes"
        return None

    # ---- Start

    def _recover(self, now_us: int) -> None:
        raw = rows.remembered(self.engine, "clock")
        if raw is not None:
            clock_us, self._floor_us = _CLOCK.unpack(raw)
            self._clock_us = max(now_us, clock_us + 1)
        # A store that has never stamped may be a new one of a node whose last is lost, with all that it had counted.
        if raw is None or self.is_buffered or not self.engine.is_durable:
            self._floor_us = self._clock_us
        self._count_anew()

    def place_anew(self, range_of: RangeOf) -> None:
        """Ranges are others now: strategy 1, after a join or leave. Reads every head, as the paper complains."""
        self._range_of = range_of
        self._count_anew()

    def _count_anew(self) -> None:
        """All that follows from the heads of rows and hints."""
        self._is_count_due = True       # damage that is met here is not counted: no reason to count again
        digests: dict[int, list[tuple[bytes, bytes]]] = {}
        tombstones: dict[bytes, int] = {}
        hint_counts: Counter[str] = Counter()
        row_count = 0
        for _, head in self._heads(rows.ROWS, rows.row_key(place_at(1 << 128))):
            digests.setdefault(self._range_of(head.ring_key), []).append((head.ring_key, head.digest))
            row_count += 1
            if head.is_tombstone:
                tombstones[head.ring_key] = head.time_us
        for key, _ in self._heads(rows.HINTS, _after(rows.HINTS)):
            hint_counts[rows.home_of(key)] += 1
        self.trees = {range_id: HashTree.of(some) for range_id, some in digests.items()}
        self.row_count, self.tombstones, self.hint_counts = row_count, tombstones, hint_counts
        self._is_count_due = False

    # ---- Reading

    def when_synced(self, ring_key: bytes, then: Then) -> None:
        """Now, or when all that is under way for this key has arrived. With a write buffer that is not waited for."""
        keys = self._keys_of(ring_key)
        if any(key in self._dirty for key in keys):
            self._then_dirty.append(then)
            self._flush_soon()
        elif any(key in self._writing for key in keys):
            self._then_writing.append(then)
        else:
            then()

    def is_synced(self, ring_key: bytes) -> bool:
        """Nothing is under way for this key."""
        return not any(key in self._dirty or key in self._writing for key in self._keys_of(ring_key))

    def shown(self, ring_key: bytes) -> Siblings:
        """All that is here of a key, hints included, as others may see it."""
        return self._united(ring_key, [self._read_shown(key) for key in self._keys_of(ring_key)])

    def shown_row(self, ring_key: bytes) -> Siblings:
        return self._read_shown(rows.row_key(place_of(ring_key)))

    def shown_hint(self, home: str, ring_key: bytes) -> Siblings:
        return self._read_shown(rows.hint_key(home, place_of(ring_key)))

    def held(self, ring_key: bytes) -> Siblings:
        """All that is here of a key, hints included, also what is not durable yet: what a put is stamped upon."""
        return self._united(ring_key, [self._read(key) for key in self._keys_of(ring_key)])

    def row(self, ring_key: bytes) -> Siblings:
        return self._read(rows.row_key(place_of(ring_key)))

    def hint(self, home: str, ring_key: bytes) -> Siblings:
        return self._read(rows.hint_key(home, place_of(ring_key)))

    def heads(self, low: int, high: int) -> Iterator[Head]:
        """Of the rows at positions [low, high)."""
        return (head for _, head in self._heads(rows.row_key(place_at(low)), rows.row_key(place_at(high))))

    def hint_heads(self, home: str, beyond: bytes = b"") -> Iterator[Head]:
        """Of the hints for it, those at places beyond this one."""
        prefix = rows.hint_key(home, b"")
        low = prefix + beyond + b"\0" if beyond else prefix
        return (head for _, head in self._heads(low, _after(prefix)))

    def remembers_since_us(self, ring_key: bytes) -> int:
        return self._deleted_us.get(place_of(ring_key), self._floor_us)

    def stamp_time_us(self, now_us: int) -> int:
        """The node's clock, which goes on with each question: actors are named after it (vector_clock.actor_of)."""
        self._clock_us = max(self._clock_us + 1, now_us)
        return self._clock_us

    # ---- Writing

    def stamp(
        self, ring_key: bytes, stamp: Stamp, hint_for: str | None, then: Callable[[Siblings], None],
        *, is_durable: bool = False,
    ) -> None:  # fmt: skip
        """Apply a put, as its coordinator. Raises TooMany: then nothing was done."""
        before = self.held(ring_key)
        after = stamp.apply(before, hint_for)
        if len(after) > len(before) and (
            len(after) > SIBLINGS_MAX or sum(len(value) for value in after.values) > SET_BYTES_MAX
        ):
            raise TooMany
        self._put(ring_key, after, hint_for, lambda: then(after), is_durable=is_durable)
        self._note_clock()

    def merge(
        self, ring_key: bytes, siblings: Siblings, hint_for: str | None, then: Then, *, is_durable: bool = False
    ) -> None:
        """What came from a peer, into the row or the hint."""
        key = self._key(ring_key, hint_for)
        if key[:1] == rows.ROWS:
            self.leaving.discard(ring_key)
        before = self._read(key)
        after = self._merge(ring_key, [before, siblings])
        if after == before:
            self._call_when_kept(ring_key, then, is_durable)
        else:
            self._put(ring_key, after, hint_for, then, is_durable=is_durable)

    def delete(self, ring_key: bytes, home: str | None, digest: bytes, now_us: int) -> bool:
        """A row (`home` None) or a hint, if it is still the one with this digest."""
        key = self._key(ring_key, home)
        before = self._read(key)
        if before is NONE or before.digest != digest:
            return False
        self._write(key, None)
        self._note_deletion(ring_key, now_us)
        if home is None:
            self._changed(ring_key, before, None)
        else:
            self._count_hint(home, -1)
        return True

    def remember(self, name: str, value: bytes, then: Then) -> None:
        key = rows.memory_key(name)
        self._write(key, rows.encode_memory(key, value))
        self._then_dirty.append(then)
        self._flush_soon()

    def flush(self, then: Then) -> None:
        """When all that is written so far is durable."""
        if self._dirty:
            self._then_dirty.append(then)
            self._flush_soon()
        elif self._writing:
            self._then_writing.append(then)
        else:
            then()

    def close(self) -> None:
        """No write is under way: after `flush`, or after the writer has stopped."""
        self._is_closed = True
        self.failed = self.failed or WorldError("this node has stopped", operation="read")
        self._writer.close()
        self.engine.close()

    # ---- Keys

    def _key(self, ring_key: bytes, hint_for: str | None) -> bytes:
        place = place_of(ring_key)
        return rows.row_key(place) if hint_for in (None, self._node) else rows.hint_key(str(hint_for), place)

    def _keys_of(self, ring_key: bytes) -> list[bytes]:
        place = place_of(ring_key)
        return [rows.row_key(place), *(rows.hint_key(home, place) for home in self.hint_counts)]

    def _united(self, ring_key: bytes, sets: list[Siblings]) -> Siblings:
        some = [siblings for siblings in sets if siblings is not NONE]
        return self._merge(ring_key, some) if len(some) > 1 else some[0] if some else NONE

    def _merge(self, ring_key: bytes, sets: list[Siblings]) -> Siblings:
        return reconcile(sets, self._mode(ring_key))

    def _mode(self, ring_key: bytes) -> Mode:
        return self._settings.bucket(bucket_of(ring_key)).mode

    # ---- The layers

    def _entry(self, key: bytes) -> Entry | None:
        if key in self._dirty:
            return self._dirty[key]
        if key in self._writing:
            return self._writing[key]
        return self._get(key)

    def _refuse_if_closed(self) -> None:
        """Answers of other nodes may still come in."""
        if self._is_closed:
            assert self.failed is not None
            raise self.failed

    def _get(self, key: bytes) -> Entry | None:
        """What the engine has."""
        self._refuse_if_closed()
        try:
            return self.engine.get(key)
        except WorldError as error:
            self._fail(error)
            raise

    def _read(self, key: bytes) -> Siblings:
        entry = self._entry(key)
        if entry is None:
            return NONE
        try:
            return rows.decode_row(key, entry)
        except BadRow as problem:
            self._give_up(key, entry, str(problem))
            return NONE

    def _read_shown(self, key: bytes) -> Siblings:
        is_forgotten_anyway = self.is_buffered or not self.engine.is_durable
        if is_forgotten_anyway or (key not in self._dirty and key not in self._writing):
            return self._read(key)
        entry = self._get(key)
        try:
            return NONE if entry is None else rows.decode_row(key, entry)
        except BadRow:
            return NONE     # what replaces it is on its way

    def _heads(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, Head]]:
        """(engine's key, head); not quite in order, for what is not yet in the engine comes last.

        Lazy, and to be used up in the same turn of the loop, without writing meanwhile.
        """
        self._refuse_if_closed()
        layers = {**self._writing, **self._dirty}
        above = {key: entry for key, entry in layers.items() if low <= key < high}
        bad = []
        below = ((key, head) for key, head in self.engine.scan(low, high) if key not in above)
        for key, head in chain(below, ((key, entry.head) for key, entry in above.items() if entry is not None)):
            try:
                yield key, rows.decode_head(key, head)
            except BadRow as problem:
                bad.append((key, str(problem)))
        for key, what in bad:
            self._give_up(key, self._entry(key) or Entry(b"", b""), what)

    def _fail(self, error: WorldError) -> None:
        """The engine cannot be read: this node is of no use to anybody until somebody has looked at it."""
        if self.failed is None:
            logger.error("the ring's rows cannot be read: %s", error)
        self.failed = error

    def _put(self, ring_key: bytes, after: Siblings, hint_for: str | None, then: Then, *, is_durable: bool) -> None:
        key = self._key(ring_key, hint_for)
        is_row = key[:1] == rows.ROWS
        before = self._entry(key)
        if is_row:
            self._changed(ring_key, None if before is None else rows.decode_head(key, before.head).digest, after)
        elif before is None:
            self._count_hint(rows.home_of(key), +1)
        self._write(key, rows.encode_row(key, ring_key, after))
        self._call_when_kept(ring_key, then, is_durable)

    def _changed(self, ring_key: bytes, before: Siblings | bytes | None, after: Siblings | None) -> None:
        """A row is another one now: everything that follows from the rows follows."""
        digest = before.digest if isinstance(before, Siblings) else before
        tree = self.trees.setdefault(self._range_of(ring_key), HashTree())
        tree.update(ring_key, digest, None if after is None else after.digest)
        self.row_count += (after is not None) - (before is not None)
        if after is not None and all(version.is_tombstone for version in after):
            self.tombstones[ring_key] = after.clock.time_us
        else:
            self.tombstones.pop(ring_key, None)

    def _count_hint(self, home: str, change: int) -> None:
        self.hint_counts[home] += change
        if not self.hint_counts[home]:
            del self.hint_counts[home]

    def _note_clock(self) -> None:
        self._write(_CLOCK_KEY, rows.encode_memory(_CLOCK_KEY, _CLOCK.pack(self._clock_us, self._last_deletion_us)))

    @property
    def _last_deletion_us(self) -> int:
        return max(self._floor_us, self._latest_us)

    def _note_deletion(self, ring_key: bytes, now_us: int) -> None:
        at_us = self.stamp_time_us(now_us) + 1
        self._clock_us = at_us
        if len(self._deleted_us) >= DELETIONS_MAX:
            self._floor_us = self._last_deletion_us
            self._deleted_us.clear()
        self._deleted_us[place_of(ring_key)] = self._latest_us = at_us
        self._note_clock()

    def _give_up(self, key: bytes, entry: Entry, problem: str) -> None:
        name = key.hex()
        logger.error("a row of the ring is damaged and given up: %s, key %s in %s", problem, name, self.engine.kind)
        self.damaged.append(name)
        self._write(rows.DAMAGED + key, entry)
        self._write(key, None)
        self._floor_us = self._clock_us = self._clock_us + 1
        self._note_clock()
        try:
            head = rows.decode_head(key, entry.head)
        except BadRow:
            # Whose head it was, and so what to take out of which tree, nobody knows any more. Rare enough.
            if not self._is_count_due:
                self._is_count_due = True
                self._loop.call_soon(self._count_after_damage)
            return
        if key[:1] == rows.HINTS:
            self._count_hint(rows.home_of(key), -1)
        else:
            self._changed(head.ring_key, head.digest, None)

    def _count_after_damage(self) -> None:
        if not self._is_closed and self.failed is None:
            try:
                self._count_anew()
            except WorldError as error:
                self._fail(error)

    # ---- Batches

    def _write(self, key: bytes, entry: Entry | None) -> None:
        assert not self._is_closed
        self._dirty[key] = entry
        self._dirty_bytes += _BUFFER_ROW_BYTES + (len(entry.head) + len(entry.body) if entry else 0)
        if self.is_buffered:
            if not self._is_flush_due:
                self._is_flush_due = True
                self._loop.call_later(FLUSH_SECONDS, self._flush)
        else:
            self._flush_soon()

    def _call_when_kept(self, ring_key: bytes, then: Then, is_durable: bool) -> None:
        """When a write may be acknowledged."""
        if not self.is_buffered or is_durable or self.buffer_bytes > self._buffer_bytes_max:
            self.when_synced(ring_key, then)
        else:
            self._loop.call_soon(then)

    def _flush_soon(self) -> None:
        if not self._is_flush_soon and not self._writing:
            self._is_flush_soon = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_soon = self._is_flush_due = False
        if self._is_closed or self._writing or not self._dirty:
            return
        self._writing, self._dirty = self._dirty, {}
        self._then_writing, self._then_dirty = self._then_dirty, []
        self._writing_bytes, self._dirty_bytes = self._dirty_bytes, 0
        self._begin()

    def _begin(self) -> None:
        if not self._is_closed:
            self._writer.write(self._writing, self._written)

    def _written(self, failure: WorldError | None) -> None:
        if isinstance(failure, NoRoom):
            try:
                failure.grow()
            except WorldError as error:
                failure = error
            else:
                self._begin()
                return
        if failure is not None:
            if self.failed is None:
                logger.error("the ring's disk failed: %s", failure)
            self.failed = failure
            if isinstance(failure, (DiskFull, Exhausted)):
                self._loop.call_later(RETRY_SECONDS, self._begin)
            return      # whoever waits hears nothing, and tells its client that nobody knows
        if isinstance(self.failed, (DiskFull, Exhausted)):     # one that could not be read meanwhile stays failed
            logger.warning("the ring's disk takes writes again")
            self.failed = None
        self.engine.renew()
        self._writing, self._writing_bytes = {}, 0
        then, self._then_writing = self._then_writing, []
        if self._dirty and (not self.is_buffered or self._then_dirty):
            self._flush_soon()
        elif self._dirty and not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_later(FLUSH_SECONDS, self._flush)
        for call in then:
            self._loop.call_soon(call)      # each in a turn of its own: one that raises keeps no other waiting


def _after(prefix: bytes) -> bytes:
    """The least key above all that begin with it. No prefix here ends in FF."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))
