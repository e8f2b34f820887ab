"""Records follow from writes: one for each that changes something, with what the stream's view has; and what is wrong
with a row of a stream is found."""

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
from varley.item.key_bytes import STREAM_SPACE
from varley.item.size import item_size
from varley.table.followers import consequences_of
from varley.table.keys import KeyCodec
from varley.table.schema import AttributeDefinition, KeySchema, StreamView, changed
from varley.table.stream_record import (
    horizon_key,
    horizon_value,
    new_stream,
    record_key,
    row_problem,
    shard_key,
    shard_parent,
    shard_value,
    stream_number,
    stream_prefix,
    time_of,
    trimmed_us,
)

Item = dict[str, Any]
DOCUMENTATION = "".join((Path(__file__).parents[2] / "docs" / "formats.md").read_text().split())
KEY_SCHEMA = KeySchema(hash_name="pk", hash_kind="S", range_name="sk", range_kind="S")
KEYS = KeyCodec(KEY_SCHEMA)
NUMBER = 1_700_000_000_123
PREFIX = STREAM_SPACE + NUMBER.to_bytes(8, "big")


def text(value: str) -> Item:
    return {"S": value}


class Rows:
    """The rows of one partition of a table with a stream: what a tree is, on a napkin."""

    def __init__(self, view: StreamView = "NEW_AND_OLD_IMAGES") -> None:
        table = on_demand_table(
            attribute_definitions=tuple(AttributeDefinition(name=name, kind="S") for name in ("pk", "sk")),
            key_schema=KEY_SCHEMA,
            streams=(new_stream(NUMBER, view),),
        )
        consequences = consequences_of(table, KEYS)
        assert consequences is not None
        self.consequences = consequences
        self.rows: dict[bytes, bytes] = {}
        self.time = 1_800_000_000_000_000

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = sorted(self.rows)
        return iter([(key, self.rows[key]) for key in keys[bisect_left(keys, low) : bisect_left(keys, high)]])

    def write(self, item: Item, new: Item | None, *, is_expiry: bool = False) -> list[tuple[bytes, bytes | None]]:
        """The item with the key of `item` becomes `new`; what follows."""
        self.time += 1
        key = KEYS.row_key_of_item(item)
        value = None if new is None else stored.pack(msgspec.json.encode(new), item_size(new), self.time)
        following = self.consequences.of(
            key, self.get(key), value, self.get, self.time, too_large="too large", is_expiry=is_expiry
        )
        for row, row_value in [(key, value), *following.rows]:
            if row_value is None:
                self.rows.pop(row, None)
            else:
                self.rows[row] = row_value
        return following.rows

    def put(self, **item: Any) -> list[tuple[bytes, bytes | None]]:
        return self.write(item, item)

    def records(self) -> list[tuple[bytes, Item]]:
        return [(key, msgspec.json.decode(value[20:])) for key, value in self.scan(PREFIX, PREFIX + b"\xff")]

    def problems(self) -> list[tuple[bytes, str]]:
        return list(self.consequences.problems(self.get, self.scan))


A = {"pk": text("a"), "sk": text("1")}


def test_a_stream_is_known_by_its_millisecond() -> None:
    stream = new_stream(NUMBER, "KEYS_ONLY")
    assert stream.label == "2023-11-14T22:13:20.123"
    assert stream_number(stream) == NUMBER
    assert stream_prefix(stream) == PREFIX


@settings(max_examples=50)
@given(st.integers(0, 4_000_000_000_000))
def test_no_millisecond_is_lost_in_a_definition(number: int) -> None:
    stream = new_stream(number, "KEYS_ONLY")
    assert stream_number(msgspec.json.decode(msgspec.json.encode(stream), type=type(stream))) == number


def test_a_table_without_a_stream_has_nothing_that_follows() -> None:
    assert consequences_of(on_demand_table(), KEYS) is None
    over = msgspec.structs.replace(new_stream(NUMBER, "KEYS_ONLY"), disabled_at=NUMBER / 1000 + 1)
    assert consequences_of(changed(on_demand_table(), streams=(over,)), KEYS) is None


def test_a_record_is_a_row_under_the_time_of_its_write() -> None:
    rows = Rows()
    [(key, value)] = rows.put(**A, x=text("new"))
    assert key == PREFIX + b"\x02" + rows.time.to_bytes(8, "big")
    assert time_of(key) == rows.time
    assert value is not None
    assert stored.timestamp(value) == rows.time
    assert stored.item_size(value) == 6 + 10
    assert value[stored.HEADER_BYTES :] == (
        b'{"eventName":"INSERT","dynamodb":{"Keys":{"pk":{"S":"a"},"sk":{"S":"1"}},'
        b'"NewImage":{"pk":{"S":"a"},"sk":{"S":"1"},"x":{"S":"new"}}}}'
    )
    assert row_problem(key, value, rows.time) is None


