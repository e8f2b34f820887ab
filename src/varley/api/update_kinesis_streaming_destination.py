"""UpdateKinesisStreamingDestination: no table has a destination, so there is never one to update."""

from __future__ import annotations

from varley.api.constraints import Members, check
from varley.api.kinesis_structures import (
    KINESIS_CONFIGURATION,
    KINESIS_DESTINATION,
    NOT_IN_VALID_STATE,
    UpdateKinesisStreamingConfiguration,
)
from varley.api.named_table import named_table
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call


class UpdateKinesisStreamingDestinationRequest(Request):
    table_name: str | None = None
    stream_arn: str | None = None
    update_kinesis_streaming_configuration: UpdateKinesisStreamingConfiguration | None = None


_decode = decoder(UpdateKinesisStreamingDestinationRequest)
_UPDATE_KINESIS_STREAMING_DESTINATION = Members(
    **KINESIS_DESTINATION, update_kinesis_streaming_configuration=KINESIS_CONFIGURATION
)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_UPDATE_KINESIS_STREAMING_DESTINATION, request)
    asked = request.update_kinesis_streaming_configuration
    if asked is None or asked.approximate_creation_date_time_precision is None:
        raise ValidationError(
            "Streaming destination cannot be updated with given parameters: "
            "UpdateKinesisStreamingConfiguration cannot be null or contain only null values"
        )
    table = named_table(services, request.table_name).table
    raise ValidationError(
        f"{NOT_IN_VALID_STATE}No streaming destination with streamArn: {request.stream_arn} "
        f"found for table with tableName: {table.name}"
    )
