"""The bytes of the log: entries, records, frames, segment heads. Pure: bytes in, bytes out; drawn in
docs/formats.md.

    entry      what one slot of one group holds: the rows that a write left behind (outcomes, so applying
               twice gives the same state)
    record     an entry with its group, ballot and slot, and a CRC32C of all of it
    frame      the records of one group commit: what one write to the disk carries
    segment    a file: a head of one sector, then frames, then zeros

A frame begins on a sector boundary (512 bytes) and is padded with zeros to the next, so that no write ever
changes a sector that an earlier write was acknowledged for. (A file system writes blocks of 4096 bytes, so
the sectors before a frame may be written again, with the same bytes; a disk that breaks a sector whose bytes
do not change is beyond what a log can guard against.)

Three checksums, because they answer different questions. The record's travels with the record, into archives
and to other nodes, and tells which group is hurt. The frame's body checksum covers records and padding, so
that whole records in the wrong place are noticed too. The frame head's stands alone, so that length and
number can be trusted when the body cannot: deciding between "the power went while this was written" and "this
was damaged later" needs them (log_reader.py). Rejected: one checksum per frame only (damage anywhere would
then hurt every group in it), and a checksum chained from frame to frame (it says no more than ascending frame
numbers do).

The *salt*, a random number of each segment, is repeated in every frame head. Without it, a client who stores
bytes that look like a frame could make a torn tail look like damage, and stale bytes of another file would
pass for frames.

`encode_row_record` runs once per write, on the event loop, before anything can wait: 0.6 µs for 1 KB.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

from google_crc32c import value as crc32c

# (op, key, value: None if op is DELETE, size in DynamoDB bytes of the row that was replaced, or ABSENT)
Row = tuple[int, bytes, bytes | None, int]

PUT: Final = 1
DELETE: Final = 2
ABSENT: Final = 0xFFFFFFFF    # old_size of a row that was not there
DERIVED: Final = 0xFFFFFFFE   # old_size of a row that is no item: of an index, a stream, an expiry; not counted

SECTOR_BYTES: Final = 512     # what a disk writes wholly or not at all
LOG_FORMAT_VERSION: Final = 1

_ENTRY_VERSION: Final = 1
# Kinds of entries. All but the first are of groups with several members: see member_log.py.
ROWS: Final = 1
NOTHING: Final = 2            # what a new leader begins with
CONFIGURATION: Final = 3      # who belongs to the group, from this slot on
RECORD: Final = 4             # none of a slot: what a member must not forget beside its entries
_KIND_ROWS: Final = ROWS

# The fields in their order, little-endian, without gaps. What is used together is packed together, from these
# parts.
_CRC = "I"              # CRC32C of all that follows it in the same structure
_RECORD = "IQQQ"        # bytes of the entry, group, ballot, slot
_ENTRY = "BBHQ"         # version, kind, rows, time of the write in microseconds since the epoch
_ROW = "BIHI"           # op, old_size, bytes of the key, bytes of the value; then key, value
_FRAME = "QQIIII"       # salt, number, bytes of the records, records, zero sectors, CRC32C of the body
_SEGMENT = "HHIQQQQ"    # format version, reserved, reserved, segment, salt, first frame, end of the previous

_crc = Struct("<" + _CRC)
_entry = Struct("<" + _ENTRY)
_row = Struct("<" + _ROW)
_record = Struct("<" + _RECORD)
_row_record = Struct("<" + _RECORD + _ENTRY + _ROW)
_one_row = Struct("<" + _ENTRY + _ROW)
_frame = Struct("<" + _FRAME)
_segment = Struct("<" + _SEGMENT)

_FRAME_MAGIC: Final = b"VFRM"
_SEGMENT_MAGIC: Final = b"VARLEYLG"
_ZERO_SECTOR: Final = bytes(SECTOR_BYTES)

RECORD_HEAD_BYTES: Final = _crc.size + _record.size
FRAME_HEAD_BYTES: Final = len(_FRAME_MAGIC) + _crc.size + _frame.size
FIRST_FRAME_OFFSET: Final = SECTOR_BYTES    # in a segment

_crc_pack = _crc.pack
_row_record_pack = _row_record.pack
_one_row_pack = _one_row.pack
_row_unpack_from = _row.unpack_from
_ONE_ROW_BYTES: Final = _entry.size + _row.size


class NotThisFormat(ValueError):
    """Bytes whose checksum is right and that are nevertheless not what this version of Varley writes."""


# Records and entries


def encode_row_record(group: int, ballot: int, slot: int, timestamp_us: int, row: Row) -> bytes:
    """The record of an entry of one row: `encode_record(…, encode_rows([row], …))` in one step. HOT PATH."""
    op, key, value, old_size = row
    if value is None:
        value = b""
    key_bytes = len(key)
    value_bytes = len(value)
    covered = (
        _row_record_pack(
            _ONE_ROW_BYTES + key_bytes + value_bytes, group, ballot, slot,
            _ENTRY_VERSION, _KIND_ROWS, 1, timestamp_us,
            op, old_size, key_bytes, value_bytes,
        ) + key + value
    )  # fmt: skip
    return _crc_pack(crc32c(covered)) + covered


def encode_record(group: int, ballot: int, slot: int, entry: bytes) -> bytes:
    """Each number from 0 to 2**64 - 1; `entry` below 4 GiB."""
    covered = _record.pack(len(entry), group, ballot, slot) + entry
    return _crc_pack(crc32c(covered)) + covered


class RecordHead(NamedTuple):
    crc: int
    entry_bytes: int
    group: int
    ballot: int
    slot: int


def decode_record_head(data: bytes, at: int) -> RecordHead | None:
    """The head at `at`, unchecked; None if `data` ends before the head does."""
    if at + RECORD_HEAD_BYTES > len(data):
        return None
    return RecordHead(*_crc.unpack_from(data, at), *_record.unpack_from(data, at + _crc.size))


def entry_of_record(data: bytes, at: int, head: RecordHead) -> bytes | None:
    """The entry of the record at `at`; None if it is not all there or the record's checksum is wrong."""
    end = at + RECORD_HEAD_BYTES + head.entry_bytes
    if end > len(data) or crc32c(data[at + _crc.size : end]) != head.crc:
        return None
    return data[at + RECORD_HEAD_BYTES : end]


