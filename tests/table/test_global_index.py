"""The rows of a global index: ordered by its attributes in turn, led back from, and one range for each condition."""

from __future__ import annotations

from base64 import b64encode
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.errors import ValidationError
from varley.item import stored
from varley.item.key_bytes import sort_bytes
from varley.item.size import item_size
from varley.table.global_index import GlobalIndexCodec
from varley.table.index_rows import Image
from varley.table.keys import KeyCodec
from varley.table.schema import ON_DEMAND_WARM, AttributeDefinition, GlobalIndex, KeySchema, Projection

from .key_values import KINDS, conditions, holds, sortable, values

ALL = Projection(kind="ALL")
KEYS_ONLY = Projection(kind="KEYS_ONLY")
INVALID = "One or more parameter values were invalid: "
TABLE = KeyCodec(KeySchema(hash_name="pk", hash_kind="S", range_name="sk", range_kind="B"))
HASHES, RANGES = "abcd", "wxyz"     # names of the attributes of the index


def codec(hashes: str = "S", ranges: str = "", projection: Projection = ALL, keys: KeyCodec = TABLE) -> Any:
    """An index whose attributes a, b, … are hashed and w, x, … ordered by; one letter for the kind of each."""
    index = GlobalIndex(
        name="by-a",
        id="00000000-0000-4000-8000-000000000000",
        hash_keys=definitions(HASHES, hashes),
        range_keys=definitions(RANGES, ranges),
        projection=projection,
        warm=ON_DEMAND_WARM,
    )
    return GlobalIndexCodec(index, keys)


def definitions(names: str, kinds: str) -> tuple[AttributeDefinition, ...]:
    return tuple(AttributeDefinition(name=name, kind=kind) for name, kind in zip(names, kinds, strict=False))  # type: ignore[arg-type]


def item_of(hashes: Any = (), ranges: Any = (), sk: Any = None, **more: Any) -> dict[str, Any]:
    item = {"pk": {"S": "p"}, "sk": sk or {"B": "AA=="}, **more}
    return {**item, **dict(zip(HASHES, hashes, strict=False)), **dict(zip(RANGES, ranges, strict=False))}


def key_of(index: Any, item: Any, keys: KeyCodec = TABLE) -> bytes:
    entry = index.entry(keys.row_key_of_item(item), item, item_size(item))
    assert entry is not None
    key: bytes = entry.key
    return key


def hash_of(text: bytes) -> bytes:
    return blake2b(text, digest_size=16).digest()


kinds_of_range = st.lists(st.sampled_from(KINDS), min_size=0, max_size=4).map("".join)
kinds_of_hash = st.lists(st.sampled_from(KINDS), min_size=1, max_size=4).map("".join)


def tuples(kinds: str) -> st.SearchStrategy[tuple[dict[str, str], ...]]:
    return st.tuples(*map(values, kinds))


def test_row_keys_are_as_they_are_drawn() -> None:
    keys = KeyCodec(KeySchema(hash_name="id", hash_kind="S"))
    item = {"id": {"S": "i"}, "a": {"S": "Ulm"}, "w": {"N": "-1"}, "b": {"N": "-1"}}
    place = hash_of(b"Si")
    one = key_of(codec("S", "N", keys=keys), item, keys)
    assert one == b"\0" + hash_of(b"SUlm") + bytes.fromhex("3e99ff00") + place
    several = key_of(codec("SN", keys=keys), item, keys)
    assert several == b"\0" + hash_of(b"SUlm\0\x01N" + bytes.fromhex("3e99ff00")) + place


@given(data=st.data(), kinds=kinds_of_range)
def test_rows_are_in_the_order_of_the_attributes_in_turn(data: st.DataObject, kinds: str) -> None:
    index = codec("S", kinds)
    found = data.draw(st.lists(tuples(kinds + "B"), min_size=2, max_size=8))

    def row(each: Any) -> bytes:
        return key_of(index, item_of([{"S": "h"}], each[:-1], each[-1]))

    assert sorted(found, key=row) == sorted(found, key=lambda each: tuple(map(sortable, each)))


@given(data=st.data(), hashes=kinds_of_hash, ranges=kinds_of_range)
def test_a_row_leads_back_to_its_item(data: st.DataObject, hashes: str, ranges: str) -> None:
    item = item_of(data.draw(tuples(hashes)), data.draw(tuples(ranges)), data.draw(values("B")))
    assert codec(hashes, ranges).base_key(key_of(codec(hashes, ranges), item)) == TABLE.row_key_of_item(item)


