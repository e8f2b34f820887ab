# Why: infrastructure tools keep their ownership and cost marks in tags and call TagResource on every apply. Reading
# them back is in test_list_tags_of_resource.py.

from typing import Any

import pytest

from .refusals import invalid, refused
from .table import Table


@pytest.fixture
def arn(make_table: Any, dynamodb: Any) -> str:
    """The ARN of a table of one's own, without tags."""
    table: Table = make_table()
    name: str = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
    return name


def tags(dynamodb: Any, arn: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]}


def tag(dynamodb: Any, arn: str, **given: str) -> None:
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in given.items()])


def test_tags_are_added_to_those_that_are_there(dynamodb: Any, arn: str) -> None:
    tag(dynamodb, arn, a="1")
    tag(dynamodb, arn, b="2", c="")
    assert tags(dynamodb, arn) == {"a": "1", "b": "2", "c": ""}


def test_a_tag_that_is_there_gets_the_new_value(dynamodb: Any, arn: str) -> None:
    tag(dynamodb, arn, a="1", b="1")
    tag(dynamodb, arn, a="2")
    assert tags(dynamodb, arn) == {"a": "2", "b": "1"}


def test_keys_tell_case_apart(dynamodb: Any, arn: str) -> None:
    tag(dynamodb, arn, Owner="1", owner="2")
    assert tags(dynamodb, arn) == {"Owner": "1", "owner": "2"}


def test_a_table_has_up_to_fifty_tags(dynamodb: Any, arn: str) -> None:
    fifty = {f"key-{n}": str(n) for n in range(50)}
    tag(dynamodb, arn, **fifty)
    assert tags(dynamodb, arn) == fifty
    with pytest.raises(dynamodb.exceptions.ClientError) as caught:
        tag(dynamodb, arn, one_more="x")
    assert caught.value.response["Error"]["Code"] in ("ValidationException", "LimitExceededException")
    assert tags(dynamodb, arn) == fifty
    tag(dynamodb, arn, **{"key-0": "changed"})


def test_long_keys_and_values(dynamodb: Any, arn: str) -> None:
    tag(dynamodb, arn, **{"k" * 128: "v" * 256})
    assert tags(dynamodb, arn) == {"k" * 128: "v" * 256}


@pytest.mark.parametrize(
    "given",
    [
        {"Key": "k" * 129, "Value": "x"},
        {"Key": "", "Value": "x"},
        {"Key": "k", "Value": "v" * 257},
        {"Key": "k"},
        {"Value": "v"},
    ],
    ids=["long key", "empty key", "long value", "no value", "no key"],
)
def test_these_tags_are_refused(dynamodb: Any, arn: str, given: dict[str, str]) -> None:
    with invalid():
        dynamodb.tag_resource(ResourceArn=arn, Tags=[given])
    assert tags(dynamodb, arn) == {}


def test_the_prefix_of_aws_is_kept_for_aws(dynamodb: Any, arn: str) -> None:
    with invalid():
        tag(dynamodb, arn, **{"aws:mine": "x"})
    assert tags(dynamodb, arn) == {}


def test_a_key_may_not_come_twice_in_one_request(dynamodb: Any, arn: str) -> None:
    with invalid():
        dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}])
    assert tags(dynamodb, arn) == {}


def test_there_must_be_a_tag(dynamodb: Any, arn: str) -> None:
    with invalid():
        dynamodb.tag_resource(ResourceArn=arn, Tags=[])


def test_a_table_that_is_not_there_has_no_tags(dynamodb: Any, arn: str) -> None:
    missing = arn + "-missing"
    with refused("ResourceNotFoundException", f"Requested resource not found: ResourcArn: {missing} not found"):
        tag(dynamodb, missing, a="1")


@pytest.mark.parametrize("arn_given", ["", "table", "arn:aws:s3:::bucket"])
def test_what_is_no_arn_of_a_table_is_refused(dynamodb: Any, arn_given: str) -> None:
    with pytest.raises(dynamodb.exceptions.ClientError) as caught:
        tag(dynamodb, arn_given, a="1")
    assert caught.value.response["Error"]["Code"] in ("ValidationException", "AccessDeniedException")
