"""UpdateContinuousBackups: point-in-time recovery can be turned off, which it is already, and not on.

It is not refused with ContinuousBackupsUnavailableException, though that is declared for this operation: tools take
that for "not yet", and wait many minutes for what will not come.
"""

from __future__ import annotations

from varley.api.absences import no_table_with_backups
from varley.api.constraints import NOT_NULL, TABLE_NAME, Members, Range, check
from varley.api.describe_continuous_backups import WITHOUT_RECOVERY
from varley.api.named_table import named_table
from varley.api.requests import Request, Structure, decoder
from varley.api.services import Services
from varley.api.table_structures import not_supported
from varley.errors import ValidationError
from varley.http.call import Call


class PointInTimeRecoverySpecification(Structure):
    point_in_time_recovery_enabled: bool | None = None
    recovery_period_in_days: int | None = None


class UpdateContinuousBackupsRequest(Request):
    table_name: str | None = None
    point_in_time_recovery_specification: PointInTimeRecoverySpecification | None = None


_decode = decoder(UpdateContinuousBackupsRequest)
_UPDATE_CONTINUOUS_BACKUPS = Members(
    table_name=TABLE_NAME,
    point_in_time_recovery_specification=(
        NOT_NULL,
        Members(point_in_time_recovery_enabled=(NOT_NULL,), recovery_period_in_days=(Range(1, 35),)),
    ),
)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_UPDATE_CONTINUOUS_BACKUPS, request)
    asked = request.point_in_time_recovery_specification
    assert asked is not None
    if not asked.point_in_time_recovery_enabled and asked.recovery_period_in_days is not None:
        raise ValidationError(
            "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery."
        )
    named_table(services, request.table_name, no_table_with_backups)
    if asked.point_in_time_recovery_enabled:
        raise not_supported("PointInTimeRecoverySpecification")
    return WITHOUT_RECOVERY
