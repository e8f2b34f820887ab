"""Local indexes as CreateTable asks for them; they cannot come later. Texts as observed of the service."""

from __future__ import annotations

from collections.abc import Mapping

from varley.api.global_indexes import projection_of
from varley.api.key_schema import key_names
from varley.api.requests import Structure
from varley.api.table_structures import INVALID, KeySchemaElement, Projection
from varley.errors import ValidationError
from varley.limits import LOCAL_INDEXES_MAX
from varley.table import schema
from varley.table.schema import KeySchema


class LocalSecondaryIndex(Structure):
    index_name: str | None = None
    key_schema: list[KeySchemaElement] | None = None
    projection: Projection | None = None


def local_indexes_of(
    asked: list[LocalSecondaryIndex] | None, table: KeySchema, kinds: Mapping[str, schema.ScalarKind]
) -> tuple[schema.LocalIndex, ...]:
    """`kinds`: by name, of the attributes that are defined. Raises ValidationError, the client's fault."""
    if asked is None:
        return ()
    if not asked:
        raise ValidationError(f"{INVALID}List of LocalSecondaryIndexes is empty")
    if table.range_name is None:
        raise ValidationError(
            f"{INVALID}Table KeySchema does not have a range key, which is required when specifying a "
            "LocalSecondaryIndex"
        )
    indexes: dict[str, schema.LocalIndex] = {}
    for each in asked:
        index = _local_index_of(each, table, kinds)
        if index.name in indexes:
            raise ValidationError(f"{INVALID}Duplicate index name: {index.name}")
        indexes[index.name] = index
    if len(indexes) > LOCAL_INDEXES_MAX:
        raise ValidationError(
            f"{INVALID}Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES_MAX}"
        )
    return tuple(indexes.values())


def _local_index_of(
    asked: LocalSecondaryIndex, table: KeySchema, kinds: Mapping[str, schema.ScalarKind]
) -> schema.LocalIndex:
    assert asked.index_name is not None
    names = key_names(asked.key_schema)
    if len(names) < 2:
        raise ValidationError(f"{INVALID}Index KeySchema does not have a range key for index: {asked.index_name}")
    if names[0] != table.hash_name:
        raise ValidationError(
            f"{INVALID}Index KeySchema does not have the same leading hash key as table KeySchema for index: "
            f"{asked.index_name}. index hash key: {names[0]}, table hash key: {table.hash_name}"
        )
    return schema.LocalIndex(
        name=asked.index_name,
        range_name=names[1],
        range_kind=kinds[names[1]],
        projection=projection_of(asked.projection),
    )
