"""The tables that all cases share. They are made once, on both servers, and are empty between cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Index:
    """A local index, or a global one if it has a partition key of its own."""

    name: str
    range_name: str
    projection: Body
    hash_name: str | None = None


@dataclass(frozen=True)
class WorldTable:
    """`kinds` are the types of all key attributes, by name."""

    name: str
    key_names: tuple[str, ...]
    kinds: dict[str, str]
    indexes: tuple[Index, ...] = ()

    def definition(self) -> Body:
        """The CreateTable request that makes it."""
        body: Body = {
            "TableName": self.name,
            "KeySchema": _schema(*self.key_names),
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": kind} for n, kind in self.kinds.items()],
            "BillingMode": "PAY_PER_REQUEST",
        }
        for index in self.indexes:
            kind = "LocalSecondaryIndexes" if index.hash_name is None else "GlobalSecondaryIndexes"
            keys = _schema(self.hash_name_of(index), index.range_name)
            described = {"IndexName": index.name, "KeySchema": keys, "Projection": index.projection}
            body.setdefault(kind, []).append(described)
        return body

    def hash_name_of(self, index: Index | None) -> str:
        return index.hash_name if index is not None and index.hash_name is not None else self.key_names[0]

    def is_global(self, name: object) -> bool:
        return any(index.name == name and index.hash_name is not None for index in self.indexes)


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
        Index("by-n", "n", {"ProjectionType": "ALL"}),
        Index("by-s", "s", {"ProjectionType": "KEYS_ONLY"}),
        Index("n-and-a", "n", {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]}),
    ),
)

GLOBAL = WorldTable(
    "world.global",
    ("pk", "sk"),
    {"pk": "S", "sk": "N", "n": "N", "s": "S", "b": "B"},
    (
        Index("s-by-n", "n", {"ProjectionType": "ALL"}, "s"),
        Index("s-by-sk", "sk", {"ProjectionType": "KEYS_ONLY"}, "s"),
        Index("b-by-n", "n", {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]}, "b"),
    ),
)

TABLES = (PLAIN, SORTED, BINARY, INDEXED, GLOBAL)
BY_NAME = {table.name: table for table in TABLES}
