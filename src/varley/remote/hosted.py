"""The partitions whose replicas are on this node, and on what the request that is being run has relied.

A strong answer (a read, a refused condition) is computed from what this node has applied, and leaves only if this node
still led when it was computed: it asks for that afterwards (architecture: lease, gateway/asked.py). Which partitions
that is about is noted here, in the one place that all questions to partitions pass: `relied_on` is set while a request
is run, which is one call stack, and so the note needs no name of the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from varley.node.member_partition import MemberPartition
from varley.node.partition import Partition
from varley.node.replica import Done, Proposal


class Lead(Protocol):
    """What a hosted partition says of its leading, beside what node.partition.Partition has."""

    @property
    def is_leading(self) -> bool: ...

    @property
    def ballot(self) -> int:
        """In which it leads, or the newest it knows of."""
        ...

    @property
    def leader(self) -> str | None:
        """The node that leads, as far as is known."""
        ...

    def may_answer(self, ballot: int) -> bool:
        """Whether this node surely led in `ballot` until now: asked after an answer was computed."""
        ...

    def confirm(self, then: Done) -> None:
        """Ask a quorum whether this node leads: `then(None)`, or `then(error)` if not, or if nobody can know."""
        ...


class Relied:
    """What the answer to one request was computed from, and what it has begun to change."""

    __slots__ = ("_asked_to_write", "leads", "proposed")

    def __init__(self) -> None:
        self.leads: dict[int, tuple[Lead, int]] = {}    # group -> its partition, and the ballot
        # group -> its partition, and what was the newest proposal before it was asked
        self._asked_to_write: dict[int, tuple[Partition, Proposal | None]] = {}
        # Groups in which something was proposed: what that comes to needs no lease, since a quorum has chosen it in the
        # ballot in which it was evaluated. Known once `note_proposed` was called.
        self.proposed: set[int] = set()

    def on(self, group: int, lead: Lead) -> None:
        if group not in self.leads:
            self.leads[group] = lead, lead.ballot

    def on_write(self, group: int, partition: Partition, lead: Lead) -> None:
        """The partition is asked to write, next: it will propose something, or refuse, or find nothing to be done."""
        self.on(group, lead)
        if group not in self._asked_to_write:
            self._asked_to_write[group] = partition, partition.undecided_range()

    def note_proposed(self) -> None:
        """To be called at the end of the call stack in which the request was run: nobody else has proposed in it."""
        for group, (partition, newest) in self._asked_to_write.items():
            if not partition.is_leading or partition.undecided_range() is not newest:
                self.proposed.add(group)


class Hosted:
    """Used from the event loop only."""

    __slots__ = ("_watchers", "closed", "name", "partitions", "relied_on")

    def __init__(self, name: str) -> None:
        self.name = name    # of this node
        self.partitions: dict[int, tuple[Partition, Lead]] = {}
        # Replicas of partitions that came of a split and have not everything yet: whoever asks for one waits, as for
        # the leader of a group. With the group that has what they have not. See splits/.
        self.closed: dict[int, tuple[MemberPartition, int]] = {}
        self.relied_on: Relied | None = None    # of the request that is being run in this call stack
        self._watchers: dict[int, Callable[[], None]] = {}

    def attach(self, group: int, partition: Partition, lead: Lead) -> None:
        """A replica of `group` is on this node from now on. `partition` and `lead` are nearly always one object."""
        assert group not in self.partitions
        self.partitions[group] = partition, lead
        self.changed(group)

    def detach(self, group: int) -> None:
        del self.partitions[group]
        self.changed(group)

    def copy(self, group: int) -> Partition | None:
        """The replica that is here, if it can answer an eventual read."""
        found = self.partitions.get(group)
        return None if found is None or not found[0].has_state else found[0]

    def changed(self, group: int) -> None:
        """This node has begun to lead `group`, or to host it, or does so no more."""
        told = self._watchers.get(group)
        if told is not None:
            told()

    def watch(self, group: int, told: Callable[[], None]) -> None:
        self._watchers[group] = told

    def unwatch(self, group: int) -> None:
        self._watchers.pop(group, None)

    def leads(self, group: int) -> bool:
        found = self.partitions.get(group)
        return found is not None and found[1].is_leading