def encode_rows(rows: Sequence[Row], timestamp_us: int) -> bytes:
    """The entry that leaves these rows behind, at most 65,535 of them.

    `timestamp_us`: when that was, in microseconds since the epoch; it never decreases from slot to slot of a group.
    """
    if len(rows) == 1:
        [(op, key, value, old_size)] = rows
        value = value or b""
        return _one_row_pack(
            _ENTRY_VERSION, _KIND_ROWS, 1, timestamp_us, op, old_size, len(key), len(value)
        ) + key + value  # fmt: skip
    parts = [_entry.pack(_ENTRY_VERSION, _KIND_ROWS, len(rows), timestamp_us)]
    for op, key, value, old_size in rows:
        assert (value is None) == (op == DELETE)
        parts += (_row.pack(op, old_size, len(key), len(value or b"")), key, value or b"")
    return b"".join(parts)


def decode_rows(entry: bytes) -> list[Row]:
    """The rows of an entry whose record's checksum was right.

    Raises NotThisFormat: a newer version wrote it, or a bug did.
    """
    if len(entry) < _entry.size:
        raise NotThisFormat(f"an entry of {len(entry)} bytes")
    version, kind, count, _ = _entry.unpack_from(entry)
    if version != _ENTRY_VERSION or kind != _KIND_ROWS:
        raise NotThisFormat(f"an entry of version {version} and kind {kind}")
    rows: list[Row] = []
    at = _entry.size
    if count == 1 and len(entry) >= _ONE_ROW_BYTES:     # nearly always: in one step
        op, old_size, key_bytes, value_bytes = _row_unpack_from(entry, at)
        value_at = _ONE_ROW_BYTES + key_bytes
        if op == PUT and value_at + value_bytes == len(entry):
            return [(PUT, entry[_ONE_ROW_BYTES:value_at], entry[value_at:], old_size)]
    for _ in range(count):
        if at + _row.size > len(entry):
            raise NotThisFormat("an entry that ends inside a row")
        op, old_size, key_bytes, value_bytes = _row.unpack_from(entry, at)
        key_at = at + _row.size
        value_at = key_at + key_bytes
        at = value_at + value_bytes
        if op not in (PUT, DELETE) or (op == DELETE and value_bytes):
            raise NotThisFormat(f"a row with operation {op} and a value of {value_bytes} bytes")
        rows.append((op, entry[key_at:value_at], entry[value_at:at] if op == PUT else None, old_size))
    if at != len(entry):
        raise NotThisFormat(f"an entry of {len(entry)} bytes whose {count} rows end at byte {at}")
    return rows


def encode_other(kind: int, content: bytes) -> bytes:
    """An entry that holds no rows."""
    assert kind in (NOTHING, CONFIGURATION, RECORD)
    return _entry.pack(_ENTRY_VERSION, kind, 0, 0) + content


def decode_other(entry: bytes) -> tuple[int, bytes]:
    """(kind, content) of an entry that holds no rows. Raises NotThisFormat."""
    kind = entry_kind(entry)
    if kind not in (NOTHING, CONFIGURATION, RECORD):
        raise NotThisFormat(f"an entry of kind {kind}")
    return kind, entry[_entry.size :]


def entry_kind(entry: bytes) -> int:
    """One of the kinds above. Raises NotThisFormat for one that is not known, or of another version."""
    if len(entry) < _entry.size:
        raise NotThisFormat(f"an entry of {len(entry)} bytes")
    version, kind, _, _ = _entry.unpack_from(entry)
    if version != _ENTRY_VERSION or not ROWS <= kind <= RECORD:
        raise NotThisFormat(f"an entry of version {version} and kind {kind}")
    known: int = kind
    return known


