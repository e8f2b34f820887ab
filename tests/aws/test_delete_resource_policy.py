# Why: tools remove a policy without looking first, and may not remove another one than they think.

from typing import Any

import pytest

from .policies import arn_of, no_policy, policy, put
from .refusals import refused
from .table import Table


@pytest.fixture
def arn(make_table: Any, dynamodb: Any) -> str:
    return arn_of(dynamodb, make_table())


def delete(dynamodb: Any, arn: str, **more: Any) -> Any:
    return dynamodb.delete_resource_policy(ResourceArn=arn, **more).get("RevisionId")


def test_to_remove_none_is_no_error(arn: str, dynamodb: Any) -> None:
    assert delete(dynamodb, arn) is None
    assert delete(dynamodb, arn) is None


@pytest.mark.varley_only
def test_the_answer_tells_which_was_removed(arn: str, dynamodb: Any) -> None:
    """The service makes the removal wait 15 seconds."""
    revision = put(dynamodb, arn, policy(arn))
    assert delete(dynamodb, arn, ExpectedRevisionId=revision) == revision
    with refused("PolicyNotFoundException", no_policy(arn)):
        dynamodb.get_resource_policy(ResourceArn=arn)
    # The removal was a change, with a revision of its own.
    assert int(delete(dynamodb, arn)) > int(revision)
    assert int(put(dynamodb, arn, policy(arn))) > int(revision)


def test_where_there_is_none_there_is_none_to_expect(arn: str, dynamodb: Any) -> None:
    name = arn.rpartition("/")[2]
    text = f"Requested update for policy with revision id 123456789, but table {name} has no associated policy."
    with refused("PolicyNotFoundException", no_policy(text)):
        delete(dynamodb, arn, ExpectedRevisionId="123456789")


def test_another_than_the_expected_one_stays(arn: str, dynamodb: Any) -> None:
    put(dynamodb, arn, policy(arn))
    with refused("PolicyNotFoundException"):
        delete(dynamodb, arn, ExpectedRevisionId="1")


def test_a_missing_table(table: Table, dynamodb: Any) -> None:
    missing = arn_of(dynamodb, table) + "-missing"
    name = missing.rpartition("/")[2]
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        delete(dynamodb, missing)


@pytest.mark.varley_only
def test_a_new_table_does_not_have_the_policy_of_an_old_one(make_table: Any, dynamodb: Any) -> None:
    name = make_table().name
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    put(dynamodb, arn, policy(arn))
    dynamodb.delete_table(TableName=name)
    make_table(TableName=name)
    with refused("PolicyNotFoundException", no_policy(arn)):
        dynamodb.get_resource_policy(ResourceArn=arn)
