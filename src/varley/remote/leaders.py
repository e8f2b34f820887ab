"""Who leads which group, as far as this node knows.

A cache, and never more: the storage nodes are the authority. A node that begins to lead tells all others (channel
ROUTES); one that is asked for a group that it does not lead answers with what it knows. What is known only goes
forward: each piece of news has the ballot in which its leader was elected, and older news than what is known changes
nothing. So it does not matter in which order news arrive, nor how often.

What is wrong here costs a step more, no more: the node that is asked knows whether it leads.

Source: Amazon DynamoDB (ATC 2022), section 6.6: a wrongly contacted storage node answers with the newest membership, or
with an error that makes the router look again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec


class Known(NamedTuple):
    """What is known of one group. Members are nodes, by name."""

    ballot: int                     # of its leader; 0: nobody was ever heard to lead
    leader: str | None
    members: tuple[str, ...]


class Leaders:
    """Used from the event loop only."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self._splits: Counter[int] = Counter()
        self._waiting: dict[int, list[Callable[[], None]]] = {}     # by group: who wants to hear of its next leader

    def find(self, group: int) -> Known | None:
        return self._known.get(group)

    def learn(self, group: int, news: Known) -> bool:
        """Whether that was news. An unknown leader of the same ballot, or of none, gives way to a known one."""
        known = self._known.get(group)
        if known is not None and (news.ballot, news.leader is not None) <= (known.ballot, known.leader is not None):
            return False
        self._known[group] = news
        if news.leader is not None:
            for call in self._waiting.pop(group, ()):
                call()
        return True

    def belongs_to(self, group: int, members: Sequence[str]) -> None:
        """These are the nodes of its members, as the metadata has them: whom to ask while no leader is known."""
        known = self._known.get(group) or Known(0, None, ())
        self._known[group] = known._replace(members=tuple(members))

    def splits(self, group: int) -> int:
        """How often the partition of `group` has become smaller: who has asked for something of it asks anew then."""
        return self._splits[group]

    def was_split(self, group: int) -> None:
        self._splits[group] += 1
        for call in self._waiting.pop(group, ()):
            call()

    def has_left(self, group: int, leader: str) -> None:
        """`leader` says that it leads no more: until another is heard of, nobody is known to."""
        known = self._known.get(group)
        if known is not None and known.leader == leader:
            self._known[group] = known._replace(leader=None)

    def when_learnt(self, group: int, then: Callable[[], None]) -> None:
        """Call `then` once, when a leader of `group` is heard of that is news."""
        self._waiting.setdefault(group, []).append(then)

    def forget_waiting(self, group: int, then: Callable[[], None]) -> None:
        waiting = self._waiting.get(group, [])
        if then in waiting:
            waiting.remove(then)

    def forget(self, group: int) -> None:
        """The group is there no more."""
        self._known.pop(group, None)

    def groups(self) -> Iterable[int]:
        return self._known.keys()

    def led_by(self, node: str) -> list[tuple[int, Known]]:
        return [(group, known) for group, known in self._known.items() if known.leader == node]


Announcement = Sequence[tuple[int, Known]]

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, Known]]).decode


def encode_announcement(news: Announcement) -> bytes:
    """A message on channel ROUTES: [[group, [ballot, leader, [member, …]]], …] in MessagePack."""
    return _encode(list(news))


def decode_announcement(payload: bytes) -> Announcement:
    """Raises msgspec.DecodeError for what is no such message."""
    return _decode(payload)
