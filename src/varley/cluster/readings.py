"""What links, groups and metadata have to tell when metrics are read, as the metrics of admin/metrics.py."""

from __future__ import annotations

from collections.abc import Iterator

from varley.admin.metrics import Reading
from varley.net.links import Links
from varley.node.node import Node


def of_links(links: Links) -> Iterator[Reading]:
    for peer, _ in links.counters():
        yield Reading("varley_link_up", int(links.is_up(peer)), (peer,))
        yield Reading("varley_link_waiting_bytes", links.outgoing_bytes(peer), (peer,))


def of_metadata(trouble: Exception | None) -> Iterator[Reading]:
    """`trouble`: why this node does not hear of changes of the metadata."""
    yield Reading("varley_metadata_followed", int(trouble is None))


def of_groups(node: Node) -> Iterator[Reading]:
    """Numbers over all groups: they may be thousands, and which one lags is told by `varley cluster status`."""
    members = node.members.by_group.values()
    leading = [member for member in members if member.is_leading]
    yield Reading("varley_groups", len(members))
    yield Reading("varley_groups_led", len(leading))
    lag = 0
    for member in leading:
        behind = min(member.core.matched.values(), default=member.core.chosen)
        lag = max(lag, member.core.chosen - behind)
    yield Reading("varley_group_lag_entries_max", lag)
