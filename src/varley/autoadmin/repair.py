"""What is to be done next for one group, so that it has its full replicas again: from a view to one step, or none.

No plan is kept. A group's configuration says how far its repair has come, so whoever looks next goes on from there: a
step that was made is seen, one that was not is made again, and after a crash of whoever made it nothing is to be
cleaned up but a replica that nobody counts. Each step says which configuration it was made from, and is refused if
that is not in force any more.

How a lost replica is replaced, A leading, C lost, D and E on other nodes (f: full, l: log, lower case: no vote):

    Af Bf Cf            C is not heard for some seconds
    Af Bf Cf (l)        D, a log member, is added. It needs only the newest entries ...
    Af Bf Cf Dl         ... and votes within seconds. Four voters, three heard: no better than before
    Af Bf (c) Dl        C's vote goes, C stays: three voters, all heard. One more may fail. C is back by now?
                            then it catches up, votes, and D goes: Af Bf Cf
    Af Bf (c) Dl (e)    C is lost: E is built, the state is copied
    Af Bf Dl (e)        and C is removed
    Af Bf Dl Ef         E has caught up, and votes
    Af Bf Ef            D goes

A copy to E that comes to a stop is given up for one elsewhere, if there is another node for it.

Taking the vote and keeping the member is one change (Replace by itself): a member that comes back in time has its log
and its state, and lacks a little. It is the same life of it, so its promises stand [decision 0100]. Rejected: leaving
the vote until the new replica is there (for as long as copying takes, one more failure stops all writes); removing it
at once (a restart would copy every replica of a node).

Always:
    - one change at a time, and only if those who vote after it and are heard are a majority
    - a full voter that is heard goes only if as many others as are wanted are there
    - full copies are counted apart from votes: one copy and two logs may write, and is one disk away from losing
      everything, so then nobody is waited for, and nobody who may have a copy is given up
    - never two members on one node

A node that is full or slow leads nothing any more; after some seconds it is not well, as if it were not heard. One
that is emptied (drain.py), or that a move takes a replica from, *goes*: it counts until there is another, then it is
removed, after handing over if it leads.

Sources: [ATC22] 5.1, 6.1: log replicas, and who adds them. [RT] 4.2: learners first, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from varley.autoadmin.view import (
    CAUGHT_UP_SLOTS,
    Action,
    Add,
    Condition,
    GroupView,
    LedBy,
    MoveOrder,
    NodeView,
    Reconfigured,
    Step,
    Stuck,
)
from varley.metadata import placement
from varley.node.member import node_of
from varley.paxos.events import Promote, Remove, Replace
from varley.paxos.membership import FULL, LOG, Configuration, Member


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    suspect_seconds: float = 5.0    # a member that was not heard for so long is stood in for
    replace_seconds: float = 60.0   # and after so long built elsewhere


MayBuild = Callable[[str, str], bool]   # (node it comes from, node it goes to): another copy may begin now


def _always(source: str, target: str) -> bool:
    return True


def next_step(
    group: GroupView,
    nodes: Mapping[str, NodeView],
    patience: Patience,
    *,
    move: MoveOrder | None = None,
    may_build: MayBuild = _always,
) -> Step | Stuck | None:
    """None: the group is as it should be, or something is under way. `nodes`: all that are known."""
    if move is None and _is_quiet(group, nodes, patience):
        return None     # nearly always, and nearly all groups
    seen = _Seen(group, nodes, patience, move)
    if not seen.is_alive(group.configuration):
        return Stuck(group.group, "too few of its voters are heard")
    return (
        _lead_elsewhere(seen)
        or _end_dead_learner(seen)
        or _give_up(seen)
        or _stand_in(seen)
        or _take_vote(seen)
        or _give_vote(seen)
        or _end_log(seen)
        or _end_going(seen)
        or _end_surplus(seen)
        or _build(seen, may_build)
    )


def stand_in(group: GroupView, nodes: Mapping[str, NodeView], patience: Patience) -> Step | None:
    """The part of it that a leader does by itself, with nobody active in the cluster: a log member for one that is
    not heard, and the vote of that one."""
    seen = _Seen(group, nodes, patience, None)
    if not seen.is_alive(group.configuration):
        return None
    return _stand_in(seen) or _take_vote(seen)


def _is_quiet(group: GroupView, nodes: Mapping[str, NodeView], patience: Patience) -> bool:
    """Whether it has what it wants, all are heard, and nothing is the matter with their nodes."""
    members = group.configuration.members
    if len(members) != group.wanted:
        return False
    for member in members:
        if not member.votes or member.kind != FULL or group.silent.get(member.name, 0.0) >= patience.suspect_seconds:
            return False
        node = nodes.get(node_of(member.name))
        if node is not None and (node.is_draining or node.is_ailing or node.condition is Condition.LOST):
            return False
    return True


class _Seen:
    """A group's members, sorted by what they are good for."""

    def __init__(
        self, group: GroupView, nodes: Mapping[str, NodeView], patience: Patience, move: MoveOrder | None
    ) -> None:
        self.group, self.nodes, self.patience = group, nodes, patience
        self.move = move if move is not None and group.group == move.group else None
        self.members = group.configuration.members
        self.good = frozenset(member.name for member in self.members if self._is_good(member.name))
        self.lost = frozenset(member.name for member in self.members if self._is_lost(member.name))
        self.going = self.lost | {member.name for member in self.members if self._is_leaving(node_of(member.name))}
        self.bad_voters = [member for member in self.members if member.votes and member.name not in self.good]
        self.good_voters = [member for member in self.members if member.votes and member.name in self.good]
        self.full_good = [member for member in self.good_voters if member.kind == FULL]
        self.staying = [member for member in self.full_good if member.name not in self.going]

    def _is_good(self, name: str) -> bool:
        if name == self.group.leader:
            return True     # it was heard: this view is its own
        node = self.nodes.get(node_of(name))
        is_troubled = node is not None and (node.is_troubled or node.condition is Condition.LOST)
        return not is_troubled and self.group.silent.get(name, 0.0) < self.patience.suspect_seconds

    def _is_lost(self, name: str) -> bool:
        if name == self.group.leader:
            return False
        node = self.nodes.get(node_of(name))
        is_node_lost = node is not None and node.condition is Condition.LOST
        return is_node_lost or self.group.silent.get(name, 0.0) >= self.patience.replace_seconds

    def _is_leaving(self, node: str) -> bool:
        view = self.nodes.get(node)
        return (view is not None and view.is_draining) or (self.move is not None and self.move.source == node)

    def is_alive(self, configuration: Configuration) -> bool:
        """Whether a majority of its voters is heard."""
        voters = configuration.voters
        return 2 * len(voters & self.good) > len(voters)

    @property
    def wanted(self) -> int:
        return self.group.wanted

    @property
    def is_urgent(self) -> bool:
        """Whether the state is on one disk only."""
        return len(self.full_good) < 2 <= self.wanted

    def is_ailing(self, name: str) -> bool:
        node = self.nodes.get(node_of(name))
        return node is not None and node.is_ailing

    def is_given_up(self, member: Member) -> bool:
        """Whether nobody needs a member that is lost. While the state is on one disk only, a full one stays, though
        nobody waits for it: what it has is ended with its membership, and it may be back before there is another."""
        return member.name in self.lost and not self.is_urgent

    def is_caught_up(self, name: str) -> bool:
        return self.group.lag.get(name, CAUGHT_UP_SLOTS + 1) <= CAUGHT_UP_SLOTS

    def step(self, action: Action, why: str) -> Step:
        return Step(self.group.group, self.group.epoch, action, why)

    def free_node(self, kind: str) -> str | None:
        """The best node for one more member: of a zone that has none of those that it is to stand beside."""
        with_member = {node_of(member.name) for member in self.members}
        beside = self.good_voters if kind == LOG else [one for one in self.kept if one.name not in self.going]
        staying = {node_of(member.name) for member in beside}
        state_bytes = self.group.bytes if kind == FULL else 0
        if kind == FULL and self.move is not None and self._is_free(self.move.target, with_member, state_bytes):
            return self.move.target
        places = [
            view.place
            for node, view in self.nodes.items()
            if node in staying or self._is_free(node, with_member, state_bytes)
        ]
        return placement.replacement(staying, places)

    @property
    def kept(self) -> list[Member]:
        """Full members that are there, or may come back."""
        full = [one for one in self.members if one.kind == FULL and one.name not in self.going]
        return [one for one in full if one.name in self.good or not self.is_urgent]

    def _is_free(self, node: str, with_member: Container[str], state_bytes: int) -> bool:
        return node not in with_member and self._takes(node, state_bytes)

    def _takes(self, node: str, state_bytes: int) -> bool:
        view = self.nodes.get(node)
        is_fit = view is not None and view.takes_replicas and view.has_room(state_bytes)
        return is_fit and node not in self.group.avoid and not self._is_leaving(node)


