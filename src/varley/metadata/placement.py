"""Which nodes have the replicas of which group: pure decisions over what is known of the nodes.

The rules, the first before all others:

    1. never two replicas of a group on one node, nor on one machine: several nodes may be processes of one
    2. of its zones, each has as few replicas as can be: one, if there are as many zones as replicas
    3. of groups that are placed together, which are one table's, each node has as few as can be, for its capacity
    4. the least loaded node first: fewest replicas for its capacity, then least weight for it, then by name

The third is for those who use one table: were all of its partitions on the node that has just come, or on the process
that has not the ledger, it would have that one's throughput and no more.

*Weight* is whatever measures what a replica holds and does (bytes, writes): autoadmin/balance.py says what.

Fewer machines than replicas: as many replicas as there are machines; `is_short` says so, and a later pass over the
group (replacement, another node's arrival) makes up for it. A group does not wait for who would make it whole.

"Least loaded first" keeps nodes of one zone within one replica of each other where all are of one capacity: whoever
gets the next one has the fewest. It does not keep zones even: three zones of one, one and ten nodes get a third of the
replicas each, because a zone that fails must take one replica of each group and no more. For new groups replicas are
what counts, weight only decides between equals: a new group is empty, and what it will become nobody knows. `moves`
evens out weight first, beyond a tolerance, and numbers only where that does not make weights worse: two replicas of
100 GB are not even with two that are empty.

Rejected: consistent hashing of groups over nodes, as the ring has (a node's arrival would move what nobody wanted
moved, and zones make it crooked anyway); two random choices (right where the view is old, but whoever creates a table
knows all groups).

Source: Amazon DynamoDB (ATC 2022), section 4.3: a replica is moved to a node in the same or another zone that has no
replica of the partition; sections 2 and 5.1: the replicas of a group are in different zones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Place:
    """A node that may have replicas, and what it has."""

    name: str
    zone: str
    capacity: float = 1.0    # > 0; of two nodes the one with twice the capacity gets twice the replicas
    replicas: int = 0
    weight: float = 0.0
    machine: str = ""    # that it shares with others; empty: it has one of its own

    @property
    def load(self) -> tuple[float, float, str]:
        """What it has for its capacity; the least is chosen first."""
        return self.replicas / self.capacity, self.weight / self.capacity, self.name

    def with_one_more(self, weight: float = 0.0) -> Place:
        return replace(self, replicas=self.replicas + 1, weight=self.weight + weight)

    def with_one_less(self, weight: float = 0.0) -> Place:
        return replace(self, replicas=self.replicas - 1, weight=self.weight - weight)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Where the replicas of one new group go."""

    nodes: Sequence[str]    # in the order in which they were chosen, no two the same
    is_short: bool    # there are fewer than were asked for: there are no more nodes, or machines


@dataclass(frozen=True, slots=True)
class Replicas:
    """What is there of one group."""

    group: int
    nodes: Sequence[str]
    weight: float = 0.0    # of one replica


@dataclass(frozen=True, slots=True)
class Move:
    """One replica that should be elsewhere."""

    group: int
    source: str
    target: str


def place(groups: Sequence[int], replicas: int, places: Iterable[Place]) -> Mapping[int, Chosen]:
    """Where the replicas of new groups of one table go, each group after the other. With no nodes, nowhere."""
    assert replicas > 0
    now = {each.name: each for each in places}
    given: Counter[str] = Counter()     # node -> replicas of these groups
    chosen = {}
    for group in groups:
        nodes: list[str] = []
        while len(nodes) < replicas and len(nodes) < len(now):
            best = _best(now.values(), nodes, now, given)
            if best is None:
                break
            nodes.append(best)
            given[best] += 1
            now[best] = now[best].with_one_more()
        chosen[group] = Chosen(nodes, is_short=len(nodes) < replicas)
    return chosen


def replacement(staying: Collection[str], places: Iterable[Place], *, lost: str | None = None) -> str | None:
    """The node for a replica in place of the one on `lost`, or None if there is no node that could have it.

    `staying`: the nodes that have the group's other replicas, also those that are down at the moment: their zones count
    if `places` has them. `places`: all nodes that are up.
    """
    all_places = {each.name: each for each in places}
    candidates = [each for each in all_places.values() if each.name != lost]
    return _best(candidates, staying, all_places)


