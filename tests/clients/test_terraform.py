# Why: Terraform's AWS provider makes, compares, changes and drops tables by a fixed order of calls, waits for states in
# between, and after each apply reads everything back. Whatever it reads otherwise than it was configured is a
# difference in every plan from then on, so the answers must echo the configuration to the letter.
#
# Terraform itself cannot be installed from a package registry, so its order of calls is played here (resource
# aws_dynamodb_table and those beside it; providers 4 to 6).

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from .conftest import Eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_environment")]

Config = dict[str, Any]     # as in a .tf file: names of arguments -> values


class Terraform:
    """One aws_dynamodb_table: apply() what is configured, plan() what would change."""

    def __init__(self, eventually: Eventually) -> None:
        self.client = boto3.client("dynamodb")
        self.eventually = eventually
        self.name = f"varley-terraform-{uuid.uuid4().hex[:12]}"
        self.arn = ""

    def create(self, config: Config) -> None:
        indexes = {
            "LocalSecondaryIndexes": [index_of(each, config["hash_key"]) for each in config["local_secondary_index"]],
            "GlobalSecondaryIndexes": [index_of(each) for each in config["global_secondary_index"]],
        }
        self.client.create_table(
            TableName=self.name,
            AttributeDefinitions=attributes_of(config),
            KeySchema=key_schema(config["hash_key"], config.get("range_key")),
            BillingMode=config["billing_mode"],
            TableClass=config["table_class"],
            DeletionProtectionEnabled=config["deletion_protection_enabled"],
            Tags=[{"Key": key, "Value": value} for key, value in config["tags"].items()],
            StreamSpecification=stream_of(config),
            **{name: listed for name, listed in indexes.items() if listed},
            **throughput_of(config),
        )
        self.wait_until_active()
        if config["ttl"]["enabled"]:
            self.update_ttl(config["ttl"])

    def update(self, old: Config, new: Config) -> None:
        changed = {name for name in new if new[name] != old[name]}
        if "table_class" in changed:
            self.update_table(TableClass=new["table_class"])
        if "deletion_protection_enabled" in changed:
            self.update_table(DeletionProtectionEnabled=new["deletion_protection_enabled"])
        if changed & {"billing_mode", "read_capacity", "write_capacity"}:
            self.update_table(BillingMode=new["billing_mode"], **throughput_of(new))
        if changed & {"stream_enabled", "stream_view_type"}:
            self.update_table(StreamSpecification=stream_of(new))
        if "global_secondary_index" in changed:
            self.update_indexes(old, new)
        if "server_side_encryption" in changed:
            self.update_table(SSESpecification={"Enabled": new["server_side_encryption"]})
        if "ttl" in changed:
            self.update_ttl(new["ttl"])
        if "tags" in changed:
            self.update_tags(old["tags"], new["tags"])

    def destroy(self) -> None:
        self.client.delete_table(TableName=self.name)
        self.eventually(self.find, lambda table: table is None, 600)

    def read(self) -> Config:
        """The configuration as it is read back: what the next plan compares with."""
        table = self.find()
        assert table is not None
        self.arn = table["TableArn"]
        backups = self.client.describe_continuous_backups(TableName=self.name)["ContinuousBackupsDescription"]
        ttl = self.client.describe_time_to_live(TableName=self.name)["TimeToLiveDescription"]
        tags = self.client.list_tags_of_resource(ResourceArn=self.arn)["Tags"]
        keys = {each["KeyType"]: each["AttributeName"] for each in table["KeySchema"]}
        stream = table.get("StreamSpecification", {})
        return {
            "name": table["TableName"],
            "hash_key": keys["HASH"],
            "range_key": keys.get("RANGE"),
            "attribute": {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]},
            "billing_mode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
            "read_capacity": table["ProvisionedThroughput"]["ReadCapacityUnits"],
            "write_capacity": table["ProvisionedThroughput"]["WriteCapacityUnits"],
            "local_secondary_index": [index_as_read(each, ("range_key",)) for each in local_indexes(table)],
            "global_secondary_index": [
                index_as_read(each, ("hash_key", "range_key")) | capacity_as_read(each)
                for each in sorted(global_indexes(table), key=lambda index: str(index["IndexName"]))
            ],
            "stream_enabled": stream.get("StreamEnabled", False),
            "stream_view_type": stream.get("StreamViewType", ""),
            "table_class": table.get("TableClassSummary", {}).get("TableClass", "STANDARD"),
            "deletion_protection_enabled": table["DeletionProtectionEnabled"],
            "server_side_encryption": table.get("SSEDescription", {}).get("Status") == "ENABLED",
            "point_in_time_recovery": backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
            "ttl": {"attribute_name": ttl.get("AttributeName", ""), "enabled": ttl["TimeToLiveStatus"] == "ENABLED"},
            "tags": {each["Key"]: each["Value"] for each in tags},
        }

    def plan(self, config: Config) -> Config:
        """What Terraform would change: name -> (what is there, what is configured)."""
        there = self.read()
        wanted = {"name": self.name, "point_in_time_recovery": "DISABLED", "range_key": None, **config}
        return {name: (there[name], value) for name, value in wanted.items() if there[name] != value}

    # Steps

    def find(self) -> dict[str, Any] | None:
        try:
            table: dict[str, Any] = self.client.describe_table(TableName=self.name)["Table"]
        except self.client.exceptions.ResourceNotFoundException as error:
            if not error.response["Error"]["Message"].startswith("Requested resource not found: Table: "):
                raise       # the provider takes a table for gone by these words only
            return None
        return table

    def wait_until_active(self) -> dict[str, Any]:
        table: dict[str, Any] = self.eventually(
            self.find,
            lambda table: table is not None
            and table["TableStatus"] == "ACTIVE"
            and all(index["IndexStatus"] == "ACTIVE" for index in global_indexes(table)),
            600,
        )
        return table

    def update_table(self, **parameters: Any) -> None:
        self.client.update_table(TableName=self.name, **parameters)
        self.wait_until_active()

    def update_indexes(self, old: Config, new: Config) -> None:
        """Drops before it makes, one at a time, since one UpdateTable makes or drops one index."""
        was, will = ({each["name"]: each for each in config["global_secondary_index"]} for config in (old, new))
        for name in was.keys() - will.keys():
            self.update_table(GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": name}}])
            self.eventually(lambda gone=name: gone in names_of_indexes(self.find()), lambda there: not there, 600)
        for name in will.keys() - was.keys():
            self.update_table(
                AttributeDefinitions=attributes_of(new),
                GlobalSecondaryIndexUpdates=[{"Create": index_of(will[name])}],
            )

    def update_ttl(self, ttl: dict[str, Any]) -> None:
        specification = {"AttributeName": ttl["attribute_name"], "Enabled": ttl["enabled"]}
        self.client.update_time_to_live(TableName=self.name, TimeToLiveSpecification=specification)
        wanted = "ENABLED" if ttl["enabled"] else "DISABLED"
        self.eventually(
            lambda: self.client.describe_time_to_live(TableName=self.name)["TimeToLiveDescription"],
            lambda description: description["TimeToLiveStatus"] == wanted,
            7200,
        )

    def update_tags(self, old: dict[str, str], new: dict[str, str]) -> None:
        gone = [key for key in old if key not in new]
        if gone:
            self.client.untag_resource(ResourceArn=self.arn, TagKeys=gone)
        fresh = [{"Key": key, "Value": value} for key, value in new.items() if old.get(key) != value]
        if fresh:
            self.client.tag_resource(ResourceArn=self.arn, Tags=fresh)


# Arguments of a .tf file as parameters of the API, and back


def attributes_of(config: Config) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in config["attribute"].items()]


