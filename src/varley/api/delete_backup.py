"""DeleteBackup: there are no backups, so never one to delete."""

from __future__ import annotations

from varley.api.absences import no_backup
from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class DeleteBackupRequest(Request):
    backup_arn: str | None = None


_decode = decoder(DeleteBackupRequest)
_DELETE_BACKUP = Members(backup_arn=(NOT_NULL, Length(37, 1024)))


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DELETE_BACKUP, request)
    assert request.backup_arn is not None
    raise no_backup(request.backup_arn)
