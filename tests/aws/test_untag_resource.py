# Why: a tool that renames a tag removes the old one; a tag that stays behind keeps a policy or a bill alive.

from typing import Any

import pytest

from .refusals import invalid, refused
from .table import Table


@pytest.fixture
def arn(make_table: Any, dynamodb: Any) -> str:
    """The ARN of a table of one's own, with the tags a, b and c."""
    table: Table = make_table(Tags=[{"Key": key, "Value": key.upper()} for key in "abc"])
    name: str = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
    return name


def tag_keys(dynamodb: Any, arn: str) -> list[str]:
    return sorted(tag["Key"] for tag in dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"])


def test_the_named_tags_go_and_the_others_stay(dynamodb: Any, arn: str) -> None:
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["a", "c"])
    assert tag_keys(dynamodb, arn) == ["b"]


def test_removing_what_is_not_there_is_no_error(dynamodb: Any, arn: str) -> None:
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["absent", "a"])
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert tag_keys(dynamodb, arn) == ["b", "c"]


def test_there_must_be_a_key(dynamodb: Any, arn: str) -> None:
    with invalid():
        dynamodb.untag_resource(ResourceArn=arn, TagKeys=[])
    assert tag_keys(dynamodb, arn) == ["a", "b", "c"]


def test_a_table_that_is_not_there_is_not_found(dynamodb: Any, arn: str) -> None:
    with refused("ResourceNotFoundException"):
        dynamodb.untag_resource(ResourceArn=arn + "-missing", TagKeys=["a"])
