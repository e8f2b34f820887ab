"""Shards and sequence numbers: how clients are told where in a stream something is.

A shard is a stretch of time in one partition. It has no rows of its own, only a beginning:

    partition with group 7      | shard A            | shard B               | shard C, open
                                0                    B.start_us              C.start_us            time of entries

so it ends where the next one begins, and a record belongs to the shard that its time falls into. No record has the time
at which a shard begins: that is the time of the entry that says so.

    shard id            shardId-00000001795271426472-00000007      when it began in milliseconds (20 digits), and the
                                                                   partition's group in hexadecimal (8 digits)
    sequence number     17952714264725310000000007                 time of the entry in microseconds, then the group
                                                                   (10 digits); zeros in front make it 21 digits

Both have the lengths that clients expect (28 to 65 characters, 21 to 40 digits). Sequence numbers ascend in a shard as
times do, differ between the partitions of a stream, and those of a shard exceed those of its parent. Shards sorted by
id are in the order in which they began, a parent before its child.

The first shard of a partition begins at time 0, not when the stream was enabled: clocks may be set back, and a record
must not fall out of every shard.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_GROUPS: Final = 10**10
_DIGITS_MIN: Final = 21
_HEX: Final = frozenset("0123456789abcdef")


class Shard(NamedTuple):
    """One shard of a stream."""

    id: str
    group: int              # whose partition has the records
    start_us: int           # the time of each record is later
    end_us: int | None      # and earlier; None: it is the partition's last shard
    parent: str | None      # its id. There may be no such shard any more.


def shard_id(born_ms: int, group: int) -> str:
    """The id of the shard that began at `born_ms`, milliseconds since the epoch, in the partition of `group`."""
    assert group < 1 << 32
    return f"shardId-{born_ms:020d}-{group:08x}"


def group_of(shard: str) -> int | None:
    """The group in a shard's id; None if it is no such id."""
    number = shard.rpartition("-")[2]
    return int(number, 16) if len(number) == 8 and set(number) <= _HEX else None


def sequence_number(time_us: int, group: int) -> str:
    """What clients call the entry of `group` at `time_us`."""
    return str(time_us * _GROUPS + group).zfill(_DIGITS_MIN)


def place_of(number: str) -> tuple[int, int]:
    """(time in microseconds, group) of a sequence number. Raises ValueError for what is none."""
    if not number.isascii() or not number.isdecimal():
        raise ValueError("not a number")
    return divmod(int(number), _GROUPS)
