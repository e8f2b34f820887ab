"""The ConsumedCapacity member of an answer. What counts how much: item.units.

An answer is built by joining its members, each of them JSON bytes with a leading comma, or b"" if there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from varley.router.routes import VECTOR_INDEXES

_encode = msgspec.json.encode
_NO_MEMBERS: Final[Mapping[str, str]] = {}


def index_total(indexes: Mapping[str, float], members: Mapping[str, str]) -> float:
    """The capacity units of indexes together. Vector indexes have none: what they are told of is bytes."""
    return sum(each for name, each in indexes.items() if members.get(name) != VECTOR_INDEXES)


def consumed(
    table: str,
    units: float,
    mode: str | None,
    indexes: Mapping[str, float] | None = None,
    members: Mapping[str, str] = _NO_MEMBERS,
) -> dict[str, Any] | None:
    """One ConsumedCapacity structure; `mode` is the request's ReturnConsumedCapacity.

    `units` are the table's own, `indexes` those of the indexes that had a part in it: capacity units, and of a vector
    index bytes. `members` says where each is told: Route.index_members.
    """
    if mode is None or mode == "NONE":
        return None
    total = units + index_total(indexes, members) if indexes else units
    structure: dict[str, Any] = {"TableName": table, "CapacityUnits": total}
    if mode == "INDEXES":
        structure["Table"] = {"CapacityUnits": units}
        for name, each in (indexes or {}).items():
            member_name = members.get(name, "GlobalSecondaryIndexes")    # one that has gone meanwhile
            kind = "VectorWriteRequestBytes" if member_name == VECTOR_INDEXES else "CapacityUnits"
            structure.setdefault(member_name, {})[name] = {kind: each}
    return structure


def told(structure: Mapping[str, Any]) -> tuple[float, dict[str, float]]:
    """The other way: units of the table and of its indexes, from what `consumed` has given for INDEXES."""
    indexes = {
        name: next(iter(each.values()))
        for member_name, members in structure.items()
        if member_name not in ("TableName", "CapacityUnits", "Table")
        for name, each in members.items()
    }
    return structure["Table"]["CapacityUnits"], indexes


def member(
    table: str,
    units: float,
    mode: str | None,
    indexes: Mapping[str, float] | None = None,
    members: Mapping[str, str] = _NO_MEMBERS,
) -> bytes:
    """`,"ConsumedCapacity":{…}` or b""."""
    structure = consumed(table, units, mode, indexes, members)
    return b"" if structure is None else b',"ConsumedCapacity":' + _encode(structure)


def answer(members: bytes) -> bytes:
    """An answer's body from its members, each of which begins with a comma."""
    return b"{" + members[1:] + b"}" if members else b"{}"
