"""What a node knows of its cluster: the store of metadata, the views of it, and what is kept of them in its own folder.

    etcd ---one watch---> remembering, nodes, members, ...whoever else follows..., catalog, hosting
             |
             +--- if it cannot be reached at the start: metadata/remembered.bin (remembering.py)

All views begin with one listing, and are told every change in one order (metadata/following.py). `is_old` says that the
listing was what was remembered: then this node registers, and changes what it hosts, when etcd is back.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self

from varley.cluster.founders import Founders
from varley.cluster.remembering import Remembering, first_listed
from varley.errors import Unreachable
from varley.metadata.catalog import Catalog
from varley.metadata.etcd import EtcdStore
from varley.metadata.following import View, follow
from varley.metadata.group_members import GroupMembers
from varley.metadata.nodes import NodeInfo, Nodes, Registration
from varley.metadata.store import Listed
from varley.node.member import node_of
from varley.storage.data_folder import DataFolder
from varley.storage.node_folder import claim
from varley.storage.remembered import Remembered

logger = logging.getLogger("varley.cluster")

Keep = Callable[[Coroutine[Any, Any, None]], None]


class Knowledge:
    """Made by `open`. Used from the event loop only."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, store: EtcdStore, name: str, folder: DataFolder | None, *,
        replicas: int, keep: Keep,
    ) -> None:  # fmt: skip
        self.store = store
        self.nodes = Nodes(store)       # begins empty: see `register`
        self.founders = Founders(self.nodes, replicas=replicas)
        self.members = self.founders.members = GroupMembers(store, self.founders)
        self.catalog = Catalog(store, self.members)
        self.remembering = Remembering(loop, folder, keep, lambda: store.etcd)
        self.first: Listed              # the metadata that this node began with
        self.groups_before = 0          # groups up to this one may have had members here in another folder
        self._loop = loop
        self._name = name
        self._folder = folder
        self._remembered: Remembered | None = None
        self._failure: Exception | None = None

    @classmethod
    async def open(
        cls, loop: asyncio.AbstractEventLoop, url: str, name: str, folder: DataFolder | None, *, replicas: int,
        keep: Keep,
    ) -> Self:  # fmt: skip
        """`name`: of this node, whose `folder` it is from now on; None: in memory. `replicas`: of new groups. `keep`:
        runs a coroutine, and says aloud if it fails.

        Raises BadSettings; Unreachable: and nothing is remembered; Refused; Damaged; what the disk refuses.
        """
        store = EtcdStore.at(url)
        known = cls(loop, store, name, folder, replicas=replicas, keep=keep)
        try:
            await known._begin()
        except BaseException:
            await store.close()
            raise
        return known

    async def _begin(self) -> None:
        try:
            self.first, self._remembered = await first_listed(self._loop, self.store, self._folder)
        except Unreachable as error:
            raise Unreachable(
                error.problem, path=error.path, operation=error.operation,
                hint="A node cannot start for the first time without: start etcd, or name its servers in --cluster",
            ) from None  # fmt: skip
        self.remembering.see(self.first)
        self.members.see(self.first)
        self.catalog.begin(self.first)
        self.groups_before = given = self.catalog.groups_given
        if self._folder is not None:
            claiming = functools.partial(claim, self._folder, self.store.address.prefix, self._name, given)
            self.groups_before = await self._loop.run_in_executor(None, claiming)
        if self.is_old:
            logger.warning(
                "etcd cannot be reached: this node starts by what it knew of the cluster when it ran last. Tables "
                "cannot be changed until etcd is back"
            )
        await self.remembering.hosts(*self.groups_here())

    @property
    def is_old(self) -> bool:
        """Whether this node began with what it remembered."""
        return self._remembered is not None

    def groups_here(self) -> set[int]:
        """That have a member on this node, as far as is known at the start."""
        named = {
            group
            for group, published in self.members.items().items()
            if any(node_of(name) == self._name for name in published.configuration.names)
        }
        return named if self._remembered is None else named.union(self._remembered.hosted)

    def is_gone(self, group: int) -> bool:
        """Whether there was a group of this number, as far as is known here, and is none any more."""
        return self.members.get(group) is None and group <= self.catalog.groups_given

    async def register(self, info: NodeInfo) -> Registration:
        """See the other nodes, and say that this one is up: at once, or if etcd is away by `hold` when it is back.

        Raises what Nodes.register raises.
        """
        self.nodes.see(self.first)
        return Registration(self.nodes, info) if self.is_old else await self.nodes.register(info)

    async def follow(self, others: Sequence[View], last: View) -> None:
        """Runs until cancelled. `others` are told of a change before the catalog's listener, `last` after it."""
        try:
            await follow(
                self.store, [self.remembering, self.nodes, self.members, *others, self.catalog, last]
            )
        except Exception as error:    # ours too: all nodes read the same, and would all stop
            logger.error("the metadata is not followed any more, until this node is started again", exc_info=error)
            self._failure = error

    @property
    def trouble(self) -> Exception | None:
        """Why changes of the metadata are not heard of at the moment."""
        return self._failure or self.store.trouble

    @property
    def warning(self) -> str | None:
        """The same for people."""
        if self._failure is not None:
            return f"changes of tables and members are not heard of: {self._failure}"
        return None if self.store.trouble is None else f"tables and members stay as they are: {self.store.trouble}"

    async def close(self) -> None:
        self.remembering.stop()
        await self.store.close()
