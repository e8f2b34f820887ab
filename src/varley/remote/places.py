"""Where the partitions of a cluster are, as routes and nodes see it: what a Router gets in place of a Node.

    Router ---> create_group ---> a partition that is wherever it is       (routed_partition.py)
    Node   ---> hosts, hosts_no_more, begins_to_lead, follows ---> what is here; who leads: memds_node.py

Who has the replicas of a new group is decided elsewhere (metadata/placement.py), and so is what becomes of them; here
it is only followed.

What a node does for the partitions that it leads alone (filling and sending to indexes, sweeping) begins with
`begins_to_lead`: `on_leading` has who wants to hear of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from varley.errors import WorldError
from varley.node.partition import Partition
from varley.remote.hosted import Lead
from varley.remote.peers import Peers


class Places:
    """Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peers: Peers,
        members_of: Callable[[int], tuple[int, Iterable[str]]],
        remove: Callable[[int], Awaitable[None]],
        refusal: Callable[[], WorldError | None] = lambda: None,
    ) -> None:
        """`members_of`: the nodes of the members of a group that is led here, and the slot of that configuration.
        `remove`: removes the replica that is here, if there is one. `refusal`: why the disk of this node takes no
        writes."""
        self._loop = loop
        self._peers = peers
        self._members_of = members_of
        self._remove = remove
        self._refusal = refusal
        self._partitions: dict[int, Partition] = {}
        self.on_leading: list[Callable[[int], None]] = []

    # For routes

    @property
    def refusal(self) -> WorldError | None:
        """Why the disk of this node takes no writes; None: it took the last one."""
        return self._refusal()

    def create_group(self, group: int) -> Partition:
        """The partition of `group`, which has replicas somewhere, or will."""
        return self.partition(group)

    def partition(self, group: int) -> Partition:
        """Always the same object, as long as the group is there."""
        known = self._partitions.get(group)
        if known is None:
            known = self._partitions[group] = self._peers.partition(group)
        return known

    async def remove_group(self, group: int) -> None:
        """It is there no more, on no node."""
        self._partitions.pop(group, None)
        self._peers.forget(group)
        if group in self._peers.hosted.partitions:
            self._peers.hosted.detach(group)
        await self._remove(group)

    # From the node

    def hosts(self, partition: Partition, lead: Lead) -> None:
        """A replica has come to this node. `partition` and `lead` are one object, but in tests."""
        self._peers.hosted.attach(partition.group, partition, lead)

    def hosts_no_more(self, group: int) -> None:
        self._peers.hosted.detach(group)

    def begins_to_lead(self, group: int, ballot: int) -> None:
        """This node does. Called by whoever applies the log: what follows from it begins in a turn of its own."""
        epoch, members = self._members_of(group)
        self._peers.memds.leads(group, ballot, epoch, members)
        self._peers.hosted.changed(group)
        self._loop.call_soon(self._tell_of_leading, group)

    def _tell_of_leading(self, group: int) -> None:
        if self._peers.hosted.leads(group):
            for told in self.on_leading:
                told(group)

    def follows(self, group: int) -> None:
        """This node leads it no longer."""
        self._peers.memds.leads_no_more(group)
        self._peers.hosted.changed(group)