def key_schema(hash_key: str, range_key: str | None) -> list[dict[str, str]]:
    keys = [("HASH", hash_key), ("RANGE", range_key)]
    return [{"KeyType": role, "AttributeName": name} for role, name in keys if name]


def index_of(index: Config, hash_key: str | None = None) -> dict[str, Any]:
    projection = {"ProjectionType": index["projection_type"]}
    if index["non_key_attributes"]:
        projection["NonKeyAttributes"] = index["non_key_attributes"]
    return {
        "IndexName": index["name"],
        "KeySchema": key_schema(hash_key or index["hash_key"], index.get("range_key")),
        "Projection": projection,
    }


def stream_of(config: Config) -> dict[str, Any]:
    if not config["stream_enabled"]:
        return {"StreamEnabled": False}
    return {"StreamEnabled": True, "StreamViewType": config["stream_view_type"]}


def throughput_of(config: Config) -> dict[str, Any]:
    if config["billing_mode"] == "PAY_PER_REQUEST":
        return {}
    units = {"ReadCapacityUnits": config["read_capacity"], "WriteCapacityUnits": config["write_capacity"]}
    return {"ProvisionedThroughput": units}


def local_indexes(table: dict[str, Any]) -> list[dict[str, Any]]:
    return table.get("LocalSecondaryIndexes", [])


