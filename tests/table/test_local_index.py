"""The rows of a local index: their order is that of the keys, and a condition is exactly one range of them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.errors import ValidationError
from varley.expression.key_condition import KeyRange
from varley.item import stored
from varley.item.size import item_size
from varley.table.index_rows import Image
from varley.table.keys import KeyCodec
from varley.table.local_index import LocalIndexCodec
from varley.table.schema import KeySchema, LocalIndex, Projection

from .key_values import KINDS, conditions, holds, sortable, values

ALL = Projection(kind="ALL")
KEYS_ONLY = Projection(kind="KEYS_ONLY")
INVALID = "One or more parameter values were invalid: "

def table_keys(range_kind: Any = "S") -> KeyCodec:
    return KeyCodec(KeySchema(hash_name="pk", hash_kind="S", range_name="sk", range_kind=range_kind))


def codec(kind: Any = "S", base_kind: Any = "S", projection: Projection = ALL, position: int = 0) -> LocalIndexCodec:
    index = LocalIndex(name="by-x", range_name="x", range_kind=kind, projection=projection)
    return LocalIndexCodec(index, position, table_keys(base_kind))


def item_of(x: dict[str, str] | None, sk: dict[str, str], **more: Any) -> dict[str, Any]:
    item: dict[str, Any] = {"pk": {"S": "p"}, "sk": sk, **more}
    return item if x is None else {**item, "x": x}


def key_of(index: LocalIndexCodec, item: dict[str, Any], base_kind: Any = "S") -> bytes:
    entry = index.entry(table_keys(base_kind).row_key_of_item(item), item, item_size(item))
    assert entry is not None
    return entry.key


@pytest.mark.parametrize(
    ("kind", "value", "middle"),
    [
        ("S", {"S": "ab"}, "61 62 00 01"),
        ("S", {"S": "\0"}, "00 ff 00 01"),
        ("B", {"B": b64encode(b"\0\xff").decode()}, "00 ff ff 00 01"),
        ("N", {"N": "-1"}, "3e 99 ff 00"),
        ("N", {"N": "0"}, "80 00"),
    ],
)
def test_a_row_key_is_as_it_is_drawn(kind: Any, value: Any, middle: str) -> None:
    item = item_of(value, {"S": "s"})
    base = table_keys().row_key_of_item(item)
    assert key_of(codec(kind, position=2), item) == b"\x03" + base[1:17] + bytes.fromhex(middle) + b"s"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base_kind", KINDS)
@given(data=st.data())
def test_rows_are_in_the_order_of_index_key_and_then_table_key(kind: Any, base_kind: Any, data: st.DataObject) -> None:
    index = codec(kind, base_kind)
    pairs = data.draw(st.lists(st.tuples(values(kind), values(base_kind)), min_size=2, max_size=8))
    by_row = sorted(pairs, key=lambda pair: key_of(index, item_of(*pair), base_kind))
    by_value = sorted(pairs, key=lambda pair: (sortable(pair[0]), sortable(pair[1])))
    assert by_row == by_value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base_kind", KINDS)
@given(data=st.data())
def test_a_row_leads_back_to_its_item(kind: Any, base_kind: Any, data: st.DataObject) -> None:
    item = item_of(data.draw(values(kind)), data.draw(values(base_kind)))
    assert codec(kind, base_kind).item_key(key_of(codec(kind, base_kind), item, base_kind)) == table_keys(
        base_kind
    ).row_key_of_item(item)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_condition_selects_exactly_the_rows_for_which_it_holds(kind: Any, data: st.DataObject) -> None:
    index = codec(kind, "B")
    # Also sort keys of the table that look like ends and escapes.
    pairs = data.draw(st.lists(st.tuples(values(kind), values("B")), min_size=1, max_size=8))
    operator, operands = data.draw(conditions(kind))
    prefix = index.item_collection({"S": "p"})
    low, high = index.range_bounds(KeyRange({"S": "p"}, operator, operands))
    selected = []
    for pair in pairs:
        key = key_of(index, item_of(*pair), "B")
        assert key.startswith(prefix)
        if key >= prefix + low and (high is None or key < prefix + high):
            selected.append(pair)
    assert selected == [pair for pair in pairs if holds(operator, pair[0], operands)]


def test_without_a_condition_on_the_index_key_all_rows_are_selected() -> None:
    assert codec().range_bounds(KeyRange({"S": "p"})) == (b"", None)


def test_an_item_without_the_index_key_is_not_in_the_index() -> None:
    item = item_of(None, {"S": "s"})
    assert codec().entry(table_keys().row_key_of_item(item), item, item_size(item)) is None


def test_what_is_projected() -> None:
    item = item_of({"S": "x"}, {"S": "s"}, a={"L": [{"N": "1"}]}, b={"S": "b"})
    assert codec().project(item) == item
    assert codec(projection=KEYS_ONLY).project(item) == item_of({"S": "x"}, {"S": "s"})
    including = codec(projection=Projection(kind="INCLUDE", names=("b", "missing")))
    assert including.project(item) == item_of({"S": "x"}, {"S": "s"}, b={"S": "b"})
    assert including.projects(["pk", "sk", "x", "b"]) and not including.projects(["a"])


# Changes


def change(old: Any, new: Any, projection: Projection = KEYS_ONLY) -> Any:
    return codec(projection=projection).change(table_keys().row_key_of_item(new or old), image(old), image(new), 7)


def image(item: Any) -> Image | None:
    if item is None:
        return None
    return Image(item, item_size(item), stored.pack(msgspec.json.encode(item), item_size(item), 7))


X = item_of({"S": "x"}, {"S": "s"})
Y = item_of({"S": "y"}, {"S": "s"})
NO_X = item_of(None, {"S": "s"})
KEY_OF_X, KEY_OF_Y = key_of(codec(), X), key_of(codec(), Y)
ROW_OF_X = stored.pack(msgspec.json.encode(X), item_size(X), 7)
ROW_OF_Y = stored.pack(msgspec.json.encode(Y), item_size(Y), 7)


@pytest.mark.parametrize(
    ("old", "new", "rows", "units", "entries"),
    [
        (None, X, ((KEY_OF_X, ROW_OF_X),), 1.0, 1),
        (NO_X, X, ((KEY_OF_X, ROW_OF_X),), 1.0, 1),
        (X, None, ((KEY_OF_X, None),), 1.0, -1),
        (X, NO_X, ((KEY_OF_X, None),), 1.0, -1),
        (X, Y, ((KEY_OF_X, None), (KEY_OF_Y, ROW_OF_Y)), 2.0, 0),
        (X, X, (), 0.0, 0),
        (X, {**X, "a": {"S": "not projected"}}, (), 0.0, 0),
        (NO_X, None, (), 0.0, 0),
        (None, NO_X, (), 0.0, 0),
    ],
    ids=["new", "indexed now", "deleted", "indexed no more", "moved", "same", "same for the index", "never", "not yet"],
)
def test_what_a_write_does_to_the_index(old: Any, new: Any, rows: Any, units: float, entries: int) -> None:
    done = change(old, new)
    assert (done.rows, done.units, done.entries) == (rows, units, entries)


def test_a_projected_attribute_is_changed_in_place_at_the_price_of_the_larger_row() -> None:
    large = {**X, "a": {"S": "a" * 3000}}
    done = change(large, {**X, "a": {"S": "b"}}, ALL)
    assert [key for key, _ in done.rows] == [KEY_OF_X]
    assert (done.units, done.entries, done.size) == (3.0, 0, -2999)


def test_an_index_of_everything_stores_the_bytes_of_the_item() -> None:
    ((_, value),) = change(None, X, ALL).rows
    assert value == ROW_OF_X


# What cannot be a key


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("S", {"N": "1"}, f"{INVALID}Type mismatch for Index Key x Expected: S Actual: N IndexName: by-x"),
        ("N", {"L": []}, f"{INVALID}Type mismatch for Index Key x Expected: N Actual: L IndexName: by-x"),
        (
            "S",
            {"S": ""},
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
            "The AttributeValue for a key attribute cannot contain an empty string value. "
            "IndexName: by-x, IndexKey: x",
        ),
        (
            "B",
            {"B": ""},
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
            "The AttributeValue for a key attribute cannot contain an empty binary value. "
            "IndexName: by-x, IndexKey: x",
        ),
        (
            "S",
            {"S": "é" * 513},
            f"{INVALID}Size limit exceeded for Index Key x Actual Size: 1026 bytes Max Size: 1024 bytes "
            "IndexName: by-x",
        ),
    ],
)
def test_what_cannot_be_an_index_key_is_refused(kind: Any, value: Any, text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        codec(kind).check_item(item_of(value, {"S": "s"}))
    assert refusal.value.message == text
    with pytest.raises(ValidationError):
        codec(kind).check_updated(item_of(value, {"S": "s"}))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("S", {"S": "x" * 1024}),
        ("S", {"S": "é" * 512}),
        ("B", {"B": b64encode(b"\0" * 1024).decode()}),
        ("N", {"N": "0"}),
    ],
)
def test_the_largest_keys_are_taken(kind: Any, value: Any) -> None:
    item = item_of(value, {"S": "s" * 1024})
    codec(kind).check_item(item)
    codec(kind).check_updated(item)
    assert codec(kind).item_key(key_of(codec(kind), item)) == table_keys().row_key_of_item(item)
