"""A cluster on a napkin: groups are configurations, nodes are up or not, learners catch up after a while.

It does what steps say as the real parts would: a member is there only where its node was told to begin it, one change
is chosen at a time and only by a majority that is up, a log member gets its vote by itself. Time goes in seconds; a
judge looks at every step before it is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from varley.autoadmin.budget import Budget, Limits
from varley.autoadmin.health import Health, Trust
from varley.autoadmin.progress import Progress
from varley.autoadmin.repair import Patience, next_step, stand_in
from varley.autoadmin.view import (
    Add,
    Condition,
    GroupView,
    LedBy,
    MoveOrder,
    NodeView,
    Reconfigured,
    Step,
    Stuck,
    name_on,
)
from varley.node.member import node_of
from varley.paxos.events import Promote, Remove, Replace
from varley.paxos.membership import FULL, LOG, Configuration, Member, follows

PATIENCE = Patience()
COPY_SECONDS = 20


@dataclass
class Group:
    group: int
    configuration: Configuration
    leader: str
    wanted: int = 3
    epoch: int = 1
    next_number: int = 9
    behind: dict[str, int] = field(default_factory=dict)    # member -> seconds until it has everything
    heard: dict[str, int] = field(default_factory=dict)     # member -> when the leader last did


class Cluster:
    def __init__(self, zones: dict[str, str], *, limits: Limits | None = None) -> None:
        self.zones = zones
        self.up = dict.fromkeys(zones, True)
        self.draining: set[str] = set()
        self.hopeless: set[str] = set()     # nodes on which no full copy comes to an end
        self.moves: dict[int, MoveOrder] = {}
        self.groups: dict[int, Group] = {}
        self.health: Health[str] = Health(Trust())
        self.progress: Progress[tuple[int, str]] = Progress()
        self.avoided: dict[tuple[int, str], int] = {}       # (group, node) -> until
        self.limits = limits or Limits()
        self.now = 0
        self.steps: list[tuple[int, Step]] = []
        self.stuck: list[Stuck] = []
        self.has_active = True      # somebody does more than leaders do by themselves
        self.has_second = False     # who was the active one before was frozen, and goes on with what it saw last
        self._seen: tuple[dict[int, GroupView], dict[str, NodeView]] = {}, {}

    def found(self, group: int, *nodes: str, wanted: int = 3) -> Group:
        members = tuple(Member(node, number) for number, node in enumerate(nodes, 1))
        self.groups[group] = Group(group, Configuration(members), nodes[0], wanted)
        return self.groups[group]

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.health.look(self.up, self.now)
            for group in self.groups.values():
                self._live(group)
            self._act()

    def settle(self, seconds: int = 600) -> None:
        """Until nothing was done for longer than anything is waited for."""
        last = self.now
        while self.now - last < seconds:
            before = len(self.steps)
            self.wait(1)
            if len(self.steps) > before:
                last = self.now
            assert len(self.steps) < 4000, "it does not come to an end"

    # What the world does

    def _live(self, group: Group) -> None:
        up = {member.name for member in group.configuration.members if self.up[node_of(member.name)]}
        voters = group.configuration.voters
        if 2 * len(up & voters) <= len(voters):
            return
        if group.leader not in up or group.leader not in group.configuration.full_voters:
            able = [name for name in sorted(up & group.configuration.full_voters) if not group.behind.get(name)]
            if not able:
                return
            group.leader = able[0]
        for name in sorted(up):
            group.heard[name] = self.now
            member = group.configuration.member(name)
            is_hopeless = member is not None and member.kind == FULL and node_of(name) in self.hopeless
            if group.behind.get(name) and not is_hopeless:
                group.behind[name] -= 1
        for member in group.configuration.members:
            if member.joins and not member.votes and member.name in up and not group.behind.get(member.name):
                self._change(group, group.configuration.promoted(member.name))
                return

    def _change(self, group: Group, after: Configuration) -> None:
        assert follows(after, group.configuration)
        group.configuration = after
        group.epoch += 1

    # What is seen, and done

    def view(self, group: Group) -> GroupView | None:
        up = {name for name in group.configuration.voters if self.up[node_of(name)]}
        if 2 * len(up) <= len(group.configuration.voters) or group.leader not in up:
            return None     # nobody leads: nobody tells
        silent = {
            name: float(self.now - group.heard.setdefault(name, self.now)) for name in group.configuration.names
        }
        lag = {name: 5000 + left if (left := group.behind.get(name, 0)) else 0 for name in group.configuration.names}
        stalled = frozenset(
            member.name for member in group.configuration.members
            if not member.votes and self._has_stalled((group.group, member.name), lag, silent)
        )  # fmt: skip
        for name in stalled:
            self.avoided[group.group, node_of(name)] = self.now + 600
        avoid = frozenset(node for (of, node), until in self.avoided.items() if of == group.group and self.now < until)
        return GroupView(
            group.group, group.epoch, group.configuration, group.leader, group.wanted, silent, lag,
            stalled=stalled, avoid=avoid,
        )  # fmt: skip

    def _has_stalled(self, key: tuple[int, str], lag: dict[str, int], silent: dict[str, float]) -> bool:
        is_heard = silent[key[1]] < PATIENCE.suspect_seconds
        self.progress.look(key, self.now, is_heard=is_heard, lag=lag[key[1]], taken=0)
        return lag[key[1]] > 0 and self.progress.has_stalled(key, self.now, state_bytes=0)

    def nodes(self) -> dict[str, NodeView]:
        count = dict.fromkeys(self.zones, 0)
        for group in self.groups.values():
            for member in group.configuration.names:
                count[node_of(member)] += 1
        return {
            name: NodeView(
                name, zone, self.health.condition(name, self.now), replicas=count[name],
                is_draining=name in self.draining,
            )
            for name, zone in self.zones.items()
        }

    def _act(self) -> None:
        views = {number: view for number, group in self.groups.items() if (view := self.view(group)) is not None}
        before, self._seen = self._seen, (views, self.nodes())
        self.stuck = []
        self._repair(*self._seen)
        if self.has_second:
            stuck = self.stuck
            self._repair(*before)
            self.stuck = stuck
        self._end_moves()

    def _repair(self, views: dict[int, GroupView], nodes: dict[str, NodeView]) -> None:
        budget = Budget(self.limits, views.values())
        for number, view in views.items():
            if not self.has_active:
                step: Step | Stuck | None = stand_in(view, nodes, PATIENCE)
            else:
                step = next_step(
                    view, nodes, PATIENCE, move=self.moves.get(number), may_build=budget.may_build
                )
            if isinstance(step, Stuck):
                self.stuck.append(step)
            elif step is not None:
                judge(view, nodes, self.moves.get(number), step)
                self._do(self.groups[number], step, view)
                if isinstance(step.action, Add) and step.action.kind == FULL:
                    budget.take(node_of(view.leader), step.action.node)

    def _end_moves(self) -> None:
        for number, move in list(self.moves.items()):
            nodes = {node_of(name) for name in self.groups[number].configuration.names}
            full = {node_of(name) for name in self.groups[number].configuration.full_voters}
            if move.source not in nodes and move.target in full:
                del self.moves[number]

    def _do(self, group: Group, step: Step, view: GroupView) -> None:
        if step.epoch != group.epoch or view.leader != group.leader:
            return      # refused: service.py
        self.steps.append((self.now, step))
        match step.action:
            case Add(node, kind):
                name = name_on(node, group.next_number)
                learner = Member(name, group.next_number, kind, votes=False, joins=kind == LOG)
                group.next_number += 1
                group.behind[name] = COPY_SECONDS if kind == FULL else 1
                group.heard[name] = self.now
                self._change(group, group.configuration.with_learner(learner))
            case Reconfigured(Promote(name)):
                assert not group.behind.get(name)
                self._change(group, group.configuration.promoted(name))
            case Reconfigured(Remove(name)):
                self._change(group, group.configuration.without(name))
            case Reconfigured(Replace(name, member)):
                group.behind[name] = 2
                self._change(group, group.configuration.replaced(name, member))
            case LedBy(name):
                group.leader = name
            case _:
                raise AssertionError(step)


def after(configuration: Configuration, step: Step) -> Configuration:
    match step.action:
        case Reconfigured(Promote(name)):
            return configuration.promoted(name)
        case Reconfigured(Remove(name)):
            return configuration.without(name)
        case Reconfigured(Replace(name, member)):
            return configuration.replaced(name, member)
        case Add(node, kind):
            number = 1 + max(member.number for member in configuration.members)
            return configuration.with_learner(Member(name_on(node, number), number, kind, votes=False))
        case _:
            return configuration


def judge(view: GroupView, nodes: dict[str, NodeView], move: MoveOrder | None, step: Step) -> None:
    """What every step has to keep to, by other words than those it was found with."""
    before, then = view.configuration, after(view.configuration, step)
    assert step.epoch == view.epoch

    def is_heard(name: str) -> bool:
        is_lost = nodes[node_of(name)].condition is Condition.LOST
        return name == view.leader or (not is_lost and view.silent[name] < PATIENCE.suspect_seconds)

    assert follows(then, before)
    heard = [name for name in then.voters if is_heard(name)]
    assert 2 * len(heard) > len(then.voters), f"{step}: too few are left who can choose"
    assert len({node_of(name) for name in then.names}) == len(then.names), f"{step}: two on one node"
    for name in before.full_voters - then.full_voters:
        if is_heard(name):
            left = [each for each in then.full_voters if is_heard(each)]
            assert len(left) >= view.wanted, f"{step}: a copy is given up before there are others"
    if isinstance(step.action, Add):
        node = nodes[step.action.node]
        assert node.condition is Condition.TRUSTED and not node.is_draining, f"{step}: not on such a node"
        assert move is None or step.action.node != move.source
    if isinstance(step.action, LedBy):
        member = before.member(step.action.member)
        assert member is not None and member.may_lead and is_heard(member.name)

