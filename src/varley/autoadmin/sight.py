"""From what nodes report to views, by whoever looks again and again: what one look does not tell.

Kept from look to look, in memory only, so that whoever begins to look knows less and is more patient:

    how long a learner was not heard        where its leader never heard it, from when it was first seen in the group
    whether a learner that is heard comes nearer to having all      stalled: it is given up, and its node avoided
    which members are heard, and not for long                       doubted: they get no vote yet
    on which nodes, that say they are well, a member was not heard by its leader    avoided, for a while
    how long each group has had its leader                          rested: it may be led by another
    how much each group usually writes                              its replicas are moved for that, not for a burst
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from varley.autoadmin.health import Health, Trust
from varley.autoadmin.messages import MemberReport, NodeReport
from varley.autoadmin.progress import Progress
from varley.autoadmin.repair import Patience
from varley.autoadmin.view import CAUGHT_UP_SLOTS, Condition, GroupView, NodeView
from varley.metadata.nodes import NodeInfo
from varley.node.member import node_of

_AVOID_SECONDS: Final = 600.0
_REST_SECONDS: Final = 60.0
_USUAL_SECONDS: Final = 600.0    # what a group's usual writes are averaged over, newer seconds more


class Sight:
    """Times are seconds of a clock that never goes back."""

    def __init__(self, patience: Patience, trust: Trust) -> None:
        self._patience = patience
        self._links: Health[tuple[int, str]] = Health(trust)    # (group, member), as its leader hears it
        self._doubted: set[tuple[int, str]] = set()             # those that were not heard once
        self._first_seen: dict[tuple[int, str], float] = {}
        self._avoided: dict[tuple[int, str], float] = {}        # (group, node) -> until
        self._answering: set[str] = set()       # nodes, in this look
        self._leaders: dict[int, tuple[str, float]] = {}        # group -> (who leads, since when)
        self._progress: Progress[tuple[int, str]] = Progress()
        self._taken: dict[tuple[int, str], int] = {}    # bytes of a state, in this look
        self._usual: dict[int, tuple[float, float]] = {}        # group -> (its usual writes, as of when)

    def leading(self, reports: Collection[NodeReport], wanted: Mapping[int, int]) -> dict[int, MemberReport]:
        """By group, what its leader reports, of the groups in `wanted`. Of two that think that they lead the one of the
        higher ballot does."""
        found: dict[int, MemberReport] = {}
        self._answering = {report.node for report in reports}
        self._taken = {
            (member.group, member.name): member.taken for report in reports for member in report.members if member.taken
        }
        for report in reports:
            for member in report.members:
                other = found.get(member.group)
                if member.ballot and member.group in wanted and (other is None or other.ballot < member.ballot):
                    found[member.group] = member
        return found

    def rested(self, now: float) -> frozenset[int]:
        return frozenset(group for group, (_, since) in self._leaders.items() if now - since >= _REST_SECONDS)

    def view(self, leader: MemberReport, wanted: int, now: float) -> GroupView:
        """Of a group, as its leader has reported."""
        group = leader.group
        if self._leaders.get(group, ("", 0.0))[0] != leader.name:
            self._leaders[group] = leader.name, now
        silent = {peer.name: self._silence(leader, peer.name, peer.silent_seconds, now) for peer in leader.peers}
        for name, seconds in silent.items():
            is_heard = seconds < self._patience.suspect_seconds
            if is_heard and (group, name) not in self._doubted:
                continue
            self._doubted.add((group, name))
            self._links.look({(group, name): is_heard}, now)
            member = leader.configuration.member(name)
            is_learner = member is not None and not member.votes
            if not is_heard and is_learner and node_of(name) in self._answering:
                # Not a node that is down: that one may be back before its members are elsewhere.
                self._avoided[group, node_of(name)] = now + _AVOID_SECONDS
        lag = {peer.name: peer.lag for peer in leader.peers if peer.lag is not None}
        return GroupView(
            group, leader.epoch, leader.configuration, leader.name, wanted, silent, lag, leader.bytes, leader.load,
            self._usual_writes(leader, now),
            frozenset(name for name in silent if self._is_doubted((group, name), now)),
            self._stalled(leader, silent, lag, now), self._avoided_by(group, now),
        )  # fmt: skip

    def _stalled(
        self, leader: MemberReport, silent: Mapping[str, float], lag: Mapping[str, int], now: float
    ) -> frozenset[str]:
        stalled = set()
        for member in leader.configuration.members:
            key = leader.group, member.name
            if member.votes or lag.get(member.name, CAUGHT_UP_SLOTS + 1) <= CAUGHT_UP_SLOTS:
                continue
            is_heard = silent.get(member.name, 0.0) < self._patience.suspect_seconds
            self._progress.look(
                key, now, is_heard=is_heard, lag=lag.get(member.name), taken=self._taken.get(key, 0)
            )
            if self._progress.has_stalled(key, now, state_bytes=leader.bytes):
                stalled.add(member.name)
                self._avoided[leader.group, node_of(member.name)] = now + _AVOID_SECONDS
        return frozenset(stalled)

    def _usual_writes(self, leader: MemberReport, now: float) -> float:
        # From nothing: what is written when a look begins may be a burst, and of all groups as much is missing.
        before, at = self._usual.get(leader.group, (0.0, now))
        usual = before + (leader.writes - before) * min(1.0, (now - at) / _USUAL_SECONDS)
        self._usual[leader.group] = usual, now
        return usual

    def _is_doubted(self, link: tuple[int, str], now: float) -> bool:
        return link in self._doubted and self._links.condition(link, now) is not Condition.TRUSTED

    def _avoided_by(self, group: int, now: float) -> frozenset[str]:
        if not self._avoided:
            return frozenset()
        return frozenset(node for (of, node), until in self._avoided.items() if of == group and now < until)

    def _silence(self, leader: MemberReport, name: str, seconds: float | None, now: float) -> float:
        """A leader hears nothing of the time before it led: that does not count."""
        if seconds is not None:
            return min(seconds, leader.led_seconds)
        member = leader.configuration.member(name)
        if member is not None and member.votes:
            return leader.led_seconds   # it was given its vote because it was heard, or before this leader led
        first = self._first_seen.setdefault((leader.group, name), now)
        return min(now - first, leader.led_seconds)

    def forget(self, views: Mapping[int, GroupView], wanted: Mapping[int, int]) -> None:
        """What members were that are gone, after a look; a group whose leader says nothing is not gone."""

        def is_gone(key: tuple[int, str]) -> bool:
            group, name = key
            if group not in wanted:
                return True
            return group in views and views[group].configuration.member(name) is None

        self._links.forget(is_gone)
        self._progress.forget(is_gone)
        self._doubted = {key for key in self._doubted if not is_gone(key)}
        self._first_seen = {key: at for key, at in self._first_seen.items() if not is_gone(key)}
        self._leaders = {group: since for group, since in self._leaders.items() if group in wanted}
        self._usual = {group: usual for group, usual in self._usual.items() if group in wanted}
        self._avoided = {key: until for key, until in self._avoided.items() if key[0] in wanted}


def nodes_seen(
    infos: Mapping[str, NodeInfo],
    health: Health[str],
    counts: Mapping[str, tuple[int, int]],
    draining: Iterable[str],
    ailing: Iterable[str],
    troubled: Iterable[str],
    free_bytes: Mapping[str, int | None],
    now: float,
) -> dict[str, NodeView]:
    """`infos`: what each said of itself last; `counts`: by node, its replicas and their bytes."""
    away, ailing_now, ill = set(draining), set(ailing), set(troubled)
    views = {}
    for name, info in infos.items():
        replicas, held = counts.get(name, (0, 0))
        views[name] = NodeView(
            name, info.zone, health.condition(name, now), info.capacity, replicas, held, is_draining=name in away,
            is_ailing=name in ailing_now, is_troubled=name in ill, free_bytes=free_bytes.get(name),
            machine=info.machine,
        )  # fmt: skip
    return views
