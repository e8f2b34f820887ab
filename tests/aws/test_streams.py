# Why: whoever keeps a copy of a table up to date from its stream must be told of every change once, in order, and of
# nothing that is no change.

import datetime
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from .refusals import invalid, refused
from .streams import (
    all_records,
    enabled,
    events,
    iterator,
    latest_stream,
    records_from,
    shards_of,
    streams_client,
)
from .table import Table, unique

VIEWS = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")


@pytest.fixture(scope="session")
def streams(session: Any, endpoint: str) -> Any:
    return streams_client(session, endpoint)


@pytest.fixture
def watched(make_table: Callable[..., Table]) -> Table:
    """A table of its own with a stream that has everything."""
    return make_table("S", "N", StreamSpecification=enabled("NEW_AND_OLD_IMAGES"))


def key(pk: str = "a", sk: str = "1") -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"N": sk}}


def changes(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record["dynamodb"] for record in records]


# What is recorded


def test_a_record_tells_what_was_and_what_is(watched: Table, dynamodb: Any, streams: Any) -> None:
    watched.put({**key(), "x": {"S": "old"}})
    watched.update(key(), UpdateExpression="SET x = :x", ExpressionAttributeValues={":x": {"S": "new"}})
    watched.delete(key())
    inserted, modified, removed = all_records(streams, latest_stream(dynamodb, watched))
    assert events([inserted, modified, removed]) == ["INSERT", "MODIFY", "REMOVE"]
    old, new = {**key(), "x": {"S": "old"}}, {**key(), "x": {"S": "new"}}
    assert (inserted["dynamodb"]["NewImage"], inserted["dynamodb"].get("OldImage")) == (old, None)
    assert (modified["dynamodb"]["NewImage"], modified["dynamodb"].get("OldImage")) == (new, old)
    assert (removed["dynamodb"].get("NewImage"), removed["dynamodb"]["OldImage"]) == (None, new)
    for record in (inserted, modified, removed):
        assert record["dynamodb"]["Keys"] == key()
        assert record["dynamodb"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
        assert (record["eventVersion"], record["eventSource"]) == ("1.1", "aws:dynamodb")
        assert "userIdentity" not in record
    assert len({record["eventID"] for record in (inserted, modified, removed)}) == 3
    # Keys of 3 + 4 bytes, and 4 of x in each image.
    assert [change["SizeBytes"] for change in changes([inserted, modified, removed])] == [18, 29, 18]


def test_a_record_has_the_second_of_the_change(watched: Table, dynamodb: Any, streams: Any) -> None:
    answer = watched.put(key())
    [change] = changes(all_records(streams, latest_stream(dynamodb, watched)))
    made = change["ApproximateCreationDateTime"]
    assert made.microsecond == 0
    said = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert abs((made - said).total_seconds()) < 120


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_the_images_that_it_is_named_for(
    make_table: Callable[..., Table], dynamodb: Any, streams: Any, view: str
) -> None:
    table = make_table(StreamSpecification=enabled(view))
    item = {"pk": {"S": "a"}, "x": {"N": "1"}}
    table.put(item)
    table.update({"pk": {"S": "a"}}, UpdateExpression="ADD x :one", ExpressionAttributeValues={":one": {"N": "1"}})
    table.delete({"pk": {"S": "a"}})
    found = changes(all_records(streams, latest_stream(dynamodb, table)))
    has_new, has_old = "NEW" in view, "OLD" in view
    assert ["NewImage" in change for change in found] == [has_new, has_new, False]
    assert ["OldImage" in change for change in found] == [False, has_old, has_old]
    assert {change["StreamViewType"] for change in found} == {view}
    # 3 bytes of keys; the item has 3 and 3.
    new, old = 6 * has_new, 6 * has_old
    assert [change["SizeBytes"] for change in found] == [3 + new, 3 + new + old, 3 + old]


def test_what_changes_nothing_is_not_recorded(watched: Table, dynamodb: Any, streams: Any) -> None:
    item = {**key(), "n": {"N": "1"}, "s": {"SS": ["a", "b"]}, "m": {"M": {"x": {"S": "1"}, "y": {"NULL": True}}}}
    same = {"m": {"M": {"y": {"NULL": True}, "x": {"S": "1"}}}, "s": {"SS": ["b", "a"]}, "n": {"N": "1.0"}, **key()}
    watched.delete(key())    # nothing there
    watched.put(item)
    watched.put(item)
    watched.put(same)
    watched.update(key(), UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": {"N": "1"}})
    watched.update(key(), UpdateExpression="REMOVE nothing")
    watched.update(key())
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        watched.put({**key(), "n": {"N": "7"}}, ConditionExpression="attribute_not_exists(pk)")
    assert events(all_records(streams, latest_stream(dynamodb, watched))) == ["INSERT"]


def test_an_item_that_an_update_makes_is_inserted(watched: Table, dynamodb: Any, streams: Any) -> None:
    watched.update(key())
    [record] = all_records(streams, latest_stream(dynamodb, watched))
    assert (record["eventName"], record["dynamodb"]["NewImage"]) == ("INSERT", key())


def test_batches_and_statements_are_recorded_too(watched: Table, dynamodb: Any, streams: Any) -> None:
    watched.fill([key("b", str(number)) for number in range(30)])
    name = watched.name
    dynamodb.execute_statement(Statement=f"INSERT INTO \"{name}\" VALUE {{'pk': 'c', 'sk': 1}}")
    dynamodb.execute_statement(Statement=f"UPDATE \"{name}\" SET x = 1 WHERE pk = 'c' AND sk = 1")
    dynamodb.execute_statement(Statement=f"DELETE FROM \"{name}\" WHERE pk = 'c' AND sk = 1")
    found = all_records(streams, latest_stream(dynamodb, watched))
    of_batch = [record for record in found if record["dynamodb"]["Keys"]["pk"]["S"] == "b"]
    assert sorted(int(each["dynamodb"]["Keys"]["sk"]["N"]) for each in of_batch) == list(range(30))
    assert events([record for record in found if record not in of_batch]) == ["INSERT", "MODIFY", "REMOVE"]


def test_each_change_of_a_transaction_is_recorded(watched: Table, dynamodb: Any, streams: Any) -> None:
    name = watched.name
    watched.put({**key("t", "0"), "x": {"S": "old"}})
    watched.put({**key("u", "0"), "x": {"S": "old"}})
    dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": name, "Item": key(str(number))}} for number in range(10)
        ] + [
            {"Delete": {"TableName": name, "Key": key("t", "0")}},
            {"Update": {
                "TableName": name, "Key": key("u", "0"), "UpdateExpression": "SET x = :x",
                "ExpressionAttributeValues": {":x": {"S": "new"}},
            }},
            {"ConditionCheck": {
                "TableName": name, "Key": key("v"), "ConditionExpression": "attribute_not_exists(pk)",
            }},
        ]
    )  # fmt: skip
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
        dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": name, "Item": key("w")}},
                {"ConditionCheck": {
                    "TableName": name, "Key": key("v"), "ConditionExpression": "attribute_exists(pk)",
                }},
            ]
        )  # fmt: skip
    found = all_records(streams, latest_stream(dynamodb, watched))[2:]
    assert sorted(events(found)) == ["INSERT"] * 10 + ["MODIFY", "REMOVE"]
    assert len(set(sequence_numbers(found))) == 12
    [modified] = [record["dynamodb"] for record in found if record["eventName"] == "MODIFY"]
    assert (modified["OldImage"]["x"], modified["NewImage"]["x"]) == ({"S": "old"}, {"S": "new"})


