"""Capacity units: how much one read or write of so many bytes counts.

A read unit covers 4 KB read strongly, or 8 KB read eventually; a write unit covers 1 KB written, of the larger of
the old and the new image. Every operation counts at least one write unit, or half a read unit or one, also when
nothing was found. Source: DynamoDB Developer Guide, "DynamoDB read and write operations".
"""

from __future__ import annotations

from varley.item.stored import item_size
from varley.limits import READ_UNIT_BYTES, WRITE_UNIT_BYTES


def write_units(old_size: int, new_size: int) -> float:
    """Units of one write that replaces `old_size` bytes by `new_size` (0: absent)."""
    size = old_size if old_size > new_size else new_size
    return 1.0 if size <= WRITE_UNIT_BYTES else float(-(-size // WRITE_UNIT_BYTES))


def write_units_of(old: bytes | None, new: bytes | None) -> float:
    """The same by the stored values before and after (None: no item)."""
    return write_units(0 if old is None else item_size(old), 0 if new is None else item_size(new))


def read_units(size: int, consistent: bool) -> float:
    """Units of one read of `size` bytes in all (0: nothing was found)."""
    units = 1 if size <= READ_UNIT_BYTES else -(-size // READ_UNIT_BYTES)
    return float(units) if consistent else units * 0.5
