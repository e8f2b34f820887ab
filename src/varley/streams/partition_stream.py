"""One stream in one partition: its shards, its records, and what goes when it is too old.

Everything here is read from what is applied: a record shows itself once its slot is chosen, in the order of the slots,
so nothing ever appears before a place that somebody has read up to.

A record can be read for 24 hours. From then on TRIM_HORIZON begins after it, and some seconds later it is *trimmed*: it
is gone for everybody, whether its row is still there or not, and to read on from a place before it is refused, since
something would be missing that nobody noticed. The seconds between the two are for clients who got an iterator at the
horizon and use it at once. Rows are removed by and by (upkeep.py); the row at the horizon's key says up to where, so
that this is known also when the clock is set back.

A shard is gone when all that it could have is trimmed: 24 hours after it ended. Its row stays until then, because the
row is what says where the shard before it ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from varley.errors import ApiError
from varley.item.stored import item_size
from varley.limits import STREAM_PAGE_BYTES_MAX, STREAM_RETENTION_SECONDS
from varley.node.elsewhere import Elsewhere
from varley.node.partition import Partition
from varley.node.settled import Told
from varley.storage.log_format import DELETE, DERIVED, PUT
from varley.streams.shard import Shard, sequence_number, shard_id
from varley.table.schema import Stream
from varley.table.stream_record import (
    horizon_key,
    horizon_value,
    record_key,
    records_end,
    shard_key,
    shard_parent,
    shard_value,
    stream_number,
    stream_prefix,
    time_of,
    trimmed_us,
)

logger = logging.getLogger("varley.streams")

_GRACE_SECONDS: Final = 5
_RETENTION_US: Final = STREAM_RETENTION_SECONDS * 1_000_000
_KEPT_US: Final = _RETENTION_US + _GRACE_SECONDS * 1_000_000
_EVERYTHING: Final = (1 << 64) - 1    # a time after every record's
_TRIM_BYTES_MAX: Final = 1 << 20    # of records that are removed at once: a row is read before it is removed


class TrimmedDataAccess(ApiError):
    """What was to be read next is gone."""

    code = "TrimmedDataAccessException"

    def __init__(self) -> None:
        super().__init__("The data you are trying to access has been trimmed")


class Records(NamedTuple):
    """What there is to read from some place in a shard."""

    rows: list[tuple[int, bytes]]    # time of the entry, stored value (table/stream_record.py)
    position_us: int                 # of the last of them
    is_all: bool                     # the shard has no more, now


class PartitionStream:
    """Used from the event loop only."""

    __slots__ = (
        "_due_us", "_is_rotating", "_is_trimming", "_number", "_origin_us", "_partition", "_prefix", "_reign",
        "_starts", "_trimmed_us", "group",
    )  # fmt: skip

    def __init__(self, stream: Stream, group: int, partition: Partition) -> None:
        self.group = group
        self._partition = partition
        self._prefix = stream_prefix(stream)
        self._number = stream_number(stream)
        self._reign: int | None = None    # of the partition, as of which the rest is known; None: not looked yet
        # No record up to this is left.
        self._trimmed_us = 0
        # (when it began, its parent) of each shard but the first, oldest first
        self._starts: list[tuple[int, str | None]] = []
        self._origin_us: int | None = None    # when it came of a split
        self._is_rotating = False    # the row of a new shard is proposed
        self._is_trimming = False    # the removal of some rows is proposed
        self._due_us = 0             # before this there is nothing to trim

    def refresh(self) -> None:
        """Look at the rows again if another node may have changed them. To be called before anything is asked.

        Raises Elsewhere if this node does not lead the partition.
        """
        partition = self._partition
        if partition.reign == self._reign:
            return
        self._reign = partition.reign
        self._trimmed_us = trimmed_us(partition.get(horizon_key(self._prefix)))
        low, high = shard_key(self._prefix, 0), shard_key(self._prefix, _EVERYTHING)
        self._starts = [(time_of(key), shard_parent(value)) for key, value in partition.tree.scan(low, high)]
        self._is_rotating = self._is_trimming = False
        self._due_us = 0
        origin = partition.tree.origin
        self._origin_us = None if origin is None else origin.time_us

    @property
    def is_led(self) -> bool:
        """Whether this node leads the partition."""
        try:
            self.refresh()
        except Elsewhere:
            return False
        return True

    # Shards

    def shards(self, now_us: int) -> list[Shard]:
        """Those that are not gone, oldest first."""
        self.refresh()
        begun: list[tuple[int, str | None]] = [(0, None), *self._starts]
        if self._starts and self._starts[0][0] == self._origin_us:
            del begun[0]    # it came of a split: what was before is in its parent
        ends = [*(start for start, _ in begun[1:]), None]
        trimmed_before = now_us - _KEPT_US
        return [
            Shard(self._id(start), self.group, start, end, parent)
            for (start, parent), end in zip(begun, ends, strict=True)
            if end is None or end >= trimmed_before
        ]

    def _id(self, start_us: int) -> str:
        return shard_id(self._born_ms(start_us), self.group)

    def _born_ms(self, start_us: int) -> int:
        return start_us // 1000 if start_us else self._number

    def ending(self, shard: Shard) -> str:
        """The sequence number of the last record of a shard that has ended; if it has none, that of its beginning."""
        last = self._last_record(shard)
        if last is not None:
            return sequence_number(time_of(last[0]), self.group)
        is_trimmed = shard.start_us < self._trimmed_us and (shard.end_us is None or self._trimmed_us < shard.end_us)
        return sequence_number(self._trimmed_us if is_trimmed else shard.start_us, self.group)

    # A partition that is split, and its child

    def look_again(self) -> None:
        """The rows are others than is known here."""
        self._reign = None

    @property
    def next_shard_after_us(self) -> int:
        """The next shard must begin later than this: ids have milliseconds, and no two shards the same one."""
        self.refresh()
        return (self._born_ms(self._starts[-1][0] if self._starts else 0) + 1) * 1000 - 1

    def shard_row(self, time_us: int) -> tuple[bytes, bytes]:
        """The row by which a shard begins then, behind the last one."""
        self.refresh()
        parent = self._id(self._starts[-1][0] if self._starts else 0)
        return shard_key(self._prefix, time_us), shard_value(parent, time_us)

    def rotate_if_older(self, born_until_us: int) -> None:
        """End the last shard and begin another, if it began no later than this (microseconds since the epoch).

        Raises Throttling.
        """
        start_us = self._starts[-1][0] if self._starts else 0
        if self._is_rotating or self._born_ms(start_us) * 1000 > born_until_us:
            return
        # Ids have milliseconds: the new shard must not begin in the one in which its parent did.
        time_us = self._next_timestamp((self._born_ms(start_us) + 1) * 1000 - 1)
        parent = self._id(start_us)

        def decided(is_applied: bool) -> None:
            self._is_rotating = False
            if is_applied:
                self._starts.append((time_us, parent))

        self._propose({shard_key(self._prefix, time_us): shard_value(parent, time_us)}, time_us, decided)
        self._is_rotating = True

    def _next_timestamp(self, after_us: int = 0) -> int:
        if self._partition.is_under_pressure:
            raise self._partition.overload()
        return self._partition.next_timestamp(after_us=after_us)

    def _propose(self, changes: Mapping[bytes, bytes | None], time_us: int, decided: Callable[[bool], None]) -> None:
        rows = [(DELETE if value is None else PUT, key, value, DERIVED) for key, value in changes.items()]

        def told(error: BaseException | None) -> None:
            if error is not None:
                logger.warning("a change to a stream's rows will be tried again: %s", error)
            decided(error is None)

        self._partition.propose(rows, time_us, Told(told))

    # Reading

    @property
    def last_us(self) -> int:
        """No record has a later time, applied or under way."""
        return self._partition.tree.last_timestamp_us

    def settle(self, then: Callable[[], None]) -> bool:
        """Whether records are under way; if so, `then` is called once they are decided. Not if it is led elsewhere."""
        if not self.is_led:
            return False
        newest = self._partition.undecided_range()
        if newest is None:
            return False
        newest.hold(lambda error: then())
        return True

    def newest(self, shard: Shard, now_us: int) -> int:
        """The position from which only records to come are read."""
        last = self._last_record(shard)
        return self.oldest(shard, now_us) if last is None else max(time_of(last[0]), self._trimmed_us)

    def oldest(self, shard: Shard, now_us: int) -> int:
        """The position from which all records of the shard are read that are not about to be trimmed."""
        return max(shard.start_us, self._trimmed_us, min(now_us - _RETENTION_US, self.last_us))

    def _last_record(self, shard: Shard) -> tuple[bytes, bytes] | None:
        low = record_key(self._prefix, max(shard.start_us, self._trimmed_us + 1))
        high = self._high(shard.end_us)
        return next(self._partition.tree.scan(low, high, reverse=True), None) if low < high else None

    def is_trimmed_after(self, shard: Shard, position_us: int, now_us: int) -> bool:
        """Whether a record of the shard after this position is gone."""
        if position_us < self._trimmed_us:
            return True
        low = record_key(self._prefix, position_us + 1)
        following = next(self._partition.tree.scan(low, self._high(shard.end_us)), None)
        return following is not None and time_of(following[0]) < now_us - _KEPT_US

    def read(self, shard: Shard, position_us: int, limit: int, now_us: int) -> Records:
        """Up to `limit` records of the shard after `position_us`, and at most 1 MB of them.

        Raises TrimmedDataAccess if the first of them is gone.
        """
        rows: list[tuple[int, bytes]] = []
        end_us = shard.end_us
        if position_us < self._trimmed_us:
            raise TrimmedDataAccess
        if position_us >= self.last_us or (end_us is not None and position_us >= end_us):
            return Records(rows, position_us, True)    # the usual case: nothing has happened
        size = 0
        for key, value in self._partition.tree.scan(record_key(self._prefix, position_us + 1), self._high(end_us)):
            time_us = time_of(key)
            if not rows and time_us < now_us - _KEPT_US:
                raise TrimmedDataAccess
            size += item_size(value)
            if len(rows) == limit or (rows and size > STREAM_PAGE_BYTES_MAX):
                return Records(rows, position_us, False)
            rows.append((time_us, value))
            position_us = time_us
        return Records(rows, position_us, True)

    def _high(self, end_us: int | None) -> bytes:
        return records_end(self._prefix) if end_us is None else record_key(self._prefix, end_us)

    # What is too old

    @property
    def is_empty(self) -> bool:
        """Whether there are no rows of this stream, nor any change of them under way."""
        if self._is_trimming or self._is_rotating or self._starts:
            return False
        return self._partition.get(horizon_key(self._prefix)) is None and self._first_record() is None

    def _records_left(self, before: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The rows of records that are not removed yet, up to the key `before`.

        Not from the first that ever was: what was removed since the last checkpoint is still passed over, one by one.
        """
        return self._partition.tree.scan(record_key(self._prefix, self._trimmed_us + 1), before)

    def _first_record(self) -> tuple[bytes, bytes] | None:
        return next(self._records_left(records_end(self._prefix)), None)

    def trim(self, now_us: int, rows_max: int, then: Callable[[], None], *, is_over: bool) -> bool:
        """Remove up to `rows_max` records of those that are trimmed; `is_over`: all rows, the stream is gone.

        True: a removal was proposed, and `then` is called once it is applied, since there may be more. False: there is
        nothing to do. Raises Throttling.
        """
        if self._is_trimming or (now_us < self._due_us and not is_over):
            return False
        before_us = _EVERYTHING if is_over else max(now_us - _KEPT_US, 0)
        horizon = horizon_key(self._prefix)
        records, are_all = self._old_records(record_key(self._prefix, before_us), rows_max)
        shards = [start for (start, _), (end, _) in pairwise(self._starts) if end < before_us]
        if is_over:
            shards = [start for start, _ in self._starts]
        removed = [*records, *(shard_key(self._prefix, start) for start in shards)]
        if is_over and are_all and self._partition.get(horizon) is not None:
            removed.append(horizon)
        if not removed:
            self._due_us = self._next_due_us(now_us)
            return False
        time_us = self._next_timestamp()
        changes: dict[bytes, bytes | None] = dict.fromkeys(removed)
        new_trimmed_us = time_of(records[-1]) if records else self._trimmed_us
        if records and horizon not in changes:
            changes[horizon] = horizon_value(new_trimmed_us, time_us)

        def decided(is_applied: bool) -> None:
            self._is_trimming = False
            if is_applied:
                self._trimmed_us = new_trimmed_us
                self._starts = [each for each in self._starts if each[0] not in shards]
                then()

        self._propose(changes, time_us, decided)
        self._is_trimming = True
        return True

    def _old_records(self, before: bytes, rows_max: int) -> tuple[list[bytes], bool]:
        """The keys of the first records below `before`, as many as one entry may remove; whether there are no more."""
        keys: list[bytes] = []
        size = 0
        for key, value in self._records_left(before):
            if len(keys) == rows_max or size >= _TRIM_BYTES_MAX:
                return keys, False
            keys.append(key)
            size += len(value)
        return keys, True

    def _next_due_us(self, now_us: int) -> int:
        """Nothing becomes old before this, seen when nothing is: of what is there, and of what may come."""
        first = self._first_record()
        times = [min(now_us, self.last_us) if first is None else time_of(first[0])]
        times += [end for end, _ in self._starts[1:2]]    # of the oldest shard that has a row
        return min(times) + _KEPT_US
