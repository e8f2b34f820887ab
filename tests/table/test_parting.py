"""Rows that say how a partition was split, and which of its rows go: with the examples of docs/formats.md."""

from __future__ import annotations

from varley.item import stored
from varley.item.key_bytes import (
    LOCAL_INDEX_SPACES,
    MARKER_SPACE,
    SOURCE_SPACE,
    STREAM_SPACE,
    TALLY_SPACE,
    TOKEN_SPACE,
    row_key,
)
from varley.item.marker import marker_key
from varley.table import expiry, parting
from varley.table.outgoing import progress_key, source_key
from varley.table.parting import End, Origin, Parting

AT = bytes.fromhex("80" + 15 * "00")
LOW = b"\x00" + bytes.fromhex("7f" + 15 * "ff") + b"sort"
HIGH = b"\x00" + AT + b"sort"
US = 1_700_000_000_000_000


def text(value: bytes) -> bytes:
    return value[stored.HEADER_BYTES :]


def test_rows_are_as_the_formats_say() -> None:
    value = parting.parting_value(Parting(AT, 9, is_copied=False), US)
    assert text(value) == b'{"at":{"B":"gAAAAAAAAAAAAAAAAAAAAA=="},"child":{"N":"9"},"copied":{"BOOL":false}}'
    assert stored.verify(value) and stored.timestamp(value) == US
    end = parting.end_value(End(AT, 9, US))
    assert text(end) == b'{"at":{"B":"gAAAAAAAAAAAAAAAAAAAAA=="},"child":{"N":"9"},"time":{"N":"1700000000000000"}}'
    origin = parting.origin_value(Origin(7, US), US + 1)
    assert text(origin) == b'{"parent":{"N":"7"},"time":{"N":"1700000000000000"}}'
    assert parting.carried_key(9).hex() == "f0" + 16 * "0" + "0000000000000009"
    keys = [parting.PARTING_KEY, parting.END_KEY, parting.ORIGIN_KEY]
    assert [key.hex() for key in keys] == ["6000", "6001", "6002"]


def test_what_a_row_says_can_be_read_back() -> None:
    copied = Parting(AT, 9, is_copied=True)
    assert parting.parting_of(parting.parting_value(copied, US)) == copied
    assert parting.end_of(parting.end_value(End(AT, 9, US))) == End(AT, 9, US)
    assert parting.origin_of(parting.origin_value(Origin(7, US), US + 1)) == Origin(7, US)
    assert parting.parting_of(None) is parting.end_of(None) is parting.origin_of(None) is None
    assert parting.carried_to(parting.carried_key(9)) == 9


def test_an_outgoing_row_of_an_index_names_no_child() -> None:
    assert parting.carried_to(bytes.fromhex("f0" + "6ba7b8109dad11d180b400c04fd430c8") + HIGH) is None


def test_items_and_expiries_go_by_their_location() -> None:
    assert parting.goes(HIGH, AT) and parting.goes(b"\x00" + AT, AT)
    assert not parting.goes(LOW, AT)
    assert parting.goes(expiry.row_key(HIGH, 7), AT)
    assert not parting.goes(expiry.row_key(LOW, 7), AT)


def test_rows_of_local_indexes_and_tallies_of_collections_go_with_their_items() -> None:
    for space in (*LOCAL_INDEX_SPACES, TALLY_SPACE):
        assert parting.goes(space + HIGH[1:], AT) and not parting.goes(space + LOW[1:], AT)
        assert not parting.is_left(space + HIGH[1:], AT)    # they are deleted with their items
    assert not parting.goes(TALLY_SPACE, AT) and not parting.goes(TALLY_SPACE, bytes(16))


def test_what_is_about_the_whole_partition_goes_and_stays() -> None:
    for key in (expiry.PROGRESS_KEY, source_key(3), TOKEN_SPACE + bytes(16)):
        assert parting.goes(key, AT)
        assert not parting.is_left(key, AT)


def test_streams_markers_and_the_filling_of_indexes_stay() -> None:
    for key in (STREAM_SPACE + bytes(17), marker_key(HIGH), progress_key("6ba7b810-9dad-11d1-80b4-00c04fd430c8")):
        assert not parting.goes(key, AT)
    assert parting.goes(SOURCE_SPACE + bytes(8), AT) and not parting.goes(MARKER_SPACE + AT, AT)


def test_the_ranges_have_all_that_goes() -> None:
    keys = [HIGH, expiry.row_key(HIGH, 7), expiry.PROGRESS_KEY, source_key(3), TOKEN_SPACE + bytes(16)]
    keys += [space + HIGH[1:] for space in (*LOCAL_INDEX_SPACES, TALLY_SPACE)]
    for key in keys:
        assert any(low <= key < high for low, high in parting.ranges(AT)), key.hex()
    assert not any(low <= TALLY_SPACE < high for low, high in parting.ranges(AT))


def test_leftovers_are_the_childs_items_and_expiries() -> None:
    for key in (HIGH, expiry.row_key(HIGH, 7)):
        assert parting.is_left(key, AT)
        assert any(low <= key < high for low, high in parting.leftovers(AT))
    for key in (LOW, expiry.row_key(LOW, 7), expiry.PROGRESS_KEY):
        assert not parting.is_left(key, AT)


def test_a_location_is_a_whole_hash() -> None:
    key = row_key("S", "user#7")
    assert parting.is_location(key[1:])
    assert not parting.is_location(row_key("S", "user#7", "S", "a")[1:])