def _lead_elsewhere(seen: _Seen) -> Step | None:
    """A leader whose node goes, or is not well, leads no longer, whatever becomes of its replica. At once: every write
    of its groups waits for its disk, while a hand-over costs a moment, and can be taken back."""
    leader = seen.group.leader
    is_ailing = seen.is_ailing(leader)
    if leader not in seen.going and not is_ailing:
        return None
    to = _successor(seen)
    if to is None:
        return None
    return seen.step(LedBy(to), "its leader's node is not well" if is_ailing else "its leader's node is to be left")


def _successor(seen: _Seen) -> str | None:
    """Who may lead: has everything, or nearly, and stays."""
    able = [one for one in seen.staying if not seen.is_ailing(one.name) and seen.is_caught_up(one.name)]
    able = [one for one in able if one.name != seen.group.leader]
    return min(able, key=lambda one: (seen.group.lag[one.name], one.number)).name if able else None


def _end_dead_learner(seen: _Seen) -> Step | None:
    """A learner that is not heard: one that never began, or whose vote was taken, and that nobody waits for longer."""
    for member in seen.members:
        if member.votes or member.name in seen.good:
            continue
        if member.kind == LOG or seen.is_given_up(member) or len(seen.staying) >= seen.wanted:
            return seen.step(Reconfigured(Remove(member.name)), f"{member.name} is not heard, and has no vote")
    return None


