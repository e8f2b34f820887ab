"""The ConsumedCapacity member of an answer. What counts how much: item.units.

An answer is built by joining its members, each of them JSON bytes with a leading comma, or b"" if there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

_encode = msgspec.json.encode


def consumed(
    table: str,
    units: float,
    mode: str | None,
    indexes: Mapping[str, float] | None = None,
    global_names: Collection[str] = (),
) -> dict[str, Any] | None:
    """One ConsumedCapacity structure; `mode` is the request's ReturnConsumedCapacity.

    `units` are the table's own, `indexes` those of the indexes that had a part in it; which of them are global, if any
    are, `global_names` says.
    """
    if mode is None or mode == "NONE":
        return None
    total = units + sum(indexes.values()) if indexes else units
    structure: dict[str, Any] = {"TableName": table, "CapacityUnits": total}
    if mode == "INDEXES":
        structure["Table"] = {"CapacityUnits": units}
        for name, each in (indexes or {}).items():
            member_name = "GlobalSecondaryIndexes" if name in global_names else "LocalSecondaryIndexes"
            structure.setdefault(member_name, {})[name] = {"CapacityUnits": each}
    return structure


def member(
    table: str,
    units: float,
    mode: str | None,
    indexes: Mapping[str, float] | None = None,
    global_names: Collection[str] = (),
) -> bytes:
    """`,"ConsumedCapacity":{…}` or b""."""
    structure = consumed(table, units, mode, indexes, global_names)
    return b"" if structure is None else b',"ConsumedCapacity":' + _encode(structure)


def answer(members: bytes) -> bytes:
    """An answer's body from its members, each of which begins with a comma."""
    return b"{" + members[1:] + b"}" if members else b"{}"
