"""All streams of this server, by table and label, and what becomes of them when tables are created, changed, deleted.

    CreateTable, UpdateTable     --->  enabled       each write to the table leaves a record
    UpdateTable, DeleteTable     --->  disabled      no more records; every shard has ended; readable for 24 hours
    24 hours later               --->  over          nobody finds it any more; its rows are removed; forgotten

Which streams a table has, and since when each is disabled, stands in its definition (table/schema.py): enabling and
disabling is one durable change of it, and the follower that makes records comes and goes with it, in the same step of
the loop. So a stream is enabled exactly for the writes that are evaluated between the two changes. Records of writes
that were evaluated before the stream was disabled may still be under way then: until they are decided the stream is
*disabling*, and its shards have not ended.

The first shard of each partition follows from the definition, the others from rows (partition_stream.py); so nothing
has to be written when a stream is enabled, and nothing can be lost between two writes.

A stream outlives its table: the catalog keeps the definition of a deleted table, and the node its partitions, while a
stream of it can be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from varley.clock import Clock
from varley.limits import STREAM_RETENTION_SECONDS
from varley.metadata.catalog import Described
from varley.node.participant import DerivedRow
from varley.node.partition import Partition
from varley.streams.partition_stream import PartitionStream
from varley.streams.shard import Shard
from varley.table.partition_map import PartitionRange
from varley.table.schema import Stream, Table, changed
from varley.table.stream_record import new_stream, stream_number

_in_arn = re.compile(
    r"arn:aws[a-z-]*:dynamodb:[^:/]*:\d{12}:table/([a-zA-Z0-9_.-]{3,255})/stream/([^/|]+)"
).fullmatch

EVER: Final = 1 << 63    # microseconds: later than all times
NextUs = Callable[[int], int]    # the time of the next entry, later than this
Name = tuple[str, str]    # the table's name and the stream's label: what a stream is known by


class OpenStream:
    """One stream that has rows. Used from the event loop only."""

    __slots__ = ("_by_group", "_settling", "partitions", "stream", "table")

    def __init__(self, table: Table, stream: Stream, partitions: Sequence[PartitionStream]) -> None:
        self.table = table      # as it was when the stream was opened, or its table changed last
        self.stream = stream    # one of table.streams
        self.partitions = tuple(partitions)
        self._by_group = {partition.group: partition for partition in partitions}
        self._settling = 0    # how many partitions have records under way of a stream that is disabled

    @property
    def name(self) -> Name:
        return self.table.name, self.stream.label

    @property
    def status(self) -> str:
        """As DescribeStream calls it."""
        if self.stream.disabled_at is None:
            return "ENABLED"
        return "DISABLING" if self._settling else "DISABLED"

    def is_over(self, now: float) -> bool:
        """Whether it was disabled more than 24 hours before `now`, in seconds since the epoch."""
        return is_over(self.stream, now)

    def disable(self, stream: Stream) -> None:
        """Its definition says that it is disabled now, and no write evaluated from now on makes a record."""
        assert self.stream.disabled_at is None
        assert stream.disabled_at is not None
        self.stream = stream
        self._settling = sum(partition.settle(self._settled) for partition in self.partitions)

    def _settled(self) -> None:
        self._settling -= 1

    def shards(self, now: float) -> list[Shard]:
        """All that are not gone, in the order of their ids."""
        now_us = int(now * 1_000_000)
        return sorted(shard for partition in self.partitions for shard in partition.shards(now_us))

    def shards_of(self, group: int, now: float) -> list[Shard]:
        """The same of the partition of `group`; [] if there is none."""
        partition = self._by_group.get(group)
        return [] if partition is None else partition.shards(int(now * 1_000_000))

    def shard(self, group: int, start_us: int, now: float) -> Shard | None:
        """The shard of the partition of `group` that begins then; None if it is gone, or never was."""
        return next((each for each in self.shards_of(group, now) if each.start_us == start_us), None)

    def has_ended(self, shard: Shard) -> bool:
        """Whether the shard takes no more records."""
        return shard.end_us is not None or self.status == "DISABLED"

    def partition_of(self, group: int) -> PartitionStream:
        """The partition of this group, which is one of the stream's. Raises KeyError."""
        return self._by_group[group]

    def repartition(self, ranges: Iterable[PartitionRange], partitions: Sequence[Partition]) -> None:
        """These are the table's partitions now."""
        parts = []
        for each, partition in zip(ranges, partitions, strict=True):
            known = self._by_group.get(each.group)
            parts.append(PartitionStream(self.stream, each.group, partition) if known is None else known)
        self.partitions = tuple(parts)
        self._by_group = {part.group: part for part in parts}

    def rotate(self, born_until_us: int) -> None:
        """In each partition end the last shard and begin another, if it began no later. Raises Throttling."""
        for partition in self.partitions:
            if partition.is_led:
                partition.rotate_if_older(born_until_us)


