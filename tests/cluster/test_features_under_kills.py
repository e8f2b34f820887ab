"""Indexes, streams, transactions and expiry of a cluster, while the leaders of tables die and come back."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.cluster.local_cluster import SECONDS_MAX, LocalCluster

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("etcd_program")]

KILLS: Final = 2
BETWEEN: Final = 60         # requests that succeed before the next thing is done to the cluster
Items = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def cluster(etcd_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """One for all tests, which leave it whole. Tables have two partitions, led by different nodes as it happens."""
    with LocalCluster(tmp_path_factory.mktemp("cluster") / "data", "--nodes", "3", "--initial-partitions", "2") as made:
        yield made


class Service:
    """One client of each node, asked in turn: another node is asked after an error, and nothing twice."""

    def __init__(self, cluster: LocalCluster, first: int, kind: str = "dynamodb") -> None:
        options = Config(retries={"total_max_attempts": 1}, read_timeout=30, connect_timeout=2)
        self._clients = [
            boto3.client(
                kind, endpoint_url=node["endpoint"], region_name="us-east-1", aws_access_key_id="any",
                aws_secret_access_key="any", config=options,
            )
            for node in cluster.nodes.values()
        ]  # fmt: skip
        self._turn = first

    @property
    def client(self) -> Any:
        return self._clients[self._turn % len(self._clients)]

    def go_on(self) -> None:
        self._turn += 1


class Workers:
    """Threads that each do one thing again and again, until told to end."""

    def __init__(self, cluster: LocalCluster, works: Sequence[Callable[[Any], None]]) -> None:
        """Each of `works` is given a client. An error of it has no outcome that anybody knows, and is counted."""
        self.errors: Counter[str] = Counter()
        self.bugs: list[BaseException] = []     # what a test asserts about answers, in a thread
        self._is_over = False
        self._done = threading.Semaphore(0)
        self._threads = [
            threading.Thread(target=self._run, args=(work, Service(cluster, number)))
            for number, work in enumerate(works)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, work: Callable[[Any], None], service: Service) -> None:
        while not self._is_over and not self.bugs:
            try:
                work(service.client)
            except ClientError as error:
                self.errors[error.response["Error"]["Code"]] += 1
                service.go_on()
            except BotoCoreError as error:
                self.errors[type(error).__name__] += 1
                service.go_on()
            except BaseException as error:
                self.bugs.append(error)
            else:
                self._done.release()

    def wait_for_some(self, count: int = BETWEEN) -> None:
        while self._done.acquire(blocking=False):
            pass
        for _ in range(count):
            assert self._done.acquire(timeout=SECONDS_MAX), (self.errors, self.bugs)

    def end(self) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join()
        for bug in self.bugs:
            raise bug


def under_kills(cluster: LocalCluster, workers: Workers, table: str) -> None:
    """Leaders of the table's groups, of its indexes too, are killed and come back, while the workers go on."""
    try:
        workers.wait_for_some()
        for number in range(KILLS):
            groups = cluster.groups_of(table)
            leader = cluster.wait_for(lambda: cluster.groups_of(table)[number % len(groups)]["leader"])  # noqa: B023
            cluster.kill(leader)
            workers.wait_for_some()
            cluster.start(leader)
            workers.wait_for_some()
    finally:
        workers.end()


def scanned(client: Any, table: str, **more: Any) -> Items:
    pages = client.get_paginator("scan").paginate(TableName=table, **more)
    return {item["k"]["S"]: item for page in pages for item in page["Items"]}


def settled(cluster: LocalCluster, what: Callable[[], Any]) -> Any:
    """What this gives, asked again where a node that has just come back refuses."""

    def ask() -> Any:
        try:
            return [what()]
        except (ClientError, BotoCoreError):
            return None

    return cluster.wait_for(ask)[0]


def change(table: str, number: int, counts: Iterator[int], written: set[str]) -> Callable[[Any], None]:
    """A worker that puts, updates and deletes items of its own; `written`: the acknowledged ones that wrote a value."""
    chance = random.Random(number)

    def work(client: Any) -> None:
        name = f"w{next(counts)}"
        key, colour = {"k": {"S": f"{number}-{chance.randrange(6)}"}}, {"S": f"c{chance.randrange(4)}"}
        kind = chance.random()
        if kind < 0.15:
            client.delete_item(TableName=table, Key=key)
            return
        if kind < 0.5:
            client.put_item(TableName=table, Item=key | {"by": {"S": name}, "colour": colour})
        elif kind < 0.9:
            client.update_item(
                TableName=table, Key=key, UpdateExpression="SET #by = :w, colour = :c ADD n :one",
                ExpressionAttributeNames={"#by": "by"},
                ExpressionAttributeValues={":w": {"S": name}, ":c": colour, ":one": {"N": "1"}},
            )  # fmt: skip
        else:
            client.update_item(
                TableName=table, Key=key, UpdateExpression="SET #by = :w REMOVE colour",
                ExpressionAttributeNames={"#by": "by"}, ExpressionAttributeValues={":w": {"S": name}},
            )  # fmt: skip
        written.add(name)

    return work


