from __future__ import annotations

import json
from typing import Any

import pytest

from tests.table.tables import on_demand_table
from varley.api import update_time_to_live
from varley.api.update_time_to_live import check_request, with_time_to_live
from varley.errors import ValidationError
from varley.table import schema
from varley.table.schema import Table

NOW = 1_700_000_000.0
NEVER = on_demand_table()
SINCE_NOW = on_demand_table(time_to_live_attribute="a", time_to_live_changed_at=NOW, time_to_live_revision=1)
NO_MORE_SINCE_NOW = on_demand_table(time_to_live_changed_at=NOW, time_to_live_revision=2)


def update(table: Table, *, enabled: bool, attribute: str) -> Table:
    specification = {"Enabled": enabled, "AttributeName": attribute}
    request = update_time_to_live._decode(
        json.dumps({"TableName": table.name, "TimeToLiveSpecification": specification}).encode()
    )
    check_request(request)
    return with_time_to_live(table, request, now=NOW)


def refusal_of(table: Table, **asked: Any) -> str:
    with pytest.raises(ValidationError) as refusal:
        update(table, **asked)
    return refusal.value.message


def test_an_attribute_is_named() -> None:
    after = update(NEVER, enabled=True, attribute="a")
    assert after == SINCE_NOW
    assert schema.from_json(schema.to_json(after)) == after


def test_it_may_be_the_key() -> None:
    assert update(NEVER, enabled=True, attribute="pk").time_to_live_attribute == "pk"


def test_none_is_named_any_more() -> None:
    assert update(SINCE_NOW, enabled=False, attribute="a") == NO_MORE_SINCE_NOW


@pytest.mark.parametrize(
    ("table", "enabled", "attribute", "text"),
    [
        (NEVER, False, "a", "TimeToLive is already disabled"),
        (NO_MORE_SINCE_NOW, False, "a", "TimeToLive is already disabled"),
        (SINCE_NOW, True, "a", "TimeToLive is already enabled"),
        (
            SINCE_NOW,
            True,
            "b",
            "TimeToLive is active on a different AttributeName: current AttributeName is a",
        ),
        (
            SINCE_NOW,
            False,
            "b",
            "TimeToLive is active on a different AttributeName: current AttributeName is a",
        ),
    ],
)
def test_what_changes_nothing_or_too_much_is_refused(table: Table, enabled: bool, attribute: str, text: str) -> None:
    assert refusal_of(table, enabled=enabled, attribute=attribute) == text


def test_changes_may_follow_each_other_at_once() -> None:
    assert update(NO_MORE_SINCE_NOW, enabled=True, attribute="b").time_to_live_attribute == "b"