def moves(groups: Iterable[Replicas], places: Iterable[Place], *, moves_max: int, tolerance: float = 0.1) -> list[Move]:
    """Up to `moves_max` moves that make it better, the most urgent first; made in this order, each on its own.

    First those that bring a group's replicas apart that share a zone although another zone has a node for one of them;
    then those that take a replica from a node to another, where both end closer to each other: by weight, beyond a
    share of `tolerance` of the heavier; or by number, if the heavier is no heavier afterwards. No move makes the zones
    of a group worse, and a move whose source or target is not among the `places` is not proposed.
    """
    now = {each.name: each for each in places}
    groups_now = {each.group: each for each in groups}
    found: list[Move] = []
    while len(found) < moves_max:
        move = _apart(groups_now.values(), now) or _even(groups_now.values(), now, tolerance)
        if move is None:
            break
        found.append(move)
        group = groups_now[move.group]
        now[move.source] = now[move.source].with_one_less(group.weight)
        now[move.target] = now[move.target].with_one_more(group.weight)
        nodes = [move.target if node == move.source else node for node in group.nodes]
        groups_now[move.group] = replace(group, nodes=nodes)
    return found


def _best(
    candidates: Iterable[Place], taken: Collection[str], places: Mapping[str, Place], given: Mapping[str, int] = {}
) -> str | None:
    """Of the candidates on machines that are not taken: in the zone with the fewest of the taken, of those to which the
    least was `given` so far, the least loaded."""
    in_zone, machines = _zones(taken, places), _machines(taken, places)
    free = [each for each in candidates if each.name not in taken and each.machine not in machines]
    if not free:
        return None
    return min(
        free, key=lambda each: (in_zone.get(each.zone, 0), given.get(each.name, 0) / each.capacity, *each.load)
    ).name


def _zones(nodes: Iterable[str], places: Mapping[str, Place]) -> dict[str, int]:
    """How many of the nodes each zone has; of nodes that are not known nobody knows the zone."""
    count: dict[str, int] = {}
    for node in nodes:
        if node in places:
            zone = places[node].zone
            count[zone] = count.get(zone, 0) + 1
    return count


def _machines(nodes: Iterable[str], places: Mapping[str, Place]) -> set[str]:
    """Those that nodes share; a node with a machine of its own is told from others by its name."""
    return {places[node].machine for node in nodes if node in places and places[node].machine}


def _apart(groups: Iterable[Replicas], places: Mapping[str, Place]) -> Move | None:
    """A move that makes a group's zones more even: from the fullest to one with at least two fewer."""
    for group in groups:
        in_zone = _zones(group.nodes, places)
        sources = [places[node] for node in group.nodes if node in places]
        if len(sources) < 2 or max(in_zone.values()) < 2:
            continue
        source = max(sources, key=lambda each: (in_zone[each.zone], *each.load))
        target = _best(places.values(), group.nodes, places)
        if target is not None and in_zone.get(places[target].zone, 0) <= in_zone[source.zone] - 2:
            return Move(group.group, source.name, target)
    return None


def _even(groups: Iterable[Replicas], places: Mapping[str, Place], tolerance: float) -> Move | None:
    """A move between two nodes that brings both closer together, by weight if there is one, else by number."""
    by_node: dict[str, list[Replicas]] = {}
    for group in groups:
        for node in group.nodes:
            by_node.setdefault(node, []).append(group)
    for measure, is_better in ((_weight, _is_lighter), (_number, _is_fewer)):
        by_load = sorted(places.values(), key=lambda each: (measure(each), each.name))
        for source in reversed(by_load):
            for target in by_load:
                # Whatever moves, the target has more of it than before: most pairs need no look at groups.
                if measure(target) >= measure(source):
                    break
                for group in sorted(by_node.get(source.name, ()), key=lambda each: -each.weight):
                    if is_better(group, source, target, tolerance) and _may_move(group, source, target, places):
                        return Move(group.group, source.name, target.name)
    return None


def _weight(place: Place) -> float:
    return place.weight / place.capacity


def _number(place: Place) -> float:
    return place.replicas / place.capacity


def _may_move(group: Replicas, source: Place, target: Place, places: Mapping[str, Place]) -> bool:
    if target.name in group.nodes:
        return False
    if target.machine in _machines((node for node in group.nodes if node != source.name), places):
        return False
    in_zone = _zones(group.nodes, places)
    return source.zone == target.zone or in_zone.get(target.zone, 0) < in_zone[source.zone]


def _is_lighter(group: Replicas, source: Place, target: Place, tolerance: float) -> bool:
    """Whether the heavier of the two is lighter afterwards.

    Each move makes the list of the nodes' weights, from the heaviest, a smaller one, or leaves it as it is and makes
    that of their numbers smaller (_is_fewer): no sequence of moves comes back to where it began.
    """
    after = max(_weight(source.with_one_less(group.weight)), _weight(target.with_one_more(group.weight)))
    return after < max(_weight(source), _weight(target)) * (1 - tolerance)


def _is_fewer(group: Replicas, source: Place, target: Place, tolerance: float) -> bool:
    """Whether the one that has more has fewer afterwards, and the weights are none the worse for it."""
    ends = source.with_one_less(group.weight), target.with_one_more(group.weight)
    if max(map(_number, ends)) >= max(_number(source), _number(target)):
        return False
    return sorted(map(_weight, ends), reverse=True) <= sorted(map(_weight, (source, target)), reverse=True)
