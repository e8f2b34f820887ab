"""Tombstones are collected, once no copy of what they replaced can come back.

A deleted key is a row of tombstones. Taken away too early it is undone: a home that missed the delete, a hint in a
store nobody thought of, or a message still on its way brings the old value back, and nothing says that it is old. The
paper leaves open what becomes of them. Here one is collected when

    1. it is older than the *grace time* (a day, by default), by the clock of who stamped it;
    2. every member of the ring, and every node that was one within the grace time, has said, each from its disk, that
       these tombstones are all it has of the key: the homes that they have this very set, the others that they have
       neither row nor hint;
    3. all have said so again QUIET_SECONDS later.

Then each home deletes it if it is still the same. Rule 2 asks every member, homes or not, because any may have stood
in; so nothing is collected while a member is down, and a node that is gone for good has to be made to leave (a grace
time after that, it is asked no more). Rule 3 is for what was sent before the first answer and had not arrived: a
message lives no longer than a request does, and requests end within seconds. One that is deleted at some homes only
is brought back by a comparison of trees, as a tombstone, and collected later.

The first home of a key asks. What was deleted is noted as a deletion, so the next put here stamps as a new actor.

The promise, then: a deleted key stays deleted, except through a node that brings back what the ring has not seen for
a grace time: a folder restored from an old copy, or of a node that was made to leave while it was down and joins
again with what it had. Such a node is to begin with an empty folder.

Rejected: the grace time alone (Cassandra's rule: whoever is away for longer undoes deletes), and keeping all for good
(a queue, written and deleted at its keys, grows without end).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from varley.ring_node import wire
from varley.ring_node.background import Background, Parts
from varley.ring_node.peers import Reply

QUIET_SECONDS = 30.0
PASS = 64           # asked about at one time
LOOK = 2000         # looked at in one turn
ASK_SECONDS = 2.0


class Tombstones(Background):
    def __init__(self, parts: Parts, grace_seconds: float) -> None:
        super().__init__(parts)
        self._grace_seconds = grace_seconds
        self._to_look_at: list[bytes] = []              # of the tombstones there are; then all of them again
        self._asking: dict[bytes, set[str]] = {}        # key -> members that have not answered; a new set each time
        self._agreed: dict[bytes, tuple[bytes, float]] = {}     # key -> digest, when all had said so for the first time

    def tick(self) -> None:
        names = self._members.members_since(self._clock.time() - self._grace_seconds)
        if self._own not in names or any(not self._reaches(name) for name in names):
            self._agreed.clear()    # a node that comes back may have been asked nothing
            return
        room = PASS - len(self._asking)
        for key in self._due():
            if room <= 0 or not self._admission.take(self._peers.now_us):
                return
            room -= 1
            self._ask(key, names)

    def _due(self) -> Iterator[bytes]:
        """Of the next LOOK keys those that may be asked about."""
        if not self._to_look_at:
            self._to_look_at = list(self._store.tombstones)
            self._agreed = {key: when for key, when in self._agreed.items() if key in self._store.tombstones}
        now, older_us = self._clock.monotonic(), int((self._clock.time() - self._grace_seconds) * 1e6)
        for _ in range(min(LOOK, len(self._to_look_at))):
            key = self._to_look_at.pop()
            time_us = self._store.tombstones.get(key)
            if time_us is None or time_us > older_us or key in self._asking:
                continue
            is_first = self._members.homes_of(key)[:1] == (self._own,)
            if is_first and (key not in self._agreed or now - self._agreed[key][1] >= QUIET_SECONDS):
                yield key

    def _ask(self, key: bytes, names: set[str]) -> None:
        digest = self._store.row(key).digest
        lacking = self._asking[key] = set(names)
        failed = partial(self._failed, key, lacking)
        for name in names:
            answered = partial(self._answered, key, digest, lacking, name)
            if name == self._own:
                self._store.when_synced(key, partial(self._answer_myself, key, digest, answered, failed))
            else:
                self._peers.ask(
                    name, wire.Forgettable(key, digest), answered, failed, timeout_seconds=ASK_SECONDS
                )

    def _answer_myself(
        self, key: bytes, digest: bytes, answered: Callable[[None], None], failed: Callable[[bool], None]
    ) -> None:
        if self.is_forgettable(key, digest):
            self._loop.call_soon(answered, None)
        else:
            self._loop.call_soon(failed, True)

    def _failed(self, key: bytes, lacking: set[str], _: bool) -> None:
        if self._asking.get(key) is not lacking:
            return      # of an earlier question
        del self._asking[key]
        self._agreed.pop(key, None)
        self._admission.give_back()

    def _answered(self, key: bytes, digest: bytes, lacking: set[str], name: str, _: object) -> None:
        if self._asking.get(key) is not lacking:
            return      # to an earlier question, perhaps about another tombstone
        lacking.discard(name)
        if lacking:
            return
        del self._asking[key]
        self._admission.give_back()
        first = self._agreed.get(key)
        if first is None or first[0] != digest:
            self._agreed[key] = (digest, self._clock.monotonic())
        else:
            del self._agreed[key]
            self._collect(key, digest)

    def _collect(self, key: bytes, digest: bytes) -> None:
        self._numbers.add("tombstones_collected")
        for home in self._members.homes_of(key):
            if home == self._own:
                self.forget(key, digest)
            else:
                self._peers.ask(home, wire.Forget(key, digest), _nothing, _nothing, timeout_seconds=ASK_SECONDS)

    # ---- Asked by another

    def asked(self, request: wire.Forgettable, reply: Reply) -> None:
        def answer() -> None:
            if self.is_forgettable(request.ring_key, request.digest):
                reply(wire.Done())
            else:
                reply(wire.Refused("this node has something else of the key"))

        if self._store.failed is None:
            self._store.when_synced(request.ring_key, answer)
        else:
            reply(wire.Refused("what this node has may not be on its disk"))

    def is_forgettable(self, key: bytes, digest: bytes) -> bool:
        if not self._store.is_synced(key):
            return False    # it has been written again meanwhile: what is on disk may be what the tombstone deletes
        if any(len(self._store.hint(home, key)) for home in self._store.hint_counts):
            return False
        row = self._store.row(key)
        if self._own in self._members.homes_of(key):
            return row.digest == digest
        return len(row) == 0

    def forget(self, key: bytes, digest: bytes) -> None:
        if key in self._store.tombstones and self._store.failed is None:
            self._store.delete(key, None, digest, int(self._clock.time() * 1e6))


def _nothing(*_: object) -> None:
    pass
