"""Vector indexes as clients ask for them: in CreateTable, and in the VectorIndexUpdates of UpdateTable.

An index comes and goes at once, since it has no rows (vectors/search.py): it is ACTIVE when the answer goes out.

Rules: [DG] "Requirements and limitations" of vector indexes; the model's documentation. Texts: those of
"Troubleshooting vector indexes" where there is one; the others are ours.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Annotated, Final, cast

from varley.api.constraints import INDEX_NAME, NOT_NULL, Each, Length, Members, OneOf, Range
from varley.api.global_indexes import projection_of
from varley.api.requests import LONG, Structure
from varley.api.table_structures import INVALID, PROJECTION, AttributeDefinition, Projection
from varley.errors import LimitExceeded, ResourceNotFound, ValidationError
from varley.limits import VECTOR_DIMENSIONS_MAX
from varley.table import schema
from varley.table.schema import ScalarKind, Table, changed

_ON_DEMAND_ONLY: Final = f"{INVALID}Vector indexes need a table whose BillingMode is PAY_PER_REQUEST"


class VectorAttributeDefinition(Structure):
    attribute_name: str | None = None


class SearchSchemaElement(Structure):
    attribute_name: str | None = None
    search_schema_element_type: str | None = None


class AskedVectorIndex(Structure):
    index_name: str | None = None
    vector_attribute: VectorAttributeDefinition | None = None
    search_schema: list[SearchSchemaElement] | None = None
    projection: Projection | None = None
    dimensions: Annotated[int, LONG] | None = None
    distance_function: str | None = None


class VectorIndex(AskedVectorIndex):
    """In CreateTable."""


class CreateVectorIndexAction(AskedVectorIndex):
    """In UpdateTable."""


class DeleteVectorIndexAction(Structure):
    index_name: str | None = None


class VectorIndexUpdate(Structure):
    create: CreateVectorIndexAction | None = None
    delete: DeleteVectorIndexAction | None = None


VECTOR_INDEX: Final = Members(
    index_name=(NOT_NULL, *INDEX_NAME),
    vector_attribute=(NOT_NULL, Members(attribute_name=(NOT_NULL, Length(1, 255)))),
    search_schema=(
        Length(1),
        Each(
            Members(
                attribute_name=(NOT_NULL, Length(high=65535)),
                search_schema_element_type=(NOT_NULL, OneOf("HASH", "INLINE_FILTER")),
            )
        ),
    ),
    projection=PROJECTION,
    dimensions=(NOT_NULL, Range(1)),
    distance_function=(NOT_NULL, OneOf("COSINE", "DOT_PRODUCT", "EUCLIDEAN")),
)
VECTOR_INDEX_UPDATES: Final = Each(
    Members(create=(VECTOR_INDEX,), delete=(Members(index_name=(NOT_NULL, *INDEX_NAME)),))
)


def vector_indexes_of(
    asked: Iterable[AskedVectorIndex],
    kinds: Mapping[str, ScalarKind],
    billing_mode: schema.BillingMode,
    there: Iterable[schema.VectorIndex] = (),
    *,
    taken: Iterable[str],
    random: Random,
) -> tuple[schema.VectorIndex, ...]:
    """The indexes that are asked for, beside those that are `there`; `taken`: names of other indexes. Raises
    ValidationError, the client's fault."""
    names = {*taken, *(index.name for index in there)}
    dimensions = {index.attribute: index.dimensions for index in there}
    indexes = []
    for each in asked:
        index = _vector_index_of(each, kinds, random)
        if billing_mode != "PAY_PER_REQUEST":
            raise ValidationError(_ON_DEMAND_ONLY)
        if index.name in names:
            raise ValidationError(f"{INVALID}Duplicate index name: {index.name}")
        if dimensions.setdefault(index.attribute, index.dimensions) != index.dimensions:
            raise ValidationError(
                f"{INVALID}All vector indexes on the attribute {index.attribute} must have the same number of "
                "dimensions"
            )
        names.add(index.name)
        indexes.append(index)
    return tuple(indexes)


