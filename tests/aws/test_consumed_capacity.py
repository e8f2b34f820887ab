# Why: bills and throttling are made of these numbers. One read unit is 4 KB read strongly, half of one eventually;
# one write unit is 1 KB written, counted on the larger of the item before and after; everything rounds up.
# (Developer guide, "Read and write operations".)

from typing import Any

import pytest

from .table import Item, Table, unique

KB = 1024


def units(answer: dict[str, Any]) -> float:
    return float(answer["ConsumedCapacity"]["CapacityUnits"])


def sized(key: Item, size: int) -> Item:
    """An item of exactly `size` bytes, with a one-letter attribute to fill it."""
    used = sum(len(name) + len(value["S"]) for name, value in key.items()) + len("f")
    return {**key, "f": {"S": "x" * (size - used)}}


def test_nothing_is_told_unless_asked_for(table: Table, key: Item) -> None:
    for answer in (table.put(key), table.get(key), table.update(key), table.delete(key), table.scan(Limit=1)):
        assert "ConsumedCapacity" not in answer
    assert "ConsumedCapacity" not in table.put(key, ReturnConsumedCapacity="NONE")


def test_total_tells_the_table_and_the_units(table: Table, key: Item) -> None:
    answer = table.put(key, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": table.name, "CapacityUnits": 1.0}


def test_indexes_tells_the_tables_share_too(table: Table, key: Item) -> None:
    expected = {"TableName": table.name, "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}}
    assert table.put(key, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"] == expected
    answer = table.get(key, ReturnConsumedCapacity="INDEXES", ConsistentRead=True)
    assert answer["ConsumedCapacity"] == expected


@pytest.mark.parametrize(
    ("size", "write", "strong"),
    [
        (100, 1.0, 1.0),
        (KB, 1.0, 1.0),
        (KB + 1, 2.0, 1.0),
        (4 * KB, 4.0, 1.0),
        (4 * KB + 1, 5.0, 2.0),
        (8 * KB, 8.0, 2.0),
        (8 * KB + 1, 9.0, 3.0),
        (100 * KB, 100.0, 25.0),
    ],
)
def test_units_of_an_item_by_its_size(table: Table, key: Item, size: int, write: float, strong: float) -> None:
    total = {"ReturnConsumedCapacity": "TOTAL"}
    item = sized(key, size)
    assert units(table.put(item, **total)) == write
    assert units(table.get(key, ConsistentRead=True, **total)) == strong
    assert units(table.get(key, **total)) == strong / 2
    assert units(table.get(key, ConsistentRead=True, ProjectionExpression="pk", **total)) == strong
    assert units(table.put(item, **total)) == write
    assert units(table.delete(key, **total)) == write


def test_nothing_found_costs_the_least(table: Table, key: Item) -> None:
    total = {"ReturnConsumedCapacity": "TOTAL"}
    assert units(table.get(key, **total)) == 0.5
    assert units(table.get(key, ConsistentRead=True, **total)) == 1.0
    assert units(table.delete(key, **total)) == 1.0


def test_replacing_costs_the_larger_of_old_and_new(table: Table, key: Item) -> None:
    total = {"ReturnConsumedCapacity": "TOTAL"}
    table.put(sized(key, 5 * KB))
    assert units(table.put(sized(key, 2 * KB), **total)) == 5.0
    assert units(table.put(sized(key, 3 * KB), **total)) == 3.0


def test_updating_costs_the_larger_of_before_and_after(table: Table, key: Item) -> None:
    total = {"ReturnConsumedCapacity": "TOTAL"}
    table.put(sized(key, 5 * KB))
    answer = table.update(key, UpdateExpression="SET g = :g", ExpressionAttributeValues={":g": {"BOOL": True}}, **total)
    assert units(answer) == 6.0
    assert units(table.update(key, UpdateExpression="REMOVE f", **total)) == 6.0
    assert units(table.update(key, UpdateExpression="REMOVE g", **total)) == 1.0


def test_an_update_that_changes_nothing_costs_the_whole_item(table: Table, key: Item) -> None:
    table.put(sized(key, 3 * KB))
    assert units(table.update(key, UpdateExpression="REMOVE absent", ReturnConsumedCapacity="TOTAL")) == 3.0


def query_units(table: Table, pk: Item, **parameters: Any) -> float:
    return units(
        table.query("pk = :pk", ExpressionAttributeValues={":pk": pk}, ReturnConsumedCapacity="TOTAL", **parameters)
    )


def test_a_query_costs_the_sum_of_its_items_rounded_once(sorted_table: Table) -> None:
    pk = {"S": unique()}
    sorted_table.fill([sized({"pk": pk, "sk": {"S": str(n)}}, 1000) for n in range(9)])
    # 9,000 bytes: two whole pages of 4,096 and a part
    assert query_units(sorted_table, pk, ConsistentRead=True) == 3.0
    assert query_units(sorted_table, pk) == 1.5
    assert query_units(sorted_table, pk, ConsistentRead=True, Select="COUNT") == 3.0
    assert query_units(sorted_table, pk, ConsistentRead=True, ProjectionExpression="sk") == 3.0
    assert query_units(sorted_table, pk, ConsistentRead=True, FilterExpression="attribute_not_exists(f)") == 3.0
    assert query_units(sorted_table, pk, ConsistentRead=True, Limit=4) == 1.0
    assert query_units(sorted_table, pk, ConsistentRead=True, Limit=5) == 2.0


def test_a_query_of_exactly_four_kilobytes_costs_one_unit(sorted_table: Table) -> None:
    pk = {"S": unique()}
    sorted_table.put(sized({"pk": pk, "sk": {"S": "a"}}, 2 * KB))
    sorted_table.put(sized({"pk": pk, "sk": {"S": "b"}}, 2 * KB))
    assert query_units(sorted_table, pk, ConsistentRead=True) == 1.0
    sorted_table.put(sized({"pk": pk, "sk": {"S": "b"}}, 2 * KB + 1))
    assert query_units(sorted_table, pk, ConsistentRead=True) == 2.0


def test_a_query_that_finds_nothing_costs_the_least(sorted_table: Table) -> None:
    assert query_units(sorted_table, {"S": unique()}) == 0.5
    assert query_units(sorted_table, {"S": unique()}, ConsistentRead=True) == 1.0


def test_a_query_tells_the_tables_share_too(sorted_table: Table) -> None:
    answer = sorted_table.query(
        "pk = :pk",
        ExpressionAttributeValues={":pk": {"S": unique()}},
        ReturnConsumedCapacity="INDEXES",
        ConsistentRead=True,
    )
    assert answer["ConsumedCapacity"] == {
        "TableName": sorted_table.name,
        "CapacityUnits": 1.0,
        "Table": {"CapacityUnits": 1.0},
    }


def test_a_scan_costs_what_it_read(make_table: Any) -> None:
    table = make_table()
    table.fill([sized({"pk": {"S": f"{n:02}"}}, 1000) for n in range(20)])
    total = {"ReturnConsumedCapacity": "TOTAL"}
    # 20,000 bytes: five units of 4,096 bytes, if all of it was read in one piece
    assert units(table.scan(ConsistentRead=True, **total)) == 5.0
    assert units(table.scan(**total)) == 2.5
    assert units(table.scan(ConsistentRead=True, FilterExpression="attribute_not_exists(f)", **total)) == 5.0


def test_batch_reads_round_each_item(table: Table, sorted_table: Table, key: Item) -> None:
    other = {"pk": {"S": unique()}}
    both = {**key, "sk": {"S": "a"}}
    table.put(sized(key, 4 * KB + 1))
    sorted_table.put(sized(both, 100))
    answer = table.client.batch_get_item(
        RequestItems={
            table.name: {"Keys": [key, other], "ConsistentRead": True},
            sorted_table.name: {"Keys": [both]},
        },
        ReturnConsumedCapacity="TOTAL",
    )
    found = {one["TableName"]: one["CapacityUnits"] for one in answer["ConsumedCapacity"]}
    assert found == {table.name: 2.0 + 1.0, sorted_table.name: 0.5}


def test_batch_writes_round_each_item(table: Table, sorted_table: Table, key: Item) -> None:
    other = {"pk": {"S": unique()}}
    both = {**key, "sk": {"S": "a"}}
    table.put(sized(other, 2 * KB + 1))
    answer = table.client.batch_write_item(
        RequestItems={
            table.name: [{"PutRequest": {"Item": sized(key, KB + 1)}}, {"DeleteRequest": {"Key": other}}],
            sorted_table.name: [{"PutRequest": {"Item": both}}],
        },
        ReturnConsumedCapacity="INDEXES",
    )
    found = {one["TableName"]: one for one in answer["ConsumedCapacity"]}
    assert found[table.name] == {
        "TableName": table.name,
        "CapacityUnits": 5.0,
        "Table": {"CapacityUnits": 5.0},
    }
    assert found[sorted_table.name]["CapacityUnits"] == 1.0


# Tables that are named by their ARN


def test_a_table_that_was_named_by_its_arn_is_told_of_by_its_arn(sorted_table: Table) -> None:
    """Service model, ConsumedCapacity: "you'll see the table ARN in the response"; BatchGetItem, Responses."""
    client = sorted_table.client
    arn = client.describe_table(TableName=sorted_table.name)["Table"]["TableArn"]
    item = {"pk": {"S": unique()}, "sk": {"S": "a"}}
    asked = {"ReturnConsumedCapacity": "TOTAL"}
    where = {"TableName": arn, "Key": item}
    told = [
        client.put_item(TableName=arn, Item=item, **asked),
        client.get_item(**where, **asked),
        client.update_item(**where, UpdateExpression="REMOVE a", **asked),
        client.scan(TableName=arn, Limit=1, **asked),
        client.query(
            TableName=arn,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": item["pk"]},
            **asked,
        ),
        client.delete_item(**where, **asked),
    ]
    batches = [
        client.batch_write_item(RequestItems={arn: [{"PutRequest": {"Item": item}}]}, **asked),
        client.batch_get_item(RequestItems={arn: {"Keys": [item]}}, **asked),
        client.transact_write_items(TransactItems=[{"Put": {"TableName": arn, "Item": item}}], **asked),
        client.transact_get_items(TransactItems=[{"Get": where}], **asked),
    ]
    assert {answer["ConsumedCapacity"]["TableName"] for answer in told} == {arn}
    assert {one["TableName"] for answer in batches for one in answer["ConsumedCapacity"]} == {arn}
    assert batches[1]["Responses"] == {arn: [item]}