def test_every_kind_of_value_comes_as_it_was_written(watched: Table, dynamodb: Any, streams: Any) -> None:
    item = {
        **key(), "S": {"S": "é\"\\\n"}, "N": {"N": "-1.5E+100"}, "B": {"B": b"\0\xff"}, "T": {"BOOL": True},
        "U": {"NULL": True}, "SS": {"SS": ["x"]}, "NS": {"NS": ["1"]}, "BS": {"BS": [b"\1"]},
        "L": {"L": [{"S": ""}, {"M": {}}]}, "M": {"M": {"deep": {"L": []}}},
    }  # fmt: skip
    watched.put(item)
    [record] = all_records(streams, latest_stream(dynamodb, watched))
    assert record["dynamodb"]["NewImage"] == watched.item(key())


# Places in a shard


@pytest.fixture
def six(watched: Table, dynamodb: Any, streams: Any) -> tuple[str, str, list[dict[str, Any]]]:
    """(stream, its one shard, six records)."""
    for number in range(6):
        watched.put(key("a", str(number)))
    arn = latest_stream(dynamodb, watched)
    found = all_records(streams, arn)
    [shard] = [
        shard["ShardId"]
        for shard in shards_of(streams, arn)
        if records_from(streams, iterator(streams, arn, shard["ShardId"]))
    ]
    return arn, shard, found


def sequence_numbers(records: list[dict[str, Any]]) -> list[str]:
    return [record["dynamodb"]["SequenceNumber"] for record in records]


