"""RestoreTableToPointInTime: no table has point-in-time recovery, which is what the service would say of it."""

from __future__ import annotations

from varley.api.absences import no_recovery, no_table_with_backups
from varley.api.constraints import NOT_NULL, Members, check
from varley.api.named_table import NAME_ONLY, TABLE_ARN, named_table
from varley.api.requests import decoder
from varley.api.restore_overrides import RESTORE_OVERRIDES, RestoreOverrides
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call


class RestoreTableToPointInTimeRequest(RestoreOverrides):
    source_table_arn: str | None = None
    source_table_name: str | None = None
    target_table_name: str | None = None
    use_latest_restorable_time: bool | None = None
    restore_date_time: float | None = None    # epoch seconds


_decode = decoder(RestoreTableToPointInTimeRequest)
_RESTORE_TABLE_TO_POINT_IN_TIME = Members(
    source_table_arn=TABLE_ARN,
    source_table_name=NAME_ONLY,
    target_table_name=(NOT_NULL, *NAME_ONLY),
    **RESTORE_OVERRIDES,
)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_RESTORE_TABLE_TO_POINT_IN_TIME, request)
    source = named_table(services, _source(request), no_table_with_backups).table
    raise no_recovery(source.name)


def _source(request: RestoreTableToPointInTimeRequest) -> str:
    """The name or ARN of the table to restore from. Raises ValidationError."""
    name, arn = request.source_table_name, request.source_table_arn
    if name is not None and arn is not None:
        raise ValidationError("Must provide exactly one of: sourceTableArn, sourceTableName")
    if (request.restore_date_time is None) == (not request.use_latest_restorable_time):
        raise ValidationError(
            "Invalid Request: Either one of RestoreDateTime or UseLatestRestorableTime must be specified, "
            "but not both"
        )
    if arn is not None:
        if not arn.startswith("arn:"):
            raise ValidationError("One or more parameter values were invalid: sourceTableArn is not a valid ARN")
        return arn
    if name is None:
        raise ValidationError("The parameter 'TableName' is required but was not present in the request")
    return name
