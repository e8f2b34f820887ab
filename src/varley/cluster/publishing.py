"""Who belongs to the groups that are led here, published into members/<group>.

The group's log decides, and its leader tells MemDS and the metadata as soon as a configuration is chosen. A few looks a
second at what is led here: configurations change by themselves too (a learner that has caught up gets its vote), and a
look that finds nothing new costs a comparison. What could not be published, because etcd is away, is newer still at the
next look. Two who both believe that they lead do no harm: the higher epoch wins (metadata/group_members.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from varley.cluster.hosting import nodes_of
from varley.errors import WorldError
from varley.metadata.group_members import GroupMembers
from varley.node.node import Node
from varley.paxos.membership import Configuration
from varley.remote.memds_node import MemdsNode

logger = logging.getLogger("varley.cluster")

_LOOK_SECONDS: Final = 0.2


class Publishing:
    """From start() to stop(). Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        node: Node,
        members: GroupMembers,
        memds: MemdsNode,
        keep: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._loop = loop
        self._node = node
        self._members = members
        self._memds = memds
        self._keep = keep
        self._busy: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None    # not None exactly while it runs

    def start(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look_again)

    def stop(self) -> None:
        """Harmless if it was never started."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look_again)
        self.look()

    def look(self) -> None:
        for group, member in self._node.members.by_group.items():
            if not member.is_leading or group in self._busy:
                continue
            published = self._members.get(group)
            if published is None or member.core.log.configuration_slot <= published.epoch:
                continue    # nothing newer, chosen or not
            epoch, configuration = member.configuration
            if epoch > published.epoch:
                self._memds.has_members(group, epoch, nodes_of(configuration))
                self._busy.add(group)
                self._keep(self._publish(group, configuration, epoch))

    async def _publish(self, group: int, configuration: Configuration, epoch: int) -> None:
        try:
            await self._members.publish(group, configuration, epoch)
        except WorldError as error:
            logger.warning("the members of group %d are published later: %s", group, error)
        finally:
            self._busy.discard(group)