def global_indexes(table: dict[str, Any]) -> list[dict[str, Any]]:
    return table.get("GlobalSecondaryIndexes", [])


def names_of_indexes(table: dict[str, Any] | None) -> set[str]:
    return {index["IndexName"] for index in global_indexes(table or {})}


def index_as_read(index: dict[str, Any], arguments: tuple[str, ...]) -> Config:
    keys = {each["KeyType"]: each["AttributeName"] for each in index["KeySchema"]}
    there = {"hash_key": keys["HASH"], "range_key": keys.get("RANGE")}
    return {name: there[name] for name in arguments} | {
        "name": index["IndexName"],
        "projection_type": index["Projection"]["ProjectionType"],
        "non_key_attributes": sorted(index["Projection"].get("NonKeyAttributes", [])),
    }


def capacity_as_read(index: dict[str, Any]) -> Config:
    """An index of an on-demand table has its throughput too, of nothing: without it the provider reads no name."""
    units = index["ProvisionedThroughput"]
    return {"read_capacity": units["ReadCapacityUnits"], "write_capacity": units["WriteCapacityUnits"]}


def global_index(name: str, hash_key: str, range_key: str | None = None, *projected: str) -> Config:
    return {
        "name": name,
        "hash_key": hash_key,
        "range_key": range_key,
        "projection_type": "INCLUDE" if projected else "ALL",
        "non_key_attributes": sorted(projected),
        "read_capacity": 0,
        "write_capacity": 0,
    }


PLAIN: Config = {
    "hash_key": "id",
    "attribute": {"id": "S"},
    "billing_mode": "PAY_PER_REQUEST",
    "read_capacity": 0,
    "write_capacity": 0,
    "local_secondary_index": [],
    "global_secondary_index": [],
    "stream_enabled": False,
    "stream_view_type": "",
    "table_class": "STANDARD",
    "deletion_protection_enabled": False,
    "server_side_encryption": False,
    "ttl": {"attribute_name": "", "enabled": False},
    "tags": {"stage": "test", "owner": "me"},
}

# The table that Terraform keeps its own locks in, as its documentation tells to make it
LOCKS = PLAIN | {"hash_key": "LockID", "attribute": {"LockID": "S"}, "tags": {}}


@pytest.fixture
def terraform(in_environment: None, eventually: Eventually) -> Iterator[Terraform]:
    terraform = Terraform(eventually)
    yield terraform
    if terraform.find() is not None:
        terraform.client.update_table(TableName=terraform.name, DeletionProtectionEnabled=False)
        terraform.destroy()


def test_a_plain_table_is_made_compared_and_destroyed(terraform: Terraform) -> None:
    terraform.create(PLAIN)
    assert terraform.plan(PLAIN) == {}
    assert terraform.plan(PLAIN) == {}
    terraform.destroy()
    assert terraform.find() is None


def test_a_table_with_a_local_index(terraform: Terraform) -> None:
    local = {"name": "by-date", "range_key": "date", "projection_type": "INCLUDE", "non_key_attributes": ["a", "b"]}
    config = PLAIN | {
        "range_key": "kind",
        "attribute": {"id": "S", "kind": "S", "date": "N"},
        "local_secondary_index": [local],
    }
    terraform.create(config)
    assert terraform.plan(config) == {}


def test_everyday_changes_of_a_table(terraform: Terraform) -> None:
    steps: list[Config] = [
        {"billing_mode": "PROVISIONED", "read_capacity": 5, "write_capacity": 5},
        {"write_capacity": 10},
        {"billing_mode": "PAY_PER_REQUEST", "read_capacity": 0, "write_capacity": 0},
        {"table_class": "STANDARD_INFREQUENT_ACCESS"},
        {"server_side_encryption": True},
        {"server_side_encryption": False},
        {"tags": {"stage": "production", "new": "one"}},
        {"deletion_protection_enabled": True},
    ]
    config = PLAIN
    terraform.create(config)
    for step in steps:
        changed = config | step
        assert terraform.plan(changed).keys() == step.keys()
        terraform.update(config, changed)
        assert terraform.plan(changed) == {}, step
        config = changed
    with pytest.raises(ClientError, match="deletion protection"):
        terraform.destroy()
    assert terraform.plan(config) == {}


