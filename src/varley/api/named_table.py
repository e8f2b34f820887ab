"""The table that a request names, and the constraints of names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from varley.api.absences import no_table
from varley.api.constraints import Length, Pattern, TableNameOrArn
from varley.api.services import Services
from varley.errors import ApiError
from varley.limits import TABLE_NAME_CHARS_MAX, TABLE_NAME_CHARS_MIN
from varley.metadata.catalog import Described
from varley.table.table_name import TABLE_NAME_PATTERN, table_name

# For lists, which may be of one table or of all.
OPTIONAL_TABLE_NAME: Final = (TableNameOrArn(TABLE_NAME_CHARS_MIN),)
# Where an ARN will not do.
NAME_ONLY: Final = (Length(TABLE_NAME_CHARS_MIN, TABLE_NAME_CHARS_MAX), Pattern(TABLE_NAME_PATTERN))
TABLE_ARN: Final = (Length(1, 1024),)


def named_table(
    services: Services, name_or_arn: str | None, absent: Callable[[str], ApiError] = no_table
) -> Described:
    """Raises ValidationError for what cannot be a table's name, `absent` of the name if there is no such table."""
    assert name_or_arn is not None    # the constraints say so
    name = table_name(name_or_arn)
    described = services.catalog.get(name)
    if described is None:
        raise absent(name)
    return described
