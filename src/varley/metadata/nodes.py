"""The nodes of a cluster: each says that it is there, under a lease, and all watch.

    nodes/n1    {"format_version": 1, "name": "n1", "zone": "a", "api": "http://10.0.0.5:8000", …}

The key goes when the lease ends: when the node stops, at once; when it is killed, or cut off, after the lease's time.
So "up" means: it has reached the metadata not long ago. Whether a node can be reached by another is not said here;
those who talk to it know that better and sooner, and nothing that needs to be certain may depend on this view (leases
of leaders are the groups' own).

A name belongs to a data folder: its replicas' promises are there. While a live node of another data folder has the
name, it is refused; a node that comes back with its own folder, before its old lease has ended, takes the name over.

A lease that is lost is taken anew, with the same name, as soon as etcd can be reached again. Meanwhile the node goes on
serving: being cut off from metadata is no reason to stop. Only if another node has taken the name does it end
(`NameTaken`): two nodes of one name would be one member in two places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from varley.errors import Damaged, WorldError
from varley.metadata.mirror import Mirror
from varley.metadata.store import ABSENT, Change, Entry, Lease, Store, Told
from varley.metadata.stored_value import damaged, decoded
from varley.table.stored_format import Stored, stored_decoder

_PREFIX: Final = "nodes/"
FORMAT_VERSION: Final = 1
LEASE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.5    # before a registration that failed is tried again


class NodeInfo(Stored, frozen=True, kw_only=True):
    """What a node says of itself."""

    format_version: int    # FORMAT_VERSION
    name: str
    zone: str
    api: str    # URL of its API
    link_host: str    # where other nodes of the cluster reach it
    link_port: int
    data_id: str    # of its data folder, in which its promises are
    version: str    # of Varley
    capacity: float = 1.0    # its share of replicas, beside that of others
    machine: str = ""    # on which there are other nodes too: no group has two replicas there


class NameTaken(WorldError):
    """Another node, with another data folder, has this node's name and is alive."""


class Nodes:
    """The nodes that are up. Used from the event loop only.

    `listeners` are called with (before, after): (None, node) it is up; (node, None) it is down; (old, new) it says
    something else of itself.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mirror = Mirror(_PREFIX)
        self._nodes: dict[str, NodeInfo] = {}
        self.listeners: list[Callable[[NodeInfo | None, NodeInfo | None], None]] = []

    def get(self, name: str) -> NodeInfo | None:
        return self._nodes.get(name)

    def __iter__(self) -> Iterator[NodeInfo]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def see(self, told: Told) -> None:
        """Take in what a watch tells. Raises Damaged, or WorldError if a newer Varley wrote it."""
        self._refresh(self._mirror.see(told))

    async def register(self, info: NodeInfo, *, seconds: float = LEASE_SECONDS) -> Registration:
        """Say that this node is up. Its `hold` must be run in a task from then on.

        Raises NameTaken; what Store raises.
        """
        registration = Registration(self, info, seconds)
        await registration.take()
        return registration

    async def write(self, info: NodeInfo, lease: Lease) -> None:
        """Put the node's entry under this lease, whatever there is of the same data folder.

        Raises NameTaken, LeaseEnded, what Store raises.
        """
        key = _PREFIX + info.name
        while True:
            entry = await self._store.get(key)
            if entry is not None:
                there = decoded(entry, _decode)
                if there.data_id != info.data_id:
                    raise NameTaken(
                        f"There is a node named {info.name!r} already: {there.api}, zone {there.zone!r}, data folder "
                        f"{there.data_id}; this one's is {info.data_id}",
                        path=key,
                        operation="register",
                        hint="Give this node another --name. If it replaces that one, stop that one first; if that one "
                        "has just been killed, its name is free after some seconds",
                    )
            changes = [Change(key, ABSENT if entry is None else entry.version, msgspec.json.encode(info), lease)]
            version = await self._store.compare_and_set(changes)
            if version is not None:
                self._refresh(self._mirror.made(changes, version))
                return

    async def lease(self, seconds: float) -> Lease:
        return await self._store.lease(seconds)

    def _refresh(self, before: Mapping[str, Entry | None]) -> None:
        for key in before:
            name = key.removeprefix(_PREFIX)
            old = self._nodes.pop(name, None)
            entry = self._mirror.entries.get(key)
            new = None if entry is None else decoded(entry, _decode)
            if new is not None:
                if new.name != name:
                    raise damaged(key, f"it holds the node {new.name}")
                self._nodes[name] = new
            if old != new:    # a node that renews its entry says nothing new
                for listener in list(self.listeners):
                    listener(old, new)


class Registration:
    """This node's entry, as long as it is up. Made by Nodes.register."""

    def __init__(self, nodes: Nodes, info: NodeInfo, seconds: float = LEASE_SECONDS) -> None:
        """Nobody sees it before `take`, or `hold`, which takes as soon as that can be."""
        self.info = info
        self._nodes = nodes
        self._seconds = seconds
        self._lease: Lease | None = None
        self.is_held = asyncio.Event()    # others see this node; cleared while the lease is lost

    async def take(self) -> None:
        """Take a lease and write the entry under it. Raises what Nodes.register raises."""
        lease = await self._nodes.lease(self._seconds)
        try:
            await self._nodes.write(self.info, lease)
        except BaseException:
            await lease.end()
            raise
        self._lease = lease
        self.is_held.set()

    async def hold(self) -> None:
        """Renew the lease, and take a new one whenever it is lost. Runs until cancelled, or until NameTaken is raised.

        Raises Damaged if metadata is not what was written.
        """
        while True:
            if self._lease is not None:
                await self._lease.keep()
            self.is_held.clear()
            self._lease = None
            try:
                await self.take()
            except (NameTaken, Damaged):
                raise
            except WorldError:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def say(self, info: NodeInfo) -> None:
        """Replace what this node says of itself. Raises what Store raises; a lease that is taken anew says it too."""
        assert (info.name, info.data_id) == (self.info.name, self.info.data_id)
        self.info = info
        if self._lease is not None:
            await self._nodes.write(info, self._lease)

    async def leave(self) -> None:
        """Say that this node is down. Nobody runs `hold` any more."""
        if self._lease is not None:
            self.is_held.clear()
            await self._lease.end()


_decode = stored_decoder(NodeInfo, FORMAT_VERSION)
