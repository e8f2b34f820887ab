"""A table's key as CreateTable asks for it, and what ties keys to attribute definitions.

Every attribute that is part of a key, the table's or that of an index, is defined once, and no others are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from varley.api.table_structures import INVALID, AttributeDefinition, KeySchemaElement
from varley.errors import ValidationError
from varley.table.schema import KeySchema, ScalarKind

Definitions = list[tuple[str, ScalarKind]]    # in the order of the request, with what may be wrong about them


def definitions_of(asked: list[AttributeDefinition] | None) -> Definitions:
    """`asked` has passed the constraints of the model."""
    assert asked is not None
    return [(cast("str", each.attribute_name), cast("ScalarKind", each.attribute_type)) for each in asked]


def key_schema_of(
    asked: list[KeySchemaElement] | None,
    definitions: Definitions,
    *,
    index_keys: Iterable[list[KeySchemaElement] | None],
    searched: Iterable[str],
) -> KeySchema:
    """The key, after all that ties keys, indexes and attribute definitions together was checked.

    `index_keys`: of local and global indexes; `searched`: the attributes in search schemas of vector indexes. Raises
    ValidationError, the client's fault.
    """
    names = key_names(asked)
    kinds: dict[str, ScalarKind] = {}
    for name, kind in definitions:
        if name in kinds:
            raise ValidationError(f"Attribute Name is duplicated: {name}")
        kinds[name] = kind
    index_keys, searched = list(index_keys), list(searched)
    used = dict.fromkeys(names)
    for elements in index_keys:
        used.update(dict.fromkeys(each.attribute_name or "" for each in elements or ()))
    if not set(searched) <= set(kinds):
        raise ValidationError("One element in SearchSchema is not defined in attribute definitions")
    used.update(dict.fromkeys(searched))
    _check_definitions(names, list(kinds), list(used), has_indexes=bool(index_keys or searched))
    if len(names) == 1:
        return KeySchema(hash_name=names[0], hash_kind=kinds[names[0]])
    return KeySchema(
        hash_name=names[0], hash_kind=kinds[names[0]], range_name=names[1], range_kind=kinds[names[1]]
    )


def key_names(elements: list[KeySchemaElement] | None) -> list[str]:
    """The attributes of a key: hash, then range if it has one. Raises ValidationError, the client's fault."""
    assert elements
    if elements[0].key_type != "HASH":
        raise ValidationError("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(elements) >= 2:
        if elements[0].attribute_name == elements[1].attribute_name:
            raise ValidationError(
                "Both the Hash Key and the Range Key element in the KeySchema have the same name"
            )
        if elements[1].key_type != "RANGE":
            raise ValidationError("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
    return [each.attribute_name or "" for each in elements]


def _check_definitions(names: list[str], defined: list[str], used: list[str], *, has_indexes: bool) -> None:
    """Every key attribute has a definition, and nothing else has."""
    if len(names) > len(defined):
        raise ValidationError("Invalid KeySchema: Some index key attribute have no definition")
    if not has_indexes and len(names) < len(defined):
        raise ValidationError(
            f"{INVALID}Number of attributes in KeySchema does not exactly match number of attributes defined "
            "in AttributeDefinitions"
        )
    if not set(used) <= set(defined):
        raise ValidationError(
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(used)}], AttributeDefinitions: [{', '.join(defined)}]"
        )
    if len(used) < len(defined):
        raise ValidationError(
            f"{INVALID}Some AttributeDefinitions are not used. "
            f"AttributeDefinitions: [{', '.join(defined)}], keys used: [{', '.join(used)}]"
        )
