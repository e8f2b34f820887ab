"""How metadata is kept as JSON, so that versions of Varley can follow each other.

    {"format_version": 1, "name": "Music", "id": "5f0c…", "created_at": 1764000000.25, …}

1. A member at its default is not written, and a missing one is read as its default. So a feature that comes
   later adds a member with a default, and everything written before it stays readable.
2. An unknown member is refused, not ignored. So an older server refuses what uses a feature that it does
   not have, and only that, and cannot write it back without the feature.
3. `format_version` is raised only if the meaning of a member changes; a version above the reader's is
   refused.

Rejected: ignoring unknown members (a downgraded server would drop a table's indexes at its next update),
and one version for everything (one table with a new feature would lock an older server out of all others).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of the values that are kept by these rules. The outermost has a `format_version` without default.

    Subclasses repeat `frozen` and `kw_only`: type checkers do not inherit them.
    """


class UnknownFormat(ValueError):
    """A newer version wrote this, and kept in it what this one would lose."""


class _Format(msgspec.Struct):
    format_version: int


_decode_format = msgspec.json.Decoder(_Format).decode

S = TypeVar("S", bound=Stored)


def stored_decoder(kind: type[S], version_max: int) -> Callable[[bytes], S]:
    """The function that reads a `kind` from its JSON.

    It raises UnknownFormat if a newer version wrote the JSON, and ValueError if no version did.
    """
    decode = msgspec.json.Decoder(kind).decode

    def decode_stored(json: bytes) -> S:
        version = _decode_format(json).format_version
        if version > version_max:
            raise UnknownFormat(f"It has format version {version}; this Varley reads up to {version_max}")
        try:
            return decode(json)
        except msgspec.ValidationError as error:
            if "unknown field" in str(error):
                raise UnknownFormat(f"It uses what this Varley does not know: {error}") from error
            raise

    return decode_stored