def _give_up(seen: _Seen) -> Step | None:
    """A learner that comes no nearer to having everything (progress.py), if another node could have one. Otherwise
    there is nothing better than to go on with it: what stops it may pass, and whoever takes a state tries again."""
    for member in seen.members:
        if member.votes or member.name not in seen.good or member.name not in seen.group.stalled:
            continue
        if seen.free_node(member.kind) is not None:
            return seen.step(Reconfigured(Remove(member.name)), f"{member.name} comes no nearer to having everything")
    return None


def _stand_in(seen: _Seen) -> Step | None:
    """A log member for a voter that is not heard."""
    coming = [one for one in seen.members if one.kind == LOG and not one.votes and one.name in seen.good]
    if not seen.bad_voters or len(seen.good_voters) + len(coming) >= seen.wanted:
        return None
    node = seen.free_node(LOG)
    return None if node is None else seen.step(Add(node, LOG), f"{_names(seen.bad_voters)} not heard")


def _take_vote(seen: _Seen) -> Step | None:
    """From a voter that is not heard, once another votes in its place: votes that are only taken make the majority
    that is left need everybody, and the next failure stops what the one who is back could have gone on with."""
    stand_ins = [one for one in seen.good_voters if one.kind == LOG]
    taken = [one for one in seen.members if not one.votes and one.kind == FULL and one.name not in seen.good]
    has_more_than_wanted = len(seen.bad_voters) + len(seen.good_voters) > seen.wanted
    if not has_more_than_wanted and len(stand_ins) <= len(taken):
        return None
    for member in sorted(seen.bad_voters, key=lambda one: one.kind == FULL):    # log members first
        is_full = member.kind == FULL
        is_worth_waiting = is_full and not seen.is_given_up(member) and len(seen.staying) < seen.wanted
        if not is_worth_waiting:
            return _removal(seen, member, f"{member.name} is lost")
        same = Member(member.name, member.number, member.kind, votes=False)
        if seen.is_alive(seen.group.configuration.replaced(member.name, same)):
            return seen.step(Reconfigured(Replace(member.name, same)), f"{member.name} is not heard")
    return None


