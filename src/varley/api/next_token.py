"""NextToken: where the next page of a SELECT begins.

To a client it is opaque. It is URL-safe base64 of

    {"v":1,"s":"b3qSu0yrAQc=","n":0,"k":{"pk":{"S":"x"}}}

v: version of this form; s: eight bytes of a hash over the statement and its parameters, which must be the same again;
n: the range of keys (of those that the statement reads, in order) to go on with; k: the key of the item behind which
to go on in it, if the range was begun.

It is not signed: whoever may read the table may begin where he likes, as with an ExclusiveStartKey.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from varley.errors import ValidationError
from varley.item.value import Item

_VERSION = 1

Parameters = Sequence[dict[str, Any]]


class Place(msgspec.Struct, frozen=True):
    """Where to go on: in range `number`, behind the item with `key`, or at its beginning."""

    number: int
    key: Item | None


class _Token(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    v: int
    s: str
    n: int
    k: Item | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Token).decode


def write(place: Place, statement: str, parameters: Parameters) -> str:
    token = _Token(v=_VERSION, s=_hash(statement, parameters), n=place.number, k=place.key)
    return urlsafe_b64encode(_encode(token)).decode("ascii")


def read(text: str, statement: str, parameters: Parameters) -> Place:
    """Raises ValidationError for what is no token, or the token of another request."""
    try:
        token = _decode(urlsafe_b64decode(text))
    except ValueError:    # not base64, not ASCII, not JSON, not of this shape
        raise invalid() from None
    if token.v != _VERSION or token.n < 0:
        raise invalid()
    if token.s != _hash(statement, parameters):
        raise ValidationError("NextToken does not match request")
    return Place(token.n, token.k)


def invalid() -> ValidationError:
    return ValidationError("Invalid NextToken")


def _hash(statement: str, parameters: Parameters) -> str:
    text = _encode([statement, parameters])
    return b64encode(blake2b(text, digest_size=8).digest()).decode("ascii")
