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


def decode(body: bytes, coding: bytes, bytes_max: int) -> bytes:
    """Undo a Content-Encoding. A small body that unfolds to more than `bytes_max` is given up there and then.

    Raises MalformedHttpRequest for a coding that we do not know or bytes that are not of it,
    RequestEntityTooLarge; both are the client's fault.
    """
    # More than one coding is listed in the order applied, so undone from the last.
    for name in reversed(coding.lower().split(b",")):
        body = _decode_one(body, name.strip(), bytes_max)
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
    if name in (b"", b"identity"):
        return body
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
    rest = body
    while rest:
        inflater = zlib.decompressobj(window_bits)
        try:
            unfolded += inflater.decompress(rest, bytes_max + 1 - len(unfolded))
        except zlib.error as error:
            raise MalformedHttpRequest("The request body does not match its Content-Encoding") from error
        if len(unfolded) > bytes_max:
            raise RequestEntityTooLarge(f"The request body unfolds to more than {bytes_max} bytes")
        if not inflater.eof:
            raise MalformedHttpRequest("The request body ends before its Content-Encoding does")
        rest = inflater.unused_data
    return bytes(unfolded)