def _give_vote(seen: _Seen) -> Step | None:
    """To a full member that has caught up, if one more is wanted."""
    if len(seen.staying) >= seen.wanted:
        return None
    for member in seen.members:
        if member.votes or member.kind == LOG or member.name not in seen.good or member.name in seen.going:
            continue
        node = seen.nodes.get(node_of(member.name))
        is_trusted = seen.is_urgent or node is None or node.condition is Condition.TRUSTED
        is_trusted = is_trusted and (seen.is_urgent or member.name not in seen.group.doubted)
        if is_trusted and seen.is_caught_up(member.name):
            return seen.step(Reconfigured(Promote(member.name)), f"{member.name} has caught up")
    return None


def _end_log(seen: _Seen) -> Step | None:
    """A log member that nobody needs: as many full ones vote as are wanted."""
    if len(seen.full_good) < seen.wanted:
        return None
    for member in seen.members:
        if member.kind == LOG:
            return _removal(seen, member, f"{len(seen.full_good)} full replicas vote")
    return None


def _end_going(seen: _Seen) -> Step | None:
    """A member whose node goes, once the others are enough."""
    if len(seen.staying) < seen.wanted:
        return None
    for member in seen.members:
        if member.name in seen.going and member.name != seen.group.leader:
            return _removal(seen, member, f"{node_of(member.name)} is to be left")
    return None


def _end_surplus(seen: _Seen) -> Step | None:
    """One full member more than is wanted, since one came back that was replaced."""
    if len(seen.staying) < seen.wanted:
        return None
    learners = [one for one in seen.members if not one.votes and one.kind == FULL]
    if learners:
        return _removal(seen, learners[-1], "as many vote as are wanted")
    if len(seen.staying) == seen.wanted:
        return None
    spare = [one for one in seen.staying if one.name != seen.group.leader]
    most = max(spare, key=lambda one: (_crowding(seen, one), one.number))
    return _removal(seen, most, "one more than is wanted")


def _crowding(seen: _Seen, member: Member) -> int:
    """How many of those that stay are in its zone."""
    zones = [_zone(seen, one) for one in seen.staying]
    return zones.count(_zone(seen, member))


def _zone(seen: _Seen, member: Member) -> str:
    node = seen.nodes.get(node_of(member.name))
    return "" if node is None else node.zone


def _build(seen: _Seen, may_build: MayBuild) -> Step | Stuck | None:
    """Another full replica, if too few are there or may come back."""
    kept = seen.kept
    if len(kept) >= seen.wanted:
        return None
    node = seen.free_node(FULL)
    if node is None:
        return _make_place(seen) or Stuck(seen.group.group, "no node can take another replica")
    if not may_build(node_of(seen.group.leader), node):
        return None
    return seen.step(Add(node, FULL), f"{len(kept)} of {seen.wanted} full replicas")


def _make_place(seen: _Seen) -> Step | None:
    """Where the only node that could have a full member has a log member: that one goes, and the node is free."""
    full = [one for one in seen.members if one.kind == FULL and one.name not in seen.lost]
    if seen.bad_voters or len(full) >= seen.wanted:
        return None     # it votes for somebody who may come back: no wish, as to empty a node, is worth that
    for member in seen.members:
        node = seen.nodes.get(node_of(member.name))
        if member.kind == LOG and node is not None and node.takes_replicas:
            return _removal(seen, member, f"{node.name} is the only node for a full replica")
    return None


def _removal(seen: _Seen, member: Member, why: str) -> Step | None:
    if not seen.is_alive(seen.group.configuration.without(member.name)):
        return None
    return seen.step(Reconfigured(Remove(member.name)), why)


def _names(members: Iterable[Member]) -> str:
    return ", ".join(member.name for member in members)
