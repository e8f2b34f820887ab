"""Bulk puts: what objects hold is in the table afterwards, whatever happens in between."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import varley
from tests.crash.server_process import Client, ServerProcess
from varley.errors import TransactionConflict
from varley.node.partition import Partition, Write
from varley.node.replica import Waiter

TABLE: dict[str, Any] = {
    "TableName": "Music",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
SECONDS_MAX = 60


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "s3" / "music"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def client(bucket: Path) -> Iterator[Any]:
    with varley.Server(in_memory=True, s3_dir=str(bucket.parent), initial_partitions=3) as server:
        client = server.client()
        client.create_table(**TABLE)
        yield client


def lines(*records: Any) -> bytes:
    encoded = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    return b"".join(line + b"\n" for line in encoded)


def item(name: str, **more: Any) -> dict[str, Any]:
    return {"Item": {"pk": {"S": name}, **more}}


def start(client: Any, prefix: str = "", **more: Any) -> str:
    configuration = {"S3Bucket": "music", "InputFormat": "DYNAMODB_JSON", "S3KeyPrefix": prefix}
    configuration.update(more.pop("input", {}))
    arn: str = client.start_bulk_put_items(
        TableName="Music",
        InputS3Configuration=configuration,
        OutputS3Configuration={
            "S3Bucket": "music",
            "S3KeyPrefix": "out",
            "OutputType": ["ERROR", "CONDITION_CHECK_FAILURE"],
        },
        **more,
    )["BulkOperationDescription"]["BulkOperationArn"]
    return arn


def ended(client: Any, arn: str) -> dict[str, Any]:
    """The description at the end; each look is a request."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        shown: dict[str, Any] = client.describe_bulk_operation(BulkOperationArn=arn)["BulkOperationDescription"]
        if shown["BulkOperationStatus"] not in ("IN_PROGRESS", "CANCELLING"):
            return shown
    raise AssertionError("it does not end")


def names(client: Any) -> set[str]:
    pages = client.get_paginator("scan").paginate(TableName="Music", ConsistentRead=True)
    return {each["pk"]["S"] for page in pages for each in page["Items"]}


def report(bucket: Path, arn: str, name: str) -> list[Any]:
    path = bucket / "out" / "AWSDynamoDB" / arn.rpartition("/")[2] / name
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_items_of_all_objects_under_a_prefix_are_put(client: Any, bucket: Path) -> None:
    (bucket / "in").mkdir()
    (bucket / "in" / "1.json").write_bytes(lines(*(item(f"a{number}") for number in range(500))))
    (bucket / "in" / "2.json").write_bytes(lines(*(item(f"b{number}") for number in range(10))))
    (bucket / "other.json").write_bytes(lines(item("not this")))
    shown = ended(client, start(client, "in/"))
    assert shown["BulkOperationStatus"] == "COMPLETED"
    assert shown["ProcessedItemCount"] == 510
    assert shown["FailedItemCount"] == 0
    sizes = sum(path.stat().st_size for path in (bucket / "in").iterdir())
    assert shown["TotalInputBytes"] == shown["ProcessedInputBytes"] == sizes
    [usage] = shown["BulkOperationUsage"]
    assert usage["BulkPutBytes"] == sum(len(f"pk{name}") for name in names(client))
    assert shown["PerformanceTier"] == "STANDARD"
    assert shown["EndTime"] >= shown["StartTime"]
    assert names(client) == {f"a{number}" for number in range(500)} | {f"b{number}" for number in range(10)}


def test_compressed_objects(client: Any, bucket: Path) -> None:
    (bucket / "1.json.gz").write_bytes(gzip.compress(lines(item("a"), item("b"))))
    shown = ended(client, start(client, "1", input={"InputCompressionType": "GZIP"}))
    assert shown["BulkOperationStatus"] == "COMPLETED"
    assert names(client) == {"a", "b"}


