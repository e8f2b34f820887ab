"""Gossip: once a second every node asks one other, drawn at random, what it knows of the membership.

    A -> B   Greeting(A's digest)
    B -> A   nothing more, if B knows the same; else  News(B's changes, wants_answer=True)
    A -> B   News(A's changes, wants_answer=False), if A knew anything that B did not

So a change reaches all S nodes in about log S seconds, and two nodes that agree exchange sixteen bytes. Whoever takes a
change from an administrator tells all members at once, since homes that do not know that they are some have nothing to
say (ring_node/moving.py); whom that does not reach, gossip does.

*Seeds* come from the settings of each node, not from gossip, and are drawn from like members: A and B, told about
different rings by their administrators, would otherwise never hear of each other (section 4.8.2). The paper says that
this makes a split ring "highly unlikely", not impossible; the same holds here.

`Effects.persist` comes before `send` and before the new history is used: a node that told of a change and forgot it
in a crash would deny what the others act upon.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from varley.ring.chance import Chance
from varley.ring.membership import Change, History


@dataclass(frozen=True)
class Greeting:
    digest: bytes


@dataclass(frozen=True)
class News:
    changes: tuple[Change, ...]
    wants_answer: bool


Message = Greeting | News


class Effects(NamedTuple):
    """In this order."""

    persist: History | None = None                  # first: on disk, and in force
    send: tuple[tuple[str, Message], ...] = ()      # then: to whom, and what


class Gossip:
    """The gossiper of one node. `seeds` are names, as members have them; unknown addresses are the driver's matter."""

    def __init__(self, own: str, seeds: Iterable[str], history: History) -> None:
        self._own = own
        self._seeds = frozenset(seeds) - {own}
        self.history = history      # what was persisted, never less

    def tick(self, chance: Chance) -> Effects:
        """To be called once a second."""
        others = sorted((self._seeds | self.history.members().keys()) - {self._own})
        if not others:
            return Effects()
        return Effects(send=((chance.choice(others), Greeting(self.history.digest)),))

    def changed(self, history: History) -> Effects:
        """An administrator's command was taken: `history` is ours with one change more."""
        assert set(self.history.changes) <= set(history.changes)
        others = sorted((self.history.members().keys() | history.members().keys()) - {self._own})
        self.history = history
        news = News(history.changes, wants_answer=False)
        return Effects(persist=history, send=tuple((node, news) for node in others))

    def receive(self, sender: str, message: Message) -> Effects:
        match message:
            case Greeting():
                if message.digest == self.history.digest:
                    return Effects()
                return Effects(send=((sender, News(self.history.changes, wants_answer=True)),))
            case News():
                return self._learn(sender, message)

    def _learn(self, sender: str, news: News) -> Effects:
        known = self.history
        merged = known.reconcile(news.changes)
        is_ahead = len(merged.changes) > len(news.changes)
        answer = ((sender, News(merged.changes, wants_answer=False)),) if news.wants_answer and is_ahead else ()
        if merged == known:
            return Effects(send=answer)
        self.history = merged
        return Effects(persist=merged, send=answer)
