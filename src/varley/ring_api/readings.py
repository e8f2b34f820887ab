"""What /metrics says of the ring, read when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator

from varley.admin.metrics import Reading
from varley.ring_node.service import RingService


def readings(service: RingService) -> Iterator[Reading]:
    status = service.status()
    states = [member.state for member in status.members]
    for state in ("up", "down"):
        yield Reading("varley_ring_members", states.count(state), (state,))
    yield Reading("varley_ring_rows", status.rows)
    yield Reading("varley_ring_tombstones", status.tombstones)
    yield Reading("varley_ring_strays", status.strays)
    yield Reading("varley_ring_buffer_bytes", status.buffer_bytes)
    yield Reading("varley_ring_transfers", status.transfers)
    if status.compared_seconds is not None:
        yield Reading("varley_ring_compared_seconds", status.compared_seconds)
    for member in status.members:
        if member.hints:
            yield Reading("varley_ring_hints", member.hints, (member.name,))
    for event, count in service.counters().values.items():
        yield Reading("varley_ring_events_total", count, (event,))
