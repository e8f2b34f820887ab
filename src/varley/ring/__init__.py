"""The ring: Dynamo as of 2007, a key-value store that takes a write whenever any node of the key can be reached.

Pure: nothing here reads a clock, a disk or a socket. What happened goes in, what is to be done comes out.

    vector_clock        of which writes somebody knows; actors and their names
    siblings            versions of a key, reconciled; stamping a put; the context that clients carry
    tokens              MD5 positions; strategies 1 and 3
    preference_list     who stores a key, in order; the first N that can be reached; who coordinates
    membership          joins and leaves as a history
    placement           what a history says about who stores what
    gossip              how histories spread
    put_quorum          one put at its coordinator
    get_quorum          one get, and read repair
    hints               what is kept for a home that is down
    hash_tree           what differs between two replicas of a partition
    transfer            partitions on their way to new homes
    failure_detection   whom this node can reach
    admission           background work gives way to the foreground
    balance             figure 8 of the paper
    chance              what is asked of a source of chance

Not pure, and loaded at their first use only: `varley.ring.Client` and what belongs to it (ring_client/).

What a driver has to provide is in docs/decisions/0075-what-drives-the-ring.md; tests/simulation/ring_node.py is one,
with a pretended disk and network.

Source: DeCandia et al., "Dynamo: Amazon's Highly Available Key-value Store", SOSP 2007.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from varley.ring_client import (
        AsyncClient,
        Client,
        Found,
        OutcomeUnknown,
        RingClientError,
        RingRefused,
        RingUnavailable,
        Sibling,
        last_write_wins,
        merging,
    )

__all__ = [
    "AsyncClient",
    "Client",
    "Found",
    "OutcomeUnknown",
    "RingClientError",
    "RingRefused",
    "RingUnavailable",
    "Sibling",
    "last_write_wins",
    "merging",
]


def __getattr__(name: str) -> Any:
    """The clients of a ring have sockets, so they are elsewhere. Here is where they are looked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("varley.ring_client"), name)
