"""The members of larger groups that a node hosts: their timers, their messages, their turn of the loop.

One channel of Links carries the messages of all groups:

    bytes 0..7    group
          8..9    life of the sender: its member name is its node's in the first, "node#2" in the second, …
         10..11   life of the receiver: what was meant for an earlier one is thrown away
         12..     the message, paxos/messages.py

Most groups rest, and what is said in them is said for many together, a few times a second (paxos/rest.py):

    BEATS    bytes 0..7    when it was sent, by the clock of the sender: the answer repeats it
             32 for each   group, life of the sender, life of the receiver, what is left of the lease, ballot, last slot
    GRANTS   bytes 0..7    when the beats were sent that it answers
             28 for each   group, life of the sender, life of the receiver, ballot, last slot

What all groups of a turn of the loop propose goes to the log together, and what they send leaves in one write for each
other node (Links sees to that).

One timer serves all groups: a heap with one entry for each. A core draws its election time anew with each message of
its leader; that is only noted, and looked at when the entry comes up, since a timer that comes too early does no harm.
Timers come at whole hundredths of a second, the next after what was asked for, so that the beats of many idle groups
leave together.

A step that raises ends the node. Most of what can raise there is an assert: we are wrong, and nobody knows about what.
The step may have changed what the member remembers, and its records are not in the log: it would go on with promises
that a restart forgets, or answer for entries that it does not have. Its disk, the trees and the loop are those of all
other members here, and what is wrong with one may be wrong with all. So from that moment on nothing is sent, written
down or answered by any of them, whoever waits is told that nobody knows, and the process ends as it does when its log
fails (`on_failure`); the next start has what the log says. What is no message is refused before (paxos/messages.py), so
a peer cannot do this with bytes that mean nothing.
Rejected: to give up that one member and go on with the others: it shares everything with them but its core.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final, Protocol

import msgspec

from varley.errors import LeaderReplaced
from varley.net.channels import BEATS, GRANTS, PAXOS
from varley.node.member import HostedMember, life_of, member_name, node_of
from varley.paxos.membership import Member
from varley.paxos.messages import AnyMessage, decode, encode
from varley.paxos.rest import beat_at_rest, granted_at_rest

logger = logging.getLogger("varley.node")

_TOGETHER_US: Final = 10_000    # timers come at multiples of this
_HEAD: Final = Struct("<QHH")
_SENT_AT: Final = Struct("<Q")
_BEAT: Final = Struct("<IQQ")       # behind a head: what is left of the lease, in microseconds; ballot; last slot
_BEATS: Final = Struct("<QHHIQQ")
_GRANTS: Final = Struct("<QHHQQ")


class Links(Protocol):
    """What is needed of varley.net's Links."""

    def send(self, to: str, channel: int, payload: bytes) -> None: ...

    def serve_messages(self, channel: int, handler: Callable[[str, bytes], None]) -> None: ...


class NoLinks:
    """Of a node that has no others."""

    def send(self, to: str, channel: int, payload: bytes) -> None:
        pass

    def serve_messages(self, channel: int, handler: Callable[[str, bytes], None]) -> None:
        pass

    def serve_requests(self, service: int, handler: Callable[[str, bytes, Callable[[bytes], None]], None]) -> None:
        pass

    def request(
        self, to: str, service: int, payload: bytes, then: Callable[[Any], None], *, timeout_seconds: float
    ) -> None:
        raise AssertionError("a node without others asks nobody")


