"""The ConsumedCapacity member of an answer. What counts how much: item.units.

An answer is built by joining its members, each of them JSON bytes with a leading comma, or b"" if there is none.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_encode = msgspec.json.encode


def consumed(
    table: str, units: float, mode: str | None, indexes: Mapping[str, float] | None = None
) -> dict[str, object] | None:
    """One ConsumedCapacity structure; `mode` is the request's ReturnConsumedCapacity.

    `units` are the table's own, `indexes` those of the local indexes that had a part in it.
    """
    if mode is None or mode == "NONE":
        return None
    total = units + sum(indexes.values()) if indexes else units
    structure: dict[str, object] = {"TableName": table, "CapacityUnits": total}
    if mode == "INDEXES":
        structure["Table"] = {"CapacityUnits": units}
        if indexes:
            structure["LocalSecondaryIndexes"] = {name: {"CapacityUnits": each} for name, each in indexes.items()}
    return structure


def member(table: str, units: float, mode: str | None, indexes: Mapping[str, float] | None = None) -> bytes:
    """`,"ConsumedCapacity":{…}` or b""."""
    structure = consumed(table, units, mode, indexes)
    return b"" if structure is None else b',"ConsumedCapacity":' + _encode(structure)


def answer(members: bytes) -> bytes:
    """An answer's body from its members, each of which begins with a comma."""
    return b"{" + members[1:] + b"}" if members else b"{}"