def _vector_index_of(asked: AskedVectorIndex, kinds: Mapping[str, ScalarKind], random: Random) -> schema.VectorIndex:
    assert asked.index_name is not None and asked.vector_attribute is not None    # constraints
    assert asked.vector_attribute.attribute_name is not None and asked.dimensions is not None
    if asked.dimensions > VECTOR_DIMENSIONS_MAX:
        raise ValidationError(f"{INVALID}Dimensions of a vector index are at most {VECTOR_DIMENSIONS_MAX}")
    by_role: dict[str, list[str]] = {"HASH": [], "INLINE_FILTER": []}
    for element in asked.search_schema or ():
        assert element.attribute_name is not None and element.search_schema_element_type is not None
        by_role[element.search_schema_element_type].append(element.attribute_name)
    names = [*by_role["HASH"], *by_role["INLINE_FILTER"]]
    attribute = asked.vector_attribute.attribute_name
    if len(by_role["HASH"]) > 1:
        raise ValidationError(f"{INVALID}SearchSchema has more than one HASH element for index: {asked.index_name}")
    if len(set(names)) < len(names) or attribute in names:
        raise ValidationError(f"{INVALID}An attribute is named twice in index: {asked.index_name}")
    if not set(names) <= set(kinds):
        raise ValidationError("One element in SearchSchema is not defined in attribute definitions")
    if attribute in kinds:
        raise ValidationError(f"{INVALID}The vector attribute {attribute} is defined in AttributeDefinitions")
    return schema.VectorIndex(
        name=asked.index_name,
        id=str(uuid.UUID(int=random.getrandbits(128), version=4)),
        attribute=attribute,
        dimensions=asked.dimensions,
        distance=cast("schema.DistanceFunction", asked.distance_function),
        hash_name=by_role["HASH"][0] if by_role["HASH"] else None,
        filter_names=tuple(by_role["INLINE_FILTER"]),
        projection=projection_of(asked.projection),
    )


def check_vector_updates(updates: Sequence[VectorIndexUpdate]) -> None:
    """All that can be said without looking at the table. Raises ValidationError, LimitExceeded."""
    for update in updates:
        if (update.create is None) == (update.delete is None):
            raise ValidationError(f"{INVALID}One of Create and Delete must be in each element of VectorIndexUpdates")
    if len(updates) > 1:
        raise LimitExceeded("Subscriber limit exceeded: Only 1 vector index can be created or deleted simultaneously")


def with_vector_updates(
    table: Table,
    updates: Sequence[VectorIndexUpdate],
    definitions: Sequence[AttributeDefinition] | None,
    random: Random,
) -> Table:
    """`table` with the index that `updates` add, or without the one that they remove.

    Of `definitions`, and of those that it had, it has those that a key or a search needs.

    Raises ValidationError, ResourceNotFound.
    """
    for update in updates:
        if update.delete is not None:
            table = _without(table, update.delete.index_name or "")
        if update.create is not None:
            kinds = {each.name: each.kind for each in table.attribute_definitions}
            for each in definitions or ():
                assert each.attribute_name is not None
                kinds[each.attribute_name] = cast("ScalarKind", each.attribute_type)
            others = [index.name for index in table.local_indexes]
            others += [index.name for index in table.global_indexes]
            new = vector_indexes_of(
                [update.create], kinds, table.billing_mode, table.vector_indexes, taken=others, random=random
            )
            table = _with_indexes(table, (*table.vector_indexes, *new), kinds)
    if table.vector_indexes and table.billing_mode != "PAY_PER_REQUEST":
        raise ValidationError(_ON_DEMAND_ONLY)
    return table


def _without(table: Table, name: str) -> Table:
    left = tuple(index for index in table.vector_indexes if index.name != name)
    if len(left) == len(table.vector_indexes):
        raise ResourceNotFound(f"Requested resource not found: Index: {name} not found for table: {table.name}")
    return _with_indexes(table, left, {each.name: each.kind for each in table.attribute_definitions})


def _with_indexes(table: Table, indexes: tuple[schema.VectorIndex, ...], kinds: Mapping[str, ScalarKind]) -> Table:
    before = {each.name for each in table.attribute_definitions}
    was_for_vectors = {name for index in table.vector_indexes for name in index.search_names}
    needed = (before - was_for_vectors) | table.key_names | {name for index in indexes for name in index.search_names}
    definitions = tuple(
        schema.AttributeDefinition(name=name, kind=kind) for name, kind in kinds.items() if name in needed
    )
    return changed(table, vector_indexes=indexes, attribute_definitions=definitions)