def test_lines_that_cannot_be_put_are_reported_and_stop_nothing(client: Any, bucket: Path) -> None:
    (bucket / "1.json").write_bytes(
        lines(
            item("a"), b"{no json", {"Item": {"x": {"S": "no key"}}}, {}, item("b", big={"S": "x" * 410_000}), b"",
            item("c"),
        )
    )
    arn = start(client, "1")
    shown = ended(client, arn)
    assert shown["BulkOperationStatus"] == "COMPLETED_WITH_ERRORS"
    assert (shown["ProcessedItemCount"], shown["FailedItemCount"]) == (6, 4)
    assert names(client) == {"a", "c"}
    found = report(bucket, arn, "errors.json")
    assert [each["lineNumber"] for each in found] == [2, 3, 4, 5]
    assert {each["objectKey"] for each in found} == {"1.json"}
    assert found[0]["errorCode"] == "SerializationException"
    assert found[1]["errorMessage"].endswith("Missing the key pk in the item")
    assert found[3]["errorMessage"] == "Item size has exceeded the maximum allowed size"


def test_a_report_that_cannot_be_written_ends_it(client: Any, bucket: Path) -> None:
    (bucket / "1.json").write_bytes(lines(item("a"), b"{no json"))
    (bucket / "out").write_bytes(b"not a folder")
    shown = ended(client, start(client, "1"))
    assert shown["BulkOperationStatus"] == "FAILED"
    assert shown["FailureCode"] == "S3WriteFailed"
    assert names(client) == {"a"}


def test_conditions(client: Any, bucket: Path) -> None:
    client.put_item(TableName="Music", Item={"pk": {"S": "a"}, "n": {"N": "1"}})
    condition = {
        "ConditionExpression": "attribute_not_exists(#p) OR n > :n",
        "ExpressionAttributeNames": {"#p": "pk"},
        "ExpressionAttributeValues": {":n": {"N": "1"}},
    }
    (bucket / "1.json").write_bytes(lines({**item("a", n={"N": "2"}), **condition}, {**item("b"), **condition}))
    arn = start(client, "1")
    shown = ended(client, arn)
    assert shown["BulkOperationStatus"] == "COMPLETED"    # a failed condition is no error
    assert (shown["ProcessedItemCount"], shown["FailedItemCount"]) == (2, 0)
    assert client.get_item(TableName="Music", Key={"pk": {"S": "a"}})["Item"]["n"] == {"N": "1"}
    assert report(bucket, arn, "condition-check-failures.json") == [
        {"Item": {"pk": {"S": "a"}, "n": {"N": "2"}}, "ExistingItem": {"pk": {"S": "a"}, "n": {"N": "1"}}}
    ]


def test_an_item_that_a_transaction_is_about_to_write_is_put_later(
    client: Any, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bucket / "1.json").write_bytes(lines(item("a"), item("b")))
    write = Partition.write
    conflicts = [TransactionConflict()]

    def write_later(partition: Partition, wanted: Write, waiter: Waiter) -> bytes | None:
        if conflicts:
            raise conflicts.pop()
        return write(partition, wanted, waiter)

    monkeypatch.setattr(Partition, "write", write_later)
    shown = ended(client, start(client, "1"))
    assert not conflicts
    assert (shown["BulkOperationStatus"], shown["ProcessedItemCount"]) == ("COMPLETED", 2)
    assert names(client) == {"a", "b"}


def test_what_cannot_be_read_fails(client: Any, bucket: Path) -> None:
    (bucket / "1.json").write_bytes(lines(item("a")))
    shown = ended(client, start(client, "1", input={"InputCompressionType": "GZIP"}))
    assert (shown["BulkOperationStatus"], shown["FailureCode"]) == ("FAILED", "S3ReadFailed")
    shown = ended(client, start(client, input={"S3Bucket": "nobucket"}))
    assert (shown["BulkOperationStatus"], shown["FailureCode"]) == ("FAILED", "S3NoSuchBucket")


def test_a_token_means_one_operation(client: Any, bucket: Path) -> None:
    first = start(client, "1", ClientToken="token")
    ended(client, first)
    assert start(client, "1", ClientToken="token") == first
    with pytest.raises(ClientError) as refusal:
        start(client, "2", ClientToken="token")
    assert refusal.value.response["Error"]["Code"] == "IdempotentParameterMismatchException"


def test_operations_are_listed_newest_first(client: Any) -> None:
    arns = [start_and_end(client) for _ in range(5)]
    page = client.list_bulk_operations(MaxResults=3)
    rest = client.list_bulk_operations(NextToken=page["NextToken"])
    assert "NextToken" not in rest
    found = [*page["BulkOperationsSummaryList"], *rest["BulkOperationsSummaryList"]]
    assert [each["BulkOperationArn"] for each in found] == arns[::-1]
    assert {each["BulkOperationStatus"] for each in found} == {"COMPLETED"}


