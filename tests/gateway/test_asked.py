"""What happens to one request between arrival and answer: leases, leaders that change, answers that are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from tests.remote.machines import Body, Cluster, Machine
from varley.errors import InternalServerError, NotLeading
from varley.net.channels import FORWARD, ROWS
from varley.node.elsewhere import Need
from varley.remote import journey
from varley.remote.messages import SumsWanted

KEY: Body = {"pk": {"S": "k"}}
CREATE: Body = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def in_cluster(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def whole() -> None:
            cluster = Cluster("n1", "n2", "n3")
            await cluster.start()
            await cluster.machines[0].ask("CreateTable", CREATE)
            await test(World(cluster))
            await cluster.stop()

        asyncio.run(whole())

    run.__name__ = test.__name__
    return run


class World:
    """A table, and the group that the item "k" of it is in."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        route = cluster.machines[0].router.route("things")
        self.group = route.partition_of(route.keys.row_key(KEY)).group
        self.leader = cluster.owner(self.group)
        self.other, self.third = (each for each in cluster.machines if each is not self.leader)
        self.lease = cluster.leases[self.group]

    async def put(self, number: int, machine: Machine | None = None, **more: Any) -> tuple[int, bytes]:
        item = {**KEY, "n": {"N": str(number)}}
        return await (machine or self.leader).ask("PutItem", {"TableName": "things", "Item": item, **more})

    async def get(self, machine: Machine, *, consistent: bool = True) -> str | None:
        asked = {"TableName": "things", "Key": KEY, "ConsistentRead": consistent}
        status, body = await machine.ask("GetItem", asked)
        assert status == 200, body
        item = msgspec.json.decode(body).get("Item")
        return None if item is None else item["n"]["N"]


@in_cluster
async def test_a_request_is_passed_on_once_to_the_leader(world: World) -> None:
    assert await world.put(1, world.other) == (200, b"{}")
    assert world.cluster.wire.questions[-1] == (world.other.name, world.leader.name, FORWARD)
    assert await world.get(world.third) == "1"


@in_cluster
async def test_an_error_comes_back_as_it_is(world: World) -> None:
    condition = {"ConditionExpression": "attribute_not_exists(pk)"}
    await world.put(1)
    here = await world.put(2, world.leader, **condition)
    assert here == await world.put(2, world.other, **condition)
    assert b"ConditionalCheckFailedException" in here[1]


@in_cluster
async def test_a_strong_read_without_a_lease_is_confirmed_and_read_again(world: World) -> None:
    await world.put(1)
    confirmed: list[Any] = []
    partition = world.leader.hosted.partitions[world.group][0]

    def on_confirm(then: Any) -> None:
        # Meanwhile the item becomes another: what was read before must not be told.
        confirmed.append(then)

    world.lease.on_confirm = on_confirm
    world.lease.lapses = 1
    reading = asyncio.ensure_future(world.get(world.leader))
    await asyncio.sleep(0)
    assert len(confirmed) == 1
    assert not reading.done()
    await world.put(2)
    assert partition.group == world.group
    confirmed[0](None)
    assert await reading == "2"


@in_cluster
async def test_what_was_confirmed_needs_no_lease(world: World) -> None:
    """Read-index: a leader that never gets a lease answers all the same."""
    await world.put(1)
    world.lease.lapses = 1_000
    assert await world.get(world.leader) == "1"
    assert await world.get(world.other) == "1"
    status, body = await world.put(2, world.other, ConditionExpression="attribute_not_exists(pk)")
    assert status == 400 and b"ConditionalCheckFailed" in body


@in_cluster
async def test_an_answer_that_tells_of_a_write_needs_no_lease(world: World) -> None:
    world.lease.lapses = 1_000
    asked: list[Any] = []
    world.lease.on_confirm = asked.append
    assert (await world.put(1, ReturnValues="ALL_OLD"))[0] == 200
    assert asked == []


@in_cluster
async def test_a_refusal_needs_a_lease(world: World) -> None:
    await world.put(1)
    asked: list[Any] = []
    world.lease.on_confirm = asked.append
    world.lease.lapses = 1
    condition = {"ConditionExpression": "n = :n", "ExpressionAttributeValues": {":n": {"N": "7"}}}
    refused = asyncio.ensure_future(world.put(2, **condition))
    await asyncio.sleep(0)
    assert len(asked) == 1
    await world.put(7)
    asked[0](None)
    assert (await refused)[0] == 200    # by the time it was confirmed, the condition held


