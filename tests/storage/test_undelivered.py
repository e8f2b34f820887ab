"""What the log carries to global indexes is kept until the log says that it has arrived, and no longer."""

from __future__ import annotations

from varley.item import stored
from varley.storage.log_format import ABSENT, DELETE, DERIVED, PUT, Row
from varley.storage.undelivered import IndexGroups, Undelivered, UndeliveredRows
from varley.table.outgoing import THE_ITEM, id_bytes, outgoing_prefix, source_key, source_value

INDEX, DELETED = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
SOURCE, OTHER, LOW, HIGH = 1, 2, 11, 12
ITEM = b"\x00" + b"i" * 16
ONE, TWO = b"\x00" + b"\x10" * 16, b"\x00" + b"\xf0" * 16    # rows of the index, in its two partitions
VALUE = stored.pack(b"{}", 3, 3)
ROW = stored.pack(b"[]", 4, 4)


def item(value: bytes | None = VALUE) -> Row:
    return (DELETE if value is None else PUT, ITEM, value, ABSENT)


def outgoing(key: bytes, value: bytes | None, index: str = INDEX) -> Row:
    return (DELETE if value is None else PUT, outgoing_prefix(index) + key, value, DERIVED)


def has(slot: int, source: int = SOURCE) -> Row:
    return (PUT, source_key(source), source_value(slot, 1), DERIVED)


def rows(arrived: dict[tuple[int, int], int] | None = None) -> UndeliveredRows:
    groups = IndexGroups([b"", b"\x80"], [LOW, HIGH])
    return UndeliveredRows({id_bytes(INDEX): groups}, lambda target, source: (arrived or {}).get((target, source), 0))


def test_what_has_not_arrived_is_left_by_source_slot_and_target() -> None:
    met = rows()
    met.meet(OTHER, 9, [item(), outgoing(ONE, ROW)])
    met.meet(SOURCE, 4, [item(), outgoing(ONE, ROW), outgoing(TWO, None)])
    met.meet(SOURCE, 5, [item()])
    met.meet(SOURCE, 6, [item(), outgoing(ONE, None)])
    assert met.rest() == [
        Undelivered(SOURCE, 4, {LOW: [(ONE, ROW)], HIGH: [(TWO, None)]}),
        Undelivered(SOURCE, 6, {LOW: [(ONE, None)]}),
        Undelivered(OTHER, 9, {LOW: [(ONE, ROW)]}),
    ]


def test_what_a_target_says_that_it_has_is_kept_no_longer() -> None:
    met = rows()
    met.meet(SOURCE, 4, [item(), outgoing(ONE, ROW), outgoing(TWO, ROW)])
    met.meet(SOURCE, 6, [item(), outgoing(ONE, ROW)])
    met.meet(LOW, 1, [(PUT, ONE, ROW, ABSENT), has(4)])
    assert met.rest() == [Undelivered(SOURCE, 4, {HIGH: [(TWO, ROW)]}), Undelivered(SOURCE, 6, {LOW: [(ONE, ROW)]})]
    met.meet(HIGH, 1, [has(4)])
    met.meet(LOW, 2, [has(6), has(9, OTHER)])
    assert met.rest() == []
    met.meet(OTHER, 9, [item(), outgoing(ONE, ROW)])
    assert met.rest() == []


def test_what_a_tree_has_already_is_not_kept() -> None:
    met = rows({(LOW, SOURCE): 5})
    met.meet(SOURCE, 5, [item(), outgoing(ONE, ROW), outgoing(TWO, ROW)])
    met.meet(SOURCE, 6, [item(), outgoing(ONE, ROW)])
    assert met.rest() == [Undelivered(SOURCE, 5, {HIGH: [(TWO, ROW)]}), Undelivered(SOURCE, 6, {LOW: [(ONE, ROW)]})]


def test_the_short_form_stands_for_the_item_before_it() -> None:
    met = rows()
    other = stored.pack(b"{}", 9, 9)
    met.meet(SOURCE, 1, [item(), outgoing(ONE, THE_ITEM), item(other), outgoing(TWO, THE_ITEM), outgoing(ONE, None)])
    assert met.rest() == [Undelivered(SOURCE, 1, {LOW: [(ONE, VALUE), (ONE, None)], HIGH: [(TWO, other)]})]


def test_what_was_for_a_deleted_index_is_dropped() -> None:
    met = rows()
    met.meet(SOURCE, 1, [item(), outgoing(ONE, ROW, DELETED)])
    assert met.rest() == []


def test_a_progress_row_is_no_source() -> None:
    met = rows()
    met.meet(SOURCE, 1, [item(), outgoing(ONE, ROW)])
    met.meet(LOW, 1, [(PUT, b"\x40" + id_bytes(INDEX), ROW, DERIVED)])
    assert len(met.rest()) == 1
