"""ExportTableToPointInTime: no table has point-in-time recovery, which is what the service would say of it."""

from __future__ import annotations

from varley.api.absences import no_recovery, no_table_with_backups
from varley.api.constraints import NOT_NULL, Length, Members, OneOf, check
from varley.api.named_table import TABLE_ARN
from varley.api.requests import Attributes, Request, Structure, decoder
from varley.api.s3_names import CLIENT_TOKEN, S3_BUCKET, S3_BUCKET_OWNER, S3_PREFIX
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call
from varley.table.table_name import name_in_arn


class IncrementalExportSpecification(Structure):
    export_from_time: float | None = None    # epoch seconds
    export_to_time: float | None = None
    export_view_type: str | None = None


class FilterSpecification(Structure):
    filter_expression: str | None = None
    projection_expression: str | None = None
    key_condition_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None
    expression_attribute_values: Attributes | None = None


class ExportTableToPointInTimeRequest(Request):
    table_arn: str | None = None
    export_time: float | None = None    # epoch seconds
    client_token: str | None = None
    s3_bucket: str | None = None
    s3_bucket_owner: str | None = None
    s3_prefix: str | None = None
    s3_sse_algorithm: str | None = None
    s3_sse_kms_key_id: str | None = None
    export_format: str | None = None
    export_type: str | None = None
    incremental_export_specification: IncrementalExportSpecification | None = None
    filter_specification: FilterSpecification | None = None


_decode = decoder(ExportTableToPointInTimeRequest)
_EXPORT_TABLE_TO_POINT_IN_TIME = Members(
    table_arn=(NOT_NULL, *TABLE_ARN),
    client_token=CLIENT_TOKEN,
    s3_bucket=(NOT_NULL, *S3_BUCKET),
    s3_bucket_owner=S3_BUCKET_OWNER,
    s3_prefix=S3_PREFIX,
    s3_sse_algorithm=(OneOf("AES256", "KMS"),),
    s3_sse_kms_key_id=(Length(1, 2048),),
    export_format=(OneOf("DYNAMODB_JSON", "ION"),),
    export_type=(OneOf("FULL_EXPORT", "INCREMENTAL_EXPORT"),),
    incremental_export_specification=(
        Members(export_view_type=(OneOf("NEW_IMAGE", "NEW_AND_OLD_IMAGES"),)),
    ),
)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check_request(request)
    assert request.table_arn is not None
    name = name_in_arn(request.table_arn)
    if services.catalog.get(name) is None:
        raise no_table_with_backups(request.table_arn)    # the service shows it as it was sent
    raise no_recovery(name)


def check_request(request: ExportTableToPointInTimeRequest) -> None:
    """All that can be said of a request without looking at the table. Raises ValidationError."""
    check(_EXPORT_TABLE_TO_POINT_IN_TIME, request)
    assert request.table_arn is not None
    if not request.table_arn.startswith("arn:"):
        raise ValidationError("One or more parameter values were invalid: tableArn is not a valid ARN")
    if request.s3_sse_kms_key_id is not None and request.s3_sse_algorithm != "KMS":
        raise ValidationError("Invalid Request: KMS Key Id is not supported for this encryption type")
    _check_period(request.export_type, request.incremental_export_specification)


def _check_period(export_type: str | None, period: IncrementalExportSpecification | None) -> None:
    if export_type == "INCREMENTAL_EXPORT":
        if period is None:
            raise ValidationError(
                "Invalid Request: Incremental Export Specification expected when export type is set as "
                "Incremental Export"
            )
        if period.export_from_time is None:
            raise ValidationError(
                "Invalid Request: ExportFromTime must be provided in IncrementalExportSpecification"
            )
    elif period is not None:
        if export_type is None:
            raise ValidationError(
                "Invalid Request: Export Type expected to be Incremental Export when incremental export "
                "specification is provided"
            )
        raise ValidationError(
            "Invalid Request: When Export Type is Full Export , Incremental Export Specification should not be "
            "provided"
        )
