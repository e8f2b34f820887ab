"""Single rows that are on other nodes, fetched for requests that read several: BatchGetItem, BatchExecuteStatement.

What such a request costs and answers is worked out where it arrived, from stored values, wherever they come from.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Protocol

from varley.node.elsewhere import Need
from varley.node.partition import Partition
from varley.node.replica import Proposal
from varley.node.settled import Done, after_calls, when_settled
from varley.remote.peers import Peers, Values


class Holder(Protocol):
    """What has a row: its partition, or what was fetched from there."""

    def get(self, key: bytes, /) -> bytes | None: ...


class AwayRows:
    """Of one request. `peers`: None on a single machine."""

    __slots__ = ("_peers", "_wanted")

    def __init__(self, peers: Peers | None) -> None:
        self._peers = peers
        # By what they need: group -> its keys, and what comes of them; it is filled when that has come.
        self._wanted: dict[Need, dict[int, tuple[list[bytes], dict[bytes, bytes]]]] = {}

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def holder(self, partition: Partition, key: bytes, *, consistent: bool) -> dict[bytes, bytes] | None:
        """Where the row will be after `fetch`; None: in the partition, which is here."""
        peers = self._peers
        if peers is None:
            return None
        need = Need.LEADER if consistent else Need.COPY
        if peers.is_here(partition.group, need):
            return None
        keys, found = self._wanted.setdefault(need, {}).setdefault(partition.group, ([], {}))
        keys.append(key)
        return found

    def when_read(self, undecided: Sequence[Proposal], then: Done) -> None:
        """Call `then` when all `undecided` are settled and what is elsewhere is fetched. There is some of either."""
        done = after_calls(bool(undecided) + len(self._wanted), then)
        if undecided:
            when_settled(undecided, done)
        self._fetch(done)

    def _fetch(self, done: Done) -> None:
        def heard(need: Need, values: Values, error: BaseException | None) -> None:
            for group, found in values.items():
                self._wanted[need][group][1].update(found)
            done(error)

        for need, groups in self._wanted.items():
            assert self._peers is not None
            keys = {group: keys for group, (keys, _) in groups.items()}
            self._peers.values(keys, need, functools.partial(heard, need))
