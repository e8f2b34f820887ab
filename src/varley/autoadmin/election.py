"""Who is the active one: whoever holds a key under a lease. All nodes try, one has it.

    autoadmin/active     {"format_version": 1, "node": "n2"}      under the lease of n2

Being active is a matter of economy, not of safety: two that think they are (one was stopped for a minute, between
finding a step and sending it) do no harm, since each step says which configuration it was made from, and is refused if
that is not in force. So nothing waits for a lease to be surely over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from varley.errors import Damaged, WorldError
from varley.metadata.store import ABSENT, Change, Lease, Store
from varley.metadata.stored_value import decoded
from varley.table.stored_format import Stored, stored_decoder

logger = logging.getLogger("varley.autoadmin")

ACTIVE_KEY: Final = "autoadmin/active"
LEASE_SECONDS: Final = 10.0
_FORMAT_VERSION: Final = 1


class Active(Stored, frozen=True, kw_only=True):
    format_version: int
    node: str


class Election:
    """`run` is to run in a task of its own, beside whoever looks at `is_active`."""

    def __init__(
        self,
        store: Store,
        node: str,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._store = store
        self._node = node
        self._pause = pause
        self._lease_seconds = lease_seconds
        self.is_active = False
        self._lease: Lease | None = None
        self._is_out = False

    async def stand_down(self) -> None:
        """Be active no more, and never again: this node cannot do what the active one does."""
        self._is_out = True
        if self._lease is not None:
            await self._lease.end()

    async def run(self) -> None:
        """Runs until cancelled, or until it stands down. Raises Damaged if metadata is not what was written."""
        while not self._is_out:
            try:
                lease = await self._take()
                if lease is not None:
                    await self._be_active(lease)
            except Damaged:
                raise
            except WorldError as error:     # of the lease too: who was active once must be able to be it again
                logger.debug("nobody can be elected now: %s", error)
            await self._pause(self._lease_seconds / 4)

    async def _take(self) -> Lease | None:
        """The lease under which this node is the active one; None: another is."""
        entry = await self._store.get(ACTIVE_KEY)
        if entry is not None and decoded(entry, _decode).node != self._node:
            return None
        # An own key is of this node's life before: its lease runs still, and would end this one's key with it.
        lease = await self._store.lease(self._lease_seconds)
        value = msgspec.json.encode(Active(format_version=_FORMAT_VERSION, node=self._node))
        change = Change(ACTIVE_KEY, ABSENT if entry is None else entry.version, value, lease)
        try:
            if await self._store.compare_and_set([change]) is not None:
                return lease
        except WorldError:
            await lease.end()
            raise
        await lease.end()
        return None

    async def _be_active(self, lease: Lease) -> None:
        logger.info("this node keeps the cluster whole")
        self.is_active, self._lease = True, lease
        try:
            await lease.keep()
        finally:
            self.is_active, self._lease = False, None
            logger.info("this node does not keep the cluster whole any more")
            await lease.end()


_decode = stored_decoder(Active, _FORMAT_VERSION)