@in_cluster
async def test_a_refusal_that_is_held_needs_a_lease_when_it_leaves(world: World) -> None:
    """It is about a write that is not chosen yet, and by then another node may lead."""
    asked: list[Any] = []
    world.lease.on_confirm = asked.append
    writing = asyncio.ensure_future(world.put(1))
    refused = asyncio.ensure_future(world.put(2, ConditionExpression="attribute_not_exists(pk)"))
    await asyncio.sleep(0)
    world.lease.lapses = 1
    assert (await writing)[0] == 200
    while not asked:  # noqa: ASYNC110 - turns of the loop
        await asyncio.sleep(0)
    assert not refused.done()
    asked[0](None)
    assert (await refused)[0] == 400


@in_cluster
async def test_an_eventual_read_needs_no_leader(world: World) -> None:
    await world.put(1)
    world.lease.is_leading = False
    world.lease.lapses = 1_000
    assert await world.get(world.leader, consistent=False) == "1"
    assert await world.get(world.other, consistent=False) == "1"


@in_cluster
async def test_while_nobody_leads_a_client_waits(world: World) -> None:
    await world.put(1)
    world.lease.is_leading = False
    reading = asyncio.ensure_future(world.get(world.other))
    writing = asyncio.ensure_future(world.put(2, world.third))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not reading.done() and not writing.done()
    world.lease.is_leading = True
    world.lease.ballot = 2
    world.cluster.announce(world.group, world.leader)
    assert (await writing)[0] == 200
    assert await reading in ("1", "2")


@in_cluster
async def test_when_nobody_can_be_reached_that_nothing_was_done_is_told(world: World) -> None:
    loop = asyncio.get_running_loop()
    for name in (world.other.name, world.third.name):
        world.cluster.wire.cut.add((name, world.leader.name))
    now = loop.time()
    later = now
    loop.time = lambda: later  # type: ignore[method-assign]
    try:
        writing = asyncio.ensure_future(world.put(1, world.other))
        while not writing.done():
            await asyncio.sleep(0)
            later += 0.1
    finally:
        del loop.time  # type: ignore[attr-defined]
    status, body = await writing
    assert status == 503 and b"nothing was done" in body
    assert later - now < journey.PATIENCE_SECONDS + 2
    assert await world.get(world.leader) is None


@in_cluster
async def test_two_nodes_that_lose_only_each_other_talk_through_the_third(world: World) -> None:
    wire = world.cluster.wire
    wire.cut |= {(world.other.name, world.leader.name), (world.leader.name, world.other.name)}
    assert await world.put(1, world.other) == (200, b"{}")
    assert (world.third.name, world.leader.name, FORWARD) in wire.questions
    assert await world.get(world.other) == "1"
    assert await world.get(world.leader) == "1"


@in_cluster
async def test_an_answer_that_cannot_be_read_is_told_as_unknown(world: World) -> None:
    assert world.leader.peers is not None
    world.leader.peers.handlers[FORWARD] = lambda sender, payload, answer: answer(journey.ANSWER + b"\xff")
    status, body = await world.put(1, world.other)
    assert status == 500 and b"nobody knows" in body


@in_cluster
async def test_a_question_to_this_node_itself_that_fails_is_answered(world: World) -> None:
    peers = world.leader.peers
    assert peers is not None

    def fail(sender: str, payload: bytes, answer: object) -> None:
        raise AssertionError("an error of ours")

    peers.handlers[ROWS] = fail
    heard: list[object] = []
    peers.inquire(ROWS, SumsWanted(world.group), Need.COPY, heard.append)
    [error] = heard
    assert isinstance(error, InternalServerError)


@in_cluster
async def test_who_waits_for_leaders_no_more_is_forgotten(world: World) -> None:
    peers = world.leader.peers
    assert peers is not None
    for _ in range(3):
        assert not await peers.wait_for_leaders([99], 0)
    assert not peers.memds._waiting


@in_cluster
async def test_a_write_whose_answer_is_lost_behind_the_third_is_told_as_unknown_and_done_once(world: World) -> None:
    world.cluster.wire.cut.add((world.other.name, world.leader.name))
    world.cluster.wire.mute.add(world.leader.name)
    status, body = await world.put(1, world.other)
    assert status == 500, body
    world.cluster.wire.mute.clear()
    assert await world.get(world.leader) == "1"


