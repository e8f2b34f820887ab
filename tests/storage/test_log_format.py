"""The bytes of the log, against docs/formats.md and against themselves."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from google_crc32c import value as crc32c
from hypothesis import given
from hypothesis import strategies as st

from varley.storage.log_format import (
    ABSENT,
    DELETE,
    FIRST_FRAME_OFFSET,
    FRAME_HEAD_BYTES,
    PUT,
    RECORD_HEAD_BYTES,
    SECTOR_BYTES,
    NotThisFormat,
    Row,
    SegmentHead,
    decode_frame_head,
    decode_record_head,
    decode_rows,
    decode_segment_head,
    encode_frame,
    encode_record,
    encode_row_record,
    encode_rows,
    encode_segment_head,
    entry_of_record,
    entry_timestamp,
    find_frame_magic,
    frame_bytes,
    is_whole,
    segment_name,
    segment_of_name,
    zero_sectors,
)

numbers = st.integers(0, 2**64 - 1)
sizes = st.integers(0, 2**32 - 1)
rows = st.one_of(
    st.tuples(st.just(PUT), st.binary(max_size=60), st.binary(max_size=2000), sizes),
    st.tuples(st.just(DELETE), st.binary(max_size=60), st.none(), sizes),
)


@given(st.lists(rows, max_size=5))
def test_rows_come_back_as_they_were(some: list[Row]) -> None:
    assert decode_rows(encode_rows(some, 7)) == some
    assert entry_timestamp(encode_rows(some, 7)) == 7


@given(numbers, numbers, numbers, numbers, rows)
def test_the_fast_way_to_encode_one_row_gives_the_same_bytes(
    group: int, ballot: int, slot: int, time: int, row: Row
) -> None:
    record = encode_record(group, ballot, slot, encode_rows([row], time))
    assert encode_row_record(group, ballot, slot, time, row) == record


@given(numbers, numbers, numbers, st.binary(max_size=300))
def test_a_record_comes_back_as_it_was(group: int, ballot: int, slot: int, entry: bytes) -> None:
    data = b"before" + encode_record(group, ballot, slot, entry) + b"behind"
    head = decode_record_head(data, 6)
    assert head is not None
    assert (head.group, head.ballot, head.slot) == (group, ballot, slot)
    assert entry_of_record(data, 6, head) == entry


@given(st.lists(st.binary(min_size=1, max_size=1500), max_size=4), numbers, numbers)
def test_a_frame_comes_back_as_it_was(records: Sequence[bytes], salt: int, number: int) -> None:
    frame = b"".join(encode_frame(salt, number, records))
    head = decode_frame_head(frame)
    assert head is not None
    assert (head.salt, head.number, head.records) == (salt, number, len(records))
    assert frame[FRAME_HEAD_BYTES:].startswith(b"".join(records))
    assert len(frame) == frame_bytes(sum(map(len, records)))
    assert len(frame) % SECTOR_BYTES == 0
    assert is_whole(head, frame)
    assert head.zero_sectors == zero_sectors(frame)


@given(st.binary(min_size=1, max_size=1500), st.data())
def test_any_changed_byte_of_a_frame_is_noticed(record: bytes, data: st.DataObject) -> None:
    frame = bytearray(b"".join(encode_frame(1, 2, [record])))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    head = decode_frame_head(bytes(frame))
    assert head is None or not is_whole(head, bytes(frame))


def test_a_frame_says_how_many_of_its_sectors_were_written_as_zeros() -> None:
    head = decode_frame_head(b"".join(encode_frame(1, 1, [bytes(4096)])))
    assert head is not None
    assert head.zero_sectors == 8    # 9 sectors, and the first has the head
    head = decode_frame_head(b"".join(encode_frame(1, 1, [b"x" * 100 + bytes(511) + b"x"])))
    assert head is not None
    assert head.zero_sectors == 0    # zeros enough, but no whole sector


def test_frames_are_searched_for_at_sector_boundaries_only() -> None:
    data = b"x" + b"VFRM" + bytes(507) + b"VFRM" + bytes(508)
    assert find_frame_magic(data, 0) == 512
    assert find_frame_magic(data, 513) == -1


@given(numbers, numbers, numbers, numbers)
def test_a_segment_head_comes_back_as_it_was(segment: int, salt: int, first_frame: int, previous_end: int) -> None:
    head = SegmentHead(segment, salt, first_frame, previous_end)
    sector = encode_segment_head(head)
    assert len(sector) == SECTOR_BYTES == FIRST_FRAME_OFFSET
    assert decode_segment_head(sector) == head


def test_any_changed_byte_of_a_segment_head_is_noticed() -> None:
    sector = encode_segment_head(SegmentHead(1, 2, 3, 4))
    for at in range(len(sector)):
        assert decode_segment_head(sector[:at] + bytes([sector[at] ^ 0x10]) + sector[at + 1 :]) is None


def test_a_segment_of_a_newer_format_is_refused_by_name() -> None:
    sector = bytearray(encode_segment_head(SegmentHead(1, 2, 3, 4)))
    struct.pack_into("<H", sector, 12, 2)
    struct.pack_into("<I", sector, 8, crc32c(bytes(sector[12:52])))
    with pytest.raises(NotThisFormat, match="format 2; this Varley knows 1"):
        decode_segment_head(bytes(sector))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (b"\x01", "an entry of 1 bytes"),
        (b"\x02\x01\x00\x00" + bytes(8), "version 2 and kind 1"),
        (b"\x01\x07\x00\x00" + bytes(8), "version 1 and kind 7"),
        (b"\x01\x01\x01\x00" + bytes(8), "ends inside a row"),
        (b"\x01\x01\x00\x00" + bytes(8) + b"more", "rows end at byte 12"),
        (b"\x01\x01\x01\x00" + bytes(8) + b"\x09" + bytes(10), "operation 9"),
        (b"\x01\x01\x01\x00" + bytes(8) + b"\x02" + bytes(6) + b"\x01\x00\x00\x00v", "operation 2 and a value of 1"),
    ],
)
def test_an_entry_of_another_format_is_refused_by_name(entry: bytes, why: str) -> None:
    with pytest.raises(NotThisFormat, match=why):
        decode_rows(entry)


def test_names_of_segments_sort_by_number() -> None:
    assert segment_name(7) == "0000000000000007.log"
    assert segment_of_name(segment_name(7)) == 7
    assert sorted(map(segment_name, (10, 9, 100))) == [segment_name(9), segment_name(10), segment_name(100)]
    for name in ("7.log", "0000000000000007.tmp", "notes.txt", "000000000000000x.log", "0000000000000007.log.gz"):
        assert segment_of_name(name) is None


def test_the_example_in_the_documentation_is_what_is_written() -> None:
    """docs/formats.md, section Log, shows these bytes."""
    record = encode_row_record(7, 1, 42, 1_735_689_600_000_000, (PUT, b"key", b"value", ABSENT))
    assert record.hex(" ") == EXAMPLE_RECORD
    head, body = encode_frame(0x0123456789ABCDEF, 1000, [record])
    assert head.hex(" ") == EXAMPLE_FRAME_HEAD
    assert body == record + bytes(512 - FRAME_HEAD_BYTES - len(record))
    assert len(record) == RECORD_HEAD_BYTES + 12 + 11 + 3 + 5
    segment = encode_segment_head(SegmentHead(3, 0x0123456789ABCDEF, 1000, 66560))
    assert segment[:52].hex(" ") == EXAMPLE_SEGMENT_HEAD
    documentation = "".join((Path(__file__).parents[2] / "docs" / "formats.md").read_text().split())
    for example in (EXAMPLE_RECORD, EXAMPLE_FRAME_HEAD, EXAMPLE_SEGMENT_HEAD):
        assert "".join(example.split()) in documentation


EXAMPLE_RECORD = (
    "2e 30 1e 0b 1f 00 00 00 07 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 2a 00 00 00 00 00 00 00 "
    "01 01 01 00 00 60 0c ba 99 2a 06 00 01 ff ff ff ff 03 00 05 00 00 00 6b 65 79 76 61 6c 75 65"
)
EXAMPLE_FRAME_HEAD = (
    "56 46 52 4d 7f 2b 5d a8 ef cd ab 89 67 45 23 01 e8 03 00 00 00 00 00 00 "
    "3f 00 00 00 01 00 00 00 00 00 00 00 85 86 49 5d"
)
EXAMPLE_SEGMENT_HEAD = (
    "56 41 52 4c 45 59 4c 47 dd cf 37 eb 01 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00 "
    "ef cd ab 89 67 45 23 01 e8 03 00 00 00 00 00 00 00 04 01 00 00 00 00 00"
)
