"""DescribeBulkOperation: how far a bulk operation is. Counts are those of its last record, about a second old."""

from __future__ import annotations

import msgspec

from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class DescribeBulkOperationRequest(Request):
    bulk_operation_arn: str | None = None


_decode = decoder(DescribeBulkOperationRequest)
BULK_OPERATION_ARN = (NOT_NULL, Length(37, 1024))
_DESCRIBE = Members(bulk_operation_arn=BULK_OPERATION_ARN)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE, request)
    assert request.bulk_operation_arn is not None
    operation = services.bulk.operations.named(request.bulk_operation_arn)
    return msgspec.json.encode({"BulkOperationDescription": operation.described()})
