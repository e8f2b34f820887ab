"""RestoreTableFromBackup: there are no backups to restore from."""

from __future__ import annotations

from varley.api.absences import no_backup
from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.named_table import NAME_ONLY
from varley.api.requests import decoder
from varley.api.restore_overrides import RESTORE_OVERRIDES, RestoreOverrides
from varley.api.services import Services
from varley.http.call import Call


class RestoreTableFromBackupRequest(RestoreOverrides):
    target_table_name: str | None = None
    backup_arn: str | None = None


_decode = decoder(RestoreTableFromBackupRequest)
_RESTORE_TABLE_FROM_BACKUP = Members(
    target_table_name=(NOT_NULL, *NAME_ONLY), backup_arn=(NOT_NULL, Length(37, 1024)), **RESTORE_OVERRIDES
)


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_RESTORE_TABLE_FROM_BACKUP, request)
    assert request.backup_arn is not None
    raise no_backup(request.backup_arn)
