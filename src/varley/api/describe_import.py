"""DescribeImport: there are no imports, so never one to describe."""

from __future__ import annotations

from varley.api.absences import no_import
from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class DescribeImportRequest(Request):
    import_arn: str | None = None


_decode = decoder(DescribeImportRequest)
_DESCRIBE_IMPORT = Members(import_arn=(NOT_NULL, Length(37, 1024)))


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE_IMPORT, request)
    assert request.import_arn is not None
    raise no_import(request.import_arn)