def test_the_documentation_shows_these_bytes() -> None:
    start_ms = 1_735_689_600_000    # 2025-01-01
    time_us = (start_ms + 1000) * 1000
    table = on_demand_table(streams=(new_stream(start_ms, "KEYS_ONLY"),))
    consequences = consequences_of(table, KeyCodec(table.key_schema))
    assert consequences is not None
    item = stored.pack(b'{"pk":{"S":"x"}}', 3, time_us)
    [(key, value)] = consequences.of(b"key", None, item, lambda key: None, time_us, too_large="").rows
    assert value is not None
    header, json = value[: stored.HEADER_BYTES].hex(), value[stored.HEADER_BYTES :].decode()
    assert f"key{key.hex()}value{header}{json}" in DOCUMENTATION
    for example in (
        horizon_value(1795271426472532, 0), shard_value("shardId-00000001795271426472-00000007", 0)
    ):  # fmt: skip
        assert "JSON" + example[stored.HEADER_BYTES :].decode() in DOCUMENTATION


def test_an_item_that_expired_was_deleted_by_the_service() -> None:
    rows = Rows("KEYS_ONLY")
    rows.put(**A)
    [(key, value)] = rows.write(A, None, is_expiry=True)
    assert value is not None
    assert value[stored.HEADER_BYTES :] == (
        b'{"eventName":"REMOVE","userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"},'
        b'"dynamodb":{"Keys":{"pk":{"S":"a"},"sk":{"S":"1"}}}}'
    )
    assert row_problem(key, value, rows.time) is None


values = st.recursive(
    st.sampled_from([text("a"), text("b"), {"N": "1"}, {"SS": ["x", "y"]}, {"SS": ["y", "x"]}, {"BOOL": True}]),
    lambda inner: st.lists(inner, max_size=2).map(lambda each: {"L": each})
    | st.dictionaries(st.sampled_from("mn"), inner, max_size=2).map(lambda each: {"M": each}),
    max_leaves=3,
)
items = st.none() | st.permutations(["x", "y"]).flatmap(
    lambda names: st.tuples(*(st.none() | values for _ in names)).map(
        lambda each: {name: value for name, value in zip(names, each, strict=True) if value is not None}
    )
)


