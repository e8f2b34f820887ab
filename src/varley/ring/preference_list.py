"""The preference list: who stores a key, in order; and of those, whom a request goes to now.

Walk the ring from the key's place and note each node when it is first met: virtual nodes of one machine count once. The
first N are the key's *homes*. The list goes on to all the others, because a home may be down, and then the next node
that is not takes its place, with a *hint* that says for whom (the sloppy quorum).

Zones (data centres) are taken in rounds: nobody of a zone that the round has, until all zones have been had. So N homes
stand in N zones, or in as many as there are; within that, ring order decides, and the first is always the node that the
key's place belongs to. Every node can compute the list of every key: it depends on the members only.

Source: sections 4.2, 4.3, 4.6. Example: nodes a1 b1 b2 c1 (letter = zone) on the ring in the order b1 b2 a1 c1.
For a key of b1's the list is b1 a1 c1 b2: with N = 3 one home in each zone, and b2 the first to stand in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

PreferenceList = tuple[str, ...]    # every member once
IsAlive = Callable[[str], bool]


def walk(ring: Sequence[str], start: int, zones: Mapping[str, str]) -> PreferenceList:
    """`ring`: the owner of each partition (or token), in order; `start`: the one that the key lies in."""
    in_ring_order = list(dict.fromkeys(ring[(start + step) % len(ring)] for step in range(len(ring))))
    chosen: list[str] = []
    while in_ring_order:
        had: set[str] = set()
        later = []
        for node in in_ring_order:
            if zones[node] in had:
                later.append(node)
            else:
                had.add(zones[node])
                chosen.append(node)
        in_ring_order = later
    return tuple(chosen)


class Target(NamedTuple):
    """`hint_for`: the home in whose place it stores; None: it is a home itself."""

    node: str
    hint_for: str | None


def healthy(preference: PreferenceList, n: int, is_alive: IsAlive, must_have: str | None = None) -> tuple[Target, ...]:
    """The first N of the list that can be reached, in order; fewer if there are no more.

    Each one that is no home stands in for a home that cannot be reached, in the order of the list. `must_have` (the
    coordinator, which can reach itself) takes the last place if it would have none; in a ring of fewer than N members
    it may be one copy more, and stands in for the first.
    """
    homes = preference[:n]
    reached = [node for node in preference if is_alive(node)][:n]
    if must_have is not None and must_have not in reached:
        reached = [*reached[: n - 1], must_have]
    missing = iter([home for home in homes if home not in reached])
    return tuple(Target(node, None if node in homes else next(missing, homes[0])) for node in reached)


def coordinator(
    preference: PreferenceList, n: int, own: str, is_alive: IsAlive, remembered: str | None = None
) -> str:
    """Who coordinates a request that `own` has received: itself, or the node that it forwards to.

    For a put, `remembered` is the one that answered the preceding get fastest, if it is a home: it has what the client
    read. Otherwise a home coordinates what it receives (a fixed first node would carry more than its share), and who is
    no home forwards to the first of the homes, or of the whole list, that can be reached.
    """
    homes = preference[:n]
    if remembered in homes and (remembered == own or is_alive(remembered)):
        return remembered
    if own in homes:
        return own
    return next((node for node in preference if node == own or is_alive(node)), own)


def exchanged(own: str, before: Iterable[str], after: Iterable[str]) -> frozenset[str]:
    """Who took the place of `own` among a key's homes, or whose place it took; nobody if it was and is one, or neither.

    While both sides of an exchange answer gets with what the other has too, it does not matter who has heard of it, nor
    how much was brought over. R homes of after, those that are new among them, answer for themselves and for all who
    are homes no more: for at least R homes of before (as many came as went). So among the W that took a put before,
    there is one. The same holds the other way round, for a get that still goes to the homes of before.
    """
    old, new = frozenset(before), frozenset(after)
    if (own in old) == (own in new):
        return frozenset()
    return new - old if own in old else old - new
