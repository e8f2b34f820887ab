"""Tags of tables, as CreateTable, TagResource, UntagResource and ListTagsOfResource have them.

They are part of a table's definition, so a change of tags is a change of the table like any other.
Texts, their spelling too: as the service has them (reported by its users, October 2026).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

from varley.api.requests import Structure
from varley.api.services import Services
from varley.errors import ResourceNotFound, ValidationError
from varley.limits import TAGS_MAX
from varley.table.schema import Table, changed
from varley.table.table_name import name_in_arn

_INVALID: Final = "One or more parameter values were invalid: "
_KEY_CHARS_MAX: Final = 128    # [API]
_VALUE_CHARS_MAX: Final = 256    # [API]
_LOOKED_AT_MAX: Final = 1000    # more than TAGS_MAX, since what is wrong with a tag is told before their number

Tags = dict[str, str]


class Tag(Structure):
    key: str | None = None
    value: str | None = None


def tags_of(tags: list[Tag] | None) -> Tags:
    """Tags by key. Raises ValidationError, the client's fault."""
    by_key: Tags = {}
    check_list_count(len(tags or ()))
    for tag in tags or ():
        check_key(tag.key)
        assert tag.key is not None
        if tag.value is None or not _is_tag_text(tag.value, 0, _VALUE_CHARS_MAX):
            shown = "null" if tag.value is None else tag.value
            raise ValidationError(f"The Tag Value provided is invalid, Value: {shown}")
        if tag.key.lower().startswith("aws:"):
            raise ValidationError(f"Tag Key cannot be prefixed with aws:, Key: {tag.key}")
        if tag.key in by_key:
            raise ValidationError(
                f"Duplicate Tag Keys provided as input: Duplicate Tag Key found {tag.key}"
            )
        by_key[tag.key] = tag.value
    check_count(len(by_key))
    return by_key


def check_key(key: str | None) -> None:
    """Raises ValidationError, the client's fault."""
    if key is None or not _is_tag_text(key, 1, _KEY_CHARS_MAX):
        raise ValidationError(f"The Tag Key provided is invalid, Key: {'null' if key is None else key}")


def check_count(count: int) -> None:
    """Raises ValidationError, the client's fault."""
    if count > TAGS_MAX:
        raise ValidationError("Number of Tags exceed the current limit for the provided ResourceArn")


def check_list_count(count: int) -> None:
    """Refuse at once, before anybody looks at each of a million. Raises ValidationError, the client's fault."""
    if count > _LOOKED_AT_MAX:
        check_count(count)


def _is_tag_text(text: str, chars_min: int, chars_max: int) -> bool:
    """Letters, digits and spaces of any script, and + - = . _ : / @; nothing else."""
    return chars_min <= len(text) <= chars_max and all(
        char in "+-=._:/@" or unicodedata.category(char)[0] in "LNZ" for char in text
    )


def tagged_table(resource_arn: str) -> str:
    """The name of the table that a ResourceArn means. Raises ValidationError, the client's fault."""
    if not resource_arn.startswith("arn:"):
        raise ValidationError(f"{_INVALID}ARNs must start with 'arn:': {resource_arn}")
    parts = resource_arn.split(":", 5)
    if len(parts) != 6 or parts[2] != "dynamodb":
        raise ValidationError(f"{_INVALID}Provided Arn is not a DynamoDB resource arn: {resource_arn}")
    if not parts[5].startswith("table/") or "/" in parts[5].removeprefix("table/"):
        raise ValidationError(
            f"{_INVALID}Invalid resource arn provided, only table or stream is accepted. "
            f"Provided resource arn: {resource_arn}"
        )
    return name_in_arn(resource_arn)


def no_such_resource(resource_arn: str) -> ResourceNotFound:
    return ResourceNotFound(f"Requested resource not found: ResourcArn: {resource_arn} not found")


async def change_tags(services: Services, resource_arn: str, new_tags: Callable[[Tags], Tags]) -> bytes:
    """Replace the tags of a table by what `new_tags` makes of them; returns the empty answer."""
    name = tagged_table(resource_arn)

    def with_new_tags(table: Table) -> Table:
        tags = new_tags(table.tags)
        check_count(len(tags))
        return changed(table, tags=tags)

    async with services.catalog.changes:
        if services.catalog.get(name) is None:
            raise no_such_resource(resource_arn)
        await services.catalog.change(name, with_new_tags)
    return b""    # these operations have no output, not even an empty structure
