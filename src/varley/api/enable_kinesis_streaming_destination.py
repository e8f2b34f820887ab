"""EnableKinesisStreamingDestination: refused, because changes that go nowhere would look like changes that go."""

from __future__ import annotations

from varley.api.constraints import Members, check
from varley.api.kinesis_structures import (
    KINESIS_CONFIGURATION,
    KINESIS_DESTINATION,
    EnableKinesisStreamingConfiguration,
)
from varley.api.named_table import named_table
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.api.table_structures import not_supported
from varley.http.call import Call


class EnableKinesisStreamingDestinationRequest(Request):
    table_name: str | None = None
    stream_arn: str | None = None
    enable_kinesis_streaming_configuration: EnableKinesisStreamingConfiguration | None = None


_decode = decoder(EnableKinesisStreamingDestinationRequest)
_ENABLE_KINESIS_STREAMING_DESTINATION = Members(
    **KINESIS_DESTINATION, enable_kinesis_streaming_configuration=KINESIS_CONFIGURATION
)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_ENABLE_KINESIS_STREAMING_DESTINATION, request)
    named_table(services, request.table_name)
    raise not_supported("EnableKinesisStreamingDestination")
