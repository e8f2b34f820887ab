"""Tables for tests, by what is special about them."""

from __future__ import annotations

import zlib
from typing import Any

from varley.table.schema import (
    FORMAT_VERSION,
    ON_DEMAND_WARM,
    AttributeDefinition,
    KeySchema,
    LocalIndex,
    Projection,
    Provisioned,
    Table,
    WarmThroughput,
)


def on_demand_table(name: str = "Music", **members: Any) -> Table:
    return Table(
        **{
            "format_version": FORMAT_VERSION,
            "name": name,
            "id": f"00000000-0000-4000-8000-{zlib.crc32(name.encode()):012}",
            "created_at": 1_700_000_000.25,
            "attribute_definitions": (AttributeDefinition(name="pk", kind="S"),),
            "key_schema": KeySchema(hash_name="pk", hash_kind="S"),
            "billing_mode": "PAY_PER_REQUEST",
            "on_demand_since": 1_700_000_000.25,
            "warm": ON_DEMAND_WARM,
            **members,
        }
    )


def indexed_table(name: str = "Music", **members: Any) -> Table:
    """Keys pk and sk, two local indexes on x."""
    return on_demand_table(
        name,
        **{
            "attribute_definitions": tuple(AttributeDefinition(name=each, kind="S") for each in ("pk", "sk", "x")),
            "key_schema": KeySchema(hash_name="pk", hash_kind="S", range_name="sk", range_kind="S"),
            "local_indexes": (
                LocalIndex(name="by-x", range_name="x", range_kind="S", projection=Projection(kind="KEYS_ONLY")),
                LocalIndex(
                    name="by-x-too",
                    range_name="x",
                    range_kind="S",
                    projection=Projection(kind="INCLUDE", names=("b", "a")),
                ),
            ),
            **members,
        },
    )


def provisioned_table(read: int = 5, write: int = 6, **members: Any) -> Table:
    return on_demand_table(
        **{
            "billing_mode": "PROVISIONED",
            "on_demand_since": None,
            "provisioned": Provisioned(read_units=read, write_units=write),
            "warm": WarmThroughput(read_units=read, write_units=write),
            **members,
        }
    )
