"""What is not there, in the service's words: tables, backups, exports, imports, streams, global tables.

A table of this version has no backups, streams or replicas. The service has an answer about each for a table that
has none, and that is the answer here too, with its own error code: tools look at the code, and go on. Only what
asks for such a thing to be made is refused as `table_structures.not_supported`.

The codes below are used by no other operations, so their classes stand here and not in errors.py.
Texts: as the service has them (observed in us-west-2 by its users, October 2026), oddities included.
"""

from __future__ import annotations

import re
from typing import Final

from varley.errors import ApiError, ResourceNotFound, TableNotFound, ValidationError

_INVALID: Final = "One or more parameter values were invalid: "
_part_of_table = re.compile(
    r"arn:aws[a-z-]*:dynamodb:[^:/]*:\d{12}:table/[a-zA-Z0-9_.-]{3,255}/(backup|export|import)/[^/]+"
).fullmatch


class BackupNotFound(ApiError):
    code = "BackupNotFoundException"


class ExportNotFound(ApiError):
    code = "ExportNotFoundException"


class ImportNotFound(ApiError):
    code = "ImportNotFoundException"


class GlobalTableNotFound(ApiError):
    code = "GlobalTableNotFoundException"


class PointInTimeRecoveryUnavailable(ApiError):
    code = "PointInTimeRecoveryUnavailableException"


def no_table(name: str) -> ApiError:
    return ResourceNotFound(f"Requested resource not found: Table: {name} not found")


def no_table_with_backups(name: str) -> ApiError:
    """The same, as all that has to do with backups and exports says it."""
    return TableNotFound(f"Table not found: {name}")


def no_index(name: str, index_name: str) -> ApiError:
    return ResourceNotFound(f"Requested resource not found: Index: {index_name} not found for table: {name}")


def no_recovery(name: str) -> ApiError:
    return PointInTimeRecoveryUnavailable(f"Point in time recovery is not enabled for table '{name}'")


def no_stream(arn: str) -> ApiError:
    return ResourceNotFound(f"Requested resource not found: Stream: {arn} not found")


def no_global_table(name: str) -> ApiError:
    """As the first operations on global tables say it."""
    return GlobalTableNotFound(f"Global table not found: Global table with name: '{name}' does not exist.")


def no_global_table_settings(name: str) -> ApiError:
    return GlobalTableNotFound(f"Global table with name: '{name}' does not exist.")


def no_replicas(name: str) -> ApiError:
    """Of a table in one Region, and of one that is not there at all."""
    return ResourceNotFound(f"Global table with name: '{name}' does not exist.")


def legacy_global_tables() -> ApiError:
    """The service makes no global tables of the first version any more, nor adds replicas to them."""
    return ValidationError(
        f"{_INVALID}DynamoDB global tables version 2017.11.29 is not supported. We recommend using DynamoDB "
        "global tables version 2019.11.21, instead of version 2017.11.29 (Legacy)."
    )


def no_backup(arn: str) -> ApiError:
    if not _is_arn_of("backup", arn):
        return ValidationError("Invalid Backup ARN")
    return BackupNotFound(f"Backup not found: {arn}")


def no_export(arn: str) -> ApiError:
    if not _is_arn_of("export", arn):
        return ValidationError("Invalid Export ARN")
    return ExportNotFound(f"Export not found: Export not found: {arn}")


def no_import(arn: str) -> ApiError:
    if not _is_arn_of("import", arn):
        return ValidationError("Invalid Import ARN")
    return ImportNotFound(f"Import not found: {arn}")


def no_next_page(token: str) -> ApiError:
    """For a token that was never given out: that of a list that fits on one page."""
    return ValidationError(f"Invalid Request: Provided nextToken is invalid: {token}")


def _is_arn_of(kind: str, arn: str) -> bool:
    match = _part_of_table(arn)
    return match is not None and match[1] == kind
