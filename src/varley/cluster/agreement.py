"""A change of tables is answered when all nodes know of it, so that a client may go on with any of them.

    n1: CreateTable ---> etcd ---watch---> n1, n2, n3
    n1 asks n2, n3: "have you seen version 41?"    each answers when it has (service SEEN)

Clients take a table that is ACTIVE for one that they can use, and load balancers send their next request to another
node. (That new partitions have leaders by then is seen to where tables are made: api/create_table.py.) A node that does
not answer within some seconds is not waited for: it is cut off, and finds out by itself when its watch goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from varley.metadata.catalog import Catalog
from varley.net.channels import SEEN
from varley.net.links import Links
from varley.net.outcome import Answer
from varley.node.settled import after_calls

_SEEN_SECONDS: Final = 3.0

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(int).decode


class Agreement:
    """Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        links: Links,
        catalog: Catalog,
        others: Callable[[], Iterable[str]],
    ) -> None:
        """`others`: the names of all other nodes that are up."""
        self._loop = loop
        self._links = links
        self._catalog = catalog
        self._others = others
        links.serve_requests(SEEN, self._asked)

    def _asked(self, sender: str, payload: bytes, answer: Answer) -> None:
        self._catalog.when_seen(_decode(payload), lambda: answer(b""))

    async def wait_seen(self, version: int) -> None:
        """Return when all nodes that can be reached have the tables as of `version`, or are too slow."""
        others = [each for each in self._others() if self._links.is_up(each)]
        if not others:
            return
        seen = self._loop.create_future()
        done = after_calls(len(others), lambda error: seen.set_result(None))
        for other in others:
            self._links.request(other, SEEN, _encode(version), lambda _: done(None), timeout_seconds=_SEEN_SECONDS)
        await seen
