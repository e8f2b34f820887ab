# Why: CloudFormation, and CDK above it, makes a table by a handler that calls CreateTable, waits for the table and its
# indexes, turns on what CreateTable does not take, and then reads all that the template may say, feature by feature.
# Every read must answer for a table that does not use the feature, or refuse with the one code that is expected.
#
# Template of AWS::DynamoDB::Table as a CDK construct writes it; the calls are those that the resource type's handlers
# have permission for, in the order in which they need each other.

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from .conftest import Eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_environment")]

TEMPLATE: dict[str, Any] = json.loads("""
{
  "KeySchema": [
    {"AttributeName": "pk", "KeyType": "HASH"},
    {"AttributeName": "sk", "KeyType": "RANGE"}
  ],
  "AttributeDefinitions": [
    {"AttributeName": "pk", "AttributeType": "S"},
    {"AttributeName": "sk", "AttributeType": "S"},
    {"AttributeName": "date", "AttributeType": "N"}
  ],
  "BillingMode": "PAY_PER_REQUEST",
  "LocalSecondaryIndexes": [
    {
      "IndexName": "by-date",
      "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "date", "KeyType": "RANGE"}
      ],
      "Projection": {"ProjectionType": "KEYS_ONLY"}
    }
  ],
  "DeletionProtectionEnabled": false,
  "TableClass": "STANDARD",
  "Tags": [{"Key": "aws-cdk:stack", "Value": "Shop"}]
}
""")

WITH_MORE: dict[str, Any] = TEMPLATE | json.loads("""
{
  "AttributeDefinitions": [
    {"AttributeName": "pk", "AttributeType": "S"},
    {"AttributeName": "sk", "AttributeType": "S"},
    {"AttributeName": "date", "AttributeType": "N"},
    {"AttributeName": "gsi1pk", "AttributeType": "S"},
    {"AttributeName": "gsi1sk", "AttributeType": "S"}
  ],
  "GlobalSecondaryIndexes": [
    {
      "IndexName": "gsi1",
      "KeySchema": [
        {"AttributeName": "gsi1pk", "KeyType": "HASH"},
        {"AttributeName": "gsi1sk", "KeyType": "RANGE"}
      ],
      "Projection": {"ProjectionType": "ALL"}
    }
  ],
  "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
  "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": true}
}
""")


class Stack:
    """A stack of one table."""

    def __init__(self, eventually: Eventually) -> None:
        self.client = boto3.client("dynamodb")
        self.eventually = eventually
        self.name = f"Shop-Table-{uuid.uuid4().hex[:12].upper()}"

    def create(self, template: dict[str, Any]) -> None:
        parameters = {name: value for name, value in template.items() if name != "TimeToLiveSpecification"}
        if "StreamSpecification" in template:
            parameters["StreamSpecification"] = template["StreamSpecification"] | {"StreamEnabled": True}
        self.client.create_table(TableName=self.name, **parameters)
        self.wait_until_stable()
        if "TimeToLiveSpecification" in template:
            specification = template["TimeToLiveSpecification"]
            self.client.update_time_to_live(TableName=self.name, TimeToLiveSpecification=specification)

    def table(self) -> dict[str, Any]:
        table: dict[str, Any] = self.client.describe_table(TableName=self.name)["Table"]
        return table

    def wait_until_stable(self) -> None:
        self.eventually(
            self.table,
            lambda table: table["TableStatus"] == "ACTIVE"
            and all(index["IndexStatus"] == "ACTIVE" for index in table.get("GlobalSecondaryIndexes", [])),
            600,
        )

    def read(self) -> dict[str, Any]:
        """The model that drift detection compares with the template."""
        client, name, table = self.client, self.name, self.table()
        model = {key: table[key] for key in ("KeySchema", "AttributeDefinitions", "DeletionProtectionEnabled")}
        model["BillingMode"] = table.get("BillingModeSummary", {"BillingMode": "PROVISIONED"})["BillingMode"]
        model["TableClass"] = table.get("TableClassSummary", {"TableClass": "STANDARD"})["TableClass"]
        for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
            if kind in table:
                names = ("IndexName", "KeySchema", "Projection")
                model[kind] = [{key: index[key] for key in names} for index in table[kind]]
        if table.get("StreamSpecification", {}).get("StreamEnabled"):
            model["StreamSpecification"] = {"StreamViewType": table["StreamSpecification"]["StreamViewType"]}
        backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        if backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED":
            model["PointInTimeRecoverySpecification"] = {"PointInTimeRecoveryEnabled": True}
        expiry = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        if expiry["TimeToLiveStatus"] in ("ENABLED", "ENABLING"):
            model["TimeToLiveSpecification"] = {"AttributeName": expiry["AttributeName"], "Enabled": True}
        for index in [None, *(index["IndexName"] for index in table.get("GlobalSecondaryIndexes", []))]:
            insights = client.describe_contributor_insights(TableName=name, **({"IndexName": index} if index else {}))
            assert insights["ContributorInsightsStatus"] == "DISABLED"
        destinations = client.describe_kinesis_streaming_destination(TableName=name)
        assert destinations["KinesisDataStreamDestinations"] == []
        with pytest.raises(client.exceptions.PolicyNotFoundException):
            client.get_resource_policy(ResourceArn=table["TableArn"])
        model["Tags"] = client.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
        return model

    def delete(self) -> None:
        try:
            self.table()
        except self.client.exceptions.ResourceNotFoundException:
            return      # it was never made
        self.client.delete_table(TableName=self.name)
        self.client.get_waiter("table_not_exists").wait(TableName=self.name, WaiterConfig={"Delay": 1})


def sorted_deeply(model: Any) -> Any:
    """Lists of a template are sets."""
    if isinstance(model, dict):
        return {key: sorted_deeply(value) for key, value in model.items()}
    if isinstance(model, list):
        return sorted((sorted_deeply(value) for value in model), key=json.dumps)
    return model


@pytest.fixture
def stack(in_environment: None, eventually: Eventually) -> Iterator[Stack]:
    stack = Stack(eventually)
    yield stack
    stack.delete()


def test_a_stack_is_made_read_updated_and_deleted(stack: Stack) -> None:
    stack.create(TEMPLATE)
    assert sorted_deeply(stack.read()) == sorted_deeply(TEMPLATE)
    stack.client.update_table(
        TableName=stack.name,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )
    stack.wait_until_stable()
    arn = stack.table()["TableArn"]
    stack.client.tag_resource(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    stack.client.untag_resource(ResourceArn=arn, TagKeys=["aws-cdk:stack"])
    changed = TEMPLATE | {"BillingMode": "PROVISIONED", "Tags": [{"Key": "stage", "Value": "test"}]}
    assert sorted_deeply(stack.read()) == sorted_deeply(changed)


def test_a_stack_that_uses_everything_is_made_and_read_without_drift(stack: Stack) -> None:
    stack.create(WITH_MORE)
    assert sorted_deeply(stack.read()) == sorted_deeply(WITH_MORE)
    outputs = stack.table()
    assert outputs["LatestStreamArn"].startswith(outputs["TableArn"] + "/stream/")
