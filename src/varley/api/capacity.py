"""Capacity units, and the ConsumedCapacity member of an answer.

A read unit covers 4 KB read strongly, or 8 KB read eventually; a write unit covers 1 KB written, of the larger of
the old and the new image. Every operation costs at least one write unit, or half or one read unit, also when
nothing was found. Source: DynamoDB Developer Guide, "DynamoDB read and write operations".

All functions return the member as JSON bytes with a leading comma, or b"" if the client did not ask, so that an
answer is built by joining bytes.
"""

from __future__ import annotations

import msgspec

from varley.limits import READ_UNIT_BYTES, WRITE_UNIT_BYTES

_encode = msgspec.json.encode


def write_units(old_size: int, new_size: int) -> float:
    """Units of one write that replaces `old_size` bytes by `new_size` (0: absent)."""
    size = old_size if old_size > new_size else new_size
    return 1.0 if size <= WRITE_UNIT_BYTES else float(-(-size // WRITE_UNIT_BYTES))


def read_units(size: int, consistent: bool) -> float:
    """Units of one read of `size` bytes in all (0: nothing was found)."""
    units = 1 if size <= READ_UNIT_BYTES else -(-size // READ_UNIT_BYTES)
    return float(units) if consistent else units * 0.5


def consumed(table: str, units: float, mode: str | None) -> dict[str, object] | None:
    """One ConsumedCapacity structure; `mode` is the request's ReturnConsumedCapacity."""
    if mode is None or mode == "NONE":
        return None
    structure: dict[str, object] = {"TableName": table, "CapacityUnits": units}
    if mode == "INDEXES":
        structure["Table"] = {"CapacityUnits": units}
    return structure


def member(table: str, units: float, mode: str | None) -> bytes:
    """`,"ConsumedCapacity":{…}` or b""."""
    structure = consumed(table, units, mode)
    return b"" if structure is None else b',"ConsumedCapacity":' + _encode(structure)


def answer(members: bytes) -> bytes:
    """An answer's body from its members, each of which begins with a comma."""
    return b"{" + members[1:] + b"}" if members else b"{}"
