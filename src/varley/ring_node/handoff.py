"""Hinted handoff at one node: hints that it keeps for others, and *strays*, rows that have become others'.

Every second, and at once when a node answers again, what can be delivered is: at most PASS rows of one kind in a
pass, WINDOW of them under way (hints.py), each pass a slice of background work. A pass that has not ended after
PASS_SECONDS is given up; what it has not deleted is found by the next.

Also of hints for a home that is down some may be delivered: their keys have other homes by now. So they are looked
through, but LOOK at a time, each time from where the last one ended: there may be millions.

Strays are looked for in ranges that this node has rows of and is no home of: its trees name them.

A stray is deleted when all its homes have acknowledged it, unless it has come here once more since it was sent. For who
is home is what each node has heard. Story, without that (N = 1):

    1. B hands x to A, which has joined. A has it. A is told to leave, and knows at once; B does not.
    2. A hands x to B, B hands x to A. Each still has x when the other's copy arrives, and acknowledges it.
    3. Each deletes its own.

With it at most one of the two deletes: of two copies that cross, each arrives after the other was sent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from itertools import islice

from varley.ring import hints
from varley.ring.hints import Hint, HintDelivery
from varley.ring.preference_list import PreferenceList
from varley.ring.siblings import Siblings
from varley.ring_node.background import Background, Parts
from varley.ring_node.keys import place_of

logger = logging.getLogger("varley.ring")

PASS = 512
LOOK = 1000
PASS_SECONDS = 10.0
STRAYS_MAX = 10_000
_STRAYS = ""    # in place of the home: no node has this name


class Handoff(Background):
    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.is_waiting = False     # a pass could not begin for want of a slice
        self._passes: dict[str, HintDelivery] = {}      # by home; each has a slice
        self._looked_at: dict[str, bytes] = {}          # home -> up to which place, if its hints go on beyond that

    @property
    def strays(self) -> int:
        """Rows of ranges that this node is no home of; more than STRAYS_MAX are not counted."""
        found = (head for id_ in self._stray_ranges() for head in self._rows_of_range(id_))
        return sum(1 for _ in islice(found, STRAYS_MAX))

    def has_strays(self) -> bool:
        return any(True for _ in self._stray_ranges())

    def tick(self) -> None:
        self.is_waiting = False
        for home in sorted(self._store.hint_counts):
            self._begin(home)
        self._begin(_STRAYS)

    def _begin(self, home: str) -> None:
        if home in self._passes or self._store.failed is not None:
            return
        found = list(islice(self._strays(), PASS)) if home == _STRAYS else self._hints(home)
        if not found:
            return
        if not self._admission.take(self._peers.now_us):
            self.is_waiting = True
            return
        delivery = self._passes[home] = HintDelivery(found)
        self._loop.call_later(PASS_SECONDS, partial(self._end, home, delivery))
        self._do(home, delivery, delivery.begin())

    def _end(self, home: str, delivery: HintDelivery) -> None:
        if self._passes.get(home) is delivery:
            del self._passes[home]
            self._admission.give_back()
            if home == _STRAYS:
                self._store.leaving.clear()

    def _hints(self, home: str) -> list[tuple[Hint, PreferenceList]]:
        """Those of the next LOOK that can be delivered, at most PASS."""
        found: list[tuple[Hint, PreferenceList]] = []
        looked_at = self._looked_at.pop(home, b"")
        for count, head in enumerate(self._store.hint_heads(home, beyond=looked_at)):
            if count == LOOK or len(found) == PASS:
                self._looked_at[home] = looked_at
                break
            looked_at = place_of(head.ring_key)
            to = hints.receivers(home, self._members.homes_of(head.ring_key))
            if to and all(map(self._reaches, to)):
                found.append((Hint(home, head.ring_key, head.digest), to))
        return found

    def _strays(self) -> Iterator[tuple[Hint, PreferenceList]]:
        for range_id in self._stray_ranges():
            to = self._members.homes(range_id)
            if to and all(map(self._reaches, to)):
                for head in self._rows_of_range(range_id):
                    yield Hint(_STRAYS, head.ring_key, head.digest), to

    def _stray_ranges(self) -> Iterator[int]:
        for range_id, tree in list(self._store.trees.items()):
            if any(tree.root) and not self._members.is_home(range_id):
                yield range_id

    def _do(self, home: str, delivery: HintDelivery, effects: hints.Effects) -> None:
        for node, hint in effects.deliver:
            acknowledged = partial(self._acknowledged, home, delivery, node, hint)
            failed = partial(self._failed, home, delivery)
            if home == _STRAYS:
                self._store.leaving.add(hint.key)
                self._deliveries.row(node, hint.key, acknowledged, failed)
            else:
                self._deliveries.hint(node, home, hint.key, acknowledged, failed)
        for hint in effects.delete:
            if home != _STRAYS:
                self._delete(hint, home, "hints_delivered")
            elif self._passes.get(home) is delivery and hint.key in self._store.leaving:
                self._delete(hint, None, "strays_delivered")
        if delivery.is_over and self._passes.get(home) is delivery:
            self._end(home, delivery)
            self._say(home)
            if home == _STRAYS or home in self._store.hint_counts:
                self._loop.call_soon(self._begin, home)     # there may be more

    def _acknowledged(self, home: str, delivery: HintDelivery, node: str, hint: Hint, sent: Siblings) -> None:
        if sent.digest != hint.digest:
            self._failed(home, delivery)    # the newest was not yet on disk, and an older one was sent: another pass
            return
        # In a later turn: many acknowledgements at once, of rows that are gone, would nest as deep as they are many.
        self._loop.call_soon(lambda: self._do(home, delivery, delivery.delivered(node, hint)))

    def _failed(self, home: str, delivery: HintDelivery) -> None:
        delivery.failed()
        self._end(home, delivery)

    def _delete(self, hint: Hint, home: str | None, counted_as: str) -> None:
        if home is None and self._own in self._members.homes_of(hint.key):
            return      # it is home again
        if self._store.delete(hint.key, home, hint.digest, int(self._clock.time() * 1e6)):
            self._numbers.add(counted_as)

    def _say(self, home: str) -> None:
        if home == _STRAYS:
            logger.info("rows that have become other nodes' were handed over")
        elif home not in self._store.hint_counts:
            logger.info("all hints for node %s are delivered", home)
