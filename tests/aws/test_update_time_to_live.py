# Why: Terraform turns off what is off already and expects one refusal for it, word for word. Which change follows on
# which is in tests/api/test_update_time_to_live.py.

from typing import Any

import pytest

from .refusals import constraint, invalid, refused
from .table import Table, unique


def update(dynamodb: Any, name: str, **specification: Any) -> Any:
    return dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)


def test_what_is_off_cannot_be_turned_off(table: Table, dynamodb: Any) -> None:
    with invalid("TimeToLive is already disabled"):
        update(dynamodb, table.name, Enabled=False, AttributeName="expires")


@pytest.mark.varley_only
def test_it_cannot_be_turned_on(table: Table, dynamodb: Any) -> None:
    with invalid("TimeToLiveSpecification is not supported by this version of Varley"):
        update(dynamodb, table.name, Enabled=True, AttributeName="expires")
    answer = dynamodb.describe_time_to_live(TableName=table.name)
    assert answer["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}


@pytest.mark.parametrize("enabled", [True, False])
def test_the_attribute_is_named_also_to_turn_it_off(table: Table, dynamodb: Any, enabled: bool) -> None:
    with invalid(constraint("null", "timeToLiveSpecification.attributeName", "not be null")):
        update(dynamodb, table.name, Enabled=enabled)


def test_on_or_off_must_be_said(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "timeToLiveSpecification.enabled", "not be null")):
        update(dynamodb, table.name, AttributeName="expires")


def test_there_must_be_a_specification(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "timeToLiveSpecification", "not be null")):
        dynamodb.update_time_to_live(TableName=table.name)


@pytest.mark.parametrize(
    ("name", "rule"),
    [("", "greater than or equal to 1"), ("x" * 256, "less than or equal to 255")],
    ids=["empty", "long"],
)
def test_the_attribute_has_a_name_of_1_to_255_characters(table: Table, dynamodb: Any, name: str, rule: str) -> None:
    with invalid(constraint(f"'{name}'", "timeToLiveSpecification.attributeName", f"have length {rule}")):
        update(dynamodb, table.name, Enabled=True, AttributeName=name)


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        update(dynamodb, name, Enabled=True, AttributeName="expires")
