"""ListBackups: there are none, also none of a table that is not there, which is no error."""

from __future__ import annotations

from varley.api.constraints import Length, Members, OneOf, Range, check
from varley.api.named_table import OPTIONAL_TABLE_NAME
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call


class ListBackupsRequest(Request):
    table_name: str | None = None
    limit: int | None = None
    time_range_lower_bound: float | None = None    # epoch seconds
    time_range_upper_bound: float | None = None
    exclusive_start_backup_arn: str | None = None
    backup_type: str | None = None


_decode = decoder(ListBackupsRequest)
_LIST_BACKUPS = Members(
    table_name=OPTIONAL_TABLE_NAME,
    limit=(Range(1, 100),),
    exclusive_start_backup_arn=(Length(37, 1024),),
    backup_type=(OneOf("USER", "SYSTEM", "AWS_BACKUP", "ALL"),),
)


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_LIST_BACKUPS, request)
    lower, upper = request.time_range_lower_bound, request.time_range_upper_bound
    if lower is not None and upper is not None and lower > upper:
        raise ValidationError(
            "One or more parameter values were invalid: "
            "Time range lower bound must be less than or equal to upper bound"
        )
    return b'{"BackupSummaries":[]}'
