"""This node's MemDS at work: what router/memds.py says is to be sent goes to the links, and what comes goes to it.

    this node leads, or no longer ------+                +--> channel MEMDS of other nodes
    the metadata names members ---------+--> Memds ------+
    other nodes: channel MEMDS, answers +                +--> whoever waits for a leader (journey.py)
    each second; a node is connected ---+

The only place of a node that knows who leads what. What is wrong here costs a step more, no more: the node that is
asked knows whether it leads, and if not answers with what it knows.

Source: Amazon DynamoDB (ATC 2022), section 6.6: a wrongly contacted storage node answers with the newest membership, or
with an error that makes the router look again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from varley.net.channels import MEMDS
from varley.router.memds import COMPARE_SECONDS, Effects, Group, Memds

LOOK_UP_SECONDS: Final = 0.04    # between two look-ups of one group

Send = Callable[[str, int, bytes], None]    # to whom, channel, payload: net.links.Links.send


@dataclass(slots=True)
class MemdsCounts:
    """Of this process."""

    messages_sent: int = 0
    bytes_sent: int = 0         # payloads
    messages_received: int = 0
    bytes_received: int = 0
    look_ups: int = 0


class Messages(Protocol):
    """What is asked of net.links.Links beside `send`."""

    def serve_messages(self, channel: int, handler: Callable[[str, bytes], None]) -> None: ...
    def watch(self, has_changed: Callable[[str, bool], None]) -> None: ...
    def up(self) -> Iterable[str]: ...


class MemdsNode:
    """Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        send: Send,
        chance: Random,
        is_gone: Callable[[int], bool] = lambda group: False,
    ) -> None:
        """`name`: of this node. `is_gone`: see Memds."""
        self.name = name
        self.counts = MemdsCounts()
        self._loop = loop
        self._send = send
        self._memds = Memds(chance, is_gone)
        self._up: set[str] = set()
        self._splits: Counter[int] = Counter()
        self._waiting: dict[int, list[Callable[[], None]]] = {}     # by group: who wants to hear of its next leader
        self._looked_up: dict[int, float] = {}      # when others were asked last, of groups without news since
        self._timer: asyncio.TimerHandle | None = None      # not None from start() to stop()

    def serve(self, links: Messages) -> None:
        links.serve_messages(MEMDS, self.heard)
        links.watch(self.is_connected)
        for node in links.up():    # some were quicker
            self.is_connected(node, True)

    def start(self) -> None:
        """Compare with others from now on."""
        self._timer = self._loop.call_later(COMPARE_SECONDS, self._compare_again)

    def stop(self) -> None:
        """Harmless if it was never started."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What is known

    def find(self, group: int) -> Group:
        """memds.UNKNOWN if nothing was heard of it."""
        return self._memds.find(group)

    def led_by(self, node: str) -> list[int]:
        return [group for group, known in self._memds if known.leader == node]

    def is_up(self, node: str) -> bool:
        """Whether there is a connection with another node."""
        return node in self._up

    def reachable(self, group: int) -> list[str]:
        """The other nodes with which there is a connection: those that have members of `group` first."""
        members = self.find(group).members
        return sorted(self._up, key=lambda node: (node not in members, node))

    def __len__(self) -> int:
        """How many groups are known."""
        return len(self._memds)

    def when_learnt(self, group: int, then: Callable[[], None]) -> None:
        """Call `then` once, when something is heard of `group` that is news, and it has a leader."""
        self._waiting.setdefault(group, []).append(then)

    def splits(self, group: int) -> int:
        """How often the partition of `group` has become smaller: who has asked for something of it asks anew then."""
        return self._splits[group]

    def was_split(self, group: int) -> None:
        self._splits[group] += 1
        for then in self._waiting.pop(group, ()):
            then()

    def forget_waiting(self, group: int, then: Callable[[], None]) -> None:
        waiting = self._waiting.get(group)
        if waiting is not None and then in waiting:
            waiting.remove(then)
            if not waiting:
                del self._waiting[group]

    # What is said here

    def leads(self, group: int, ballot: int, epoch: int, members: Iterable[str]) -> None:
        """This node does; these are the nodes of the group's members, by its configuration of slot `epoch`."""
        self._carry_out(self._memds.announce(group, Group(epoch, tuple(members), ballot, self.name)))

    def leads_no_more(self, group: int) -> None:
        """This node. In the ballot in which it did it never will again (node/member.py)."""
        known = self.find(group)
        if known.leader == self.name:
            self._carry_out(self._memds.announce(group, Group(ballot=known.ballot)))

    def has_members(self, group: int, epoch: int, members: Sequence[str]) -> None:
        """As this node, which leads it, has heard first: all others are told."""
        self._carry_out(self._memds.announce(group, Group(epoch, tuple(members))))

    def learn(self, group: int, news: Group) -> None:
        """From the metadata, which all nodes follow, or from whoever was asked in vain."""
        self._carry_out(self._memds.learn(group, news))

    def forget(self, group: int) -> None:
        """The group is there no more, as the metadata says."""
        self._memds.forget(group)
        self._looked_up.pop(group, None)

    def look_up(self, group: int) -> None:
        """Ask others now; or not, if they were asked a moment ago: many may wait for one leader."""
        now = self._loop.time()
        if now - self._looked_up.get(group, 0.0) < LOOK_UP_SECONDS:
            return
        self._looked_up[group] = now
        self.counts.look_ups += 1
        self._carry_out(self._memds.look_up(group))

    # From the links

    def heard(self, sender: str, payload: bytes) -> None:
        """A message of channel MEMDS."""
        self.counts.messages_received += 1
        self.counts.bytes_received += len(payload)
        self._carry_out(self._memds.receive(sender, payload))

    def is_connected(self, node: str, is_up: bool) -> None:
        """See net.links.Links.watch. Of two that meet, one begins to compare: what was missed is known at once."""
        if is_up:
            self._up.add(node)
        else:
            self._up.discard(node)
        self._memds.set_peers(self._up)
        if is_up and self.name < node:
            self._carry_out(self._memds.compare_with([node]))

    def _compare_again(self) -> None:
        self._timer = self._loop.call_later(COMPARE_SECONDS, self._compare_again)
        self._carry_out(self._memds.compare())

    def _carry_out(self, effects: Effects) -> None:
        for to, payload in effects.send:
            self.counts.messages_sent += 1
            self.counts.bytes_sent += len(payload)
            self._send(to, MEMDS, payload)
        for group in effects.changed:
            self._looked_up.pop(group, None)
            if group in self._waiting and self.find(group).leader is not None:
                for then in self._waiting.pop(group):
                    then()
