"""What an entry of the metadata store holds, decoded, or an error that names its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from varley.errors import Damaged, WorldError
from varley.metadata.store import Entry
from varley.table.stored_format import UnknownFormat

T = TypeVar("T")


def decoded(entry: Entry, decode: Callable[[bytes], T]) -> T:
    """Raises Damaged; WorldError if a newer Varley wrote it."""
    try:
        return decode(entry.value)
    except UnknownFormat as error:
        raise WorldError(
            f"Metadata was written by a newer Varley. {error}",
            path=entry.key,
            operation="read",
            hint="Start the newer version, or restore the metadata from a copy made before it ran",
        ) from error
    except ValueError as error:
        raise damaged(entry.key, str(error)) from error


def damaged(key: str, what: str) -> Damaged:
    return Damaged(f"Metadata is not what was written: {what}", path=key, hint="Restore the metadata from a copy")
