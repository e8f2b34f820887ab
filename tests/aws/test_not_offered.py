# Why: what this version does not do must be said, loudly and by name. A table that silently lacks the index that was
# asked for, or a transaction that is taken for a batch, is worse than any refusal.

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .table import schema, unique

pytestmark = pytest.mark.varley_only


def assert_refused_by_name(caught: pytest.ExceptionInfo[ClientError], name: str) -> None:
    error = caught.value.response["Error"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["Code"] in ("ValidationException", "UnknownOperationException"), error
    assert name.lower() in error["Message"].lower(), error


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"GlobalTableSourceArn": "arn:aws:dynamodb:us-east-1:123456789012:table/x"}, "GlobalTableSourceArn"),
    ],
    ids=["replica"],
)
def test_a_table_with_this_is_not_made(dynamodb: Any, parameters: dict[str, Any], name: str) -> None:
    table = unique("varley-test")
    with pytest.raises(ClientError) as caught:
        dynamodb.create_table(TableName=table, **schema("S", "S"), **parameters)
    assert_refused_by_name(caught, name)
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.describe_table(TableName=table)


def test_a_stream_that_is_turned_off_is_no_request_for_one(make_table: Any) -> None:
    make_table(StreamSpecification={"StreamEnabled": False})


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]}, "ReplicaUpdates"),
    ],
    ids=["replica"],
)
def test_a_table_is_not_changed_to_this(make_table: Any, dynamodb: Any, parameters: dict[str, Any], name: str) -> None:
    table = make_table()
    before = dynamodb.describe_table(TableName=table.name)["Table"]
    with pytest.raises(ClientError) as caught:
        dynamodb.update_table(TableName=table.name, **parameters)
    assert_refused_by_name(caught, name)
    assert dynamodb.describe_table(TableName=table.name)["Table"] == before