class Streams:
    """All of them. Used from the event loop only; what changes tables also holds the catalog's `changes`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[Name, OpenStream] = {}

    def __iter__(self) -> Iterator[OpenStream]:
        """Every stream that has rows, those that are over too."""
        return iter(list(self._open.values()))

    def __contains__(self, stream: OpenStream) -> bool:
        return self._open.get(stream.name) is stream

    def find(self, arn: str) -> OpenStream | None:
        """The stream with this ARN; None if there is none, or none any more. Account and Region may be any."""
        name = name_in_arn(arn)
        stream = None if name is None else self._open.get(name)
        return None if stream is None or stream.is_over(self._clock.time()) else stream

    def readable(self, table_name: str | None) -> list[OpenStream]:
        """Those that can be read, of one table or of all, in the order of their names."""
        now = self._clock.time()
        of_table = (each for each in self._open.values() if table_name in (None, each.table.name))
        return sorted((each for each in of_table if not each.is_over(now)), key=lambda each: each.name)

    # Tables

    def open(self, described: Described, partitions: Sequence[Partition]) -> None:
        """Take up the streams of a table whose partitions are open, in the order of its map."""
        for stream in described.table.streams:
            self._take_up(stream, described, partitions)

    def redefine(self, described: Described, partitions: Sequence[Partition]) -> None:
        """Its definition has changed. To be called in the step of the loop in which the follower changes."""
        table = described.table
        for stream in table.streams:
            opened = self._open.get((table.name, stream.label))
            if opened is not None:
                opened.table = table
                if stream.disabled_at is not None and opened.stream.disabled_at is None:
                    opened.disable(stream)
            elif stream is table.stream:
                self._take_up(stream, described, partitions)

    def repartition(self, described: Described, partitions: Sequence[Partition]) -> None:
        """A partition of the table was split: these are its partitions now, in the order of its map."""
        for opened in self:
            if opened.table.id == described.table.id:
                opened.repartition(described.partitions, partitions)

    def parting_rows(self, table_id: str, group: int, after_us: int, next_us: NextUs) -> tuple[int, list[DerivedRow]]:
        """What the entry that splits the partition of `group` says of its streams: the entry's time, and rows by which
        the last shard of each ends and another begins. The same rows begin one in the child."""
        parts = [each.partition_of(group) for each in self if each.table.id == table_id]
        time_us = next_us(max([after_us, *(part.next_shard_after_us for part in parts)]))
        return time_us, [part.shard_row(time_us) for part in parts]

    def shard_keys(self, table_id: str, group: int, time_us: int) -> list[bytes]:
        """The keys of those rows."""
        return [each.partition_of(group).shard_row(time_us)[0] for each in self if each.table.id == table_id]

    def look_again(self, table_id: str, group: int) -> None:
        """The rows of the partition of `group` are others than its streams know."""
        for opened in self:
            if opened.table.id == table_id:
                opened.partition_of(group).look_again()

    def _take_up(self, stream: Stream, described: Described, partitions: Sequence[Partition]) -> None:
        groups = [each.group for each in described.partitions]
        parts = [PartitionStream(stream, *each) for each in zip(groups, partitions, strict=True)]
        opened = OpenStream(described.table, stream, parts)
        assert opened.name not in self._open
        self._open[opened.name] = opened

    def distinguished(self, table: Table) -> Table:
        """`table`, whose newest stream is new, with a label for it that no other stream of a table of this name has.

        Of its older streams only those stay in the definition that have rows.
        """
        *others, newest = table.streams
        number = stream_number(newest)
        while (table.name, newest.label) in self._open:
            number += 1
            newest = new_stream(number, newest.view)
        kept = (each for each in others if (table.name, each.label) in self._open)
        return changed(table, streams=(*kept, newest))

    def outliving(self, table: Table) -> Table | None:
        """What has to be kept of the definition of a table that is deleted now; None: nothing can be read any more."""
        now = self._clock.time()
        streams = tuple(each for each in table.streams if not is_over(each, now))
        if not streams:
            return None
        disabled = (
            msgspec.structs.replace(each, disabled_at=now) if each.disabled_at is None else each for each in streams
        )
        names = {*table.key_schema.names, *(index.range_name for index in table.local_indexes)}
        return changed(
            table,
            streams=tuple(disabled),
            global_indexes=(),    # they go at once
            attribute_definitions=tuple(each for each in table.attribute_definitions if each.name in names),
        )

    def drop(self, table: Table) -> None:
        """The table was deleted, and nothing of it is kept."""
        for opened in self:
            if opened.table.id == table.id:
                self.forget(opened)

    def forget(self, stream: OpenStream) -> None:
        """It has no rows any more."""
        del self._open[stream.name]

    def rotate(self, table_name: str) -> int:
        """End every open shard of the table's stream that is led here, and begin new ones; how many. Raises Throttling.
        """
        enabled = [each for each in self._open.values() if each.table.name == table_name and each.status == "ENABLED"]
        for stream in enabled:
            stream.rotate(EVER)
        return sum(partition.is_led for stream in enabled for partition in stream.partitions)


def name_in_arn(arn: str) -> Name | None:
    """What a stream's ARN names, whether there is such a stream or not; None if it is not the ARN of a stream."""
    match = _in_arn(arn)
    return None if match is None else (match[1], match[2])


def is_over(stream: Stream, now: float) -> bool:
    return stream.disabled_at is not None and now >= stream.disabled_at + STREAM_RETENTION_SECONDS
