"""ImportTable: refused."""

from __future__ import annotations

import msgspec

from varley.api.constraints import NOT_NULL, Each, Length, Members, OneOf, Pattern, check
from varley.api.global_indexes import GlobalSecondaryIndex
from varley.api.named_table import NAME_ONLY
from varley.api.requests import Request, Structure, decoder
from varley.api.s3_names import CLIENT_TOKEN, S3_BUCKET, S3_BUCKET_OWNER, S3_PREFIX
from varley.api.services import Services
from varley.api.table_structures import (
    ATTRIBUTE_DEFINITIONS,
    INDEX,
    KEY_SCHEMA,
    PROVISIONED_THROUGHPUT,
    SSE_SPECIFICATION,
    AttributeDefinition,
    KeySchemaElement,
    OnDemandThroughput,
    ProvisionedThroughput,
    SSESpecification,
    not_supported,
)
from varley.api.vector_indexes import VECTOR_INDEX, VectorIndex
from varley.errors import ResourceInUse, ValidationError
from varley.http.call import Call


class S3BucketSource(Structure):
    s3_bucket_owner: str | None = None
    s3_bucket: str | None = None
    s3_key_prefix: str | None = None


class CsvOptions(Structure):
    delimiter: str | None = None
    header_list: list[str] | None = None


class InputFormatOptions(Structure):
    csv: CsvOptions | None = None


class TableCreationParameters(Structure):
    table_name: str | None = None
    attribute_definitions: list[AttributeDefinition] | None = None
    key_schema: list[KeySchemaElement] | None = None
    billing_mode: str | None = None
    provisioned_throughput: ProvisionedThroughput | None = None
    on_demand_throughput: OnDemandThroughput | None = None
    sse_specification: SSESpecification | None = msgspec.field(name="SSESpecification", default=None)
    global_secondary_indexes: list[GlobalSecondaryIndex] | None = None
    vector_indexes: list[VectorIndex] | None = None


class ImportTableRequest(Request):
    client_token: str | None = None
    s3_bucket_source: S3BucketSource | None = None
    input_format: str | None = None
    input_format_options: InputFormatOptions | None = None
    input_compression_type: str | None = None
    table_creation_parameters: TableCreationParameters | None = None


_decode = decoder(ImportTableRequest)
_CSV = Members(
    delimiter=(Length(1, 1), Pattern(r"[,;:|\t ]")),
    header_list=(
        Length(1, 255),
        Each(Length(1, 65536), Pattern(r"[\x20-\x21\x23-\x2B\x2D-\x7E]*")),
    ),
)
_TABLE = Members(
    table_name=(NOT_NULL, *NAME_ONLY),
    attribute_definitions=(NOT_NULL, ATTRIBUTE_DEFINITIONS),
    key_schema=KEY_SCHEMA,
    billing_mode=(OneOf("PROVISIONED", "PAY_PER_REQUEST"),),
    provisioned_throughput=(PROVISIONED_THROUGHPUT,),
    sse_specification=(SSE_SPECIFICATION,),
    global_secondary_indexes=(Each(Members(**INDEX, provisioned_throughput=(PROVISIONED_THROUGHPUT,))),),
    vector_indexes=(Each(VECTOR_INDEX),),
)
_IMPORT_TABLE = Members(
    client_token=CLIENT_TOKEN,
    s3_bucket_source=(
        NOT_NULL,
        Members(
            s3_bucket_owner=S3_BUCKET_OWNER,
            s3_bucket=(NOT_NULL, *S3_BUCKET),
            s3_key_prefix=S3_PREFIX,
        ),
    ),
    input_format=(NOT_NULL, OneOf("DYNAMODB_JSON", "ION", "CSV")),
    input_format_options=(Members(csv=(_CSV,)),),
    input_compression_type=(OneOf("GZIP", "ZSTD", "NONE"),),
    table_creation_parameters=(NOT_NULL, _TABLE),
)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_IMPORT_TABLE, request)
    assert request.table_creation_parameters is not None
    if request.input_format != "CSV" and request.input_format_options is not None:
        raise ValidationError(
            "Invalid Request: Unsupported InputFormatOptions for the given input format: "
            f"{request.input_format}."
        )
    name = request.table_creation_parameters.table_name
    assert name is not None
    if services.catalog.get(name) is not None:
        raise ResourceInUse(f"Table already exists: {name}")
    raise not_supported("ImportTable")
