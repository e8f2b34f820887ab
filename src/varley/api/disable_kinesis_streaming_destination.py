"""DisableKinesisStreamingDestination: no table has a destination, so there is never one to disable."""

from __future__ import annotations

from varley.api.constraints import Members, check
from varley.api.kinesis_structures import (
    KINESIS_CONFIGURATION,
    KINESIS_DESTINATION,
    NOT_IN_VALID_STATE,
    EnableKinesisStreamingConfiguration,
)
from varley.api.named_table import named_table
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call


class DisableKinesisStreamingDestinationRequest(Request):
    table_name: str | None = None
    stream_arn: str | None = None
    enable_kinesis_streaming_configuration: EnableKinesisStreamingConfiguration | None = None


_decode = decoder(DisableKinesisStreamingDestinationRequest)
_DISABLE_KINESIS_STREAMING_DESTINATION = Members(
    **KINESIS_DESTINATION, enable_kinesis_streaming_configuration=KINESIS_CONFIGURATION
)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DISABLE_KINESIS_STREAMING_DESTINATION, request)
    if request.enable_kinesis_streaming_configuration is not None:
        raise ValidationError("Stream cannot be disabled using EnableKinesisStreamingConfiguration parameters")
    named_table(services, request.table_name)
    raise ValidationError(
        f"{NOT_IN_VALID_STATE}KinesisStreamingDestination must be ACTIVE to perform DISABLE operation."
    )
