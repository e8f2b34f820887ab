"""CancelBulkOperation: read no more. What was put stays."""

from __future__ import annotations

import msgspec

from varley.api.constraints import Members, check
from varley.api.describe_bulk_operation import BULK_OPERATION_ARN
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call


class CancelBulkOperationRequest(Request):
    bulk_operation_arn: str | None = None


_decode = decoder(CancelBulkOperationRequest)
_CANCEL = Members(bulk_operation_arn=BULK_OPERATION_ARN)


def run(services: Services, call: Call) -> None:
    request = _decode(call.body)
    check(_CANCEL, request)
    assert request.bulk_operation_arn is not None
    services.bulk.operations.named(request.bulk_operation_arn)
    services.spawn(_cancel(services, request.bulk_operation_arn), call)


async def _cancel(services: Services, arn: str) -> bytes:
    operation = await services.bulk.cancel(services.bulk.operations.named(arn).number)
    if operation is None:
        raise ValidationError("The bulk operation has ended already")
    return msgspec.json.encode({"BulkOperationArn": operation.arn, "BulkOperationStatus": operation.status})
