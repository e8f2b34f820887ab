"""Which items expire and when, and the rows that say so."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.table.tables import on_demand_table
from varley.item import stored
from varley.item.size import item_size
from varley.table.expiry import (
    FIRST_ROW,
    NEVER,
    PROGRESS_KEY,
    ROW_VALUE,
    Expiries,
    Progress,
    expiry_of,
    item_key_of,
    progress_of,
    progress_value,
    row_bound,
    row_key,
    seconds_of,
)
from varley.table.followers import consequences_of
from varley.table.keys import KeyCodec

TABLE = on_demand_table(time_to_live_attribute="expires", time_to_live_changed_at=1.0, time_to_live_revision=3)
KEYS = KeyCodec(TABLE.key_schema)
Item = dict[str, Any]


class Rows:
    """The rows of one partition: what a tree is, on a napkin."""

    def __init__(self) -> None:
        consequences = consequences_of(TABLE, KEYS)
        assert consequences is not None
        self.consequences = consequences
        [self.expiries] = consequences.followers
        self.rows: dict[bytes, bytes] = {}
        self.time = 0
        self.is_followed = True

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = sorted(self.rows)
        return iter([(key, self.rows[key]) for key in keys[bisect_left(keys, low) : bisect_left(keys, high)]])

    def write(self, name: str, item: Item | None) -> None:
        self.time += 1
        key = KEYS.row_key({"pk": {"S": name}})
        new = None if item is None else stored.pack(msgspec.json.encode(item), item_size(item), self.time)
        following = self.consequences.of(key, self.get(key), new, self.get, self.time, too_large="")
        for row, value in [(key, new), *(following.rows if self.is_followed else ())]:
            if value is None:
                self.rows.pop(row, None)
            else:
                assert stored.verify(value)
                self.rows[row] = value

    def is_settled(self, position: bytes | None = None) -> None:
        self.rows[PROGRESS_KEY] = progress_value(Progress("expires", 3, position))

    def problems(self) -> list[str]:
        return [problem for _, problem in self.consequences.problems(self.get, self.scan)]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ({"N": "1700000000"}, 1_700_000_000),
        ({"N": "1700000000.999"}, 1_700_000_000),
        ({"N": "0.5"}, 0),
        ({"N": "0"}, 0),
        ({"N": str(NEVER - 1)}, NEVER - 1),
        ({"N": str(NEVER)}, None),
        ({"N": "1700000000000"}, None),
        ({"N": "9" * 38}, None),
        ({"N": "-1700000000"}, None),
        ({"S": "1700000000"}, None),
        ({"NS": ["1700000000"]}, None),
        ({"M": {"expires": {"N": "1700000000"}}}, None),
        ({"NULL": True}, None),
    ],
)
def test_a_number_of_seconds_since_1970_is_a_time_to_expire(value: Item, seconds: int | None) -> None:
    assert expiry_of({"pk": {"S": "x"}, "expires": value}, "expires") == seconds


def test_without_the_attribute_an_item_does_not_expire() -> None:
    assert expiry_of({"pk": {"S": "x"}, "Expires": {"N": "1"}}, "expires") is None
    assert expiry_of({"expires": {"M": {"x": {"N": "1"}}}}, "x") is None


@given(st.lists(st.tuples(st.integers(0, NEVER - 1), st.binary(min_size=16, max_size=20)), max_size=10))
def test_rows_are_ordered_by_time_and_lead_back(rows: Any) -> None:
    keys = [row_key(b"\0" + item, seconds) for seconds, item in rows]
    assert [(seconds_of(key), item_key_of(key)) for key in keys] == [(seconds, b"\0" + item) for seconds, item in rows]
    assert sorted(keys) == [row_key(b"\0" + item, seconds) for seconds, item in sorted(rows)]
    for key in keys:
        assert FIRST_ROW <= row_bound(seconds_of(key)) <= key < row_bound(seconds_of(key) + 1)


times = st.none() | st.sampled_from(["5", "6", "6.5", "-1", "9" * 20]).map(lambda text: {"N": text})


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | times.map(lambda time: {"t": time})), max_size=20))
def test_after_any_writes_there_is_a_row_for_each_item_that_expires(writes: Any) -> None:
    rows = Rows()
    rows.is_settled()
    model: dict[str, int] = {}
    for name, wanted in writes:
        item = None
        model.pop(name, None)
        if wanted is not None:
            item = {"pk": {"S": name}, "n": {"N": str(rows.time)}}
            if wanted["t"] is not None:
                item["expires"] = wanted["t"]
                if wanted["t"]["N"][0] in "56":
                    model[name] = int(wanted["t"]["N"][0])
        rows.write(name, item)
        expected = {row_key(KEYS.row_key({"pk": {"S": each}}), seconds) for each, seconds in model.items()}
        assert {key for key in rows.rows if key > PROGRESS_KEY} == expected
    assert rows.problems() == []


def test_the_earliest_time_is_remembered_until_it_is_asked_for() -> None:
    rows = Rows()
    expiries = rows.expiries
    assert isinstance(expiries, Expiries)
    assert expiries.soonest == NEVER
    rows.write("a", {"pk": {"S": "a"}, "expires": {"N": "7"}})
    rows.write("b", {"pk": {"S": "b"}, "expires": {"N": "6"}})
    rows.write("c", {"pk": {"S": "c"}, "expires": {"N": "8"}})
    assert expiries.soonest == 6
    expiries.soonest = NEVER
    rows.write("b", {"pk": {"S": "b"}, "expires": {"N": "6"}, "more": {"S": "x"}})
    assert expiries.soonest == NEVER


def test_what_is_not_as_the_items_would_have_it_is_found() -> None:
    rows = Rows()
    rows.is_settled()
    rows.write("a", {"pk": {"S": "a"}, "expires": {"N": "7"}})
    rows.is_followed = False
    rows.write("a", {"pk": {"S": "a"}, "expires": {"N": "8"}})
    wrong, missing = rows.problems()
    assert wrong == "an expiry that no item has"
    assert missing.startswith("the expiry of the item ")


def test_while_rows_are_put_right_nothing_is_asked_of_what_is_ahead() -> None:
    rows = Rows()
    rows.is_followed = False
    for name in "ab":
        rows.write(name, {"pk": {"S": name}, "expires": {"N": "7"}})
    first, second = sorted(rows.rows)
    assert rows.problems() == []    # nothing was begun
    rows.is_settled(FIRST_ROW)
    rows.rows[row_key(first, 99)] = ROW_VALUE
    assert rows.problems() == []    # the wrong row may be there still
    rows.is_settled(second)
    assert len(rows.problems()) == 2    # it should not, and the row of the first item should be
    del rows.rows[row_key(first, 99)]
    rows.rows[row_key(first, 7)] = ROW_VALUE
    assert rows.problems() == []
    rows.is_settled()
    assert len(rows.problems()) == 1


@pytest.mark.parametrize("position", [None, FIRST_ROW, b"\0" + bytes(range(16)) + b"\xff\0"])
def test_progress_is_kept_as_an_item(position: bytes | None) -> None:
    progress = Progress("expires", 3, position)
    value = progress_value(progress)
    assert stored.verify(value)
    assert progress_of(value) == progress
    assert progress.is_of(TABLE)
    assert not progress._replace(revision=2).is_of(TABLE)
    assert progress.is_adding == (position is not None and position[0] == 0)
    assert progress_of(None) is None


def test_a_table_whose_items_do_not_expire_pays_nothing() -> None:
    assert consequences_of(on_demand_table(), KEYS) is None


def test_the_example_in_the_documentation_is_what_is_written() -> None:
    """docs/formats.md, section Row keys, shows these bytes."""
    item_key = KEYS.row_key({"pk": {"S": "p"}})
    key = row_key(item_key, 1_735_689_600)
    assert (item_key.hex(" "), key.hex(" ")) == (EXAMPLE_ITEM_KEY, EXAMPLE_KEY)
    assert ROW_VALUE.hex(" ") == EXAMPLE_VALUE
    progress = progress_value(Progress("expires", 1, item_key + b"\0"))[stored.HEADER_BYTES :].decode()
    documentation = "".join((Path(__file__).parents[2] / "docs" / "formats.md").read_text().split())
    for example in (EXAMPLE_ITEM_KEY, EXAMPLE_KEY, EXAMPLE_VALUE, progress):
        assert "".join(example.split()) in documentation


EXAMPLE_ITEM_KEY = "00 28 c6 b8 ad 3f e3 7d f8 27 a8 8b 15 9a 44 98 95"
EXAMPLE_KEY = "30 00 00 00 00 67 74 85 80 28 c6 b8 ad 3f e3 7d f8 27 a8 8b 15 9a 44 98 95"
EXAMPLE_VALUE = "01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 77 68 56 1e 7b 7d"
