"""One node of a ring as others in its process see it: its HTTP port, its command line, its embedder.

Nothing here waits but what changes the membership: a get or a put calls `then` exactly once, on the event loop, at the
latest when the deadline of a request has passed, and never before the call has returned to the loop.

A *context* is bytes (URL-safe ASCII) that a get hands out and the next put brings back. None stands for "I have read
nothing": such a put replaces nothing, and lies beside what is there.

Errors are answers, not exceptions. They say whether anything may have happened:

    RingError
    ├── BadRequest, BadContext, TooLarge, TooManySiblings      the client's fault; surely without effect
    ├── NotEnough                                              too few nodes can be reached; surely without effect
    ├── Unknown                                                fewer than W answered; may be read later
    └── Unavailable                                            this node cannot serve at all; surely without effect
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

# ---- Answers


@dataclass(frozen=True, slots=True)
class Value:
    data: bytes
    modified: float     # seconds since 1970, by the clock of the put's coordinator (never before what it replaced)


@dataclass(frozen=True, slots=True)
class Got:
    """`values`: every sibling, in an order that is the same on each node; none if there is no such key.

    `context` is None if nothing was ever there; a key that was deleted has one. `answered`: the nodes that the answer
    rests on, `is_sloppy`: whether one of them is no home of the key, so that R + W > N promises nothing.
    """

    values: tuple[Value, ...]
    context: bytes | None
    answered: tuple[str, ...] = ()
    is_sloppy: bool = False


@dataclass(frozen=True, slots=True)
class Put:
    """`context` is None if there are siblings that the client has not seen: it has to get before it puts again."""

    context: bytes | None
    coordinator: str = ""


@dataclass(frozen=True, slots=True)
class RingError:
    message: str


class BadRequest(RingError):
    """A bucket or key that cannot be, R or W out of 1..N. The client's fault."""


class BadContext(RingError):
    """A context that was not handed out. The client's fault."""


class TooLarge(RingError):
    """A key or value over its limit. The client's fault."""


class TooManySiblings(RingError):
    """The key has so many versions, or so large ones, that a put must come with a context. The client's fault."""


@dataclass(frozen=True, slots=True)
class NotEnough(RingError):
    """Too few nodes answered or can be reached. Nothing was changed: the client may ask again."""

    answered: int = 0
    needed: int = 0


@dataclass(frozen=True, slots=True)
class Unknown(RingError):
    """Too few nodes are known to have the put in time. It may have been written, and be read later."""

    stored: int = 0
    needed: int = 0


class Unavailable(RingError):
    """The node is not started, is stopping, is no member and knows none, or its disk has failed."""


# ---- What is going on


@dataclass(frozen=True, slots=True)
class MemberStatus:
    name: str
    zone: str
    address: str            # host:port of its links
    endpoint: str           # http://host:port for clients; "" if it has none
    capacity: float
    state: str              # "up", "down" (as far as this node can tell), "left"
    share: float            # of the ring for which it is first: 0..1
    homes: int              # of how many partitions it is one of the N homes (N of the default bucket)
    hints: int              # waiting here for it


@dataclass(frozen=True, slots=True)
class RingStatus:
    name: str               # this node
    ring: str
    version: str            # digest of the history of membership: equal on nodes that know the same
    settings: str           # what all must agree on, as JSON
    is_member: bool
    members: tuple[MemberStatus, ...]       # by name; those that left, last
    partitions: int         # Q, or the number of tokens with strategy 1
    engine: str
    rows: int
    tombstones: int         # rows of which nothing but tombstones is left
    hints: int              # waiting here for anybody
    strays: int             # rows of partitions that are others' now, on their way there; counted up to 10,000
    transfers: int          # partitions on their way from here
    buffer_bytes: int       # of the write buffer: what a crash would lose
    refused: Mapping[str, str] = field(default_factory=dict)    # node -> its settings, which differ from ours
    damaged: tuple[str, ...] = ()                               # rows given up for their checksum
    compared_seconds: float | None = None   # since the oldest of the own partitions agreed with another home; None: one
    #                                         never has (the lag of anti-entropy)
    failed: str | None = None               # why the disk takes no more writes


@dataclass(frozen=True, slots=True)
class PlacementView:
    """For clients that find the homes of a key themselves. `version` changes whenever anything else here does.

    Strategy 3: the partition of a key is MD5(ring key) * partitions >> 128, and `owners` has one node for each.
    Strategy 1: `positions` has a token for each of `owners`, ascending, and a key lies in the first at a larger
    position (after the last: in the first). From there on `preference_list.walk` gives the nodes in order. Ring key:
    `keys.ring_key`.
    """

    version: str
    strategy: int
    owners: tuple[str, ...]
    positions: tuple[int, ...] | None       # None with strategy 3
    zones: Mapping[str, str]                # of each member
    endpoints: Mapping[str, str]            # of each member that has one: http://host:port
    settings: str                           # see RingStatus


@dataclass(frozen=True, slots=True)
class Counters:
    """Numbers that only grow, since the start of the process; for /metrics. Microseconds where it says so."""

    values: Mapping[str, int]               # e.g. "gets", "puts", "repairs", "hints_stored", "hints_delivered", …


ThenGot = Callable[[Got | RingError], None]
ThenPut = Callable[[Put | RingError], None]


class RingService(Protocol):
    """Callbacks; event loop only. Settings of what is None are the bucket's."""

    def get(self, bucket: str, key: bytes, *, r: int | None, then: ThenGot) -> None: ...

    def put(
        self, bucket: str, key: bytes, context: bytes | None, value: bytes | None, *, w: int | None, then: ThenPut
    ) -> None:
        """`value` None: delete (a tombstone)."""

    def fetch(self, bucket: str, key: bytes, then: Callable[[bytes | RingError], None]) -> None:
        """What this node answers for of a key, `Siblings.encode`d: for clients that coordinate gets themselves."""

    def status(self) -> RingStatus: ...

    def placement(self) -> PlacementView: ...

    def counters(self) -> Counters: ...

    def is_ready(self) -> bool:
        """Started, a member, and its disk takes writes: a load balancer may send to it."""

    async def join(self, *, zone: str | None = None, capacity: float | None = None) -> None:
        """This node joins the ring whose seeds it was given, or founds one if it was given none.

        Also to change its zone or capacity. Returns when the change is on disk here; gossip carries it.
        Raises BadSettings if a seed has other settings, WorldError if none of the seeds answers.
        """

    async def leave(self, name: str) -> None:
        """A member leaves, whether it can be reached or not; one that can hands its rows on. Raises KeyError."""
