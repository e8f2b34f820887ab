"""StartBulkPutItems: put the items of objects in Amazon S3 into a table that is there.

Amazon S3 is a folder here (setting `s3_dir`, storage/object_folder.py); without it, this is refused. Input is
DYNAMODB_JSON, plain or gzip; Ion and zstd are refused, since they would need libraries of their own.

Which limits there are is in [DG] "Quotas for bulk put items"; here one operation at a time may write to a table.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from varley.api.bulk_report import ERROR, report_key
from varley.api.constraints import NOT_NULL, Each, Length, Members, OneOf, Range, check
from varley.api.named_table import named_table
from varley.api.requests import LONG, Request, Structure, decoder
from varley.api.s3_names import CLIENT_TOKEN, S3_BUCKET, S3_BUCKET_OWNER, S3_PREFIX
from varley.api.services import Services, view_of
from varley.api.table_structures import not_supported
from varley.bulk.operations import TOKEN_SECONDS, BulkOperation, bulk_arn
from varley.errors import IdempotentParameterMismatch, ResourceInUse, ValidationError
from varley.http.call import Call
from varley.storage.object_folder import NoBucket, ObjectFolder, OutsideBucket
from varley.table.description import View
from varley.table.schema import Table


class InputS3Configuration(Structure):
    s3_bucket_owner: str | None = None
    s3_bucket: str | None = None
    s3_key_prefix: str | None = None
    input_format: str | None = None
    input_compression_type: str | None = None


class OutputS3Configuration(Structure):
    s3_bucket_owner: str | None = None
    s3_bucket: str | None = None
    s3_key_prefix: str | None = None
    s3_sse_algorithm: str | None = None
    s3_sse_kms_key_id: str | None = None
    output_type: list[str] | None = None


class StartBulkPutItemsRequest(Request):
    client_token: str | None = None
    input_s3_configuration: InputS3Configuration | None = None
    output_s3_configuration: OutputS3Configuration | None = None
    table_name: str | None = None
    max_write_request_units: Annotated[int, LONG] | None = None
    performance_tier: str | None = None


_decode = decoder(StartBulkPutItemsRequest)
_START: Final = Members(
    client_token=CLIENT_TOKEN,
    input_s3_configuration=(
        NOT_NULL,
        Members(
            s3_bucket_owner=S3_BUCKET_OWNER,
            s3_bucket=(NOT_NULL, *S3_BUCKET),
            s3_key_prefix=S3_PREFIX,
            input_format=(NOT_NULL, OneOf("DYNAMODB_JSON", "ION")),
            input_compression_type=(OneOf("GZIP", "ZSTD", "NONE"),),
        ),
    ),
    output_s3_configuration=(
        NOT_NULL,
        Members(
            s3_bucket_owner=S3_BUCKET_OWNER,
            s3_bucket=(NOT_NULL, *S3_BUCKET),    # the model leaves it open, its documentation does not
            s3_key_prefix=S3_PREFIX,
            s3_sse_algorithm=(OneOf("AES256", "KMS"),),
            s3_sse_kms_key_id=(Length(1, 2048),),
            output_type=(NOT_NULL, Each(OneOf("ERROR", "CONDITION_CHECK_FAILURE"))),
        ),
    ),
    table_name=(NOT_NULL, Length(1, 1024)),
    max_write_request_units=(Range(1024),),
    performance_tier=(OneOf("STANDARD", "ACCELERATED"),),
)


def run(services: Services, call: Call) -> None:
    request = _decode(call.body)
    check(_START, request)
    given = request.input_s3_configuration
    assert given is not None
    if given.input_format == "ION":
        raise not_supported("InputFormat ION")
    if given.input_compression_type == "ZSTD":
        raise not_supported("InputCompressionType ZSTD")
    table = named_table(services, request.table_name).table
    objects = services.bulk.objects
    if objects is None:
        raise ValidationError("There is no Amazon S3 to read from: start the server with --s3-dir FOLDER")
    services.spawn(_start(services, request, table, objects, view_of(services, call)), call)


async def _start(
    services: Services, request: StartBulkPutItemsRequest, table: Table, objects: ObjectFolder, view: View
) -> bytes:
    async with services.bulk.starts:
        while (operation := await _begun(services, request, table, objects, view)) is None:
            pass    # another node was quicker, perhaps with this one
    return _answer(operation)


async def _begun(
    services: Services, request: StartBulkPutItemsRequest, table: Table, objects: ObjectFolder, view: View
) -> BulkOperation | None:
    """The operation that the request has begun, or an earlier one of the same token. None: what is known was old."""
    operations = services.bulk.operations
    shown = _shown(request)
    for earlier in operations:
        if earlier.client_token is not None and earlier.client_token == request.client_token:
            if earlier.started_at < view.now - TOKEN_SECONDS:
                continue
            if (earlier.table_id, earlier.request) != (table.id, shown):
                raise IdempotentParameterMismatch
            return earlier
    if any(not each.is_over and each.table_id == table.id for each in operations):
        raise ResourceInUse(f"A bulk operation is in progress for the table: {table.name}")
    operation = BulkOperation(
        format_version=1,
        number=operations.next_number(),
        arn=bulk_arn(
            table.name,
            account=view.account,
            region=view.region,
            now=view.now,
            chance=services.random.getrandbits(32),
        ),
        status="IN_PROGRESS",
        table_name=table.name,
        table_id=table.id,
        request=shown,
        client_token=request.client_token,
        started_at=round(view.now, 3),
        owner=services.bulk.name,
        claim=1 if services.bulk.name else 0,
    )
    try:
        bucket = shown["OutputS3Configuration"]["S3Bucket"]
        await services.bulk.on_disk(objects.check, bucket, report_key(operation, ERROR))
    except NoBucket:
        raise ValidationError(f"The specified bucket does not exist: {bucket}") from None
    except OutsideBucket as error:
        raise ValidationError(f"The key leads out of its bucket: {error}") from None
    if not await operations.add(operation):
        return None
    services.bulk.run(operation)
    return operation


def _shown(request: StartBulkPutItemsRequest) -> dict[str, Any]:
    """What a description shows of the request."""
    shown: dict[str, Any] = {
        "InputS3Configuration": _members(request.input_s3_configuration),
        "OutputS3Configuration": _members(request.output_s3_configuration),
        "PerformanceTier": request.performance_tier or "STANDARD",
    }
    if request.max_write_request_units is not None:
        shown["MaxWriteRequestUnits"] = request.max_write_request_units
    return shown


def _members(structure: Structure | None) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(structure)
    return {name: value for name, value in members.items() if value is not None}


def _answer(operation: BulkOperation) -> bytes:
    return msgspec.json.encode({"BulkOperationDescription": operation.described()})