def test_streams_and_expiry_are_turned_on_changed_and_off(terraform: Terraform) -> None:
    config = PLAIN | {
        "stream_enabled": True,
        "stream_view_type": "NEW_AND_OLD_IMAGES",
        "ttl": {"attribute_name": "expires", "enabled": True},
    }
    terraform.create(config)
    assert terraform.plan(config) == {}
    # The provider turns a stream off before it turns it on with another view.
    off = {"stream_enabled": False, "stream_view_type": ""}
    for step in (off, {"stream_enabled": True, "stream_view_type": "KEYS_ONLY"}):
        terraform.update(config, config | step)
        config |= step
        assert terraform.plan(config) == {}


def test_global_indexes_are_made_and_dropped_with_the_table_and_later(terraform: Terraform) -> None:
    config = PLAIN | {
        "attribute": {"id": "S", "owner": "S", "date": "N"},
        "global_secondary_index": [global_index("by-owner", "owner", "date", "note", "amount")],
    }
    terraform.create(config)
    assert terraform.plan(config) == {}
    more = config | {
        "attribute": {"id": "S", "owner": "S", "date": "N", "place": "S"},
        "global_secondary_index": [*config["global_secondary_index"], global_index("by-place", "place")],
    }
    terraform.update(config, more)
    assert terraform.plan(more) == {}
    fewer = PLAIN | {
        "attribute": {"id": "S", "place": "S"},
        "global_secondary_index": [global_index("by-place", "place")],
    }
    terraform.update(more, fewer)
    assert terraform.plan(fewer) == {}


def test_the_table_of_terraforms_own_locks(terraform: Terraform) -> None:
    """Two who apply at once: the second is refused, and told who holds the lock."""
    terraform.create(LOCKS)
    path = {"S": "bucket/terraform.tfstate"}

    def lock(who: str) -> None:
        terraform.client.put_item(
            TableName=terraform.name,
            Item={"LockID": path, "Info": {"S": who}},
            ConditionExpression="attribute_not_exists(LockID)",
        )

    lock("first")
    with pytest.raises(terraform.client.exceptions.ConditionalCheckFailedException):
        lock("second")
    holder = terraform.client.get_item(
        TableName=terraform.name, Key={"LockID": path}, ProjectionExpression="LockID, Info", ConsistentRead=True
    )
    assert holder["Item"]["Info"] == {"S": "first"}
    terraform.client.delete_item(TableName=terraform.name, Key={"LockID": path})
    lock("second")


def test_the_resources_beside_a_table(terraform: Terraform) -> None:
    """aws_dynamodb_contributor_insights and aws_dynamodb_resource_policy: made, read, dropped."""
    terraform.create(PLAIN)
    client, name = terraform.client, terraform.name
    terraform.read()
    client.update_contributor_insights(TableName=name, ContributorInsightsAction="ENABLE")
    insights = terraform.eventually(
        lambda: client.describe_contributor_insights(TableName=name),
        lambda answer: answer["ContributorInsightsStatus"] == "ENABLED",
        300,
    )
    assert insights["TableName"] == name
    client.update_contributor_insights(TableName=name, ContributorInsightsAction="DISABLE")
    terraform.eventually(
        lambda: client.describe_contributor_insights(TableName=name)["ContributorInsightsStatus"],
        lambda status: status == "DISABLED",
        300,
    )
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},'
        f'"Action":"dynamodb:GetItem","Resource":"{terraform.arn}"}}]}}'
    )
    revision = client.put_resource_policy(ResourceArn=terraform.arn, Policy=policy)["RevisionId"]
    read = client.get_resource_policy(ResourceArn=terraform.arn)
    assert (read["Policy"], read["RevisionId"]) == (policy, revision)
    client.delete_resource_policy(ResourceArn=terraform.arn)
    with pytest.raises(client.exceptions.PolicyNotFoundException):
        client.get_resource_policy(ResourceArn=terraform.arn)
