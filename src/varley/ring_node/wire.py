"""Messages between nodes, and how they become bytes.

    settings' fingerprint, 8 bytes | MessagePack array: tag, then the fields in the order below

A message whose fingerprint is another than ours is from a node with other settings (settings.py). It is not acted on;
it is answered, or told from time to time, with Mismatch, which has no right fingerprint either and is always read. So
both sides learn both texts, and which node it is.

Requests (service RING_CALL) have an answer each; the others (channel RING) have none, may be lost and repeated, and are
those of the cores, field by field. Sets of versions travel as `Siblings.encode` gives them.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from varley.ring import gossip, hash_tree, transfer
from varley.ring.membership import Change, Member

_FINGERPRINT_BYTES: Final = 8
_NO_FINGERPRINT: Final = bytes(8)


RawChange = tuple[int, str, str, tuple[str, str, float, str]]     # as membership.Change


class _Message(msgspec.Struct, frozen=True, array_like=True):
    """Its tag comes first, then its fields in order."""


# ---- Requests and answers


class Store(_Message, frozen=True, tag=1):
    """Merge this set into the row, or into the hint for `hint_for`. -> Done, when it is kept."""

    ring_key: bytes
    siblings: bytes
    hint_for: str | None
    is_durable: bool    # also of a node with a write buffer: answer when it is on disk


class Fetch(_Message, frozen=True, tag=2):
    """-> Held: all that you have of the key, and what others have for you (moving.py)."""

    ring_key: bytes
    is_alone: bool = False      # what you have yourself; earlier nodes do not say so


class Probe(_Message, frozen=True, tag=3):
    """-> Done"""


class ForwardedPut(_Message, frozen=True, tag=4):
    """A client's put: coordinate it. -> PutAnswer. Not forwarded again."""

    bucket: str
    key: bytes
    context: bytes | None
    value: bytes | None
    w: int


class Forgettable(_Message, frozen=True, tag=5):
    """Is this tombstone all that you have of the key, on disk? -> Done or Refused. See tombstones.py."""

    ring_key: bytes
    digest: bytes


class Forget(_Message, frozen=True, tag=6):
    """Every member said so, twice: delete it, if it is still that. -> Done"""

    ring_key: bytes
    digest: bytes


class Settled(_Message, frozen=True, tag=7):
    """Do you know this history of membership, and have no row that belongs elsewhere? -> Done or Refused. moving.py."""

    digest: bytes


class Done(_Message, frozen=True, tag=20):
    pass


class Held(_Message, frozen=True, tag=21):
    siblings: bytes


class Refused(_Message, frozen=True, tag=22):
    """Surely nothing was done."""

    reason: str


class PutAnswer(_Message, frozen=True, tag=23):
    """`error`: the name of a service.RingError, "" if it was written."""

    error: str
    message: str
    context: bytes | None
    counted: int
    needed: int


class Mismatch(_Message, frozen=True, tag=24):
    """The sender's settings, which are not the receiver's."""

    settings: str


# ---- One way


class Greeting(_Message, frozen=True, tag=40):
    digest: bytes


class News(_Message, frozen=True, tag=41):
    changes: list[RawChange]
    wants_answer: bool


class Compare(_Message, frozen=True, tag=42):
    range_id: bytes
    level: int
    hashes: dict[int, bytes]


class Agree(_Message, frozen=True, tag=43):
    range_id: bytes
    root: bytes


class Rows(_Message, frozen=True, tag=44):
    range_id: bytes
    buckets: list[int]
    digests: dict[bytes, bytes]
    wants_answer: bool


class Offer(_Message, frozen=True, tag=45):
    range_id: bytes


class Accept(_Message, frozen=True, tag=46):
    range_id: bytes


class Refuse(_Message, frozen=True, tag=47):
    range_id: bytes
    reason: str


class Finished(_Message, frozen=True, tag=48):
    range_id: bytes


Request = Store | Fetch | Probe | ForwardedPut | Forgettable | Forget | Settled
Answer = Done | Held | Refused | PutAnswer | Mismatch
OneWay = Greeting | News | Compare | Agree | Rows | Offer | Accept | Refuse | Finished | Mismatch
TransferMessage = transfer.Offer | transfer.Accept | transfer.Refuse | transfer.Finished
CoreMessage = gossip.Message | hash_tree.Message | TransferMessage

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()
_request: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_answer: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
_one_way: msgspec.msgpack.Decoder[OneWay] = msgspec.msgpack.Decoder(OneWay)


