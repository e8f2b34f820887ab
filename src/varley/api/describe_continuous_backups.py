"""DescribeContinuousBackups: whether a table can be restored to a point in time, which no table here can."""

from __future__ import annotations

from typing import Final

import msgspec

from varley.api.absences import no_table_with_backups
from varley.api.constraints import TABLE_NAME, Members, check
from varley.api.named_table import named_table
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call

# The first is ENABLED for every table of the service that is older than a few seconds, and never goes back.
WITHOUT_RECOVERY: Final = msgspec.json.encode(
    {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
        }
    }
)


class DescribeContinuousBackupsRequest(Request):
    table_name: str | None = None


_decode = decoder(DescribeContinuousBackupsRequest)
_DESCRIBE_CONTINUOUS_BACKUPS = Members(table_name=TABLE_NAME)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE_CONTINUOUS_BACKUPS, request)
    named_table(services, request.table_name, no_table_with_backups)
    return WITHOUT_RECOVERY
