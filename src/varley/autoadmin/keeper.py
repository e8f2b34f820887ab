"""The part of a node that keeps the cluster whole: what the others in this folder are, put together.

    keeper = Keeper(…)                            before the metadata is followed: `orders` is one of the views
    keeper.start(run)                             when the node's members are there
    await keeper.drain("n2") …                    for operators

Every node has one. Each guards the groups that it leads; one of them, elected, does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from varley.autoadmin import state
from varley.autoadmin.driver import Driver, Rules
from varley.autoadmin.election import Election
from varley.autoadmin.guard import Guard
from varley.autoadmin.hands import Hands, Requests
from varley.autoadmin.hosted import DiskTimes, NodeHosted
from varley.autoadmin.orders import Orders
from varley.autoadmin.service import ServesRequests, Service
from varley.autoadmin.state import State
from varley.autoadmin.view import MoveOrder
from varley.clock import Clock
from varley.metadata.group_members import GroupMembers
from varley.metadata.nodes import Nodes
from varley.metadata.store import Store
from varley.node.member import node_of
from varley.node.node import Node
from varley.paxos.membership import Member

Start = Callable[[Coroutine[Any, Any, None]], None]


class KeeperLinks(Requests, ServesRequests, Protocol):
    """What is needed of varley.net's Links."""

    def is_up(self, name: str) -> bool: ...


class Keeper:
    """Used from the event loop only.

    `begin` and `end` make and remove a member here, with all that stands on it: they are asked for by others. `now`:
    seconds that never go back; `clock`: what is shown.
    """

    def __init__(
        self,
        node: Node,
        links: KeeperLinks,
        store: Store,
        nodes: Nodes,
        members: GroupMembers,
        rules: Rules,
        *,
        now: Callable[[], float],
        clock: Clock,
        begin: Callable[[int, Member], Awaitable[object]] | None = None,
        end: Callable[[int], Awaitable[None]] | None = None,
        disk: DiskTimes | None = None,
        free_bytes: Callable[[], int] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._links = links
        self._store = store
        self._nodes = nodes
        self._members = members
        self._clock = clock
        self.orders = Orders(store)     # told of what a watch of the store tells, like other views
        self.election = Election(store, node.name, pause=pause)
        self.hosted = NodeHosted(node, now=now, begin=begin, end=end, disk=disk, free_bytes=free_bytes)
        hands = Hands(links, members)
        self.guard = Guard(
            node.name, self.hosted, nodes, members, self.orders, hands, replicas=rules.replicas,
            patience=rules.patience, is_up=links.is_up, now=now, pause=pause,
        )  # fmt: skip
        self.driver = Driver(
            node.name, nodes, members, self.orders, hands, rules, now=now, wall=clock.time,
            tell=lambda told: state.write(store, told), pause=pause,
        )  # fmt: skip

    def serve(self, start: Start) -> None:
        """Answer what other nodes ask. `start` runs what takes longer than a turn of the loop."""
        self.service = Service(self.hosted, self._links, start)

    def start(self, start: Start, keep_running: Callable[[Callable[[], Coroutine[Any, Any, None]]], None]) -> None:
        """`start` runs something beside everything else, until this node stops; `keep_running` begins it again too if
        it fails. A driver that fails leaves its place to another node's: that is not begun again here."""
        keep_running(self.guard.run)
        start(self.election.run())
        start(self.driver.run(self.election))

    # For operators: each says why it is refused, or None. Raises what Store raises.

    async def state(self) -> State | None:
        """What whoever is the active one last said."""
        return await state.read(self._store)

    async def drain(self, node: str) -> str | None:
        """Have all replicas and leaderships taken from a node."""
        if node not in self._known_nodes():
            return f"there is no node {node}"
        if not await self.orders.drain(node, now=self._clock.time()):
            return f"{node} is being emptied already"
        return None

    async def keep(self, node: str) -> str | None:
        """Take that back."""
        return None if await self.orders.keep(node) else f"{node} is not being emptied"

    async def move(self, order: MoveOrder) -> str | None:
        """Have a replica moved."""
        refusal = self._why_not(order)
        if refusal is None and not await self.orders.move(order, why="operator", now=self._clock.time()):
            refusal = f"a replica of group {order.group} is being moved already"
        return refusal

    async def stay(self, group: int) -> str | None:
        """Take a move back; what it has done so far is put right like anything else that is not as it should be."""
        ordered = self.orders.moves.get(group)
        if ordered is None or not await self.orders.end(ordered):
            return f"no replica of group {group} is being moved"
        return None

    def _known_nodes(self) -> set[str]:
        published = self._members.items().values()
        hosts = {node_of(name) for each in published for name in each.configuration.names}
        return hosts | {node.name for node in self._nodes}

    def _why_not(self, order: MoveOrder) -> str | None:
        published = self._members.get(order.group)
        if published is None:
            return f"there is no group {order.group}"
        hosts = {node_of(name) for name in published.configuration.names}
        if order.source not in hosts:
            return f"{order.source} has no replica of group {order.group}"
        if order.target in hosts:
            return f"{order.target} has a replica of group {order.group}"
        target = self._nodes.get(order.target)
        if target is None:
            return f"there is no node {order.target}, or it is down"
        others = (self._nodes.get(host) for host in hosts - {order.source})
        if target.machine and any(other is not None and other.machine == target.machine for other in others):
            return f"another replica of group {order.group} is on the machine of {order.target}"
        if order.target in self.orders.draining:
            return f"{order.target} is being emptied"
        return None