class BadMessage(ValueError):
    """Bytes from a peer that are no message of ours."""


class WrongRing(Exception):
    """The sender's settings are not ours."""


def encode(message: _Message, fingerprint: bytes) -> bytes:
    if isinstance(message, Mismatch):
        fingerprint = _NO_FINGERPRINT
    return fingerprint + _encoder.encode(message)


def decode_request(payload: bytes, fingerprint: bytes) -> Request:
    """Raises WrongRing, BadMessage."""
    return _decode(_request, payload, fingerprint)


def decode_answer(payload: bytes, fingerprint: bytes) -> Answer:
    """Raises WrongRing, BadMessage."""
    return _decode(_answer, payload, fingerprint)


def decode_one_way(payload: bytes, fingerprint: bytes) -> OneWay:
    """Raises WrongRing, BadMessage."""
    return _decode(_one_way, payload, fingerprint)


def _decode(decoder: msgspec.msgpack.Decoder[T], payload: bytes, fingerprint: bytes) -> T:
    whose = payload[:_FINGERPRINT_BYTES]
    if whose not in (fingerprint, _NO_FINGERPRINT):
        raise WrongRing
    try:
        message = decoder.decode(memoryview(payload)[_FINGERPRINT_BYTES:])
    except (msgspec.DecodeError, ValueError) as error:
        raise BadMessage(str(error)) from error
    if whose == _NO_FINGERPRINT and not isinstance(message, Mismatch):
        raise BadMessage("a message without a fingerprint")
    return message


# ---- The cores' messages


def of_core(message: CoreMessage) -> OneWay:
    match message:
        case gossip.Greeting():
            return Greeting(message.digest)
        case gossip.News():
            return News([raw_of(change) for change in message.changes], message.wants_answer)
        case hash_tree.Compare():
            return Compare(_range(message.partition), message.level, dict(message.hashes))
        case hash_tree.Agree():
            return Agree(_range(message.partition), message.root)
        case hash_tree.Rows():
            return Rows(
                _range(message.partition), sorted(message.buckets), dict(message.digests), message.wants_answer
            )
        case transfer.Offer():
            return Offer(_range(message.partition))
        case transfer.Accept():
            return Accept(_range(message.partition))
        case transfer.Refuse():
            return Refuse(_range(message.partition), message.reason.value)
        case transfer.Finished():
            return Finished(_range(message.partition))


def to_core(message: OneWay) -> CoreMessage:
    """Raises BadMessage."""
    try:
        match message:
            case Greeting():
                return gossip.Greeting(message.digest)
            case News():
                changes = tuple(sorted({change_of(change) for change in message.changes}))
                return gossip.News(changes, message.wants_answer)
            case Compare():
                return hash_tree.Compare(_id(message.range_id), message.level, message.hashes)
            case Agree():
                return hash_tree.Agree(_id(message.range_id), message.root)
            case Rows():
                return hash_tree.Rows(
                    _id(message.range_id), frozenset(message.buckets), message.digests, message.wants_answer
                )
            case Offer():
                return transfer.Offer(_id(message.range_id))
            case Accept():
                return transfer.Accept(_id(message.range_id))
            case Refuse():
                return transfer.Refuse(_id(message.range_id), transfer.Reason(message.reason))
            case Finished():
                return transfer.Finished(_id(message.range_id))
            case Mismatch():
                raise BadMessage("not for a core")
    except (ValueError, TypeError) as error:
        raise BadMessage(str(error)) from error


def raw_of(change: Change) -> RawChange:
    address, zone, capacity, endpoint = change.member
    return (change.time_us, change.node, change.kind, (address, zone, capacity, endpoint))


def change_of(raw: RawChange) -> Change:
    time_us, node, kind, member = raw
    return Change(time_us, node, kind, Member(*member))


def _range(range_id: int) -> bytes:
    """Ranges of strategy 1 are named by numbers of more bits than MessagePack has."""
    return range_id.to_bytes((range_id.bit_length() + 7) // 8, "big")


def _id(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def size_of(message: OneWay) -> int:
    """In bytes, without the frame."""
    return _FINGERPRINT_BYTES + len(_encoder.encode(message))
