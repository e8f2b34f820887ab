"""Every strong answer waits for a lease: of each operation that may give one, nothing leaves while no leader of what it
was computed from can know that it leads. Whichever node is asked, and wherever in the request the answer is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from tests.remote.machines import Body, Cluster
from varley.node.settled import Done

TABLE: Body = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
}
NAMES = [f"item {number}" for number in range(12)]    # in all partitions


def key(name: str) -> Body:
    return {"pk": {"S": name}}


def of(name: str) -> Body:
    return {"TableName": "things", "Key": key(name)}


ABSENT = "attribute_not_exists(pk)"
STRONG = {"ConsistentRead": True}
# By what the test is called: operation and body; NAMES are there, "none" and what begins with it is not.
STRONG_ANSWERS: dict[str, tuple[str, Body]] = {
    "GetItem": ("GetItem", of(NAMES[0]) | STRONG),
    "Query": (
        "Query",
        {
            "TableName": "things",
            "KeyConditionExpression": "pk = :k",
            "ExpressionAttributeValues": {":k": {"S": NAMES[0]}},
            **STRONG,
        },
    ),
    "Scan": ("Scan", {"TableName": "things", **STRONG}),
    "BatchGetItem": ("BatchGetItem", {"RequestItems": {"things": {"Keys": [key(each) for each in NAMES], **STRONG}}}),
    "TransactGetItems of one": ("TransactGetItems", {"TransactItems": [{"Get": of(NAMES[0])}]}),
    "TransactGetItems": ("TransactGetItems", {"TransactItems": [{"Get": of(each)} for each in NAMES]}),
    "ExecuteStatement reads one": (
        "ExecuteStatement",
        {"Statement": f"SELECT * FROM things WHERE pk = '{NAMES[0]}'", **STRONG},
    ),
    "ExecuteStatement reads all": ("ExecuteStatement", {"Statement": "SELECT * FROM things", **STRONG}),
    "BatchExecuteStatement reads": (
        "BatchExecuteStatement",
        {"Statements": [{"Statement": f"SELECT * FROM things WHERE pk = '{each}'", **STRONG} for each in NAMES]},
    ),
    "ExecuteTransaction reads": (
        "ExecuteTransaction",
        {"TransactStatements": [{"Statement": f"SELECT * FROM things WHERE pk = '{each}'"} for each in NAMES]},
    ),
    "PutItem refused": (
        "PutItem",
        {"TableName": "things", "Item": key(NAMES[0]), "ConditionExpression": ABSENT},
    ),
    "UpdateItem refused": (
        "UpdateItem",
        of(NAMES[0]) | {"UpdateExpression": "REMOVE a", "ConditionExpression": ABSENT},
    ),
    "DeleteItem refused": ("DeleteItem", of(NAMES[0]) | {"ConditionExpression": ABSENT}),
    "DeleteItem of nothing": ("DeleteItem", of("none")),
    "ExecuteStatement refused": ("ExecuteStatement", {"Statement": f"INSERT INTO things VALUE {{'pk': '{NAMES[0]}'}}"}),
    "BatchWriteItem of nothing": (
        "BatchWriteItem",
        {"RequestItems": {"things": [{"DeleteRequest": {"Key": key(f"none {number}")}} for number in range(12)]}},
    ),
    "BatchWriteItem, in part of nothing": (
        "BatchWriteItem",
        {
            "RequestItems": {
                "things": [
                    *({"DeleteRequest": {"Key": key(f"none {number}")}} for number in range(12)),
                    *({"PutRequest": {"Item": key(each)}} for each in NAMES),
                ]
            }
        },
    ),
    "BatchExecuteStatement, in part refused": (
        "BatchExecuteStatement",
        {
            "Statements": [
                {"Statement": f"INSERT INTO things VALUE {{'pk': '{each}'}}"} for each in (*NAMES, "new 1", "new 2")
            ]
        },
    ),
    "TransactWriteItems refused": (
        "TransactWriteItems",
        {"TransactItems": [{"Delete": of(each) | {"ConditionExpression": ABSENT}} for each in NAMES]},
    ),
    "TransactWriteItems of one refused": (
        "TransactWriteItems",
        {"TransactItems": [{"Delete": of(NAMES[0]) | {"ConditionExpression": ABSENT}}]},
    ),
    "TransactWriteItems that only checks": (
        "TransactWriteItems",
        {"TransactItems": [{"ConditionCheck": of(NAMES[0]) | {"ConditionExpression": "attribute_exists(pk)"}}]},
    ),
    "TransactWriteItems of nothing": ("TransactWriteItems", {"TransactItems": [{"Delete": of("none")}]}),
    "ExecuteTransaction that only checks": (
        "ExecuteTransaction",
        {
            "TransactStatements": [
                {"Statement": f"EXISTS(SELECT * FROM things WHERE pk = '{NAMES[0]}' AND a IS MISSING)"},
            ]
        },
    ),
    "DescribeStream": ("DescribeStream", {"StreamArn": "ARN"}),
    "GetShardIterator": (
        "GetShardIterator",
        {"StreamArn": "ARN", "ShardId": "SHARD", "ShardIteratorType": "LATEST"},
    ),
    "GetRecords": ("GetRecords", {"ShardIterator": "ITERATOR"}),
}


class Doubt:
    """Nobody who leads has a lease, and no quorum answers, until `end`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._asked: list[Done] = []
        for lease in cluster.leases.values():
            lease.lapses = 1 << 60
            lease.on_confirm = self._asked.append

    def end(self) -> None:
        for lease in self._cluster.leases.values():
            lease.lapses = 0
        for then in self._asked:
            then(None)


