"""The bytes between two nodes: hello, frames, parts. Pure: bytes in, bytes out; drawn in docs/formats.md.

    hello      the first bytes in each direction: who speaks, to whom, and which versions it knows
    frame      a checksum, a length and a kind: a parcel of parts, or a sign of life
    part       one message, request or answer

Many small parts share one frame: what a node has to say to another in one turn of its loop leaves in one write,
under one checksum. TCP's own checksum is 16 bits wide and is checked by network cards; a bit that flips in a switch's
memory or in a driver passes it now and then, and an accept message that was changed on the way would be durable at
once. So each frame has a CRC32C of its own, and a connection on which one is wrong is not used again: behind a wrong
length nothing can be trusted.

The hello has no version of its own. Its form is fixed for ever, so that any two versions of Varley can tell each
other why they cannot talk; a later version may append to it, and what is appended is skipped. Everything behind it is
of the version that both sides know and that is the highest. A node knows its own version and the one before it, so
nodes can be replaced one after the other, and back.

Rejected: a text or self-describing encoding (msgpack, protobuf) for the frames: the payload is opaque here, and three
numbers need no schema. A checksum for each part: 40 small parts in a frame would cost 40 calls. HTTP/2: its flow
control by stream is not needed where all streams are ours, and its parser in Python costs more than everything here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from google_crc32c import value as crc32c

VERSION_LOWEST: Final = 1     # the lowest version of frames and parts that this Varley can speak
VERSION_HIGHEST: Final = 1

MAGIC: Final = b"VARLEYNT"

# Of a frame's body. One entry of a log is one part, and must fit: 4 MB of items in a transaction, each again in five
# local and twenty global indexes, and before and after in the stream, are 28 times as much.
FRAME_BYTES_MAX: Final = 256 * 1024 * 1024
HELLO_BYTES_MAX: Final = 8 * 1024            # of what follows the head of a hello
NAME_BYTES_MAX: Final = 255                  # of a node's name, of a cluster's, in UTF-8
REASON_BYTES_MAX: Final = 1024

# The fields in their order, little-endian, without gaps.
_hello_head = Struct("<8sIH")    # magic, CRC32C of what follows this head, bytes of that
_hello = Struct("<HHB")          # lowest version, highest version, verdict; then four strings
_string = Struct("<H")           # its bytes
_frame_head = Struct("<IIB")     # CRC32C of all that follows it, bytes of the body, kind
_covered_head = Struct("<IB")    # of those, what the checksum covers
_crc = Struct("<I")
_part_head = Struct("<BBIQ")     # type, channel or service, bytes of the payload, number (0: of a message)

FRAME_HEAD_BYTES: Final = _frame_head.size
PART_HEAD_BYTES: Final = _part_head.size
PAYLOAD_BYTES_MAX: Final = FRAME_BYTES_MAX - PART_HEAD_BYTES

# Kinds of frames
PARCEL: Final = 1         # parts, one behind the other
ALIVE: Final = 2          # nothing: who sends it is there

# Types of parts
MESSAGE: Final = 1        # one way, to a channel
REQUEST: Final = 2        # to a service; its number is the asker's
ANSWER: Final = 3         # to the request with this number, on the connection that it came on
REFUSED: Final = 4        # the request was not acted on; the payload says why, in words
FAILED: Final = 5         # nobody knows what became of the request; the payload says why, in words

_KINDS: Final = frozenset({PARCEL, ALIVE})
_TYPES: Final = frozenset({MESSAGE, REQUEST, ANSWER, REFUSED, FAILED})

Part = tuple[int, int, int, bytes]    # (type, channel or service, number, payload)


class WireError(Exception):
    """The peer sent what it should not: no hello, a wrong checksum, an unknown frame. The connection ends."""


class Verdict(IntEnum):
    """What the answering side makes of a hello. The dialling side always says WELCOME."""

    WELCOME = 0
    CROSSED = 1     # not this connection: I am dialling you at this moment, and mine goes first
    REFUSED = 2     # `why` says it in words


class Hello(NamedTuple):
    lowest: int         # versions of frames that the sender can speak, from here …
    highest: int        # … to here
    cluster: str
    sender: str         # the node that speaks
    receiver: str       # whom it takes the other side for
    verdict: Verdict = Verdict.WELCOME
    why: str = ""


def encode_hello(hello: Hello) -> bytes:
    """Names of at most NAME_BYTES_MAX; a longer reason is cut."""
    why = hello.why.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
    fields = [_hello.pack(hello.lowest, hello.highest, hello.verdict)]
    for text in (hello.cluster, hello.sender, hello.receiver, why):
        encoded = text.encode()
        fields += (_string.pack(len(encoded)), encoded)
    body = b"".join(fields)
    assert len(body) <= HELLO_BYTES_MAX
    return _hello_head.pack(MAGIC, crc32c(body), len(body)) + body


def decode_hello(data: bytes) -> tuple[Hello, int] | None:
    """The hello that `data` begins with, and its bytes; None if there is more to come.

    Raises WireError if it is none.
    """
    if not data.startswith(MAGIC[: len(data)]):
        raise WireError("it does not begin as a Varley node does")
    if len(data) < _hello_head.size:
        return None
    _, crc, body_bytes = _hello_head.unpack_from(data)
    if body_bytes > HELLO_BYTES_MAX:
        raise WireError(f"a hello of {body_bytes} bytes")
    end = _hello_head.size + body_bytes
    if len(data) < end:
        return None
    body = data[_hello_head.size : end]
    if crc32c(body) != crc:
        raise WireError("the checksum of its hello is wrong")
    return _hello_of(body), end


def _hello_of(body: bytes) -> Hello:
    try:
        lowest, highest, verdict = _hello.unpack_from(body)
        at = _hello.size
        texts = []
        for _ in range(4):
            (size,) = _string.unpack_from(body, at)
            at += _string.size
            if at + size > len(body):
                raise WireError("its hello ends inside a name")
            texts.append(body[at : at + size].decode())
            at += size
        cluster, sender, receiver, why = texts
        # What follows was appended by a later version.
        return Hello(lowest, highest, cluster, sender, receiver, Verdict(verdict), why)
    except (struct.error, ValueError) as error:
        raise WireError(f"its hello cannot be read: {error}") from error


def version_of(lowest: int, highest: int, peer: Hello) -> int | None:
    """The version that a node which speaks lowest..highest speaks with this peer; None if there is none."""
    version = min(highest, peer.highest)
    return version if version >= max(lowest, peer.lowest) else None


# Frames


def encode_frame(kind: int, body: Sequence[bytes] = ()) -> bytes:
    """`body` in pieces, together at most FRAME_BYTES_MAX."""
    body_bytes = sum(map(len, body))
    assert body_bytes <= FRAME_BYTES_MAX
    covered = b"".join((_covered_head.pack(body_bytes, kind), *body))
    return _crc.pack(crc32c(covered)) + covered


def encode_part_head(type_: int, to: int, number: int, payload_bytes: int) -> bytes:
    """What precedes a payload of so many bytes, at most PAYLOAD_BYTES_MAX. `to`: the channel or service."""
    return _part_head.pack(type_, to, payload_bytes, number)


def decode_parts(body: bytes) -> Iterator[Part]:
    """The parts of a parcel. Raises WireError where one is not what it should be, after those before it."""
    at = 0
    end = len(body)
    unpack = _part_head.unpack_from
    while at < end:
        payload_at = at + PART_HEAD_BYTES
        if payload_at > end:
            raise WireError("a parcel that ends inside the head of a part")
        type_, to, payload_bytes, number = unpack(body, at)
        at = payload_at + payload_bytes
        if at > end:
            raise WireError("a parcel that ends inside a part")
        if type_ not in _TYPES:
            raise WireError(f"a part of type {type_}")
        yield type_, to, number, body[payload_at:at]


class FrameReader:
    """Bytes, in the pieces in which a socket gives them -> frames whose checksums are right.

    Whole frames are taken out of the piece that they came in; only one that comes in several pieces is put together,
    once.
    """

    __slots__ = ("_pieces", "_pieces_bytes", "_wanted_bytes")

    _pieces: list[bytes]      # what is not decoded yet: the beginning of one frame
    _pieces_bytes: int        # the sum of their lengths
    _wanted_bytes: int        # nothing can be decoded before so many are there

    def __init__(self) -> None:
        self._start_over(b"")

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(kind, body) of each frame that is complete now. Raises WireError behind the last one that is right.

        The caller takes all of them before it feeds again.
        """
        if self._pieces:
            self._pieces.append(data)
            self._pieces_bytes += len(data)
            if self._pieces_bytes < self._wanted_bytes:
                return
            data = b"".join(self._pieces)
        at = 0
        end = len(data)
        while end - at >= FRAME_HEAD_BYTES:
            crc, body_bytes, kind = _frame_head.unpack_from(data, at)
            if body_bytes > FRAME_BYTES_MAX:
                raise WireError(f"a frame of {body_bytes} bytes")
            body_at = at + FRAME_HEAD_BYTES
            if body_at + body_bytes > end:
                break
            if crc32c(data[at + _crc.size : body_at + body_bytes]) != crc:
                raise WireError(f"the checksum of a frame of {body_bytes} bytes is wrong")
            if kind not in _KINDS:
                raise WireError(f"a frame of kind {kind}")
            at = body_at + body_bytes
            yield kind, data[body_at:at]
        self._start_over(data[at:])

    def _start_over(self, rest: bytes) -> None:
        self._pieces = [rest] if rest else []
        self._pieces_bytes = len(rest)
        self._wanted_bytes = FRAME_HEAD_BYTES
        if len(rest) >= FRAME_HEAD_BYTES:
            self._wanted_bytes += _frame_head.unpack_from(rest)[1]
