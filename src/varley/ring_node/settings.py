"""Settings of a ring: what all its nodes must agree on, and what one node chooses for itself.

Nodes that disagree about N, the mode of a bucket or the number of partitions would look for the same key in different
places, or keep of two versions what another one drops. So the agreed part travels with gossip as text, and nodes whose
texts differ do not speak to each other: each says which node differs, and shows both texts (see wire.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from varley.errors import BadSettings
from varley.ring.placement import PARTITIONS_DEFAULT
from varley.ring.siblings import Mode

BUCKET_BYTES_MAX: Final = 64        # of a bucket's name, as UTF-8
KEY_BYTES_MAX: Final = 1024
VALUE_BYTES_MAX: Final = 1 << 20    # "usually less than 1 MB", section 2 of the paper; here it is the limit
SIBLINGS_MAX: Final = 64            # versions of one key beyond which a put has to bring a context
SET_BYTES_MAX: Final = 16 << 20     # of all versions of one key together: a frame of the links holds 256 MB
NODE_NAME_BYTES_MAX: Final = 64
CAPACITY_MAX: Final = 10_000.0      # of a node. Every node computes with it: one that is infinite would stop them all
ENGINES: Final = ("lmdb", "sqlite", "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSettings:
    """How the keys of one bucket are replicated. Not to be changed while the bucket holds anything."""

    n: int = 3                      # homes of each key
    r: int = 2                      # how many nodes a get waits for, unless it says otherwise; 1 <= r <= n
    w: int = 2                      # how many nodes must have a put; 1 <= w <= n
    mode: Mode = Mode.SIBLINGS

    def __post_init__(self) -> None:
        if not 1 <= self.n <= 255:
            raise BadSettings(f"n is from 1 to 255, not {self.n}")
        if not 1 <= self.r <= self.n or not 1 <= self.w <= self.n:
            raise BadSettings(f"r and w are from 1 to n = {self.n}, not r = {self.r}, w = {self.w}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RingSettings:
    """What all nodes of a ring must agree on."""

    name: str = "ring"                          # connections of other rings are refused
    strategy: int = 3                           # 3: equal partitions; 1: random tokens
    partitions: int = PARTITIONS_DEFAULT        # Q of strategy 3: never changes. A power of two is usual
    tokens: int = 32                            # T of strategy 1: how many a node of capacity 1 has
    default: BucketSettings = field(default_factory=BucketSettings)     # of buckets that are not named
    buckets: Mapping[str, BucketSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.strategy not in (1, 3):
            raise BadSettings(f"the strategy of a ring is 1 or 3, not {self.strategy}")
        if not 1 <= self.partitions <= 1 << 20 or not 1 <= self.tokens <= 1 << 12:
            raise BadSettings("a ring has 1 to 1048576 partitions, and a node 1 to 4096 tokens")
        for bucket in self.buckets:
            if not is_bucket_name(bucket):
                raise BadSettings(f"the name of a bucket has 1 to {BUCKET_BYTES_MAX} bytes, unlike {bucket!r}")

    def bucket(self, name: str) -> BucketSettings:
        return self.buckets.get(name, self.default)

    @property
    def text(self) -> str:
        """What is compared, and shown if it differs: JSON, the same for equal settings."""
        placed = {"partitions": self.partitions} if self.strategy == 3 else {"tokens": self.tokens}
        named = {name: _as_json(bucket) for name, bucket in sorted(self.buckets.items())}
        return json.dumps(
            {"name": self.name, "strategy": self.strategy, **placed, "default": _as_json(self.default),
             "buckets": named}, separators=(",", ":"),
        )  # fmt: skip

    @property
    def fingerprint(self) -> bytes:
        """8 bytes in front of each message."""
        return hashlib.blake2b(self.text.encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RingNodeSettings:
    """What one node chooses for itself."""

    name: str                                   # 1 to 64 bytes, none of them / or ~
    data_dir: str | None                        # None with the memory engine only
    zone: str = ""
    capacity: float = 1.0
    seeds: Mapping[str, tuple[str, int]] = field(default_factory=dict)     # name -> (host, port) of the links
    engine: str = "lmdb"
    write_buffer_bytes: int = 0                 # 0: puts are durable before they are acknowledged
    replica_timeout_seconds: float = 0.25       # after which another node is asked in its place
    request_timeout_seconds: float = 2.0        # after which the client is answered, one way or the other
    linger_seconds: float = 0.1                 # how long late answers to a get are waited for
    tombstone_grace_seconds: float = 86_400.0   # a tombstone is kept at least this long
    background_threshold_seconds: float = 0.05  # p99 of reads above which background work gives way

    def __post_init__(self) -> None:
        if not self.name or len(self.name.encode()) > NODE_NAME_BYTES_MAX or set("/~") & set(self.name):
            raise BadSettings(f"the name of a node has 1 to {NODE_NAME_BYTES_MAX} bytes and neither / nor ~")
        if self.engine not in ENGINES:
            raise BadSettings(f"the engine is one of {', '.join(ENGINES)}, not {self.engine}")
        if (self.data_dir is None) != (self.engine == "memory"):
            raise BadSettings("an engine on disk needs a data folder, and the memory engine has none")
        if not 0 < self.capacity <= CAPACITY_MAX:
            raise BadSettings(f"the capacity of a node is above 0 and at most {CAPACITY_MAX:g}, not {self.capacity}")


def is_bucket_name(name: str) -> bool:
    return 1 <= len(name.encode(errors="surrogatepass")) <= BUCKET_BYTES_MAX and name.isprintable()


def _as_json(bucket: BucketSettings) -> dict[str, object]:
    return {"n": bucket.n, "r": bucket.r, "w": bucket.w, "mode": bucket.mode.value}
