"""CreateBackup: refused."""

from __future__ import annotations

from varley.api.absences import no_table_with_backups
from varley.api.constraints import NOT_NULL, TABLE_NAME, Members, check
from varley.api.named_table import NAME_ONLY, named_table
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.api.table_structures import not_supported
from varley.http.call import Call


class CreateBackupRequest(Request):
    table_name: str | None = None
    backup_name: str | None = None


_decode = decoder(CreateBackupRequest)
_CREATE_BACKUP = Members(table_name=TABLE_NAME, backup_name=(NOT_NULL, *NAME_ONLY))    # named alike


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_CREATE_BACKUP, request)
    named_table(services, request.table_name, no_table_with_backups)
    raise not_supported("CreateBackup")
