"""What the active one does, again and again: look, find what is next for each group, do it.

    nodes --Look--> reports --sight--> views --repair, balance--> steps --hands--> leaders and nodes

One look after the other: what a look finds is done, or has failed, before the next look. So a group has one step under
way at a time, and a step that has failed is found again if it is still the right one. Nothing is remembered but how
long things have been so (sight.py, health.py): the next one to be active goes on from what is there.

Until every node has said something, or was given the time to, nothing is done that could wait: who begins to look does
not yet know who is away.

Where the metadata cannot be reached, no member gets a number and no move is ended; changes that need neither, and
hand-overs, go on. Where fewer nodes than half of those that were seen last can be reached, the one that looks is more
likely cut off than they are lost, and it builds nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from varley.autoadmin import balance
from varley.autoadmin.balance import Tolerance
from varley.autoadmin.budget import Budget, Limits
from varley.autoadmin.drain import emptied
from varley.autoadmin.hands import Hands
from varley.autoadmin.health import Health, Trust
from varley.autoadmin.messages import NodeReport
from varley.autoadmin.orders import Ordered, Orders
from varley.autoadmin.repair import Patience, next_step
from varley.autoadmin.sight import Sight, nodes_seen
from varley.autoadmin.state import FORMAT_VERSION, SHOWN_MAX, GroupState, NodeState, State
from varley.autoadmin.tidy import leftovers
from varley.autoadmin.view import Add, Condition, GroupView, NodeView, Step, Stuck, said
from varley.errors import WorldError
from varley.metadata.group_members import GroupMembers
from varley.metadata.nodes import NodeInfo, Nodes
from varley.node.member import node_of
from varley.paxos.membership import FULL, LOG

logger = logging.getLogger("varley.autoadmin")

_STEPS_AT_ONCE: Final = 64
_AT_ONCE: Final = 20            # groups that are looked at in one turn of the loop
_BALANCE: Final = "balance"     # why a move was ordered, if it was not somebody's wish


class Office(Protocol):
    """See election.Election."""

    @property
    def is_active(self) -> bool: ...

    async def stand_down(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What a cluster may choose."""

    replicas: int = 3
    patience: Patience = field(default_factory=Patience)
    trust: Trust = field(default_factory=Trust)
    limits: Limits = field(default_factory=Limits)
    tolerance: Tolerance = field(default_factory=Tolerance)
    look_seconds: float = 1.0       # from one look to the next
    balances: bool = True           # even out when there is nothing more urgent


