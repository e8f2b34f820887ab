"""What links, MemDS, groups and metadata have to tell when metrics are read, as the metrics of admin/metrics.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from varley.admin.metrics import Reading
from varley.net.links import Links
from varley.node.node import Node
from varley.remote.memds_node import MemdsNode

# Metric -> attribute of LinkCounters: all that it has.
_COUNTED: Final = {
    "varley_link_sent_bytes_total": "bytes_sent",
    "varley_link_received_bytes_total": "bytes_received",
    "varley_link_sent_frames_total": "frames_sent",
    "varley_link_received_frames_total": "frames_received",
    "varley_link_dropped_messages_total": "messages_dropped",
    "varley_link_requests_not_sent_total": "requests_not_sent",
    "varley_link_requests_unanswered_total": "requests_unanswered",
    "varley_link_connections_total": "connections",
    "varley_link_connections_lost_total": "connections_lost",
    "varley_link_failed_dials_total": "dials_failed",
}


def of_links(links: Links) -> Iterator[Reading]:
    for peer, counters in links.counters():
        yield Reading("varley_link_up", int(links.is_up(peer)), (peer,))
        yield Reading("varley_link_waiting_bytes", links.outgoing_bytes(peer), (peer,))
        for name, count in _COUNTED.items():
            yield Reading(name, getattr(counters, count), (peer,))


def of_memds(memds: MemdsNode) -> Iterator[Reading]:
    counts = memds.counts
    yield Reading("varley_memds_groups", len(memds))
    yield Reading("varley_memds_sent_messages_total", counts.messages_sent)
    yield Reading("varley_memds_sent_bytes_total", counts.bytes_sent)
    yield Reading("varley_memds_received_messages_total", counts.messages_received)
    yield Reading("varley_memds_received_bytes_total", counts.bytes_received)
    yield Reading("varley_memds_look_ups_total", counts.look_ups)


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
