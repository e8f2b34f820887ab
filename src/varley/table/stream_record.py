"""The records of a table's stream: one row for each write that changed something.

A stream tells what happened to the items of a table: that one came, changed or went, with as much of it as the
stream's view has. A record follows from the write: it is a row of the item's partition and stands in the log entry of
the item, so there is no item without its record and no record of a write that did not happen.

    20 | stream (8) | 00                      how far the stream is trimmed here: no record up to this time is left
    20 | stream (8) | 01 | time (8)           a shard that began then; the one before it ended
    20 | stream (8) | 02 | time (8)           a record

`stream` is the time in milliseconds at which the stream was enabled (a table's streams have different ones, and the
label in a stream's ARN says the same), `time` the entry's time in microseconds; big-endian, both. (In the entry of a
transaction each item has a time of its own, the last of them that of the entry.) The times of a
partition's entries ascend from slot to slot, over restarts and whatever the clock does, so the order of these keys is
the order in which the writes were chosen: whoever has read up to some time has missed nothing before it. That holds
only because the time in the key is the time of the entry that the row stands in: a record that is written later than
it was evaluated has to be made anew.

The value of a record is a stored value (item.stored): in its header the size that the service calls SizeBytes, and in
place of an item

    {"eventName":"MODIFY","dynamodb":{"Keys":{…},"NewImage":{…},"OldImage":{…}}}

with "userIdentity" before "dynamodb" if time to live deleted the item. The images are copied from the rows, not
encoded again, and GetRecords copies them once more: nobody ever decodes them. What is the same for all records (the
view, the Region, the sequence number, which is the time) is added when they are read.

A write that leaves an item as it was has no record, whoever made it and however. [DG] "Change data capture for
DynamoDB Streams"

Rejected: records made from the log when they are asked for (the log would have to be kept for a day, and read); a
row for each shard with records inside (it would be rewritten by each write).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from varley.errors import ApiError
from varley.item import stored
from varley.item.equality import equal
from varley.item.key_bytes import STREAM_SPACE
from varley.item.size import item_size
from varley.item.value import Item, check_item
from varley.limits import TRANSACTION_ACTIONS_MAX
from varley.table.consequences import Following, Get, ItemWrite, Scan
from varley.table.keys import KeyCodec
from varley.table.parting import END_KEY, end_of
from varley.table.schema import Stream, StreamView

_HORIZON: Final = b"\x00"
_SHARD: Final = b"\x01"
_RECORD: Final = b"\x02"
_TIME_BYTES: Final = 8
_KIND_AT: Final = len(STREAM_SPACE) + 8    # where, in a row's key, it says which of the three it is

HORIZON_KEY_BYTES: Final = _KIND_AT + 1
RECORD_KEY_BYTES: Final = _KIND_AT + 1 + _TIME_BYTES

_SERVICE: Final = b'"userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"},'

_encode = msgspec.json.encode
_decode = msgspec.json.decode


# Streams


def new_stream(number: int, view: StreamView) -> Stream:
    """A stream that is enabled at `number`, milliseconds since the epoch."""
    time = datetime.datetime.fromtimestamp(number // 1000, datetime.UTC)
    return Stream(label=f"{time:%Y-%m-%dT%H:%M:%S}.{number % 1000:03d}", view=view, enabled_at=number / 1000)


def stream_number(stream: Stream) -> int:
    """When `stream` was enabled, in milliseconds since the epoch: what its rows and its label are known by."""
    return round(stream.enabled_at * 1000)


# Keys


def stream_prefix(stream: Stream) -> bytes:
    """What the keys of all rows of `stream` begin with."""
    return STREAM_SPACE + stream_number(stream).to_bytes(8, "big")


def horizon_key(prefix: bytes) -> bytes:
    return prefix + _HORIZON


def shard_key(prefix: bytes, time_us: int) -> bytes:
    return prefix + _SHARD + time_us.to_bytes(_TIME_BYTES, "big")


def record_key(prefix: bytes, time_us: int) -> bytes:
    return prefix + _RECORD + time_us.to_bytes(_TIME_BYTES, "big")


def records_end(prefix: bytes) -> bytes:
    """Above every record of the stream with this `prefix`, and every other row of it."""
    return prefix + bytes((_RECORD[0] + 1,))


def time_of(key: bytes) -> int:
    """The time in the key of a shard or a record, in microseconds since the epoch."""
    return int.from_bytes(key[_KIND_AT + 1 :], "big")


# The two kinds of rows beside records. Both are stored values with a small item.


def horizon_value(trimmed_us: int, time_us: int) -> bytes:
    return _small(_encode({"trimmed": {"N": str(trimmed_us)}}), time_us)


def trimmed_us(value: bytes | None) -> int:
    """Up to which time, in microseconds, there are no records left; 0 without a row."""
    return 0 if value is None else int(_decode(value[stored.HEADER_BYTES :])["trimmed"]["N"])


def shard_value(parent: str, time_us: int) -> bytes:
    return _small(_encode({"parent": {"S": parent}}), time_us)


def shard_parent(value: bytes) -> str:
    parent: str = _decode(value[stored.HEADER_BYTES :])["parent"]["S"]
    return parent


def _small(json: bytes, time_us: int) -> bytes:
    return stored.pack(json, item_size(_decode(json)), time_us)


# Records


class StreamRecords:
    """The follower of a table whose changes go to `stream`."""

    __slots__ = ("_has_new", "_has_old", "_keys", "_prefix")

    def __init__(self, stream: Stream, keys: KeyCodec) -> None:
        self._prefix = stream_prefix(stream)
        self._keys = keys
        self._has_new = stream.view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")
        self._has_old = stream.view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES")

    def check_item(self, item: Item) -> None:
        """Any item fits."""

    def check_updated(self, item: Item) -> None:
        """Any item fits."""

    def follow(self, write: ItemWrite, following: Following) -> None:
        old, new = write.old, write.new
        shown = new or old
        if shown is None or (old is not None and new is not None and _is_same(old.item, new.item)):
            return
        key = {name: shown.item[name] for name in self._keys.names}
        size = item_size(key)
        event = b"MODIFY" if old and new else b"INSERT" if new else b"REMOVE"
        parts = [b'{"eventName":"', event, b'",', _SERVICE if write.is_expiry else b"", b'"dynamodb":{"Keys":']
        parts.append(_encode(key))
        if new is not None and self._has_new:
            parts += (b',"NewImage":', new.stored[stored.HEADER_BYTES :])
            size += new.size
        if old is not None and self._has_old:
            parts += (b',"OldImage":', old.stored[stored.HEADER_BYTES :])
            size += old.size
        parts.append(b"}}")
        value = stored.pack(b"".join(parts), size, write.timestamp_us)
        following.rows.append((record_key(self._prefix, write.timestamp_us), value))

    def problems(self, get: Get, scan: Scan) -> Iterator[tuple[bytes, str]]:
        """Each item is as its newest record left it. Whether each record by itself is sound: `row_problem`."""
        newest: dict[bytes, bytes] = {}    # row key of an item -> key of its newest record
        for key, value in scan(record_key(self._prefix, 0), records_end(self._prefix)):
            record = _decode(value[stored.HEADER_BYTES :])
            item_key = self._keys.row_key_of_item(record["dynamodb"]["Keys"])
            item = newest.pop(item_key, None)
            if item is not None and (_is_removal(get(item)) == (record["eventName"] != "INSERT")):
                yield key, f"{record['eventName']} cannot follow the record before it of this item"
            newest[item_key] = key
        end = end_of(get(END_KEY))
        for item_key, key in newest.items():
            if end is not None and item_key[1:] >= end.at:
                continue    # the item is another partition's since this one was split
            problem = self._difference(get(key), get(item_key))
            if problem is not None:
                yield key, problem

    def _difference(self, record: bytes | None, item: bytes | None) -> str | None:
        assert record is not None, "it was read a moment ago"
        if _is_removal(record) != (item is None):
            return "the item's newest record says that it is there, or that it is not, and it is the other way round"
        if item is None or not self._has_new:
            return None
        image = _decode(record[stored.HEADER_BYTES :])["dynamodb"].get("NewImage")
        if image is None or not _is_same(image, _decode(item[stored.HEADER_BYTES :])):
            return "the item is not as its newest record says"
        return None


def _is_same(a: Item, b: Item) -> bool:
    return a == b or equal({"M": a}, {"M": b})


def _is_removal(record: bytes | None) -> bool:
    assert record is not None
    return record.startswith(b'{"eventName":"REMOVE"', stored.HEADER_BYTES)


# Whether a row is one


class _Changed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename="pascal"):
    keys: Item
    new_image: Item | None = None
    old_image: Item | None = None


class _Identity(msgspec.Struct, forbid_unknown_fields=True, rename="pascal"):
    principal_id: str
    type: str


class _Record(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    event_name: str
    user_identity: _Identity | None = None
    dynamodb: _Changed


def row_problem(key: bytes, value: bytes, entry_us: int | None = None) -> str | None:
    """What is wrong with a row in STREAM_SPACE, by itself; None: nothing.

    `entry_us` is the time of the log entry that it stands in, if it does.
    """
    kind = key[_KIND_AT : _KIND_AT + 1]
    if len(key) != (HORIZON_KEY_BYTES if kind == _HORIZON else RECORD_KEY_BYTES) or kind > _RECORD:
        return f"not the key of a row of a stream: {len(key)} bytes"
    if not stored.verify(value):
        return "the stored value's checksum is wrong"
    text = value[stored.HEADER_BYTES :]
    if kind != _HORIZON and stored.timestamp(value) != time_of(key):
        return f"the row's key says {time_of(key)}, its value {stored.timestamp(value)}"
    # The records of a transaction's entry have a time of their own each, up to that of the entry.
    if entry_us is not None and not entry_us - TRANSACTION_ACTIONS_MAX < stored.timestamp(value) <= entry_us:
        return f"the row's time is {stored.timestamp(value)}, its log entry's {entry_us}"
    try:
        size = _CHECKS[kind](text)
    except (msgspec.DecodeError, ApiError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"not a row of a stream: {error}"
    said = stored.item_size(value)
    return None if size == said else f"it has {size} bytes, its header says {said}"


def _record_size(text: bytes) -> int:
    """Raises what a wrong record makes something raise."""
    record = msgspec.json.decode(text, type=_Record)
    changed = record.dynamodb
    size = sum(check_item(each) for each in (changed.keys, changed.new_image or {}, changed.old_image or {}))
    _demand(_encode(record) == text, "the JSON is not canonical")
    event = record.event_name
    _demand(event in ("INSERT", "MODIFY", "REMOVE"), f"there is no event {event}")
    _demand(event != "INSERT" or changed.old_image is None, "an item that is inserted was not there")
    _demand(event != "REMOVE" or changed.new_image is None, "an item that is removed is not there")
    for image in (changed.new_image, changed.old_image):
        _demand(image is None or changed.keys.items() <= image.items(), "an image of another item")
    return size


def _horizon_size(text: bytes) -> int:
    row = _decode(text)
    _demand(row == {"trimmed": {"N": str(int(row["trimmed"]["N"]))}}, "more than a time")
    return item_size(row)


def _shard_size(text: bytes) -> int:
    row = _decode(text)
    _demand(row == {"parent": {"S": row["parent"]["S"]}}, "more than a parent")
    return item_size(row)


def _demand(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise ValueError(otherwise)


_CHECKS: Final[dict[bytes, Callable[[bytes], int]]] = {
    _HORIZON: _horizon_size,
    _SHARD: _shard_size,
    _RECORD: _record_size,
}
