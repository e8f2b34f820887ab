"""Names of tables: a client may give a table's name or its ARN wherever a table is named.

    arn:aws:dynamodb:us-east-1:123456789012:table/Music                 the table Music
    arn:aws:dynamodb:us-east-1:123456789012:table/Music/index/ByYear    not a table: refused

Tables here are shared whatever the account or Region a request was signed for, so those two parts of an ARN
are checked for their form only.
"""

from __future__ import annotations

import re
from typing import Final

from varley.errors import ValidationError
from varley.limits import TABLE_NAME_CHARS_MAX

TABLE_NAME_PATTERN: Final = "[a-zA-Z0-9_.-]+"
LEDGER_NAME: Final = "varley:transactions"    # the ledger of transactions; a client's name cannot have a colon

_is_name = re.compile(TABLE_NAME_PATTERN).fullmatch
_parse_arn = re.compile(r"arn:aws[a-z-]*:dynamodb:[^:/]*:\d{12}:table/([a-zA-Z0-9_.-]{3,255})").fullmatch


def table_name(name_or_arn: str) -> str:
    """The name in what a client gave. Raises ValidationError, the client's fault, if it names no table."""
    if len(name_or_arn) <= TABLE_NAME_CHARS_MAX and _is_name(name_or_arn):
        return name_or_arn
    if name_or_arn.startswith("arn:"):
        return name_in_arn(name_or_arn)
    raise ValidationError(f"1 validation error detected: {_complaint(name_or_arn)}")


def name_in_arn(arn: str) -> str:
    """The name in the ARN of a table. Raises ValidationError, the client's fault."""
    match = _parse_arn(arn)
    if match is None:
        wanted = table_arn("NAME", region="REGION", account="ACCOUNT")
        problem = f"Invalid resource type in '{arn}'" if ":table/" in arn else f"Valid ARN format is {wanted}"
        raise ValidationError(f"1 validation error detected: {problem}")
    return match[1]


def table_arn(name: str, *, account: str, region: str) -> str:
    """The ARN of a table as the owner of `account` sees it in `region`."""
    return f"arn:aws:dynamodb:{region}:{account}:table/{name}"


def _complaint(name: str) -> str:
    if not name:
        demand = "have length greater than or equal to 1"
    elif not _is_name(name):
        demand = f"satisfy regular expression pattern: {TABLE_NAME_PATTERN}"
    else:
        demand = f"have length less than or equal to {TABLE_NAME_CHARS_MAX}"
    return f"Value '{name}' at 'tableName' failed to satisfy constraint: Member must {demand}"
