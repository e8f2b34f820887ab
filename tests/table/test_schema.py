from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.table import schema
from varley.table.schema import (
    Encryption,
    KeySchema,
    OnDemandThroughput,
    Provisioned,
    Table,
    WarmThroughput,
    changed,
)
from varley.table.stored_format import UnknownFormat

from .tables import indexed_table, on_demand_table, provisioned_table

DAY = 86_400.0
times = st.floats(0, 4e9).map(lambda time: round(time, 3))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    options: dict[str, Any] = {
        "created_at": draw(times),
        "table_class": draw(st.sampled_from([None, "STANDARD", "STANDARD_INFREQUENT_ACCESS"])),
        "deletion_protection": draw(st.booleans()),
        "encryption": draw(st.none() | st.builds(Encryption, key=st.none() | st.text())),
        "tags": draw(st.dictionaries(st.text(min_size=1), st.text(), max_size=3)),
    }
    if draw(st.booleans()):
        caps = st.builds(OnDemandThroughput, max_read_units=st.none() | st.integers(1, 40_000))
        return on_demand_table(on_demand=draw(st.none() | caps), **options)
    return provisioned_table(draw(st.integers(1, 40_000)), draw(st.integers(1, 40_000)), **options)


@given(tables())
def test_a_definition_survives_its_json(table: Table) -> None:
    assert schema.from_json(schema.to_json(table)) == table


def test_what_is_at_its_default_is_not_written() -> None:
    assert json.loads(schema.to_json(on_demand_table())) == {
        "format_version": 1,
        "name": "Music",
        "id": on_demand_table().id,
        "created_at": 1_700_000_000.25,
        "attribute_definitions": [{"name": "pk", "kind": "S"}],
        "key_schema": {"hash_name": "pk", "hash_kind": "S"},
        "billing_mode": "PAY_PER_REQUEST",
        "on_demand_since": 1_700_000_000.25,
        "warm": {"read_units": 12000, "write_units": 4000},
    }


@pytest.mark.parametrize(
    "change",
    [{"format_version": 2}, {"global_secondary_indexes": []}, {"key_schema": {"third_name": "x"}}],
)
def test_what_a_newer_version_wrote_is_refused(change: dict[str, Any]) -> None:
    members = json.loads(schema.to_json(on_demand_table()))
    for name, value in change.items():
        members[name] = {**members[name], **value} if isinstance(value, dict) else value
    with pytest.raises(UnknownFormat):
        schema.from_json(json.dumps(members).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"format_version": 1}', b'{"format_version": "1"}'])
def test_what_no_version_wrote_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError) as refusal:
        schema.from_json(raw)
    assert not isinstance(refusal.value, UnknownFormat)


@pytest.mark.parametrize(
    "change",
    [
        {"billing_mode": "PROVISIONED"},
        {"provisioned": Provisioned(read_units=1, write_units=1)},
        {"key_schema": KeySchema(hash_name="other", hash_kind="S")},
    ],
)
def test_a_table_that_contradicts_itself_cannot_be_made(change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        changed(on_demand_table(), **change)


def test_local_indexes_are_kept_and_cost_tables_without_them_nothing() -> None:
    assert schema.from_json(schema.to_json(indexed_table())) == indexed_table()
    assert b"local_indexes" not in schema.to_json(on_demand_table())


def test_an_index_key_needs_its_definition() -> None:
    with pytest.raises(AssertionError):
        changed(indexed_table(), local_indexes=())


def test_warm_throughput_is_at_least_what_is_provisioned() -> None:
    with pytest.raises(AssertionError):
        changed(provisioned_table(5, 5), warm=WarmThroughput(read_units=4, write_units=5))


def test_decreases_are_counted_for_one_day_of_utc() -> None:
    noon = 20_000 * DAY + DAY / 2
    start = Provisioned(read_units=9, write_units=9)
    once = start.changed_to(8, 9, noon)
    twice = once.changed_to(7, 7, noon + 10)
    assert (once.decreases_on(noon), twice.decreases_on(noon)) == (1, 2)
    assert twice.decreased_at == noon + 10
    assert twice.decreases_on(noon + DAY / 2) == 0
    assert twice.changed_to(6, 7, noon + DAY).decreases_on(noon + DAY) == 1


def test_a_change_up_and_down_is_both() -> None:
    after = Provisioned(read_units=5, write_units=5).changed_to(6, 4, 1000.0)
    assert (after.increased_at, after.decreased_at, after.decreases) == (1000.0, 1000.0, 1)


def test_an_increase_is_no_decrease() -> None:
    after = Provisioned(read_units=5, write_units=5).changed_to(6, 5, 1000.0)
    assert (after.increased_at, after.decreased_at, after.decreases) == (1000.0, None, 0)