def entry_timestamp(entry: bytes) -> int:
    """When the write was, in microseconds since the epoch, of an entry that `decode_rows` can read."""
    timestamp_us: int = _entry.unpack_from(entry)[3]
    return timestamp_us


# Frames


class FrameHead(NamedTuple):
    salt: int            # of the segment
    number: int          # ascends by one from frame to frame, across segments
    records_bytes: int
    records: int
    zero_sectors: int    # sectors of this frame that are zero throughout though they were written
    body_crc: int        # of everything after the head, padding included


def frame_bytes(records_bytes: int) -> int:
    """Bytes on disk of a frame whose records take so many."""
    return -(-(FRAME_HEAD_BYTES + records_bytes) // SECTOR_BYTES) * SECTOR_BYTES


def encode_frame(salt: int, number: int, records: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(head, body): together a whole number of sectors. `records` are encoded records."""
    body = b"".join(records)
    records_bytes = len(body)
    body += bytes(frame_bytes(records_bytes) - FRAME_HEAD_BYTES - records_bytes)
    fields = _frame.pack(salt, number, records_bytes, len(records), _zero_sectors_of_body(body), crc32c(body))
    return _FRAME_MAGIC + _crc_pack(crc32c(fields)) + fields, body


def decode_frame_head(data: bytes) -> FrameHead | None:
    """The head that `data` begins with; None if there is none, or not as it was written."""
    if len(data) < FRAME_HEAD_BYTES or not data.startswith(_FRAME_MAGIC):
        return None
    (crc,) = _crc.unpack_from(data, len(_FRAME_MAGIC))
    fields = data[len(_FRAME_MAGIC) + _crc.size : FRAME_HEAD_BYTES]
    return FrameHead(*_frame.unpack(fields)) if crc32c(fields) == crc else None


def find_frame_magic(data: bytes, start: int) -> int:
    """The first place at or after `start`, on a sector boundary of `data`, where a frame may begin; -1: none."""
    at = data.find(_FRAME_MAGIC, start)
    while at >= 0 and at % SECTOR_BYTES:
        at = data.find(_FRAME_MAGIC, at + 1)
    return at


def is_whole(head: FrameHead, frame: bytes) -> bool:
    """Whether `frame`, from its head to the end of its padding, is as it was written."""
    return len(frame) == frame_bytes(head.records_bytes) and crc32c(frame[FRAME_HEAD_BYTES:]) == head.body_crc


def zero_sectors(data: bytes) -> int:
    """How many sectors of `data`, which begins on a sector boundary, are zero throughout."""
    if _ZERO_SECTOR not in data:    # 25 times faster than looking at each, and nearly always the answer
        return 0
    return sum(data.startswith(_ZERO_SECTOR, at) for at in range(0, len(data), SECTOR_BYTES))


def _zero_sectors_of_body(body: bytes) -> int:
    """As `zero_sectors` of the whole frame. The first sector, where the head is, never is zero."""
    return zero_sectors(body[SECTOR_BYTES - FRAME_HEAD_BYTES :]) if _ZERO_SECTOR in body else 0


# Segments


class SegmentHead(NamedTuple):
    segment: int         # ascends by one from file to file
    salt: int
    first_frame: int     # number of the frame that begins at FIRST_FRAME_OFFSET, if there is one
    previous_end: int    # bytes that count of the segment before this one; 0: there was none


def encode_segment_head(head: SegmentHead) -> bytes:
    """One sector."""
    fields = _segment.pack(
        LOG_FORMAT_VERSION, 0, 0, head.segment, head.salt, head.first_frame, head.previous_end
    )
    sector = _SEGMENT_MAGIC + _crc_pack(crc32c(fields)) + fields
    return sector.ljust(SECTOR_BYTES, b"\0")


def decode_segment_head(sector: bytes) -> SegmentHead | None:
    """None if `sector` is not a segment head as it was written.

    Raises NotThisFormat if it is one, of a version that this Varley does not know.
    """
    fields_at = len(_SEGMENT_MAGIC) + _crc.size
    fields = sector[fields_at : fields_at + _segment.size]
    if len(sector) != SECTOR_BYTES or not sector.startswith(_SEGMENT_MAGIC):
        return None
    (crc,) = _crc.unpack_from(sector, len(_SEGMENT_MAGIC))
    if crc32c(fields) != crc or any(sector[fields_at + _segment.size :]):
        return None
    version, _, _, segment, salt, first_frame, previous_end = _segment.unpack(fields)
    if version != LOG_FORMAT_VERSION:
        raise NotThisFormat(f"a log segment of format {version}; this Varley knows {LOG_FORMAT_VERSION}")
    return SegmentHead(segment, salt, first_frame, previous_end)


def segment_name(segment: int) -> str:
    return f"{segment:016d}.log"


def segment_of_name(name: str) -> int | None:
    """The number of the segment whose file has this name; None for any other file."""
    number, _, extension = name.partition(".")
    is_number = len(number) == 16 and number.isascii() and number.isdigit()
    return int(number) if is_number and extension == "log" else None
