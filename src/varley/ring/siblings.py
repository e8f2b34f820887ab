"""Siblings: all versions of one key that no other version has taken the place of.

A version is one write: its own event (the *dot*), and the clock of what its author had *seen*, which is the context
that came with the put. B replaces A when B's author had seen A. `Version.clock`, both together, is the paper's clock
of an object.

Why the dot stands apart. In the paper a version has one clock, and its coordinator increments its own entry. Two
clients read [(Sx,1)] and both put through Sx: the second becomes either (Sx,2) as well, the same clock for two
values, or (Sx,3), which claims to descend from a value that its author never saw. Either way one acknowledged write
is gone. With the dot apart the second is "event (Sx,3), having seen (Sx,1)", beside "event (Sx,2), having seen
(Sx,1)": two siblings, which is what happened. (Preguiça et al., "Dotted version vectors", 2010; Riak since 2.0.)

What must hold for that, and what a store must never break: **whoever holds event (Sx,3) has, for each of Sx's earlier
events, the version or one that replaced it**. For a reader's context says (Sx,3), which means "all up to 3". It holds
as long as sets travel whole: a coordinator sends the set that it holds after the put, not the new version alone; read
repair, hints, transfers and anti-entropy send whole sets; and a receiver merges (`reconcile`), never overwrites.

Tombstones. A delete is a put without a value: a version like any other, so that it can replace what it saw, and only
that. `values` leaves it out. It stays for good: a replica that was away for a month would bring the value back, if no
tombstone told it otherwise.

Last write wins, for applications that want one value and can bear to lose one of two: the version with the newest time.
Times only grow along descent (`put`), so the order is total and the same on each replica, whatever it hears first.
Choosing by descent first and by time afterwards would not be: with a before b by descent, and times b < c < a, "a meets
c, then b" leaves b, and "b meets c, then a" leaves a.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from varley.ring.vector_clock import SEEN_ENTRIES_MAX, Entry, VectorClock, actor_of, is_actor, of_entries, place_of


class BadContext(ValueError):
    """A client sent a context that we did not hand out. Nothing was read or written."""


class BadSiblings(ValueError):
    """A peer sent bytes that are no versions. Nothing was read or written."""


class Mode(Enum):
    """What becomes of versions that are concurrent; chosen per bucket, never changed while it holds anything."""

    SIBLINGS = "siblings"
    LAST_WRITE_WINS = "last-write-wins"


@dataclass(frozen=True)
class Version:
    dot: Entry
    seen: VectorClock       # does not know the dot
    value: bytes | None     # None: a tombstone

    def __post_init__(self) -> None:
        assert not self.seen.knows(self.dot.actor, self.dot.counter), "nobody has seen what they are about to write"

    @property
    def clock(self) -> VectorClock:
        return self.seen.with_event(self.dot)

    @property
    def is_tombstone(self) -> bool:
        return self.value is None

    def replaces(self, other: Version) -> bool:
        """Its author had seen the other one."""
        return self.seen.knows(other.dot.actor, other.dot.counter)

    @property
    def age_order(self) -> tuple[int, str, int]:
        """Total, and in step with descent: what replaces another comes after it."""
        return (self.dot.time_us, self.dot.actor, self.dot.counter)


@dataclass(frozen=True)
class Siblings:
    """A set of versions none of which replaces another. Two replicas that hold the same have the same bytes."""

    versions: tuple[Version, ...] = ()      # ascending by dot, each dot once

    def __post_init__(self) -> None:
        dots = [(version.dot.actor, version.dot.counter) for version in self.versions]
        assert dots == sorted(set(dots))

    def __iter__(self) -> Iterator[Version]:
        return iter(self.versions)

    def __len__(self) -> int:
        return len(self.versions)

    @property
    def values(self) -> tuple[bytes, ...]:
        """What a get returns: empty if there is nothing, or if it was deleted."""
        return tuple(version.value for version in self.versions if version.value is not None)

    @property
    def shown(self) -> tuple[tuple[bytes, int], ...]:
        """What a client sees: each value once, with the newest time in µs at which it was put.

        A put that was sent twice leaves two versions with the same bytes, and there is nothing to reconcile between
        them. Both are kept: to drop one here and not elsewhere would break the rule at the top. Who puts with the clock
        of what it read replaces both.
        """
        times: dict[bytes, int] = {}
        for version in self.versions:
            if version.value is not None:
                times[version.value] = max(version.dot.time_us, times.get(version.value, 0))
        return tuple(times.items())

    @cached_property
    def clock(self) -> VectorClock:
        """What who has read this has seen."""
        return VectorClock().merge(*(version.clock for version in self.versions))

    @cached_property
    def digest(self) -> bytes:
        """16 bytes, the same wherever the same versions are held; of none at all too."""
        return hashlib.blake2b(self.encode(), digest_size=16).digest()

    def encode(self) -> bytes:
        """As stored and sent; `decode` reads it. Drawn there."""
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        parts = [struct.pack(">BH", _FORMAT, len(self.versions))]
        for version in self.versions:
            value = b"" if version.value is None else version.value
            parts += (_encode_entry(version.dot), _encode_clock(version.seen))
            parts += (struct.pack(">BI", version.is_tombstone, len(value)), value)
        return b"".join(parts)


NONE = Siblings()


def reconcile(sets: Iterable[Siblings], mode: Mode = Mode.SIBLINGS) -> Siblings:
    """What is left of all these sets: *syntactic reconciliation*. Order and repetition make no difference."""
    if mode is Mode.LAST_WRITE_WINS:
        # By time alone, not by dot: a node whose version lost has forgotten how far it had counted, and may give a
        # number again. The later of the two is still later.
        each = (version for siblings in sets for version in siblings)
        newest = max(each, key=lambda version: version.age_order, default=None)
        return NONE if newest is None else Siblings((newest,))
    versions = {version.dot[:2]: version for siblings in sets for version in siblings}
    left = [
        version for version in versions.values() if not any(other.replaces(version) for other in versions.values())
    ]
    assert left or not versions, "versions replace each other in a circle: an event was numbered twice"
    return Siblings(tuple(sorted(left, key=lambda version: version.dot[:2])))


@dataclass(frozen=True)
class Stamp:
    """A put, as its coordinator applies it to what it holds of the key.

    Reading the set and writing the new one must be one step of the store, under whatever lock it has: two puts that
    read the same set would be given the same dot, and one of them would vanish.
    """

    node: str
    context: VectorClock
    value: bytes | None
    now_us: int
    mode: Mode = Mode.SIBLINGS
    remembers_since_us: int = 0     # see actor_of

    def apply(self, held: Siblings, hint_for: str | None = None) -> Siblings:
        """`held`: all that the node has of the key, hints included; `hint_for`: where the result goes."""
        clocks = [version.clock for version in held]
        place = place_of(self.node, hint_for)
        actor = actor_of(place, clocks, self.context, self.now_us, self.remembers_since_us)
        return put(held, self.context, actor, self.now_us, self.value, self.mode)


def put(
    held: Siblings, context: VectorClock, actor: str, now_us: int, value: bytes | None, mode: Mode = Mode.SIBLINGS
) -> Siblings:
    """`held`, without what `context` has seen, and with the new version."""
    time_us = max(now_us, held.clock.time_us + 1, context.time_us + 1)
    counter = max(held.clock.counters.get(actor, 0), context.counters.get(actor, 0)) + 1
    new = Version(Entry(actor, counter, time_us), context.truncate(SEEN_ENTRIES_MAX), value)
    kept = [version for version in held if not context.knows(version.dot.actor, version.dot.counter)]
    return reconcile([Siblings(tuple(kept)), Siblings((new,))], mode)


@dataclass(frozen=True)
class Context:
    """What a get hands out and the next put brings back: opaque to the client.

    `coordinator` is the replica that answered the read fastest: it has what the reader saw, and it is quick, so the put
    that follows goes there (section 5 of the paper).
    """

    clock: VectorClock = VectorClock()  # noqa: RUF009 it is immutable
    coordinator: str | None = None

    def encode(self) -> str:
        """URL-safe text: base64 of CRC32, clock and coordinator."""
        body = _encode_clock(self.clock) + _encode_text(self.coordinator or "")
        return base64.urlsafe_b64encode(struct.pack(">I", zlib.crc32(body)) + body).decode()


def decode_context(text: str) -> Context:
    """Raises BadContext, the client's fault.

    The CRC finds what was cut or mistyped. Who makes it fit gets past it, and may then claim to have read anything, as
    anybody may who can write; but not what would make a key unwritable, or stop the node that decodes it.
    """
    try:
        raw = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
        body = memoryview(raw)[4:]
        if len(raw) < 4 or zlib.crc32(body) != int.from_bytes(raw[:4], "big"):
            raise BadContext("the context is not one that was handed out")
        entries, at = _decode_entries(body, 0)
        coordinator, at = _decode_text(body, at)
    except (binascii.Error, struct.error, UnicodeError) as error:
        raise BadContext("the context is not one that was handed out") from error
    is_clock = all(map(_can_be, entries)) and len({entry.actor for entry in entries}) == len(entries)
    if at != len(body) or not is_clock:
        raise BadContext("the context is not one that was handed out")
    return Context(of_entries(entries), coordinator or None)


def _can_be(entry: Entry) -> bool:
    """Counters and times are counted on from here, and stored in 64 bits."""
    return is_actor(entry.actor) and 1 <= entry.counter < _NUMBERS_END and entry.time_us < _NUMBERS_END


def decode(raw: bytes) -> Siblings:
    """What `Siblings.encode` gave:

        format u8 = 1 | versions u16 | each version (dot | seen | tombstone u8 | length u32 | value)
        dot    actor (length u16, UTF-8) | counter u64 | time µs u64
        seen   entries u16 | each entry as a dot

    All numbers big-endian. The store checks its own checksums before, so bytes that are no such thing are our fault.
    """
    view = memoryview(raw)
    form, count = struct.unpack_from(">BH", view, 0)
    assert form == _FORMAT, "unknown format of siblings"
    at, versions = 3, []
    for _ in range(count):
        dot, at = _decode_entry(view, at)
        seen, at = _decode_clock(view, at)
        is_tombstone, length = struct.unpack_from(">BI", view, at)
        at += 5
        versions.append(Version(dot, seen, None if is_tombstone else bytes(view[at : at + length])))
        at += length
    assert at == len(raw), "siblings of the wrong length"
    found = Siblings(tuple(versions))
    vars(found)["_encoded"] = bytes(raw)    # the same versions have the same bytes: not to be made again
    return found


def decode_sent(raw: bytes) -> Siblings:
    """What a peer says that it holds. Raises BadSiblings."""
    try:
        return decode(raw)
    except (AssertionError, struct.error, UnicodeDecodeError) as error:
        raise BadSiblings(f"these bytes are no versions: {error!r}") from None


_FORMAT = 1
_NUMBERS_END = 1 << 62


def _encode_text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def _decode_text(view: memoryview, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">H", view, at)
    return bytes(view[at + 2 : at + 2 + length]).decode(), at + 2 + length


def _encode_entry(entry: Entry) -> bytes:
    return _encode_text(entry.actor) + struct.pack(">QQ", entry.counter, entry.time_us)


def _decode_entry(view: memoryview, at: int) -> tuple[Entry, int]:
    actor, at = _decode_text(view, at)
    counter, time_us = struct.unpack_from(">QQ", view, at)
    return Entry(actor, counter, time_us), at + 16


def _encode_clock(clock: VectorClock) -> bytes:
    return struct.pack(">H", len(clock)) + b"".join(_encode_entry(entry) for entry in clock)


def _decode_clock(view: memoryview, at: int) -> tuple[VectorClock, int]:
    entries, at = _decode_entries(view, at)
    return of_entries(entries), at


def _decode_entries(view: memoryview, at: int) -> tuple[list[Entry], int]:
    (count,) = struct.unpack_from(">H", view, at)
    at += 2
    entries = []
    for _ in range(count):
        entry, at = _decode_entry(view, at)
        entries.append(entry)
    return entries, at