def normal(value: Any) -> Any:
    """A value so that Python's own equality is DynamoDB's."""
    if isinstance(value, dict):
        return {name: sorted(each) if name == "SS" else normal(each) for name, each in value.items()}
    return [normal(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=200)
@given(
    st.sampled_from(["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]),
    st.lists(st.tuples(st.sampled_from("12"), items), max_size=15),
)
def test_whoever_follows_the_records_has_the_table(view: StreamView, writes: Any) -> None:
    rows = Rows(view)
    model: dict[str, Item] = {}
    expected = []
    for sk, attributes in writes:
        key = {"pk": text("a"), "sk": text(sk)}
        old, new = model.get(sk), None if attributes is None else {**key, **attributes}
        following = rows.write(key, new)
        if normal(old) == normal(new):
            assert following == []
        else:
            event = "MODIFY" if old and new else "INSERT" if new else "REMOVE"
            shown: Item = {"Keys": key}
            if new and "NEW" in view:
                shown["NewImage"] = new
            if old and "OLD" in view:
                shown["OldImage"] = old
            expected.append({"eventName": event, "dynamodb": shown})
            [(row_key, value)] = following
            assert value is not None
            assert row_problem(row_key, value, rows.time) is None
            assert stored.item_size(value) == sum(map(item_size, shown.values()))
        if new is None:
            model.pop(sk, None)
        else:
            model[sk] = new
    assert [record for _, record in rows.records()] == expected
    assert rows.problems() == []


# What is wrong is found


@pytest.fixture
def full() -> Rows:
    rows = Rows()
    for number in range(4):
        rows.put(pk=text("a"), sk=text(str(number)), x=text("1"))
    rows.put(pk=text("a"), sk=text("0"), x=text("2"))
    rows.write({"pk": text("a"), "sk": text("1")}, None)
    assert rows.problems() == []
    return rows


def test_a_lost_record_is_found(full: Rows) -> None:
    newest_of_0, newest_of_1 = [key for key, _ in full.records()][-2:]
    del full.rows[newest_of_0]
    [(_, problem)] = full.problems()
    assert problem == "the item is not as its newest record says"
    del full.rows[newest_of_1]
    assert len(full.problems()) == 2


def test_a_lost_item_is_found(full: Rows) -> None:
    del full.rows[KEYS.row_key_of_item({"pk": text("a"), "sk": text("2")})]
    [(_, problem)] = full.problems()
    assert "the other way round" in problem


def test_events_that_cannot_follow_each_other_are_found(full: Rows) -> None:
    first = full.records()[0][0]
    full.rows[record_key(PREFIX, full.time + 1)] = full.rows[first]
    assert "INSERT cannot follow the record before it of this item" in [problem for _, problem in full.problems()]


def test_what_the_trimmed_records_said_is_not_missed(full: Rows) -> None:
    for key, _ in full.records()[:4]:
        del full.rows[key]
    assert full.problems() == []


TIME = 1_800_000_000_000_000
RECORD = (
    b'{"eventName":"MODIFY","dynamodb":{"Keys":{"pk":{"S":"a"}},"NewImage":{"pk":{"S":"a"},"n":{"N":"1"}},'
    b'"OldImage":{"pk":{"S":"a"}}}}'
)
SIZE = 3 + 6 + 3


def packed(json: bytes, size: int = SIZE, time: int = TIME) -> bytes:
    return stored.pack(json, size, time)


def test_a_sound_record_is_none_of_these() -> None:
    assert row_problem(record_key(PREFIX, TIME), packed(RECORD), TIME) is None


@pytest.mark.parametrize(
    ("json", "problem"),
    [
        (RECORD.replace(b"MODIFY", b"TOUCH"), "there is no event TOUCH"),
        (RECORD.replace(b"MODIFY", b"INSERT"), "an item that is inserted was not there"),
        (RECORD.replace(b"MODIFY", b"REMOVE"), "an item that is removed is not there"),
        (RECORD.replace(b'"Keys":{"pk":{"S":"a"}}', b'"Keys":{"pk":{"S":"b"}}'), "an image of another item"),
        (RECORD.replace(b'{"N":"1"}', b'{"N":"1.0"}'), "the JSON is not canonical"),
        (RECORD.replace(b":", b": "), "the JSON is not canonical"),
        (RECORD.replace(b'"Keys"', b'"Key"'), "not a row of a stream"),
        (RECORD[:-1], "not a row of a stream"),
        (b"[]", "not a row of a stream"),
    ],
)
def test_a_record_that_cannot_be_is_found(json: bytes, problem: str) -> None:
    found = row_problem(record_key(PREFIX, TIME), packed(json), TIME)
    assert found is not None
    assert problem in found


def test_what_surrounds_a_record_is_checked() -> None:
    key, value = record_key(PREFIX, TIME), packed(RECORD)
    assert "12 bytes, its header says 13" in str(row_problem(key, packed(RECORD, SIZE + 1)))
    assert "its value" in str(row_problem(record_key(PREFIX, TIME + 1), value))
    for entry_us in (TIME - 1, TIME + 100):    # a transaction's entry has up to 100 items, a microsecond apart
        assert "its log entry's" in str(row_problem(key, value, entry_us))
    assert "checksum" in str(row_problem(key, value[:-1] + b"!"))
    for wrong in (key + b"\0", key[:-1], PREFIX, STREAM_SPACE, PREFIX + b"\x03" + b"\0" * 8, key[:10]):
        assert "not the key" in str(row_problem(wrong, value)), wrong.hex()


def test_the_other_rows_of_a_stream() -> None:
    shard, horizon = shard_value("shardId-00000001795271426472-00000007", TIME), horizon_value(TIME - 5, TIME)
    assert row_problem(shard_key(PREFIX, TIME), shard, TIME) is None
    assert shard_parent(shard) == "shardId-00000001795271426472-00000007"
    assert row_problem(horizon_key(PREFIX), horizon, TIME) is None
    assert (trimmed_us(horizon), trimmed_us(None)) == (TIME - 5, 0)
    assert "not a row" in str(row_problem(shard_key(PREFIX, TIME), horizon))
    assert "not a row" in str(row_problem(horizon_key(PREFIX), shard))
    assert "not a row" in str(row_problem(horizon_key(PREFIX), packed(b'{"trimmed":{"N":"01"}}', 9)))
