# Why: a tool that writes a policy compares revisions to see whether it changed anything. What becomes of a document is
# in tests/api/test_resource_policy.py.

from typing import Any

import pytest

from .policies import arn_of, no_policy, policy, put
from .refusals import constraint, invalid, refused
from .table import Table, schema, unique

INVALID = "One or more parameter values were invalid: "


@pytest.fixture
def arn(make_table: Any, dynamodb: Any) -> str:
    return arn_of(dynamodb, make_table())


def test_the_same_policy_in_other_words_is_no_change(arn: str, dynamodb: Any) -> None:
    revision = put(dynamodb, arn, policy(arn))
    assert put(dynamodb, arn, policy(arn)) == revision
    assert put(dynamodb, arn, policy(arn, Action=["dynamodb:GetItem"]).replace(":{", ": {")) == revision


@pytest.mark.varley_only
def test_changes_need_not_wait_for_each_other(arn: str, dynamodb: Any) -> None:
    """The service refuses a change within 15 seconds of the last one."""
    first = put(dynamodb, arn, policy(arn))
    second = put(dynamodb, arn, policy(arn, "dynamodb:Query"), ExpectedRevisionId=first)
    third = put(dynamodb, arn, policy(arn))
    assert len({first, second, third}) == 3
    assert dynamodb.get_resource_policy(ResourceArn=arn)["RevisionId"] == third


def test_the_policy_must_be_the_expected_one(arn: str, dynamodb: Any) -> None:
    revision = put(dynamodb, arn, policy(arn), ExpectedRevisionId="NO_POLICY")
    name = arn.rpartition("/")[2]
    text = (
        "Requested update for policy with revision id 1, "
        f"but the policy associated to target table {name} has revision id {revision}."
    )
    with refused("PolicyNotFoundException", no_policy(text)):
        put(dynamodb, arn, policy(arn, "dynamodb:Query"), ExpectedRevisionId="1")
    text = (
        f"Requested policy update expecting none to be present for table {name}, "
        f"but a policy exists with revision id {revision}."
    )
    with refused("PolicyNotFoundException", no_policy(text)):
        put(dynamodb, arn, policy(arn, "dynamodb:Query"), ExpectedRevisionId="NO_POLICY")


def test_what_nobody_could_change_again_must_be_confirmed(arn: str, dynamodb: Any) -> None:
    document = policy(arn, "dynamodb:PutResourcePolicy", Effect="Deny", Principal="*")
    with refused(
        "AccessDeniedException",
        "The new resource policy will not allow you to update the resource policy in the future.",
    ):
        put(dynamodb, arn, document)


@pytest.mark.varley_only
def test_and_then_it_is_taken(arn: str, dynamodb: Any) -> None:
    """It would lock the tests out of a table of the service."""
    document = policy(arn, "dynamodb:PutResourcePolicy", Effect="Deny", Principal="*")
    put(dynamodb, arn, document, ConfirmRemoveSelfResourceAccess=True)
    put(dynamodb, arn, policy(arn))    # nobody enforces it here


def test_policies_have_a_size(arn: str, dynamodb: Any) -> None:
    with invalid(f"{INVALID}Maximum policy size of 20480 bytes exceeded"):
        put(dynamodb, arn, policy(arn) + " " * 20_480)


def test_the_document_is_read_before_anybody_looks_for_the_table(arn: str, dynamodb: Any) -> None:
    with invalid(f"{INVALID}Invalid policy document: This policy contains invalid Json"):
        put(dynamodb, arn + "-missing", "{not json")


def test_a_missing_table(table: Table, dynamodb: Any) -> None:
    missing = arn_of(dynamodb, table) + "-missing"
    name = missing.rpartition("/")[2]
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        put(dynamodb, missing, policy(missing))


def test_there_must_be_a_document(arn: str, dynamodb: Any) -> None:
    with invalid(constraint("null", "policy", "not be null")):
        dynamodb.put_resource_policy(ResourceArn=arn)


def test_a_revision_has_a_length(arn: str, dynamodb: Any) -> None:
    with invalid(constraint("''", "expectedRevisionId", "have length greater than or equal to 1")):
        put(dynamodb, arn, policy(arn), ExpectedRevisionId="")


def test_a_table_may_be_made_with_a_policy(make_table: Any, dynamodb: Any, arn: str) -> None:
    name = unique("varley-test")
    own = arn.rpartition("/")[0] + "/" + name
    make_table(TableName=name, ResourcePolicy=policy(own))
    shown = dynamodb.get_resource_policy(ResourceArn=own)
    assert shown["Policy"] == policy(own)
    assert put(dynamodb, own, policy(own), ExpectedRevisionId=shown["RevisionId"]) == shown["RevisionId"]


def test_no_table_is_made_with_a_policy_that_is_none(dynamodb: Any) -> None:
    name = unique("varley-test")
    with invalid(f"{INVALID}Invalid policy document: This policy contains invalid Json"):
        dynamodb.create_table(TableName=name, **schema(), ResourcePolicy="{")
    with refused("ResourceNotFoundException"):
        dynamodb.describe_table(TableName=name)