def test_sequence_numbers_ascend(six: Any) -> None:
    numbers = sequence_numbers(six[2])
    assert len(numbers) == 6
    assert numbers == sorted(numbers, key=int)
    assert len(set(numbers)) == 6
    assert all(21 <= len(number) <= 40 for number in numbers)


def test_reading_begins_at_a_record_or_behind_it(six: Any, streams: Any) -> None:
    arn, shard, found = six
    for at, record in enumerate(found):
        number = record["dynamodb"]["SequenceNumber"]
        place = iterator(streams, arn, shard, "AT_SEQUENCE_NUMBER", SequenceNumber=number)
        assert records_from(streams, place) == found[at:]
        place = iterator(streams, arn, shard, "AFTER_SEQUENCE_NUMBER", SequenceNumber=number)
        assert records_from(streams, place) == found[at + 1 :]


def test_reading_begins_at_the_start_of_the_shard(six: Any, streams: Any) -> None:
    arn, shard, found = six
    [start] = [
        each["SequenceNumberRange"]["StartingSequenceNumber"]
        for each in shards_of(streams, arn)
        if each["ShardId"] == shard
    ]
    assert int(start) <= int(sequence_numbers(found)[0])
    assert records_from(streams, iterator(streams, arn, shard, "AT_SEQUENCE_NUMBER", SequenceNumber=start)) == found


def test_latest_sees_only_what_comes_afterwards(six: Any, watched: Table, streams: Any) -> None:
    arn, shard, _ = six
    place = iterator(streams, arn, shard, "LATEST")
    first = streams.get_records(ShardIterator=place)
    assert first["Records"] == []
    watched.put(key("a", "99"))
    [record] = records_from(streams, first["NextShardIterator"])
    assert record["dynamodb"]["Keys"] == key("a", "99")
    assert records_from(streams, place) == [record], "an iterator may be used again"


@pytest.mark.varley_only
def test_reading_begins_at_a_time(six: Any, streams: Any) -> None:
    arn, shard, found = six
    second = found[0]["dynamodb"]["ApproximateCreationDateTime"].timestamp()
    assert records_from(streams, iterator(streams, arn, shard, "AT_TIMESTAMP", Timestamp=second)) == found
    assert records_from(streams, iterator(streams, arn, shard, "AT_TIMESTAMP", Timestamp=1)) == found
    with invalid("One or more parameter values were invalid: Timestamp must not be in the future"):
        iterator(streams, arn, shard, "AT_TIMESTAMP", Timestamp=second + 3600)


def test_pages_have_the_size_that_was_asked_for(six: Any, streams: Any) -> None:
    arn, shard, found = six
    place, pages = iterator(streams, arn, shard), []
    for _ in range(3):
        page = streams.get_records(ShardIterator=place, Limit=2)
        pages.append(page["Records"])
        place = page["NextShardIterator"]
    assert [record for page in pages for record in page] == found
    assert [len(page) for page in pages] == [2, 2, 2]
    assert streams.get_records(ShardIterator=place)["Records"] == []


def test_a_page_has_at_most_1000_records(watched: Table, dynamodb: Any, streams: Any) -> None:
    watched.fill([key("a", str(number)) for number in range(1010)])
    arn = latest_stream(dynamodb, watched)
    [shard] = [each["ShardId"] for each in shards_of(streams, arn)]
    page = streams.get_records(ShardIterator=iterator(streams, arn, shard))
    assert len(page["Records"]) == 1000
    assert len(records_from(streams, page["NextShardIterator"])) == 10


@pytest.mark.varley_only
def test_a_page_has_at_most_a_megabyte(watched: Table, dynamodb: Any, streams: Any) -> None:
    """The service promises no more than 1 MB; where exactly it stops it does not say."""
    for number in range(4):
        watched.put({**key("a", str(number)), "x": {"S": "x" * 390_000}})
    arn = latest_stream(dynamodb, watched)
    [shard] = [each["ShardId"] for each in shards_of(streams, arn)]
    page = streams.get_records(ShardIterator=iterator(streams, arn, shard))
    assert len(page["Records"]) == 2
    assert len(records_from(streams, page["NextShardIterator"])) == 2


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0" * 21, "Invalid SequenceNumber for the shard"),
        pytest.param("9" * 40, "Invalid SequenceNumber for the shard", marks=pytest.mark.varley_only),
        pytest.param(
            "x" * 21, "One or more parameter values were invalid: Invalid SequenceNumber",
            marks=pytest.mark.varley_only,
        ),
    ],
    ids=["too low", "too high", "no number"],
)  # fmt: skip
def test_a_number_belongs_to_the_shard(six: Any, streams: Any, number: str, text: str) -> None:
    arn, shard, _ = six
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        with invalid(text):
            iterator(streams, arn, shard, kind, SequenceNumber=number)