def test_a_global_index_comes_to_equal_its_table(cluster: LocalCluster) -> None:
    cluster.client("n1").create_table(
        TableName="paints", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("k", "colour")],
        GlobalSecondaryIndexes=[{
            "IndexName": "by-colour", "KeySchema": [{"AttributeName": "colour", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }],
    )  # fmt: skip
    counts, written = itertools.count(), set[str]()
    workers = Workers(cluster, [change("paints", number, counts, written) for number in range(6)])
    under_kills(cluster, workers, "paints")
    base = settled(cluster, lambda: scanned(cluster.client("n1"), "paints", ConsistentRead=True))
    expected = {key: item for key, item in base.items() if "colour" in item}
    assert len(written) > 4 * BETWEEN and expected
    for name in cluster.nodes:
        client = cluster.client(name)
        cluster.wait_for(
            lambda: settled(cluster, lambda: scanned(client, "paints", IndexName="by-colour")) == expected  # noqa: B023
        )


class Consumer:
    """Reads a stream as applications do: each shard once, children after parents, an iterator is kept over errors."""

    def __init__(self, cluster: LocalCluster, arn: str) -> None:
        self._arn = arn
        self._service = Service(cluster, 0, "dynamodbstreams")
        self._iterators: dict[str, str] = {}
        self._ended: set[str] = set()
        self.records: list[dict[str, Any]] = []
        self.by_shard: dict[str, list[int]] = defaultdict(list)     # their sequence numbers

    def look(self) -> int:
        """Read what there is; how many records came."""
        came = 0
        try:
            for shard, parent in self._shards():
                if shard not in self._ended and (parent is None or parent in self._ended):
                    came += self._read(shard)
        except (ClientError, BotoCoreError):
            self._service.go_on()
        return came

    def _shards(self) -> list[tuple[str, str | None]]:
        """With their parents, of those that are still there."""
        shards, last = [], None
        while True:
            more = {} if last is None else {"ExclusiveStartShardId": last}
            described = self._service.client.describe_stream(StreamArn=self._arn, **more)["StreamDescription"]
            shards += described["Shards"]
            last = described.get("LastEvaluatedShardId")
            if last is None:
                break
        names = {shard["ShardId"] for shard in shards}
        parents = {shard["ShardId"]: shard.get("ParentShardId") for shard in shards}
        return [(name, parent if parent in names else None) for name, parent in parents.items()]

    def _read(self, shard: str) -> int:
        came = 0
        while True:
            client = self._service.client
            if shard not in self._iterators:
                self._iterators[shard] = client.get_shard_iterator(
                    StreamArn=self._arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
                )["ShardIterator"]
            answer = client.get_records(ShardIterator=self._iterators[shard])
            self.records += answer["Records"]
            self.by_shard[shard] += [int(each["dynamodb"]["SequenceNumber"]) for each in answer["Records"]]
            came += len(answer["Records"])
            if "NextShardIterator" not in answer:
                self._ended.add(shard)
                return came
            self._iterators[shard] = answer["NextShardIterator"]
            if not answer["Records"]:
                return came

    def read_until(self, is_over: Callable[[], bool]) -> None:
        """Return when it is over, and nothing more comes."""
        over = False
        while self.look() or not over:
            over = is_over()

    def histories(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in self.records:
            found[record["dynamodb"]["Keys"]["k"]["S"]].append(record)
        return found


def end_of(history: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The item in the end, by its records. Each must begin where the one before it ended: one that is missing, comes
    twice, or before another, does not."""
    item = None
    for record in history:
        assert record["dynamodb"].get("OldImage") == item, (record, item)
        item = record["dynamodb"].get("NewImage")
    return item


def test_a_consumer_of_a_stream_is_told_each_change_once_and_in_order(cluster: LocalCluster) -> None:
    cluster.make_table("changes", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    arn = cluster.client("n2").describe_table(TableName="changes")["Table"]["LatestStreamArn"]
    counts, written = itertools.count(), set[str]()
    over = threading.Event()
    consumer = Consumer(cluster, arn)
    reading = threading.Thread(target=consumer.read_until, args=(over.is_set,))
    reading.start()
    try:
        workers = Workers(cluster, [change("changes", number, counts, written) for number in range(4)])
        under_kills(cluster, workers, "changes")
        base = settled(cluster, lambda: scanned(cluster.client("n1"), "changes", ConsistentRead=True))
    finally:
        over.set()
        reading.join()
    late = Consumer(cluster, arn)     # one that begins now is told the same
    cluster.wait_for(lambda: late.look() == 0 and len(late.records) >= len(consumer.records))
    for each in (consumer, late):
        each.read_until(lambda: True)
        ends = {key: end_of(history) for key, history in each.histories().items()}
        assert {key: item for key, item in ends.items() if item is not None} == base
        told = Counter(
            record["dynamodb"]["NewImage"]["by"]["S"] for record in each.records if "NewImage" in record["dynamodb"]
        )
        assert written <= told.keys() and max(told.values()) == 1
        assert all(numbers == sorted(set(numbers)) for numbers in each.by_shard.values())
    assert consumer.histories() == late.histories()


def test_transactions_over_partitions_keep_the_sum(cluster: LocalCluster) -> None:
    accounts, opened = 12, 1000
    cluster.make_table("accounts")
    cluster.make_table("transfers", node="n2")
    for number in range(accounts):
        cluster.client("n3").put_item(TableName="accounts", Item={"k": {"S": str(number)}, "n": {"N": str(opened)}})
    counts, acknowledged = itertools.count(), set[str]()

    def transfer(number: int) -> Callable[[Any], None]:
        chance = random.Random(number)

        def work(client: Any) -> None:
            name, amount = f"t{next(counts)}", chance.randrange(1, 50)
            source, target = chance.sample(range(accounts), 2)
            client.transact_write_items(TransactItems=[
                *({"Update": {
                    "TableName": "accounts", "Key": {"k": {"S": str(account)}}, "UpdateExpression": "ADD n :n",
                    "ExpressionAttributeValues": {":n": {"N": str(more)}},
                }} for account, more in ((source, -amount), (target, amount))),
                {"Put": {"TableName": "transfers", "Item": {
                    "k": {"S": name}, "from": {"N": str(source)}, "to": {"N": str(target)}, "n": {"N": str(amount)},
                }}},
            ])
            acknowledged.add(name)

        return work

    def total(client: Any) -> None:
        answer = client.transact_get_items(TransactItems=[
            {"Get": {"TableName": "accounts", "Key": {"k": {"S": str(number)}}}} for number in range(accounts)
        ])
        found = sum(int(each["Item"]["n"]["N"]) for each in answer["Responses"])
        assert found == accounts * opened

    workers = Workers(cluster, [*map(transfer, range(5)), total])
    under_kills(cluster, workers, "accounts")
    client = cluster.client("n1", retries={"total_max_attempts": 5})
    journal = settled(cluster, lambda: scanned(client, "transfers", ConsistentRead=True))
    assert acknowledged <= journal.keys() and len(acknowledged) > 2 * BETWEEN
    balances = dict.fromkeys(range(accounts), opened)
    for noted in journal.values():
        balances[int(noted["from"]["N"])] -= int(noted["n"]["N"])
        balances[int(noted["to"]["N"])] += int(noted["n"]["N"])
    held = settled(cluster, lambda: scanned(client, "accounts", ConsistentRead=True))
    assert {int(key): int(item["n"]["N"]) for key, item in held.items()} == balances


def test_what_expires_goes_once_and_the_rest_stays(cluster: LocalCluster) -> None:
    cluster.make_table("leases", StreamSpecification={"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"})
    client = cluster.client("n1")
    client.update_time_to_live(
        TableName="leases", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"}
    )
    arn = client.describe_table(TableName="leases")["Table"]["LatestStreamArn"]
    counts = itertools.count()
    expiring, lasting = set[str](), set[str]()

    def put(number: int) -> Callable[[Any], None]:
        chance = random.Random(number)

        def work(client: Any) -> None:
            key = str(next(counts))
            seconds = chance.choice([1, 3, 3600])
            ends = int(time.time()) + seconds
            client.put_item(TableName="leases", Item={"k": {"S": key}, "ends": {"N": str(ends)}})
            (lasting if seconds == 3600 else expiring).add(key)

        return work

    under_kills(cluster, Workers(cluster, [put(number) for number in range(4)]), "leases")
    assert expiring and lasting
    # Of what was answered with an error nobody knows; but it has the one kind of end or the other.
    now = time.time()

    def left() -> Items:
        return settled(cluster, lambda: scanned(client, "leases", ConsistentRead=True))

    cluster.wait_for(lambda: all(int(item["ends"]["N"]) > now + 60 for item in left().values()))
    assert lasting <= left().keys() and not expiring & left().keys()
    consumer = Consumer(cluster, arn)
    cluster.wait_for(lambda: consumer.look() == 0 and len(consumer.records) >= len(expiring))
    removed = [record for record in consumer.records if record["eventName"] == "REMOVE"]
    assert {record["userIdentity"]["PrincipalId"] for record in removed} == {"dynamodb.amazonaws.com"}
    names = [record["dynamodb"]["Keys"]["k"]["S"] for record in removed]
    assert len(names) == len(set(names)) and expiring <= set(names) and not lasting & set(names)
