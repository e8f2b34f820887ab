"""The tables that all cases share. They are made once, on both servers, and are empty between cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class LocalIndex:
    name: str
    range_name: str
    projection: Body


@dataclass(frozen=True)
class WorldTable:
    """`kinds` are the types of all key attributes, by name."""

    name: str
    key_names: tuple[str, ...]
    kinds: dict[str, str]
    indexes: tuple[LocalIndex, ...] = ()

    def definition(self) -> Body:
        """The CreateTable request that makes it."""
        body: Body = {
            "TableName": self.name,
            "KeySchema": _schema(*self.key_names),
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": kind} for n, kind in self.kinds.items()],
            "BillingMode": "PAY_PER_REQUEST",
        }
        if self.indexes:
            body["LocalSecondaryIndexes"] = [
                {
                    "IndexName": index.name,
                    "KeySchema": _schema(self.key_names[0], index.range_name),
                    "Projection": index.projection,
                }
                for index in self.indexes
            ]
        return body


def _schema(hash_name: str, range_name: str | None = None) -> list[Body]:
    keys = [{"AttributeName": hash_name, "KeyType": "HASH"}]
    if range_name is not None:
        keys.append({"AttributeName": range_name, "KeyType": "RANGE"})
    return keys


PLAIN = WorldTable("world.plain", ("pk",), {"pk": "S"})
SORTED = WorldTable("world.sorted", ("pk", "sk"), {"pk": "S", "sk": "N"})
BINARY = WorldTable("world.binary", ("pk", "sk"), {"pk": "B", "sk": "B"})
INDEXED = WorldTable(
    "world.indexed",
    ("pk", "sk"),
    {"pk": "S", "sk": "S", "n": "N", "s": "S"},
    (
        LocalIndex("by-n", "n", {"ProjectionType": "ALL"}),
        LocalIndex("by-s", "s", {"ProjectionType": "KEYS_ONLY"}),
        LocalIndex("n-and-a", "n", {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]}),
    ),
)

TABLES = (PLAIN, SORTED, BINARY, INDEXED)
BY_NAME = {table.name: table for table in TABLES}