def test_a_shard_that_is_not_there(six: Any, streams: Any) -> None:
    with refused("ResourceNotFoundException", "Requested resource not found: Shard does not exist"):
        iterator(streams, six[0], "shardId-00000001507210000000-abcdef12")


@pytest.mark.varley_only
def test_an_iterator_that_was_tampered_with(six: Any, streams: Any) -> None:
    arn, shard, _ = six
    place = iterator(streams, arn, shard)
    other = place[:-6] + ("A" if place[-6] != "A" else "B") + place[-5:]
    for wrong in (place[:-4], place + "AAAA", other, place.replace("|1|", "|2|"), place.partition("|")[0], place + "é"):
        with invalid("Invalid ShardIterator"):
            streams.get_records(ShardIterator=wrong)


# Streams of a table


def test_a_table_shows_its_stream(watched: Table, dynamodb: Any, streams: Any) -> None:
    shown = dynamodb.describe_table(TableName=watched.name)["Table"]
    assert shown["StreamSpecification"] == enabled("NEW_AND_OLD_IMAGES")
    label = shown["LatestStreamLabel"]
    assert shown["LatestStreamArn"] == f"{shown['TableArn']}/stream/{label}"
    assert datetime.datetime.strptime(label, "%Y-%m-%dT%H:%M:%S.%f")
    assert streams.list_streams(TableName=watched.name)["Streams"] == [
        {"StreamArn": shown["LatestStreamArn"], "TableName": watched.name, "StreamLabel": label}
    ]
    described = streams.describe_stream(StreamArn=shown["LatestStreamArn"])["StreamDescription"]
    shards = described.pop("Shards")
    created = described.pop("CreationRequestDateTime")
    assert abs((created - shown["CreationDateTime"]).total_seconds()) < 60
    assert described == {
        "StreamArn": shown["LatestStreamArn"],
        "StreamLabel": label,
        "StreamStatus": "ENABLED",
        "StreamViewType": "NEW_AND_OLD_IMAGES",
        "TableName": watched.name,
        "KeySchema": shown["KeySchema"],
    }
    for shard in shards:
        assert 28 <= len(shard["ShardId"]) <= 65
        assert set(shard["SequenceNumberRange"]) == {"StartingSequenceNumber"}
        assert "ParentShardId" not in shard


def test_a_stream_begins_when_it_is_enabled(table: Table, make_table: Any, dynamodb: Any, streams: Any) -> None:
    own = make_table()
    own.put({"pk": {"S": "before"}})
    answer = dynamodb.update_table(TableName=own.name, StreamSpecification=enabled("KEYS_ONLY"))["TableDescription"]
    assert answer["StreamSpecification"] == enabled("KEYS_ONLY")
    dynamodb.get_waiter("table_exists").wait(TableName=own.name, WaiterConfig={"Delay": 1})
    own.put({"pk": {"S": "after"}})
    own.put({"pk": {"S": "before"}, "x": {"S": "changed"}})
    found = all_records(streams, latest_stream(dynamodb, own))
    assert [(each["eventName"], each["dynamodb"]["Keys"]["pk"]["S"]) for each in found] == [
        ("INSERT", "after"), ("MODIFY", "before"),
    ]  # fmt: skip


def test_a_disabled_stream_takes_nothing_more_and_can_be_read(watched: Table, dynamodb: Any, streams: Any) -> None:
    watched.put(key("a", "1"))
    arn = latest_stream(dynamodb, watched)
    open_places = [iterator(streams, arn, each["ShardId"]) for each in shards_of(streams, arn)]
    answer = dynamodb.update_table(TableName=watched.name, StreamSpecification={"StreamEnabled": False})
    assert "StreamSpecification" not in answer["TableDescription"]
    watched.put(key("a", "2"))
    shown = dynamodb.describe_table(TableName=watched.name)["Table"]
    assert "StreamSpecification" not in shown
    assert shown["LatestStreamArn"] == arn
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED"
    for shard in described["Shards"]:
        numbers = shard["SequenceNumberRange"]
        assert int(numbers["StartingSequenceNumber"]) <= int(numbers["EndingSequenceNumber"])
    pages = [streams.get_records(ShardIterator=place) for place in open_places]
    assert events([record for page in pages for record in page["Records"]]) == ["INSERT"]
    assert not any("NextShardIterator" in page for page in pages)
    [record] = all_records(streams, arn)
    endings = {shard["SequenceNumberRange"]["EndingSequenceNumber"] for shard in described["Shards"]}
    assert record["dynamodb"]["SequenceNumber"] in endings


