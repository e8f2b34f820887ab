# Why: Terraform, CDK, CloudFormation and consoles make these calls right after CreateTable and again on every refresh.
# One that fails with a code that they do not know stops them before anybody has stored an item.

from typing import Any

import pytest

from .policies import arn_of
from .refusals import refused
from .table import Table


@pytest.fixture(scope="module")
def new_table(make_table: Any) -> Table:
    table: Table = make_table("S", "S", Tags=[{"Key": "owner", "Value": "me"}])
    return table


@pytest.mark.parametrize(
    "operation",
    [
        "describe_table",
        "describe_continuous_backups",
        "describe_time_to_live",
        "describe_kinesis_streaming_destination",
        "describe_contributor_insights",
        "list_contributor_insights",
        "list_backups",
    ],
)
@pytest.mark.parametrize("by", ["name", "arn"])
def test_what_they_ask_of_a_table_is_answered(new_table: Table, dynamodb: Any, operation: str, by: str) -> None:
    name = new_table.name if by == "name" else arn_of(dynamodb, new_table)
    getattr(dynamodb, operation)(TableName=name)


@pytest.mark.parametrize("operation", ["list_exports", "list_imports"])
def test_what_goes_by_the_arn_alone(new_table: Table, dynamodb: Any, operation: str) -> None:
    getattr(dynamodb, operation)(TableArn=arn_of(dynamodb, new_table))


@pytest.mark.parametrize("operation", ["list_tables", "list_global_tables", "describe_limits", "describe_endpoints"])
def test_what_they_ask_of_the_service(dynamodb: Any, operation: str) -> None:
    getattr(dynamodb, operation)()


def test_tags(new_table: Table, dynamodb: Any) -> None:
    answer = dynamodb.list_tags_of_resource(ResourceArn=arn_of(dynamodb, new_table))
    assert answer["Tags"] == [{"Key": "owner", "Value": "me"}]


def test_the_refusals_that_they_expect(new_table: Table, dynamodb: Any) -> None:
    with refused("PolicyNotFoundException"):
        dynamodb.get_resource_policy(ResourceArn=arn_of(dynamodb, new_table))
    with refused("ResourceNotFoundException"):
        dynamodb.describe_table_replica_auto_scaling(TableName=new_table.name)
    with refused("GlobalTableNotFoundException"):
        dynamodb.describe_global_table(GlobalTableName=new_table.name)
