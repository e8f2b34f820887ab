"""Nodes that share a store of metadata: who runs a bulk operation, and what the others may not write any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from varley.bulk.operations import BulkOperation, BulkOperations, TakenOver
from varley.bulk.owning import Owning
from varley.bulk.runner import BulkRunner
from varley.clock import StoppedClock
from varley.metadata.memory import MemoryStore
from varley.metadata.nodes import NodeInfo, Nodes, Registration
from varley.metadata.store import Store


def operation(number: int, owner: str = "n1", **more: Any) -> BulkOperation:
    return BulkOperation(
        format_version=1, number=number, arn=f"arn/{number}", status="IN_PROGRESS", table_name="Music", table_id="1",
        request={"InputS3Configuration": {"S3Bucket": "music"}}, started_at=0.0, owner=owner, claim=1, **more,
    )  # fmt: skip


class Node:
    """What a node of a cluster has of all this. `has_objects`: whether it can read them."""

    def __init__(self, name: str, store: Store) -> None:
        loop = asyncio.get_running_loop()
        clock = StoppedClock()
        self.name = name
        self.store = store
        self.operations = BulkOperations(store)
        self.nodes = Nodes(store)
        self.begun: list[BulkOperation] = []
        self.may_end = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.runner = BulkRunner(loop, clock, None, self.operations, None, self._work, self._keep)  # type: ignore[arg-type]
        self.runner.name = name
        self.has_objects = True
        self.runner.has_objects = self._has_objects  # type: ignore[method-assign]
        self.owning = Owning(loop, self.runner, self.nodes, clock, self._keep)
        self.registration: Registration | None = None

    async def _has_objects(self, operation: BulkOperation) -> bool:
        return self.has_objects

    async def _work(self, runner: BulkRunner, number: int) -> None:
        begun = runner.operations.get(number)
        self.begun.append(begun)
        await self.may_end.wait()
        await runner.operations.change(number, by=begun, status="COMPLETED", ended_at=1.0)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def join(self) -> None:
        info = NodeInfo(
            format_version=1, name=self.name, zone="a", api="", link_host="h", link_port=1, data_id=self.name,
            version="1",
        )  # fmt: skip
        self.registration = await self.nodes.register(info)


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


class Cluster:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.nodes = [Node(name, self.store) for name in ("n1", "n2", "n3")]

    async def hear(self) -> None:
        """All nodes hear what has changed, as by a watch, and look."""
        told = await self.store.snapshot("")
        for node in self.nodes:
            node.nodes.see(told)
            node.operations.see(told)
        await settle()

    async def kill(self, node: Node) -> None:
        self.nodes.remove(node)
        node.owning.stop()
        assert node.registration is not None
        await node.registration.leave()


def run(story: Callable[[Cluster], Coroutine[Any, Any, None]]) -> None:
    async def tell() -> None:
        cluster = Cluster()
        for node in cluster.nodes:
            await node.join()
        await cluster.hear()
        for node in cluster.nodes:
            node.owning.start()
        try:
            await story(cluster)
        finally:
            for node in cluster.nodes:
                node.owning.stop()
            await cluster.store.close()

    asyncio.run(tell())


def test_what_a_node_ran_that_is_gone_goes_on_at_one_other_from_its_last_record() -> None:
    async def story(cluster: Cluster) -> None:
        n1, n2, n3 = cluster.nodes
        assert await n1.operations.add(operation(1))
        n1.runner.run(n1.operations.get(1))
        await n1.operations.change(1, by=n1.operations.get(1), lines=41)
        await cluster.hear()
        assert not n2.begun and not n3.begun
        await cluster.kill(n1)
        await cluster.hear()
        [begun] = [*n2.begun, *n3.begun]
        assert (begun.lines, begun.claim) == (41, 2)
        assert begun.owner in ("n2", "n3")
        # The first one goes on without knowing it, and cannot write what it has done.
        n1.may_end.set()
        await settle()
        assert not n1.runner.is_running(1)
        await cluster.hear()
        assert n2.operations.get(1).status == "IN_PROGRESS"
        for node in (n2, n3):
            node.may_end.set()
        await cluster.hear()
        await cluster.hear()
        assert n3.operations.get(1) == n2.operations.get(1)
        assert n2.operations.get(1).status == "COMPLETED"

    run(story)


def test_a_node_that_cannot_read_the_objects_leaves_it_to_one_that_can() -> None:
    async def story(cluster: Cluster) -> None:
        n1, n2, n3 = cluster.nodes
        n2.has_objects = n3.has_objects = False
        await n1.operations.add(operation(1))
        await cluster.kill(n1)
        await cluster.hear()
        assert not n2.begun and not n3.begun
        n3.has_objects = True
        n3.owning.look()
        await settle()
        assert len(n3.begun) == 1

    run(story)


def test_a_node_that_comes_back_goes_on_with_its_own() -> None:
    async def story(cluster: Cluster) -> None:
        n1 = cluster.nodes[0]
        await cluster.nodes[1].operations.add(operation(1, "n1"))    # as an earlier life of n1 has begun it
        await cluster.hear()
        n1.owning.look()
        n1.owning.look()
        await settle()
        assert [begun.claim for begun in n1.begun] == [2]

    run(story)


def test_a_number_is_given_once_and_who_loses_knows_what_it_is() -> None:
    async def story(cluster: Cluster) -> None:
        n1, n2, _ = cluster.nodes
        assert await n1.operations.add(operation(1, client_token="t"))
        assert not await n2.operations.add(operation(1, "n2"))
        assert n2.operations.get(1).client_token == "t"
        assert n2.operations.next_number() == 2

    run(story)


def test_cancelled_elsewhere_while_its_owner_writes_records() -> None:
    async def story(cluster: Cluster) -> None:
        n1, n2, _ = cluster.nodes
        await n1.operations.add(operation(1))
        begun = n1.operations.get(1)
        await cluster.hear()
        assert await n2.runner.cancel(1) is not None
        after = await n1.operations.change(1, by=begun, lines=7)    # it has not heard of that
        assert (after.status, after.lines) == ("CANCELLING", 7)
        await n1.operations.change(1, by=begun, status="CANCELLED", ended_at=2.0)
        assert await n2.runner.cancel(1) is None
        with pytest.raises(TakenOver):
            await n1.operations.change(1, by=begun, lines=8)

    run(story)


def test_old_ones_are_forgotten_by_one_and_gone_for_all() -> None:
    async def story(cluster: Cluster) -> None:
        n1, n2, _ = cluster.nodes
        await n1.operations.add(msgspec.structs.replace(operation(1), status="COMPLETED", ended_at=2.0))
        await cluster.hear()
        for node in (n1, n2):
            await node.operations.forget_old(1e9)
        await cluster.hear()
        assert list(n1.operations) == list(n2.operations) == []

    run(story)