def test_a_row_key_that_ends_too_early_leads_nowhere() -> None:
    index = codec("S", "SN")
    key = key_of(index, item_of([{"S": "h"}], [{"S": "x"}, {"N": "1"}]))
    for end in range(17, len(key) - 1):    # the last byte is the table's sort key, which may have any length
        with pytest.raises(ValueError):
            index.base_key(key[:end])


@given(data=st.data(), hashes=kinds_of_hash)
def test_different_partition_keys_are_different_collections(data: st.DataObject, hashes: str) -> None:
    one, other = data.draw(tuples(hashes)), data.draw(tuples(hashes))
    index = codec(hashes)
    assert (index.item_collection(one) == index.item_collection(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), (("a\0\x01", "b"), ("a", "\0\x01b")), (("a", "a\0"), ("a\0", "a"))],
)
def test_texts_do_not_flow_into_each_other(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    index = codec("SS")
    collections = [index.item_collection([{"S": text} for text in texts]) for texts in (one, other)]
    assert collections[0] != collections[1]


@given(data=st.data(), kinds=kinds_of_range.filter(bool))
def test_a_condition_selects_exactly_the_rows_for_which_it_holds(data: st.DataObject, kinds: str) -> None:
    index = codec("S", kinds)
    found = data.draw(st.lists(tuples(kinds + "B"), min_size=1, max_size=8))
    # Equalities from the left, with values that some row has where that can be, then perhaps a condition.
    count = data.draw(st.integers(0, len(kinds)))
    equal = data.draw(st.sampled_from(found))[:count]
    operator, operands = None, ()
    if count < len(kinds) and data.draw(st.booleans()):
        operator, operands = data.draw(conditions(kinds[count]))
    low, high = index.range_bounds(equal, operator, operands)
    prefix = index.item_collection([{"S": "h"}])
    for each in found:
        key = key_of(index, item_of([{"S": "h"}], each[:-1], each[-1]))
        assert key.startswith(prefix)
        is_selected = key >= prefix + low and (high is None or key < prefix + high)
        assert is_selected == (each[:count] == equal and holds(operator, each[min(count, len(kinds) - 1)], operands))


def test_bytes_of_a_value_are_not_the_beginning_of_another() -> None:
    index = codec("S", "S").range_attributes[0]
    for text in ("a", "a\0", "a\0\x01", "\0", "\0\0"):
        for other in ("a", "a\0", "a\0\x01", "\0", "\0\0"):
            begins = index.delimited({"S": other}).startswith(index.delimited({"S": text}))
            assert begins == (text == other)


# What is in the index


@pytest.mark.parametrize("missing", ["a", "b", "w", "x"])
def test_an_item_that_lacks_an_attribute_is_not_in_the_index(missing: str) -> None:
    item = item_of([{"S": "1"}, {"S": "2"}], [{"S": "3"}, {"S": "4"}])
    del item[missing]
    index = codec("SS", "SS")
    assert index.entry(TABLE.row_key_of_item(item), item, 9) is None
    index.check_item(item)


@pytest.mark.parametrize("value", [{"N": "1"}, {"S": ""}, {"S": "x" * 1025}, {"L": []}, {"NULL": True}])
def test_an_item_from_before_the_index_whose_value_cannot_be_a_key_is_not_in_it(value: Any) -> None:
    item = item_of([{"S": "1"}], [value])
    assert codec("S", "S").entry(TABLE.row_key_of_item(item), item, 9) is None


def test_what_is_projected() -> None:
    item = item_of([{"S": "1"}], [{"S": "2"}], p={"S": "p"}, q={"S": "q"})
    assert codec("S", "S").project(item) == item
    keys = {name: item[name] for name in ("pk", "sk", "a", "w")}
    assert codec("S", "S", KEYS_ONLY).project(item) == keys
    including = codec("S", "S", Projection(kind="INCLUDE", names=("q", "missing")))
    assert including.project(item) == {**keys, "q": {"S": "q"}}
    assert including.projects(["pk", "sk", "a", "w", "q"]) and not including.projects(["p"])
    assert including.key_of(item) == keys


def image(item: Any) -> Image | None:
    if item is None:
        return None
    return Image(item, item_size(item), stored.pack(msgspec.json.encode(item), item_size(item), 7))


A = item_of([{"S": "a"}])
B = item_of([{"S": "b"}])
NO_A = item_of()
KEY_OF_A, KEY_OF_B = key_of(codec(), A), key_of(codec(), B)
ROW_OF_A = stored.pack(msgspec.json.encode(A), item_size(A), 7)
ROW_OF_B = stored.pack(msgspec.json.encode(B), item_size(B), 7)


@pytest.mark.parametrize(
    ("old", "new", "rows", "units", "entries"),
    [
        (None, A, ((KEY_OF_A, ROW_OF_A),), 1.0, 1),
        (A, None, ((KEY_OF_A, None),), 1.0, -1),
        (A, NO_A, ((KEY_OF_A, None),), 1.0, -1),
        (A, B, ((KEY_OF_A, None), (KEY_OF_B, ROW_OF_B)), 2.0, 0),
        (A, {**A, "more": {"S": "not projected"}}, (), 0.0, 0),
        (None, NO_A, (), 0.0, 0),
    ],
    ids=["new", "deleted", "indexed no more", "moved", "same for the index", "not yet"],
)
def test_what_a_write_does_to_the_index(old: Any, new: Any, rows: Any, units: float, entries: int) -> None:
    done = codec(projection=KEYS_ONLY).change(TABLE.row_key_of_item(A), image(old), image(new), 7)
    assert {key: value and msgspec.json.decode(value[20:]) for key, value in done.rows} == {
        key: value and msgspec.json.decode(value[20:]) for key, value in rows
    }
    assert (done.units, done.entries) == (units, entries)


# What cannot be a key


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("a", {"N": "1"}, f"{INVALID}Type mismatch for Index Key a Expected: S Actual: N IndexName: by-a"),
        ("w", {"S": "1"}, f"{INVALID}Type mismatch for Index Key w Expected: N Actual: S IndexName: by-a"),
        (
            "a",
            {"S": ""},
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
            "The AttributeValue for a key attribute cannot contain an empty string value. "
            "IndexName: by-a, IndexKey: a",
        ),
        (
            "a",
            {"S": "é" * 1025},
            f"{INVALID}Size limit exceeded for Index Key a Actual Size: 2050 bytes Max Size: 2048 bytes "
            "IndexName: by-a",
        ),
    ],
)
def test_what_cannot_be_an_index_key_is_refused(name: str, value: Any, text: str) -> None:
    index = codec("S", "N")
    item = {**item_of([{"S": "1"}], [{"N": "2"}]), name: value}
    with pytest.raises(ValidationError) as refusal:
        index.check_item(item)
    assert refusal.value.message == text
    with pytest.raises(ValidationError):
        index.check_updated(item)