def start_and_end(client: Any) -> str:
    arn = start(client, "nothing")
    ended(client, arn)
    return arn


def test_a_table_takes_one_operation_at_a_time_and_it_can_be_cancelled(client: Any, bucket: Path) -> None:
    (bucket / "1.json").write_bytes(lines(*(item(f"a{number}", f={"S": "x" * 900}) for number in range(20_000))))
    arn = start(client, "1", MaxWriteRequestUnits=1024)
    with pytest.raises(client.exceptions.ResourceInUseException):
        start(client, "1")
    answer = client.cancel_bulk_operation(BulkOperationArn=arn)
    assert (answer["BulkOperationArn"], answer["BulkOperationStatus"]) == (arn, "CANCELLING")
    shown = ended(client, arn)
    assert (shown["BulkOperationStatus"], shown["FailureCode"]) == ("CANCELLED", "UserCancelled")
    assert len(names(client)) == shown["ProcessedItemCount"] < 20_000
    with pytest.raises(ClientError, match="ended already"):
        client.cancel_bulk_operation(BulkOperationArn=arn)


def test_a_report_stays_in_its_bucket(client: Any) -> None:
    with pytest.raises(ClientError, match="out of its bucket"):
        client.start_bulk_put_items(
            TableName="Music",
            InputS3Configuration={"S3Bucket": "music", "InputFormat": "DYNAMODB_JSON"},
            OutputS3Configuration={"S3Bucket": "music", "S3KeyPrefix": "../../x", "OutputType": ["ERROR"]},
        )


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [True, False], ids=["kill -9", "stop"])
def test_an_operation_goes_on_after_a_restart(tmp_path: Path, bucket: Path, is_killed: bool) -> None:
    wrong = [b"{"] * 5
    for part in range(3):
        records = [item(f"n{part}-{number}", f={"S": "x" * 200}) for number in range(3000)]
        (bucket / f"{part}.json").write_bytes(lines(*records[:1500], *wrong, *records[1500:]))
    server = ServerProcess(tmp_path / "data", "--s3-dir", str(bucket.parent), "--initial-partitions", "2")
    server.start()
    client = server.client()
    client.call("CreateTable", TABLE)
    arn = client.call(
        "StartBulkPutItems",
        {
            "TableName": "Music",
            "InputS3Configuration": {"S3Bucket": "music", "InputFormat": "DYNAMODB_JSON"},
            "OutputS3Configuration": {"S3Bucket": "music", "S3KeyPrefix": "out", "OutputType": ["ERROR"]},
            "MaxWriteRequestUnits": 5000,
        },
    )["BulkOperationDescription"]["BulkOperationArn"]
    for fraction in (0.2, 0.6):
        while count(client) < 9000 * fraction:
            pass    # each look is a request
        client.close()
        if is_killed:
            server.kill()
        else:
            assert server.stop() == 0
        server.start()
        client = server.client()
        assert count(client) >= 9000 * fraction
    deadline = time.monotonic() + SECONDS_MAX
    while (shown := described(client, arn))["BulkOperationStatus"] == "IN_PROGRESS":
        assert time.monotonic() < deadline, "it does not go on"
    assert shown["BulkOperationStatus"] == "COMPLETED_WITH_ERRORS"
    assert (shown["ProcessedItemCount"], shown["FailedItemCount"]) == (9015, 15)
    assert count(client) == 9000
    found = report(bucket, arn, "errors.json")
    assert [(each["objectKey"], each["lineNumber"]) for each in found] == [
        (f"{part}.json", 1501 + number) for part in range(3) for number in range(5)
    ]
    client.close()
    assert server.stop() == 0


def described(client: Client, arn: str) -> dict[str, Any]:
    shown: dict[str, Any] = client.call("DescribeBulkOperation", {"BulkOperationArn": arn})["BulkOperationDescription"]
    return shown


def count(client: Client) -> int:
    found: int = client.call("DescribeTable", {"TableName": "Music"})["Table"]["ItemCount"]
    return found