async def _turns() -> None:
    for _ in range(60):
        await asyncio.sleep(0)


async def _world() -> tuple[Cluster, dict[str, str]]:
    """And what stands for what of the stream."""
    cluster = Cluster("n1", "n2", "n3")
    await cluster.start()
    first = cluster.machines[0]
    _, body = await first.ask("CreateTable", TABLE)
    arn = msgspec.json.decode(body)["TableDescription"]["LatestStreamArn"]
    for each in NAMES:
        assert (await first.ask("PutItem", {"TableName": "things", "Item": key(each)}))[0] == 200
    _, body = await first.ask("DescribeStream", {"StreamArn": arn})
    shard = msgspec.json.decode(body)["StreamDescription"]["Shards"][0]["ShardId"]
    asked = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    _, body = await first.ask("GetShardIterator", asked)
    return cluster, {"ARN": arn, "SHARD": shard, "ITERATOR": msgspec.json.decode(body)["ShardIterator"]}


@pytest.mark.parametrize("name", STRONG_ANSWERS)
def test_a_strong_answer_waits_for_a_lease(name: str) -> None:
    operation, body = STRONG_ANSWERS[name]

    async def run() -> None:
        cluster, stand_ins = await _world()
        asks = {name: stand_ins.get(each, each) if isinstance(each, str) else each for name, each in body.items()}
        for machine in cluster.machines:
            doubt = Doubt(cluster)
            asked = asyncio.ensure_future(machine.ask(operation, asks))
            await _turns()
            assert not asked.done(), f"{machine.name} has told: {await asked}"
            doubt.end()
            status, answer = await asked
            assert status in (200, 400), answer
        await cluster.stop()

    asyncio.run(run())


EVENTUAL_OR_DONE: dict[str, Callable[[str], tuple[str, Body]]] = {
    "GetItem": lambda name: ("GetItem", of(name)),
    "Scan": lambda name: ("Scan", {"TableName": "things"}),
    "PutItem": lambda name: ("PutItem", {"TableName": "things", "Item": key(name), "ReturnValues": "ALL_OLD"}),
    "UpdateItem": lambda name: ("UpdateItem", of(name) | {"UpdateExpression": "ADD n :n", **_ONE}),
    "DeleteItem": lambda name: ("DeleteItem", of(name) | {"ReturnValues": "ALL_OLD"}),
    "BatchWriteItem": lambda name: (
        "BatchWriteItem", {"RequestItems": {"things": [{"PutRequest": {"Item": key(each)}} for each in NAMES]}},
    ),
    "TransactWriteItems": lambda name: (
        "TransactWriteItems",
        {"TransactItems": [{"Put": {"TableName": "things", "Item": key(each)}} for each in NAMES]},
    ),
}  # fmt: skip
_ONE: Body = {"ExpressionAttributeValues": {":n": {"N": "1"}}}


@pytest.mark.parametrize("name", EVENTUAL_OR_DONE)
def test_what_tells_of_no_more_than_was_chosen_waits_for_none(name: str) -> None:
    """And is done once: who has written something is not run again."""

    async def run() -> None:
        cluster, _ = await _world()
        for machine, item in zip(cluster.machines, NAMES, strict=False):
            doubt = Doubt(cluster)
            async with asyncio.timeout(5):
                assert (await machine.ask(*EVENTUAL_OR_DONE[name](item)))[0] == 200
            doubt.end()
        await cluster.stop()

    asyncio.run(run())