@in_cluster
async def test_a_write_whose_answer_is_lost_is_told_as_unknown_and_done_once(world: World) -> None:
    world.cluster.wire.mute.add(world.leader.name)
    one = {":one": {"N": "1"}}
    count = {"TableName": "things", "Key": KEY, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": one}
    status, body = await world.other.ask("UpdateItem", count)
    assert status == 500 and b"nobody knows" in body
    assert await world.get(world.leader) == "1"


@in_cluster
async def test_a_write_that_never_went_out_is_tried_again(world: World) -> None:
    wire = world.cluster.wire
    routes = {(world.other.name, world.leader.name), (world.third.name, world.leader.name)}
    wire.cut |= routes
    writing = asyncio.ensure_future(world.put(1, world.other))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not writing.done()
    wire.cut -= routes
    assert (await writing)[0] == 200


@in_cluster
async def test_a_proposal_that_surely_was_not_made_is_made_by_the_new_leader(world: World) -> None:
    """The waiter of a write is told NotLeading: nothing was proposed, so it may be asked again."""
    partition = world.leader.hosted.partitions[world.group][0]
    real = partition.write

    class Partition:
        tries = 0

        def write(self, write: Any, waiter: Any) -> bytes | None:
            self.tries += 1
            if self.tries == 1:
                asyncio.get_running_loop().call_soon(waiter.fail, NotLeading(world.group, None))
                return None
            return real(write, waiter)

        def __getattr__(self, name: str) -> Any:
            return getattr(partition, name)

    odd = Partition()
    world.leader.hosted.partitions[world.group] = odd, world.lease  # type: ignore[assignment]
    assert (await world.put(1, world.other))[0] == 200
    assert odd.tries == 2


@pytest.mark.parametrize("operation", ["BatchWriteItem"])
def test_parts_that_cannot_be_reached_are_unprocessed(operation: str) -> None:
    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3")
        await cluster.start()
        await cluster.machines[0].ask("CreateTable", CREATE)
        for name in ("n1", "n2"):
            cluster.wire.cut.add((name, "n3"))
        puts = [{"PutRequest": {"Item": {"pk": {"S": str(number)}}}} for number in range(20)]
        loop = asyncio.get_running_loop()
        later = loop.time()
        loop.time = lambda: later  # type: ignore[method-assign]
        asked = asyncio.ensure_future(cluster.machines[0].ask(operation, {"RequestItems": {"things": puts}}))
        while not asked.done():
            await asyncio.sleep(0)
            later += 0.1
        del loop.time  # type: ignore[attr-defined]
        status, body = await asked
        left = msgspec.json.decode(body)["UnprocessedItems"]["things"]
        led_by_n3 = [each for each in puts if _leader(cluster, each["PutRequest"]["Item"]) == "n3"]
        assert status == 200 and left == led_by_n3 != []
        await cluster.stop()

    asyncio.run(run())


def _leader(cluster: Cluster, item: Body) -> str:
    route = cluster.machines[0].router.route("things")
    return cluster.owner(route.partition_of(route.keys.row_key(item)).group).name


def _in_one_node(cluster: Cluster) -> tuple[Machine, list[str]]:
    """A node that leads several partitions, and keys in two of them."""
    route = cluster.machines[0].router.route("things")
    for machine in cluster.machines:
        groups: dict[int, str] = {}
        for name in map(str, range(100)):
            group = route.partition_of(route.keys.row_key({"pk": {"S": name}})).group
            if cluster.owner(group) is machine:
                groups[group] = name
        if len(groups) > 1:
            return machine, list(groups.values())
    raise AssertionError("there are more partitions than nodes")


@pytest.mark.parametrize("is_led_on", [True, False])
def test_what_a_batch_has_not_written_needs_a_lease_though_it_wrote_the_rest(is_led_on: bool) -> None:
    """The delete has found nothing, and says so of a partition that this node may not lead any more. What was put in
    the other one is chosen: the batch is not run a second time, whatever comes out."""

    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3")
        await cluster.start()
        await cluster.machines[0].ask("CreateTable", CREATE)
        machine, (put, gone, *_) = _in_one_node(cluster)
        route = machine.router.route("things")
        lease = cluster.leases[route.partition_of(route.keys.row_key({"pk": {"S": gone}})).group]
        asked: list[Any] = []
        lease.on_confirm = asked.append
        lease.lapses = 1
        wants = [{"PutRequest": {"Item": {"pk": {"S": put}}}}, {"DeleteRequest": {"Key": {"pk": {"S": gone}}}}]
        writing = asyncio.ensure_future(machine.ask("BatchWriteItem", {"RequestItems": {"things": wants}}))
        while not asked:  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)
        assert not writing.done()
        lease.ballot += not is_led_on
        asked[0](None)
        status, answer = await writing
        assert status == (200 if is_led_on else 500), answer
        assert len(asked) == 1
        await cluster.stop()

    asyncio.run(run())
