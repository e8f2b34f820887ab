# Why: infrastructure tools ask for it right after CreateTable, and go on only if the refusal has the right code.

from typing import Any

import pytest

from .policies import arn_of, no_policy, policy, put
from .refusals import constraint, invalid, refused
from .table import Table


@pytest.fixture
def arn(make_table: Any, dynamodb: Any) -> str:
    return arn_of(dynamodb, make_table())


def test_a_table_has_none_unless_somebody_attached_one(arn: str, dynamodb: Any) -> None:
    with refused("PolicyNotFoundException", no_policy(arn)):
        dynamodb.get_resource_policy(ResourceArn=arn)


def test_it_is_shown_without_white_space_and_with_its_revision(arn: str, dynamodb: Any) -> None:
    document = policy(arn)
    revision = put(dynamodb, arn, document.replace(",", ",\n    "))
    answer = dynamodb.get_resource_policy(ResourceArn=arn)
    assert (answer["Policy"], answer["RevisionId"]) == (document, revision)


def test_a_missing_table(table: Table, dynamodb: Any) -> None:
    missing = arn_of(dynamodb, table) + "-missing"
    name = missing.rpartition("/")[2]
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.get_resource_policy(ResourceArn=missing)


def test_a_missing_stream(table: Table, dynamodb: Any) -> None:
    stream = arn_of(dynamodb, table) + "/stream/2000-01-01T00:00:00.000"
    text = f"Requested resource not found: Stream: 2000-01-01T00:00:00.000 not found for Table: {table.name}"
    with refused("ResourceNotFoundException", text):
        dynamodb.get_resource_policy(ResourceArn=stream)


def test_a_table_is_not_named_by_its_name(table: Table, dynamodb: Any) -> None:
    with invalid(f"One or more parameter values were invalid: ARNs must start with 'arn:': {table.name}"):
        dynamodb.get_resource_policy(ResourceArn=table.name)


def test_it_must_be_named(dynamodb: Any) -> None:
    with invalid(constraint("null", "resourceArn", "not be null")):
        dynamodb.get_resource_policy()