def test_a_stream_that_is_enabled_again_is_another_one(watched: Table, dynamodb: Any, streams: Any) -> None:
    watched.put(key("a", "1"))
    first = latest_stream(dynamodb, watched)
    dynamodb.update_table(TableName=watched.name, StreamSpecification={"StreamEnabled": False})
    dynamodb.update_table(TableName=watched.name, StreamSpecification=enabled("KEYS_ONLY"))
    second = latest_stream(dynamodb, watched)
    assert second != first
    watched.put(key("a", "2"))
    [old], [new] = all_records(streams, first), all_records(streams, second)
    assert (old["dynamodb"]["Keys"], new["dynamodb"]["Keys"]) == (key("a", "1"), key("a", "2"))
    assert "NewImage" not in new["dynamodb"]
    listed = [each["StreamArn"] for each in streams.list_streams(TableName=watched.name)["Streams"]]
    assert sorted(listed) == sorted([first, second])


def test_a_list_goes_on_where_it_stopped(watched: Table, dynamodb: Any, streams: Any) -> None:
    for view in ("KEYS_ONLY", "NEW_IMAGE"):
        dynamodb.update_table(TableName=watched.name, StreamSpecification={"StreamEnabled": False})
        dynamodb.update_table(TableName=watched.name, StreamSpecification=enabled(view))
    whole = [each["StreamArn"] for each in streams.list_streams(TableName=watched.name)["Streams"]]
    assert len(whole) == 3
    pages, start = [], {}
    while True:
        page = streams.list_streams(TableName=watched.name, Limit=1, **start)
        pages += [each["StreamArn"] for each in page["Streams"]]
        if "LastEvaluatedStreamArn" not in page:
            break
        start = {"ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]}
    assert sorted(pages) == sorted(whole)


def test_a_stream_outlives_its_table(watched: Table, dynamodb: Any, streams: Any) -> None:
    watched.put(key("a", "1"))
    arn = latest_stream(dynamodb, watched)
    dynamodb.delete_table(TableName=watched.name)
    dynamodb.get_waiter("table_not_exists").wait(TableName=watched.name, WaiterConfig={"Delay": 1})
    assert streams.describe_stream(StreamArn=arn)["StreamDescription"]["StreamStatus"] == "DISABLED"
    assert events(all_records(streams, arn)) == ["INSERT"]
    assert [each["StreamArn"] for each in streams.list_streams(TableName=watched.name)["Streams"]] == [arn]


def test_a_table_of_the_same_name_has_another_stream(make_table: Any, dynamodb: Any, streams: Any) -> None:
    name = unique("varley-test")
    arns = []
    for pk in ("first", "second"):
        own = make_table(TableName=name, StreamSpecification=enabled("KEYS_ONLY"))
        own.put({"pk": {"S": pk}})
        arns.append(latest_stream(dynamodb, own))
        if pk == "first":
            dynamodb.delete_table(TableName=name)
            dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    found = [[each["dynamodb"]["Keys"]["pk"]["S"] for each in all_records(streams, arn)] for arn in arns]
    assert found == [["first"], ["second"]]


@pytest.mark.parametrize("view", ["NEW_AND_OLD_IMAGES", "KEYS_ONLY"])
def test_an_enabled_stream_cannot_be_enabled(watched: Table, dynamodb: Any, view: str) -> None:
    with invalid(f"Table already has an enabled stream: TableName: {watched.name}"):
        dynamodb.update_table(TableName=watched.name, StreamSpecification=enabled(view))


def test_a_stream_that_is_not_there_cannot_be_disabled(table: Table, dynamodb: Any) -> None:
    with invalid(f"Table has no stream to disable: TableName: {table.name}"):
        dynamodb.update_table(TableName=table.name, StreamSpecification={"StreamEnabled": False})


@pytest.mark.varley_only
def test_children_are_asked_for_by_their_parent(watched: Table, dynamodb: Any, streams: Any) -> None:
    arn = latest_stream(dynamodb, watched)
    [shard] = shards_of(streams, arn)
    children = {"Type": "CHILD_SHARDS", "ShardId": shard["ShardId"]}
    assert streams.describe_stream(StreamArn=arn, ShardFilter=children)["StreamDescription"]["Shards"] == []
    for part in ("Type", "ShardId"):
        with invalid("One or more parameter values were invalid: ShardFilter must have both Type and ShardId"):
            streams.describe_stream(StreamArn=arn, ShardFilter={part: children[part]})


def test_an_operation_belongs_to_its_service(wire: Any) -> None:
    assert wire.call("ListStreams", {}).code == "UnknownOperationException"