class Driver:
    """Used from the event loop only. `now`: seconds that never go back; `wall`: seconds since the epoch."""

    def __init__(
        self,
        node: str,
        nodes: Nodes,
        members: GroupMembers,
        orders: Orders,
        hands: Hands,
        rules: Rules,
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        tell: Callable[[State], Awaitable[bool]],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`tell` is given each state that differs from the one before: state.write."""
        self._node = node
        self._nodes = nodes
        self._members = members
        self._orders = orders
        self._hands = hands
        self._rules = rules
        self._now = now
        self._wall = wall
        self._tell = tell
        self._pause = pause
        self._begin()

    def _begin(self) -> None:
        """Know nothing."""
        self._health: Health[str] = Health(self._rules.trust)
        self._sight = Sight(self._rules.patience, self._rules.trust)
        self._infos: dict[str, NodeInfo] = {}       # as each said last, also of those that are away
        self._troubled: dict[str, float] = {}       # node -> since when
        self._began_at = self._now()
        self._done: dict[int, str] = {}             # group -> what was done last, or could not be
        self._told: State | None = None
        self._conditions: dict[str, Condition] = {}

    async def run(self, office: Office) -> None:
        """Runs until cancelled; does nothing while another is the active one.

        An error of ours ends it, and then this node is not the active one any more: another may have more luck.
        """
        try:
            await self._look_on(office)
        finally:
            await office.stand_down()

    async def _look_on(self, office: Office) -> None:
        was_active = False
        while True:
            begun = self._now()
            if office.is_active:
                if not was_active:
                    self._begin()
                await self.look()
            was_active = office.is_active
            # Half of the time at most, in a cluster so large that a look takes long.
            await self._pause(max(self._rules.look_seconds, self._now() - begun))

    async def look(self) -> list[Step]:
        """One look, and what comes of it. Returns the steps that were tried."""
        look = await self._see()
        steps = [*await self._repairs(look), *self._leaders(look)]
        await self._do(look, steps)
        await self._tidy(look)
        await self._end_moves(look)
        await self._begin_moves(look)
        await self._report(look)
        return steps

    # Looking

    async def _see(self) -> _Look:
        names = [node.name for node in self._nodes]
        for node in self._nodes:
            self._infos[node.name] = node
        asked = sorted(set(names) | self._hosts())
        answers = await asyncio.gather(*(self._hands.look(name) for name in asked))
        now = self._now()
        reports = {answer.node: answer for answer in answers if answer is not None}
        self._note_trouble(reports, now)
        self._health.look(
            {name: name not in self._troubled and (name in reports or name in names) for name in self._infos}, now
        )
        self._forget_nodes()
        groups = await self._views(reports, now)
        troubled = [
            name for name, since in self._troubled.items() if now - since >= self._rules.patience.suspect_seconds
        ]
        nodes = nodes_seen(
            self._infos, self._health, self._counts(groups), self._orders.draining, self._troubled, troubled,
            {name: report.free_bytes for name, report in reports.items()}, now,
        )
        self._log_nodes(nodes)
        return _Look(reports, groups, nodes, now, is_cut_off=2 * len(reports) < len(asked))

    async def _views(self, reports: Mapping[str, NodeReport], now: float) -> dict[int, GroupView]:
        wanted = dict.fromkeys(self._members, self._rules.replicas)
        leading = self._sight.leading(list(reports.values()), wanted)
        views = {}
        for count, (group, leader) in enumerate(leading.items(), 1):
            views[group] = self._sight.view(leader, wanted[group], now)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._sight.forget(views, wanted)
        return views

    def _hosts(self) -> set[str]:
        """Nodes that have a member of a group, by what was published."""
        return {
            node_of(name) for published in self._members.items().values() for name in published.configuration.names
        }

    def _note_trouble(self, reports: Mapping[str, NodeReport], now: float) -> None:
        for name, report in reports.items():
            if report.trouble:
                if name not in self._troubled:
                    logger.warning("%s is in trouble: %s", name, report.trouble)
                self._troubled.setdefault(name, now)
            else:
                self._troubled.pop(name, None)

    def _log_nodes(self, nodes: Mapping[str, NodeView]) -> None:
        conditions = {name: node.condition for name, node in nodes.items()}
        for name, condition in conditions.items():
            if self._conditions.get(name, Condition.TRUSTED) is not condition:
                logger.info("%s is %s", name, condition.value)
        self._conditions = conditions

    def _forget_nodes(self) -> None:
        """Those that are lost and have nothing: their names may never come back."""
        hosts = self._hosts()
        there = {node.name for node in self._nodes}
        for name in [name for name in self._infos if name not in there and name not in hosts]:
            del self._infos[name]
        self._health.forget(lambda name: name not in self._infos)

    def _counts(self, groups: Mapping[int, GroupView]) -> dict[str, tuple[int, int]]:
        counts: dict[str, tuple[int, int]] = {}
        for group, published in self._members.items().items():
            view = groups.get(group)
            configuration = published.configuration if view is None else view.configuration
            for member in configuration.members:
                replicas, held = counts.get(node_of(member.name), (0, 0))
                group_bytes = view.bytes if view is not None and member.kind == FULL else 0
                counts[node_of(member.name)] = replicas + 1, held + group_bytes
        return counts

    # Finding what is next

    async def _repairs(self, look: _Look) -> list[Step]:
        budget = Budget(self._rules.limits, look.groups.values())
        is_early = look.now - self._began_at < self._rules.patience.suspect_seconds
        found: list[Step] = []

        def may_build(source: str, target: str) -> bool:
            return not (is_early or look.is_cut_off) and budget.may_build(source, target)

        # Those with the fewest copies first: they get what the budget has.
        by_need = sorted(look.groups.values(), key=lambda one: (len(one.configuration.full_voters), one.group))
        for count, view in enumerate(by_need, 1):
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            ordered = self._orders.moves.get(view.group)
            step = next_step(
                view, look.nodes, self._rules.patience,
                move=None if ordered is None else ordered.move.order, may_build=may_build,
            )  # fmt: skip
            if isinstance(step, Stuck):
                look.stuck.append(step)
            elif step is not None and not self._is_left_to_leader(view, step):
                found.append(step)
                if isinstance(step.action, Add) and step.action.kind == FULL:
                    budget.take(node_of(view.leader), step.action.node)
        return found

    def _is_left_to_leader(self, view: GroupView, step: Step) -> bool:
        """Leaders have log members stand in by themselves for whom they do not hear (guard.py): two that do it at once
        would be one too many."""
        is_log = isinstance(step.action, Add) and step.action.kind == LOG
        voters = view.configuration.voters
        longest = max((seconds for name, seconds in view.silent.items() if name in voters), default=0.0)
        suspect_seconds = self._rules.patience.suspect_seconds
        return is_log and suspect_seconds <= longest < 2 * suspect_seconds

    def _leaders(self, look: _Look) -> list[Step]:
        if not self._is_quiet(look):
            return []
        return balance.leaders(
            look.groups.values(), look.nodes, self._sight.rested(look.now), self._rules.tolerance
        )

    def _is_quiet(self, look: _Look) -> bool:
        return self._rules.balances and balance.is_quiet(
            look.groups.values(), look.nodes, groups_known=len(self._members)
        )

    # Doing

    async def _do(self, look: _Look, steps: list[Step]) -> None:
        several = asyncio.Semaphore(_STEPS_AT_ONCE)

        async def do(step: Step) -> None:
            async with several:
                refusal = await self._hands.do(step, node_of(look.groups[step.group].leader))
            what = f"{said(step)}: {step.why}" if refusal is None else f"{said(step)}: {refusal}"
            self._done[step.group] = what
            logger.log(logging.INFO if refusal is None else logging.DEBUG, "group %d: %s", step.group, what)

        await asyncio.gather(*(do(step) for step in steps))

    async def _tidy(self, look: _Look) -> None:
        for left in leftovers(look.reports.values(), look.groups):
            refusal = await self._hands.retire(left.node, left.group, left.name, left.epoch)
            logger.info("group %d: %s is ended%s", left.group, left.name, "" if refusal is None else f": {refusal}")

    # Moves

    async def _end_moves(self, look: _Look) -> None:
        """Those that are done, and those that cannot be."""
        for ordered in list(self._orders.moves.values()):
            if self._is_over(ordered, look):
                try:
                    await self._orders.end(ordered)
                except WorldError as error:
                    logger.debug("a move is ended later: %s", error)

    def _is_over(self, ordered: Ordered, look: _Look) -> bool:
        order = ordered.move.order
        if self._members.get(order.group) is None:
            return True
        view = look.groups.get(order.group)
        if view is None:
            return False
        if ordered.move.why == _BALANCE and not all(balance.is_settled(node) for node in look.nodes.values()):
            return True     # what it would take a replica from, or where it would put it, is needed for worse
        names = {node_of(name) for name in view.configuration.names}
        full = {node_of(name) for name in view.configuration.full_voters}
        target = look.nodes.get(order.target)
        is_impossible = target is None or target.condition is Condition.LOST or target.is_draining
        return order.source not in names or (is_impossible and order.target not in full)

    async def _begin_moves(self, look: _Look) -> None:
        if not self._is_quiet(look):
            return
        under_way = [ordered.move.order for ordered in self._orders.moves.values()]
        for order in balance.moves(list(look.groups.values()), look.nodes, under_way, self._rules.tolerance):
            try:
                await self._orders.move(order, why=_BALANCE, now=self._wall())
            except WorldError as error:
                logger.debug("a move is begun later: %s", error)

    # Telling

    async def _report(self, look: _Look) -> None:
        self._done = {group: what for group, what in self._done.items() if not self._is_whole(look, group)}
        state = self.state(look)
        told = self._told
        is_same = told is not None and _without_time(told) == _without_time(state)
        if not is_same and await self._tell(state):
            self._told = state

    def _is_whole(self, look: _Look, group: int) -> bool:
        view = look.groups.get(group)
        return view is not None and _is_whole(view, self._rules.replicas) and group not in self._orders.moves

    def state(self, look: _Look) -> State:
        """What there is to say after a look."""
        views = look.groups.values()
        unwhole = [view for view in views if not _is_whole(view, self._rules.replicas)]
        why_stuck = {stuck.group: stuck.why for stuck in look.stuck}
        shown = [
            GroupState(
                group=view.group, members=_members_said(view),
                doing=why_stuck.get(view.group, self._done.get(view.group, "")),
            )
            for view in views
            if view in unwhole or view.group in why_stuck or view.group in self._orders.moves
        ]  # fmt: skip
        return State(
            format_version=FORMAT_VERSION, node=self._node, at=self._wall(), groups=len(self._members),
            silent=len(self._members) - len(look.groups), repairing=len(unwhole), stuck=len(look.stuck),
            moving=len(self._orders.moves), nodes=tuple(self._node_states(look)), shown=tuple(shown[:SHOWN_MAX]),
        )  # fmt: skip

    def _node_states(self, look: _Look) -> list[NodeState]:
        published = [(group, each.configuration.names) for group, each in self._members.items().items()]
        led = [node_of(view.leader) for view in look.groups.values()]
        states = []
        for node in sorted(look.nodes.values(), key=lambda one: one.name):
            may_stop = node.is_draining and emptied(
                node.name, look.groups.values(), published, look.stuck
            ).may_stop
            states.append(
                NodeState(
                    name=node.name, zone=node.zone, condition=node.condition.value,
                    trouble=look.reports[node.name].trouble if node.name in look.reports else "",
                    replicas=node.replicas, leads=led.count(node.name), draining=node.is_draining, may_stop=may_stop,
                )
            )  # fmt: skip
        return states


@dataclass
class _Look:
    reports: Mapping[str, NodeReport]
    groups: Mapping[int, GroupView]
    nodes: Mapping[str, NodeView]
    now: float
    is_cut_off: bool
    stuck: list[Stuck] = field(default_factory=list)


def _is_whole(view: GroupView, wanted: int) -> bool:
    members = view.configuration.members
    return len(members) == wanted and all(member.votes and member.kind == FULL for member in members)


def _members_said(view: GroupView) -> str:
    """ "n1* n2 (n3) n4[log]": who leads, who has no vote, who has no state."""
    words = []
    for member in view.configuration.members:
        word = member.name + ("*" if member.name == view.leader else "") + ("[log]" if member.kind == LOG else "")
        words.append(word if member.votes else f"({word})")
    return " ".join(words)


def _without_time(state: State) -> State:
    return msgspec.structs.replace(state, at=0.0)
