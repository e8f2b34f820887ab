"""Content codings: gzip and deflate of request bodies undone, answers gzipped for clients that ask."""

from __future__ import annotations

import zlib
from functools import lru_cache

from varley.http.wire import MalformedHttpRequest, RequestEntityTooLarge

# zlib's window bits also choose the wrapping.
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_GZIP = 16 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS

# The event loop waits meanwhile, so the quickest level: it packs DynamoDB's JSON nearly as well as level 6.
_LEVEL = 1

# A request may make the event loop wait, but not long. Clients send one coding and one member; each of more
# costs something however small it is, and 16 MB hold 800,000 empty members.
_CODINGS_MAX = 2
_MEMBERS_MAX = 64

# zlib copies what follows a member; so it is given no more than this at a time.
_PIECE_BYTES = 64 * 1024


def decode(body: bytes, coding: bytes, bytes_max: int) -> bytes:
    """Undo a Content-Encoding. A small body that unfolds to more than `bytes_max` is given up there and then.

    Raises MalformedHttpRequest for a coding that we do not know, bytes that are not of it or too many codings
    (two) or members (64), RequestEntityTooLarge; both are the client's fault.
    """
    names = [name for part in coding.lower().split(b",") if (name := part.strip()) not in (b"", b"identity")]
    if len(names) > _CODINGS_MAX:
        raise MalformedHttpRequest(f"A request body may have {_CODINGS_MAX} codings")
    # More than one coding is listed in the order applied, so undone from the last.
    for name in reversed(names):
        body = _decode_one(body, name, bytes_max)
    return body


def encode_gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return compressor.compress(body) + compressor.flush()


@lru_cache(maxsize=256)             # clients send the same few values for ever
def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether an Accept-Encoding header allows gzip: by name or by `*`, and not with q=0."""
    weights: dict[bytes, bool] = {}
    for entry in accept_encoding.lower().split(b","):
        coding, _, parameter = entry.partition(b";")
        name, _, weight = parameter.strip().partition(b"=")
        is_refused = name.strip() == b"q" and weight.strip().rstrip(b"0") in (b"", b"0.")
        weights[coding.strip()] = not is_refused
    return weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", False)))


def _decode_one(body: bytes, name: bytes, bytes_max: int) -> bytes:
    if name in (b"gzip", b"x-gzip"):
        return _inflate(body, _GZIP_OR_ZLIB, bytes_max)
    if name == b"deflate":
        # The standard means zlib's wrapping; some clients send none. The two differ in their first two bytes.
        is_wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        return _inflate(body, _GZIP_OR_ZLIB if is_wrapped else _RAW_DEFLATE, bytes_max)
    raise MalformedHttpRequest(f"Unknown Content-Encoding '{name.decode('latin-1')}'")


def _inflate(body: bytes, window_bits: int, bytes_max: int) -> bytes:
    """All members of a compressed stream, one after another (gzip allows several)."""
    unfolded = bytearray()
    at = 0
    members = 0
    while at < len(body):
        members += 1
        if members > _MEMBERS_MAX:
            raise MalformedHttpRequest(f"A compressed request body may have {_MEMBERS_MAX} members")
        at = _inflate_member(body, at, window_bits, bytes_max, unfolded)
    return bytes(unfolded)


def _inflate_member(body: bytes, at: int, window_bits: int, bytes_max: int, unfolded: bytearray) -> int:
    """Append what the member at `at` unfolds to; return where it ends."""
    inflater = zlib.decompressobj(window_bits)
    while not inflater.eof:
        piece = body[at : at + _PIECE_BYTES]
        if not piece:
            raise MalformedHttpRequest("The request body ends before its Content-Encoding does")
        try:
            unfolded += inflater.decompress(piece, bytes_max + 1 - len(unfolded))
        except zlib.error as error:
            raise MalformedHttpRequest("The request body does not match its Content-Encoding") from error
        if len(unfolded) > bytes_max:
            raise RequestEntityTooLarge(f"The request body unfolds to more than {bytes_max} bytes")
        at += len(piece) - len(inflater.unused_data)
    return at
