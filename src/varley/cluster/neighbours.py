"""Where the other nodes are: from what they say of themselves in the metadata to addresses of links.

A node whose entry goes is not forgotten here. That its lease has ended says that it has not reached etcd for some
seconds; whether it can be reached by us is another matter, and groups go on talking to it. A link to a node that is
gone for good costs an attempt to connect every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from varley.metadata.nodes import NodeInfo, Nodes
from varley.net.links import Links


class Neighbours:
    """Used from the event loop only. Made before the first node is seen."""

    def __init__(self, links: Links, nodes: Nodes) -> None:
        self._links = links
        self._names: set[str] = set()    # of all other nodes that were ever heard of
        nodes.listeners.append(self._changed)

    def __iter__(self) -> Iterator[str]:
        """The names of all others, up or not."""
        return iter(sorted(self._names))

    def _changed(self, before: NodeInfo | None, after: NodeInfo | None) -> None:
        if after is None or after.name == self._links.name:
            return
        self._names.add(after.name)
        if before is None or (before.link_host, before.link_port) != (after.link_host, after.link_port):
            self._links.set_address(after.name, after.link_host, after.link_port)
