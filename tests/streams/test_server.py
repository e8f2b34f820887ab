"""Streams of a whole server: over restarts, beside indexes, and when their table is gone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import varley
from tests.aws.streams import all_records, enabled, events, iterator, shards_of
from varley.cli.check import examine

pytestmark = pytest.mark.slow

DAY = 86_400
SECONDS_MAX = 30    # for what the server does by itself, every second


def create(server: varley.Server, name: str = "Music", **more: Any) -> str:
    """A table with a stream; its ARN."""
    created = server.client().create_table(
        TableName=name,
        **{
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "N"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": enabled("NEW_AND_OLD_IMAGES"),
            **more,
        },
    )
    arn: str = created["TableDescription"]["LatestStreamArn"]
    return arn


def put(server: varley.Server, number: int, **more: Any) -> None:
    server.client().put_item(TableName="Music", Item={"pk": {"S": "a"}, "sk": {"N": str(number)}, **more})


def numbers(server: varley.Server, arn: str) -> list[int]:
    found = all_records(server.client("dynamodbstreams"), arn)
    return sorted(int(record["dynamodb"]["Keys"]["sk"]["N"]) for record in found)


def groups(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "trees").iterdir())


def test_records_shards_and_iterators_survive_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with varley.Server(data_dir=str(folder), initial_partitions=2) as server:
        arn = create(server)
        put(server, 1)
        server.rotate_shards("Music")
        put(server, 2)
        streams = server.client("dynamodbstreams")
        before = shards_of(streams, arn)
        places = [iterator(streams, arn, shard["ShardId"]) for shard in before]
        pages = [streams.get_records(ShardIterator=place)["Records"] for place in places]
    assert examine(str(folder), lambda path: None) == []
    with varley.Server(data_dir=str(folder)) as server:
        streams = server.client("dynamodbstreams")
        assert shards_of(streams, arn) == before
        assert len(before) == 4
        assert [streams.get_records(ShardIterator=place)["Records"] for place in places] == pages
        put(server, 3)
        assert numbers(server, arn) == [1, 2, 3]


def test_a_deleted_table_leaves_its_stream_over_a_restart(tmp_path: Path) -> None:
    """With a global index, whose partitions go at once though the log still has what was on its way to them."""
    folder = tmp_path / "data"
    by_sk = {
        "IndexName": "by-sk",
        "KeySchema": [{"AttributeName": "sk", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    with varley.Server(data_dir=str(folder)) as server:
        arn = create(server, GlobalSecondaryIndexes=[by_sk])
        for number in range(20):
            put(server, number)
        server.client().delete_table(TableName="Music")
        assert numbers(server, arn) == list(range(20))
    assert len(groups(folder)) == 1
    assert examine(str(folder), lambda path: None) == []
    with varley.Server(data_dir=str(folder)) as server:
        assert numbers(server, arn) == list(range(20))
        assert server.client().list_tables()["TableNames"] == []
        second = create(server)
        put(server, 100)
        assert (numbers(server, arn), numbers(server, second)) == (list(range(20)), [100])
        server.advance(DAY + 60)
        streams = server.client("dynamodbstreams")
        assert [each["StreamArn"] for each in streams.list_streams()["Streams"]] == [second]
        with pytest.raises(streams.exceptions.ResourceNotFoundException):
            streams.describe_stream(StreamArn=arn)
        old = groups(folder)[0]
        deadline = time.monotonic() + SECONDS_MAX
        while old in groups(folder):
            streams.list_streams()
            assert time.monotonic() < deadline, "the deleted table's partition is still there"
    assert examine(str(folder), lambda path: None) == []


def test_a_stream_that_was_deleted_with_its_table_goes_at_a_later_start(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with varley.Server(data_dir=str(folder)) as server:
        arn = create(server)
        put(server, 1)
        server.client().delete_table(TableName="Music")
    with varley.Server(data_dir=str(folder)) as server:
        server.advance(2 * DAY)
        deadline = time.monotonic() + SECONDS_MAX
        while groups(folder):
            assert server.client("dynamodbstreams").list_streams()["Streams"] == []
            assert time.monotonic() < deadline, "the deleted table's partition is still there"
        create(server)
    with varley.Server(data_dir=str(folder)) as server:
        streams = server.client("dynamodbstreams")
        listed = [each["StreamArn"] for each in streams.list_streams()["Streams"]]
        assert len(listed) == 1
        assert arn not in listed


def test_reset_drops_streams_too() -> None:
    with varley.Server() as server:
        for name in ("Music", "Films"):
            arn = create(server, name)
        server.client().delete_table(TableName="Films")
        server.reset()
        streams = server.client("dynamodbstreams")
        assert streams.list_streams()["Streams"] == []
        with pytest.raises(streams.exceptions.ResourceNotFoundException):
            streams.describe_stream(StreamArn=arn)
        again = create(server)
        put(server, 1)
        assert events(all_records(streams, again)) == ["INSERT"]


def test_an_iterator_lasts_a_quarter_of_an_hour() -> None:
    with varley.Server() as server:
        arn = create(server)
        put(server, 1)
        streams = server.client("dynamodbstreams")
        [shard] = shards_of(streams, arn)
        place = iterator(streams, arn, shard["ShardId"])
        server.advance(14 * 60)
        following = streams.get_records(ShardIterator=place)["NextShardIterator"]
        server.advance(2 * 60)
        with pytest.raises(streams.exceptions.ExpiredIteratorException, match="exceeds the maximum age allowed"):
            streams.get_records(ShardIterator=place)
        assert streams.get_records(ShardIterator=following)["Records"] == []


def test_what_is_older_than_a_day_is_refused_by_name() -> None:
    with varley.Server() as server:
        arn = create(server)
        put(server, 1)
        put(server, 2)
        streams = server.client("dynamodbstreams")
        [shard] = shards_of(streams, arn)
        found = all_records(streams, arn)
        server.advance(DAY - 60)
        place = iterator(streams, arn, shard["ShardId"])
        assert len(streams.get_records(ShardIterator=place)["Records"]) == 2
        server.advance(120)
        number = found[0]["dynamodb"]["SequenceNumber"]
        with pytest.raises(streams.exceptions.TrimmedDataAccessException, match="has been trimmed"):
            streams.get_records(ShardIterator=place)
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            with pytest.raises(streams.exceptions.TrimmedDataAccessException):
                iterator(streams, arn, shard["ShardId"], kind, SequenceNumber=number)
        put(server, 3)
        assert numbers(server, arn) == [3]
        oldest = iterator(streams, arn, shard["ShardId"], "AT_TIMESTAMP", Timestamp=1)
        assert len(streams.get_records(ShardIterator=oldest)["Records"]) == 1


def test_a_table_may_have_indexes_and_a_stream() -> None:
    with varley.Server() as server:
        definitions = [("pk", "S"), ("sk", "N"), ("x", "S")]
        by_x = {
            "IndexName": "by-x",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "x", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        arn = create(
            server,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in definitions],
            LocalSecondaryIndexes=[by_x],
        )
        put(server, 1, x={"S": "1"})
        client, streams = server.client(), server.client("dynamodbstreams")
        client.update_table(TableName="Music", StreamSpecification={"StreamEnabled": False})
        put(server, 2, x={"S": "2"})
        client.update_table(TableName="Music", StreamSpecification=enabled("KEYS_ONLY"))
        put(server, 3, x={"S": "3"})
        second = client.describe_table(TableName="Music")["Table"]["LatestStreamArn"]
        assert (numbers(server, arn), numbers(server, second)) == ([1], [3])
        answer = client.query(
            TableName="Music",
            IndexName="by-x",
            KeyConditionExpression="pk = :a",
            ExpressionAttributeValues={":a": {"S": "a"}},
            ReturnConsumedCapacity="INDEXES",
        )
        assert [item["x"]["S"] for item in answer["Items"]] == ["1", "2", "3"]
        assert [each["StreamLabel"] for each in streams.list_streams(TableName="Music")["Streams"]] == sorted(
            label.rpartition("/")[2] for label in (arn, second)
        )
