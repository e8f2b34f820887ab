"""What follows from items, over many writes: every row is there and right, and whatever is not is found."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.table.tables import on_demand_table
from varley.errors import ItemCollectionSizeLimitExceeded, ValidationError
from varley.item import stored
from varley.item.key_bytes import TALLY_SPACE
from varley.item.size import item_size
from varley.table.consequences import Consequences, collection_key, collection_size
from varley.table.keys import KeyCodec
from varley.table.schema import AttributeDefinition, KeySchema, LocalIndex, Projection, Table

KEY_SCHEMA = KeySchema(hash_name="pk", hash_kind="S", range_name="sk", range_kind="S")
TABLE: Table = on_demand_table(
    attribute_definitions=tuple(
        AttributeDefinition(name=name, kind=kind)
        for name, kind in (("pk", "S"), ("sk", "S"), ("x", "S"), ("y", "N"))
    ),
    key_schema=KEY_SCHEMA,
    local_indexes=(
        LocalIndex(name="by-x", range_name="x", range_kind="S", projection=Projection(kind="KEYS_ONLY")),
        LocalIndex(name="by-y", range_name="y", range_kind="N", projection=Projection(kind="ALL")),
        LocalIndex(name="by-x-a", range_name="x", range_kind="S", projection=Projection(kind="INCLUDE", names=("a",))),
    ),
)
KEYS = KeyCodec(KEY_SCHEMA)
Item = dict[str, Any]


class Rows:
    """The rows of one partition: what a tree is, on a napkin."""

    def __init__(self, **options: Any) -> None:
        self.consequences = Consequences(TABLE, KEYS, **options)
        self.rows: dict[bytes, bytes] = {}
        self.time = 0

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = sorted(self.rows)
        return iter([(key, self.rows[key]) for key in keys[bisect_left(keys, low) : bisect_left(keys, high)]])

    def write(self, key: bytes, item: Item | None) -> Any:
        self.time += 1
        new = None if item is None else stored.pack(msgspec.json.encode(item), item_size(item), self.time)
        following = self.consequences.of(key, self.get(key), new, self.get, self.time, too_large="too large")
        for row, value in [(key, new), *following.rows]:
            if value is None:
                self.rows.pop(row, None)
            else:
                assert stored.verify(value)
                self.rows[row] = value
        return following

    def put(self, **item: Any) -> Any:
        return self.write(KEYS.row_key_of_item(item), item)

    def problems(self) -> list[tuple[bytes, str]]:
        return list(self.consequences.problems(self.get, self.scan))


def text(value: str) -> Item:
    return {"S": value}


keys = st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["1", "2", "3"]))
attributes = st.fixed_dictionaries(
    {},
    optional={
        "x": st.sampled_from(["a", "b", "\0"]).map(text),
        "y": st.sampled_from(["-1", "0", "10"]).map(lambda number: {"N": number}),
        "a": st.sampled_from(["", "some"]).map(text),
        "b": st.sampled_from(["", "more"]).map(text),
    },
)


@settings(max_examples=200)
@given(st.lists(st.tuples(keys, st.none() | attributes), max_size=25))
def test_after_any_writes_everything_follows_from_the_items(writes: Any) -> None:
    rows = Rows()
    model: dict[tuple[str, str], Item] = {}
    for (pk, sk), more in writes:
        key = {"pk": text(pk), "sk": text(sk)}
        if more is None:
            model.pop((pk, sk), None)
        else:
            model[pk, sk] = {**key, **more}
        following = rows.write(KEYS.row_key(key), model.get((pk, sk)))
        collection = collection_key(KEYS.row_key(key))
        assert following.collection_bytes == collection_size(rows.get(collection))
    assert rows.problems() == []
    sizes = rows.consequences.index_sizes(rows.get(TALLY_SPACE))
    for name, attribute in (("by-x", "x"), ("by-y", "y"), ("by-x-a", "x")):
        assert sizes[name][0] == sum(attribute in item for item in model.values())
    for pk in "pq":
        there = any(place[0] == pk for place in model)
        assert (collection_key(KEYS.item_collection(text(pk))) in rows.rows) == there


def test_a_write_that_changes_nothing_is_followed_by_nothing() -> None:
    rows = Rows()
    rows.put(pk=text("p"), sk=text("1"), x=text("a"), y={"N": "1"})
    following = rows.put(pk=text("p"), sk=text("1"), x=text("a"), y={"N": "1"})
    assert (following.rows, following.index_units) == ([], {})


def test_only_indexes_that_change_cost_something() -> None:
    rows = Rows()
    rows.put(pk=text("p"), sk=text("1"), x=text("a"), y={"N": "1"})
    following = rows.put(pk=text("p"), sk=text("1"), x=text("b"), y={"N": "1"})
    assert following.index_units == {"by-x": 2.0, "by-y": 1.0, "by-x-a": 2.0}
    following = rows.put(pk=text("p"), sk=text("1"), x=text("b"), y={"N": "1"}, b=text("z"))
    assert following.index_units == {"by-y": 1.0}


def test_a_collection_that_is_full_takes_nothing_more_and_may_shrink() -> None:
    rows = Rows(collection_bytes_max=2000)
    rows.put(pk=text("p"), sk=text("1"), b=text("b" * 1000))
    with pytest.raises(ItemCollectionSizeLimitExceeded):
        rows.put(pk=text("p"), sk=text("2"), b=text("b" * 1000))
    with pytest.raises(ItemCollectionSizeLimitExceeded):    # twice: the index has all of it too
        rows.put(pk=text("p"), sk=text("2"), y={"N": "1"}, b=text("b" * 500))
    assert rows.put(pk=text("q"), sk=text("1"), b=text("b" * 1000)).collection_bytes < 2000
    rows.put(pk=text("p"), sk=text("1"), b=text("b" * 100))
    rows.put(pk=text("p"), sk=text("2"), b=text("b" * 1000))
    assert rows.problems() == []


def test_an_item_and_its_row_in_an_index_have_400_kb_together() -> None:
    rows = Rows()
    rows.put(pk=text("p"), sk=text("1"), x=text("a"), b=text("b" * 300_000))
    with pytest.raises(ValidationError, match="too large"):
        rows.put(pk=text("p"), sk=text("1"), y={"N": "1"}, b=text("b" * 300_000))


@pytest.fixture
def full() -> Rows:
    rows = Rows()
    for number in range(6):
        rows.put(pk=text("pq"[number % 2]), sk=text(str(number)), x=text("a"), y={"N": str(number)}, a=text("a"))
    assert rows.problems() == []
    return rows


def spaces(problems: list[tuple[bytes, str]]) -> set[int]:
    return {key[0] for key, _ in problems}


@pytest.mark.parametrize("space", [1, 2, 3])
def test_a_lost_index_row_is_found(full: Rows, space: int) -> None:
    del full.rows[next(key for key in full.rows if key[0] == space)]
    assert "lacks this row" in full.problems()[0][1]


@pytest.mark.parametrize("space", [1, 2, 3])
def test_an_index_row_of_no_item_is_found(full: Rows, space: int) -> None:
    key = next(key for key in full.rows if key[0] == space)
    full.rows[key + b"9"] = full.rows[key]
    name = TABLE.local_indexes[space - 1].name
    assert full.problems() == [(key + b"9", f"a row of the index {name} that no item has")]


def test_an_index_row_under_another_index_key_is_found(full: Rows) -> None:
    key = next(key for key in full.rows if key[0] == 1)
    full.rows[key[:17] + b"z" + key[17:]] = full.rows[key]
    assert spaces(full.problems()) == {1}


def test_an_index_row_with_other_contents_is_found(full: Rows) -> None:
    one, other = [key for key in full.rows if key[0] == 3][:2]
    full.rows[one] = full.rows[other]
    assert [(key, "is not that of the item" in problem) for key, problem in full.problems()] == [(one, True)]


def test_bytes_that_are_no_index_key_are_found(full: Rows) -> None:
    full.rows[b"\x01" + b"h" * 16 + b"no end"] = next(iter(full.rows.values()))
    assert "not the key of a row" in full.problems()[0][1]


def test_a_lost_item_is_found_by_what_followed_from_it(full: Rows) -> None:
    del full.rows[min(full.rows)]
    assert spaces(full.problems()) == {1, 2, 3, 6}


def test_wrong_tallies_are_found(full: Rows) -> None:
    of_indexes, *of_collections = sorted(key for key in full.rows if key[0] == 6)
    other = Rows()
    other.put(pk=text("p"), sk=text("0"), x=text("a"))
    full.rows[of_indexes] = other.rows[TALLY_SPACE]
    full.rows[of_collections[0]] = other.rows[next(key for key in other.rows if key[0] == 6 and len(key) > 1)]
    full.rows[b"\x06" + b"h" * 16] = full.rows[of_collections[1]]
    problems = full.problems()
    stray = b"\x06" + b"h" * 16
    assert [key for key, _ in problems] == [of_collections[0], TALLY_SPACE, TALLY_SPACE, TALLY_SPACE, stray]