def test_the_largest_keys_are_taken() -> None:
    keys = b64encode(b"\0" * 2048).decode(), b64encode(b"\0" * 1024).decode()
    item = item_of([{"B": keys[0]}], [{"B": keys[1]}], {"B": keys[1]})
    index = codec("B", "B")
    index.check_item(item)
    index.check_updated(item)
    assert index.base_key(key_of(index, item)) == TABLE.row_key_of_item(item)


# Where a page begins


def test_a_start_key_is_the_keys_of_index_and_table() -> None:
    index = codec("SN", "S")
    item = item_of([{"S": "1"}, {"N": "2"}], [{"S": "3"}], more={"S": "x"})
    assert index.start_names == ("pk", "sk", "a", "b", "w")
    assert index.row_key(index.key_of(item)) == key_of(index, item)


@pytest.mark.parametrize(
    "start_key",
    [
        {"pk": {"S": "p"}, "sk": {"B": "AA=="}},
        {"a": {"S": "1"}},
        {**A, "more": {"S": "x"}},
        {**A, "a": {"N": "1"}},
        {**A, "sk": {"S": "1"}},
        {**A, "a": {"S": ""}},
    ],
)
def test_a_start_key_that_cannot_be_is_refused(start_key: Any) -> None:
    with pytest.raises(ValidationError) as refusal:
        codec().row_key(start_key)
    assert refusal.value.message.startswith("The provided starting key is invalid")


def test_an_index_on_keys_of_the_table() -> None:
    keys = KeyCodec(KeySchema(hash_name="a", hash_kind="S", range_name="w", range_kind="N"))
    item = {"a": {"S": "1"}, "w": {"N": "2"}}
    index = codec("S", "N", KEYS_ONLY, keys)
    assert index.start_names == ("a", "w")
    assert key_of(index, item, keys)[-len(sort_bytes("N", "2")) :] == sort_bytes("N", "2")
    assert index.base_key(key_of(index, item, keys)) == keys.row_key_of_item(item)
