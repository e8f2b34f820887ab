"""What was sent and received, by peer: plain numbers that only grow, read when somebody asks (see counters.py of the
whole)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class LinkCounters:
    """Of one peer, over all connections with it since this process began."""

    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0             # of frames; hellos are not counted
    bytes_received: int = 0
    messages_dropped: int = 0       # one-way messages and answers that never left: no connection, or too much waits
    requests_not_sent: int = 0
    requests_unanswered: int = 0    # they went out, and their time was up or the connection was lost
    connections: int = 0            # made; all but the first of them are reconnects
    connections_lost: int = 0
    dials_failed: int = 0
