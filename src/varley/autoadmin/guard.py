"""What every node does for the groups that it leads, with nobody else's help: keep them able to write.

A voter that is not heard for some seconds is stood in for by a log member on another node, within seconds: that cannot
wait for somebody to be elected who does such things, least of all when it was the lost node that did. The rest of a
repair can (driver.py); a step that both find is made once, since the second is refused.

Source: [ATC22] 5.1, 6.1: the leader adds the log replica.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from varley.autoadmin.hands import Hands
from varley.autoadmin.health import Trust
from varley.autoadmin.messages import NodeReport
from varley.autoadmin.orders import Orders
from varley.autoadmin.repair import Patience, stand_in
from varley.autoadmin.sight import Sight
from varley.autoadmin.view import Condition, NodeView, Step, said
from varley.metadata.group_members import GroupMembers
from varley.metadata.nodes import Nodes
from varley.node.member import node_of

logger = logging.getLogger("varley.autoadmin")


class Led(Protocol):
    def unheard(self, seconds: float) -> NodeReport: ...


class Guard:
    """Used from the event loop only. `is_up`: whether this node has a connection to another."""

    def __init__(
        self,
        node: str,
        led: Led,
        nodes: Nodes,
        members: GroupMembers,
        orders: Orders,
        hands: Hands,
        *,
        replicas: int,
        patience: Patience,
        is_up: Callable[[str], bool],
        now: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        look_seconds: float = 1.0,
    ) -> None:
        self._node = node
        self._led = led
        self._nodes = nodes
        self._members = members
        self._orders = orders
        self._hands = hands
        self._replicas = replicas
        self._patience = patience
        self._is_up = is_up
        self._now = now
        self._pause = pause
        self._look_seconds = look_seconds
        self._sight = Sight(patience, Trust())

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self.look()
            await self._pause(self._look_seconds)

    async def look(self) -> list[Step]:
        """One look, and what comes of it. Returns the steps that were tried."""
        report = self._led.unheard(self._patience.suspect_seconds)
        if not report.members:
            return []
        now, nodes = self._now(), self._seen()
        known = [one for one in report.members if self._members.get(one.group) is not None]
        views = [self._sight.view(one, self._replicas, now) for one in known]
        self._sight.forget({view.group: view for view in views}, {view.group: self._replicas for view in views})
        steps = [step for view in views if (step := stand_in(view, nodes, self._patience)) is not None]
        for step, refusal in zip(
            steps, await asyncio.gather(*(self._hands.do(step, self._node) for step in steps)), strict=True
        ):
            outcome = "" if refusal is None else f"; not done: {refusal}"
            level = logging.INFO if refusal is None else logging.DEBUG
            logger.log(level, "group %d: %s: %s%s", step.group, step.why, said(step), outcome)
        return steps

    def _seen(self) -> dict[str, NodeView]:
        replicas: dict[str, int] = {}
        for published in self._members.items().values():
            for name in published.configuration.names:
                replicas[node_of(name)] = replicas.get(node_of(name), 0) + 1
        views = {}
        for info in self._nodes:
            is_here = info.name == self._node or self._is_up(info.name)
            views[info.name] = NodeView(
                info.name, info.zone, Condition.TRUSTED if is_here else Condition.AWAY, info.capacity,
                replicas.get(info.name, 0), is_draining=info.name in self._orders.draining,
                machine=info.machine,
            )  # fmt: skip
        return views