class Members:
    """Used from the event loop only. It is the `Host` of each of them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        links: Links,
        *,
        now_us: Callable[[], int],
        append_records: Callable[[int, int, Sequence[bytes], object, object], None],
        flush_log_soon: Callable[[], None],
        on_snapshot_needed: Callable[[HostedMember, str], None],
        on_state_noted: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """`on_failure` is called once, when a step has raised, and has to end the process."""
        self._loop = loop
        self._links = links
        self._append_records = append_records
        self._flush_log_soon = flush_log_soon
        self._on_snapshot_needed = on_snapshot_needed
        self._on_failure = on_failure
        self.state_is_noted = on_state_noted
        self.now_us = now_us
        self.by_group: dict[int, HostedMember] = {}
        self.heard_us: dict[int, dict[str, int]] = {}   # group -> member -> when something of it last came
        self._unflushed: list[HostedMember] = []
        self._beats: dict[str, list[bytes]] = {}    # node -> those that this turn of the timer sends, with their heads
        self._due: list[tuple[int, int, int]] = []      # heap of (when, group, when it asked for)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_us = 0
        self._is_stopping = False
        self._has_failed = False    # nothing is sent any more: see above
        self._when_none_leads: Callable[[], None] | None = None
        links.serve_messages(PAXOS, self._receive)
        links.serve_messages(BEATS, self._receive_beats)
        links.serve_messages(GRANTS, self._receive_grants)

    def add(self, member: HostedMember) -> None:
        assert member.group not in self.by_group
        self.by_group[member.group] = member
        self.heard_us[member.group] = {}
        member.tick(self.now_us())

    def remove(self, group: int) -> HostedMember:
        del self.heard_us[group]
        member = self.by_group.pop(group)
        if member in self._unflushed:
            self._unflushed.remove(member)
        return member

    def when_none_leads(self, then: Callable[[], None]) -> None:
        """Call `then` when nothing is led here any more; may call at once, or never."""
        self._when_none_leads = then
        self.has_followed()

    def has_followed(self) -> None:
        then = self._when_none_leads
        if then is not None and not any(member.ballot for member in self.by_group.values()):
            self._when_none_leads = None
            then()

    def stop(self) -> None:
        """No more timers, and nothing is listened to."""
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()

    def has_failed(self, member: HostedMember, error: Exception) -> None:
        """A step of this member has raised; see above. May be told more than once, on the way out of what led to it."""
        if self._has_failed:
            return
        self._has_failed = True
        logger.critical("a step of the member of group %d has raised: this node ends", member.group, exc_info=error)
        self.stop()
        for each in self.by_group.values():
            each.end(LeaderReplaced(each.group))
        self._on_failure(error)

    # Turns

    def append_records(
        self, group: int, order: int, records: Sequence[bytes], part: object, waiter: object
    ) -> None:
        self._append_records(group, order, records, part, waiter)
        self._flush_log_soon()

    def flush_soon(self, member: HostedMember) -> None:
        self._unflushed.append(member)
        self._flush_log_soon()

    def flush(self) -> None:
        """The end of a turn: before the log is flushed."""
        while self._unflushed:
            unflushed, self._unflushed = self._unflushed, []
            for member in unflushed:
                member.flush()

    def try_again(self) -> None:
        for member in self.by_group.values():
            member.try_again()

    def snapshot_is_needed(self, member: HostedMember, by: str) -> None:
        self._on_snapshot_needed(member, by)

    # Messages

    def send(self, group: int, sender: Member, to: str, message: AnyMessage) -> None:
        if self._has_failed:
            return
        node, head = _address(group, sender.name, to)
        self._links.send(node, PAXOS, head + encode(message))

    def _receive(self, node: str, payload: bytes) -> None:
        if self._is_stopping or len(payload) < _HEAD.size:
            return
        group, sender_life, life = _HEAD.unpack_from(payload)
        member = self.by_group.get(group)
        if member is None or life != member.life:
            return
        try:
            message = decode(payload[_HEAD.size :])
        except msgspec.DecodeError as error:
            logger.warning("a message of %s is thrown away: %s", node, error)
            return
        sender = node if sender_life == 1 else member_name(node, sender_life)
        self.heard_us[group][sender] = self.now_us()
        member.receive(sender, message)

    # Groups at rest

    def send_at_rest(self, group: int, sender: str, to: Sequence[str], lease_left: int, ballot: int, slot: int) -> None:
        beat = _BEAT.pack(lease_left, ballot, slot)
        beats = self._beats
        for other in to:
            node, head = _address(group, sender, other)
            found = beats.get(node)
            if found is None:
                found = beats[node] = []
            found += (head, beat)

    def _send_beats(self, now_us: int) -> None:
        beats, self._beats = self._beats, {}
        if not self._has_failed:
            for node, parts in beats.items():
                self._links.send(node, BEATS, _SENT_AT.pack(now_us) + b"".join(parts))

    def _receive_beats(self, node: str, payload: bytes) -> None:
        if self._is_stopping or not _is_whole(node, payload, _BEATS):
            return
        now_us = self.now_us()
        (sent_at,) = _SENT_AT.unpack_from(payload)
        answers = [payload[: _SENT_AT.size]]
        for group, sender_life, life, lease_left, ballot, slot in _BEATS.iter_unpack(payload[_SENT_AT.size :]):
            member = self.by_group.get(group)
            if member is None or life != member.life:
                continue
            sender = node if sender_life == 1 else member_name(node, sender_life)
            self.heard_us[group][sender] = now_us
            if member.grant_at_rest(sender, ballot, slot, lease_left, now_us):
                answers.append(_GRANTS.pack(group, life, sender_life, ballot, slot))
            else:
                member.receive(sender, beat_at_rest(ballot, slot, sent_at, lease_left))
        if len(answers) > 1 and not self._has_failed:
            self._links.send(node, GRANTS, b"".join(answers))

    def _receive_grants(self, node: str, payload: bytes) -> None:
        if self._is_stopping or not _is_whole(node, payload, _GRANTS):
            return
        now_us = self.now_us()
        (sent_at,) = _SENT_AT.unpack_from(payload)
        for group, sender_life, life, ballot, slot in _GRANTS.iter_unpack(payload[_SENT_AT.size :]):
            member = self.by_group.get(group)
            if member is None or life != member.life:
                continue
            sender = node if sender_life == 1 else member_name(node, sender_life)
            self.heard_us[group][sender] = now_us
            if not member.granted_at_rest(sender, ballot, sent_at):
                member.receive(sender, granted_at_rest(ballot, slot, sent_at))

    # Timers

    def wake(self, member: HostedMember, at_us: int) -> None:
        member.scheduled_us = at_us
        later_us = -(-at_us // _TOGETHER_US) * _TOGETHER_US
        heapq.heappush(self._due, (later_us, member.group, at_us))
        if self._timer is None or later_us < self._timer_us:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and not self._is_stopping:
            self._timer_us = self._due[0][0]
            seconds = max(0, self._timer_us - self.now_us()) / 1_000_000
            self._timer = self._loop.call_later(seconds, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        now_us = self.now_us()
        while self._due and self._due[0][0] <= now_us:
            _, group, at_us = heapq.heappop(self._due)
            member = self.by_group.get(group)
            if member is None or member.scheduled_us != at_us:
                continue    # it is gone, or was to be woken earlier
            member.scheduled_us = 0
            if member.due_us <= now_us:
                member.tick(now_us)
            else:
                self.wake(member, member.due_us)
        if self._beats:
            self._send_beats(now_us)
        self._set_timer()


def _is_whole(node: str, payload: bytes, entry: Struct) -> bool:
    """Whether there is a time, and entries behind it."""
    if len(payload) >= _SENT_AT.size and (len(payload) - _SENT_AT.size) % entry.size == 0:
        return True
    logger.warning("a message of %s is thrown away: it has %d bytes", node, len(payload))
    return False


@lru_cache(65536)
def _address(group: int, sender: str, to: str) -> tuple[str, bytes]:
    """(the node, what precedes the message)."""
    return node_of(to), _HEAD.pack(group, life_of(sender), life_of(to))
