"""DescribeExport: there are no exports, so never one to describe."""

from __future__ import annotations

from varley.api.absences import no_export
from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class DescribeExportRequest(Request):
    export_arn: str | None = None


_decode = decoder(DescribeExportRequest)
_DESCRIBE_EXPORT = Members(export_arn=(NOT_NULL, Length(37, 1024)))


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE_EXPORT, request)
    assert request.export_arn is not None
    raise no_export(request.export_arn)
