"""A node, as those see it who keep the cluster whole: what it hosts, how its disk is, what it can be told to do.

How busy a group is, and how slow the disk, are differences between two looks a second or more apart, whoever looks. How
busy is averaged over half a minute: leaders are not to be moved for a burst. It is counted in units, each about as much
work as a write of 1 KB:

    writes      one for each entry of the log, and one for each KB in it        every replica has them
    answers     one for each that was computed from the state                   the leader has them

A disk that is slow is trouble long before it fails: what takes it `slow_disk_seconds` on average of a second or more,
frame by frame, makes every group with a voter on it wait, or do without. One that hangs finishes no frame at all, so
the time of the one under way counts too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from varley.autoadmin.messages import MemberReport, NodeReport, Peer
from varley.node.member import HostedMember
from varley.node.node import Node
from varley.paxos import events
from varley.paxos.membership import Configuration, Member

_SAMPLE_SECONDS: Final = 1.0
_AT_ONCE: Final = 20             # groups that are reported in one turn of the loop
_LOAD_SECONDS: Final = 30.0      # what a group's load is averaged over, newer seconds more
_YOUNG_SECONDS: Final = 60.0     # a member is in its group's configuration by then, or never will be
_SLOW_DISK_SECONDS: Final = 0.5

DiskTimes = Callable[[], tuple[int, float]]     # (frames that were synced since the start, seconds that took)


class NodeHosted:
    """See service.Hosted. Used from the event loop only.

    `begin` and `end` are of whoever knows what a group is for: they make, and remove, the member with all that stands
    on it (its partition, its table's followers); by default the node alone does. `now`: seconds that never go back.
    """

    def __init__(
        self,
        node: Node,
        *,
        now: Callable[[], float],
        begin: Callable[[int, Member], Awaitable[object]] | None = None,
        end: Callable[[int], Awaitable[None]] | None = None,
        disk: DiskTimes | None = None,
        free_bytes: Callable[[], int] | None = None,
        slow_disk_seconds: float = _SLOW_DISK_SECONDS,
    ) -> None:
        self._node = node
        self._now = now
        self._begin = begin or node.create_learner
        self._end = end or node.remove_group
        self._free_bytes = free_bytes       # blocks
        self._free_now: int | None = None   # as of the last time that it was asked for
        self._is_asking = False
        self._disk = _Disk(disk, slow_disk_seconds)
        self._seen_at: dict[int, tuple[str, float]] = {}    # group -> its member here, and when that was first seen
        self._writes, self._answers = _Rates(), _Rates()
        self._sampled_at = now()

    async def report(self) -> NodeReport:
        """Takes several turns of the loop if there are many groups: requests are not to wait for it."""
        self._sample(self._now())
        members = []
        for count, group in enumerate(list(self._members()), 1):
            member = self._members().get(group)
            if member is not None:
                members.append(self._member_report(group, member))
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
        refusal = self._node.refusal
        trouble = self._disk.trouble if refusal is None else str(refusal)
        return NodeReport(self._node.name, trouble, tuple(members), self._free())

    def _free(self) -> int | None:
        """As it was at the look before: nobody waits for a disk that hangs, and one thread at most does."""
        if self._free_bytes is not None and not self._is_asking:
            self._is_asking = True
            asking = asyncio.get_running_loop().run_in_executor(None, self._free_bytes)
            asking.add_done_callback(self._note_free)
        return self._free_now

    def _note_free(self, asked: asyncio.Future[int]) -> None:
        self._is_asking = False
        if not asked.cancelled():
            # What is wrong with the disk is told by those who write to it.
            self._free_now = None if isinstance(asked.exception(), OSError) else asked.result()

    def unheard(self, seconds: float) -> NodeReport:
        """The same of the groups that are led here, for longer than that, and have a voter that was not heard for so
        long. Looks at all of them, often: about a microsecond for each."""
        since_us = self._node.members.now_us() - int(seconds * 1_000_000)
        heard = self._node.members.heard_us
        found = tuple(
            self._member_report(group, member)
            for group, member in self._members().items()
            if member.is_leading
            and any(heard[group].get(name, 0) <= since_us for name in member.core.configuration.voters - {member.name})
            and member.has_led_us >= seconds * 1_000_000
        )
        return NodeReport(self._node.name, "", found)

    def member_name(self, group: int) -> str | None:
        member = self._members().get(group)
        return None if member is None else member.name

    def has(self, group: int) -> bool:
        return self._node.has(group)

    def configuration(self, group: int) -> tuple[int, Configuration]:
        return self._members()[group].configuration

    def is_leading(self, group: int) -> bool:
        return self._members()[group].is_leading

    def is_young(self, group: int) -> bool:
        """Counted from when this member was first looked at here: whoever began it, and also after a restart."""
        name, now = self._members()[group].name, self._now()
        seen, since = self._seen_at.get(group, ("", now))
        if seen != name:
            since = now
            self._seen_at[group] = name, now
        return now - since < _YOUNG_SECONDS

    def reconfigure(
        self, group: int, change: events.Change, then: Callable[[BaseException | None], None]
    ) -> str | None:
        return self._node.reconfigure(group, change, then)

    def hand_over(self, group: int, to: str) -> str | None:
        return self._node.hand_over(group, to)

    async def begin(self, group: int, member: Member) -> None:
        await self._begin(group, member)

    async def end(self, group: int) -> None:
        await self._end(group)

    def _members(self) -> dict[int, HostedMember]:
        return self._node.members.by_group

    def _member_report(self, group: int, member: HostedMember) -> MemberReport:
        kind, is_young, taken = member.member.kind, self.is_young(group), self._node.taken_bytes(group)
        if not member.is_leading:
            return MemberReport(group, member.name, kind, is_young, taken=taken)
        writes = self._writes.of(group)
        status = self._node.member_status(group)
        lag = status.lag
        peers = tuple(
            Peer(peer.name, None if peer.silent_us is None else peer.silent_us / 1_000_000, lag.get(peer.name))
            for peer in status.peers
        )
        return MemberReport(
            group, member.name, kind, is_young, status.ballot, member.has_led_us / 1_000_000, status.epoch,
            status.configuration, member.tree.size_bytes, writes + self._answers.of(group), peers, taken, writes,
        )  # fmt: skip

    def _sample(self, now: float) -> None:
        seconds = now - self._sampled_at
        if seconds < _SAMPLE_SECONDS:
            return
        self._sampled_at = now
        self._disk.sample()
        members = self._members()
        self._writes.sample(
            {group: member.core.chosen + member.proposed_bytes // 1024 for group, member in members.items()}, seconds
        )
        self._answers.sample({group: member.answers for group, member in members.items()}, seconds)
        self._seen_at = {group: seen for group, seen in self._seen_at.items() if group in members}


class _Rates:
    """Per second, of counts that only grow, by group."""

    def __init__(self) -> None:
        self._counted: dict[int, int] = {}
        self._rates: dict[int, float] = {}

    def of(self, group: int) -> float:
        return self._rates.get(group, 0.0)

    def sample(self, counts: dict[int, int], seconds: float) -> None:
        weight = min(1.0, seconds / _LOAD_SECONDS)
        rates = {}
        for group, count in counts.items():
            before = self.of(group)
            rates[group] = before + (max(0, count - self._counted.get(group, count)) / seconds - before) * weight
        self._counted, self._rates = counts, rates


class _Disk:
    def __init__(self, times: DiskTimes | None, slow_seconds: float) -> None:
        self._times = times
        self._slow_seconds = slow_seconds
        self._before = (0, 0.0) if times is None else times()
        self.trouble = ""

    def sample(self) -> None:
        if self._times is None:
            return
        frames, seconds = self._times()
        frames_before, seconds_before = self._before
        self._before = frames, seconds
        each = (seconds - seconds_before) / max(1, frames - frames_before)
        self.trouble = f"its disk takes {each:.1f} s for a write" if each >= self._slow_seconds else ""
