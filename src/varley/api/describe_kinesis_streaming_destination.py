"""DescribeKinesisStreamingDestination: the Kinesis data streams that a table's changes go to, which are none."""

from __future__ import annotations

import msgspec

from varley.api.constraints import TABLE_NAME, Members, check
from varley.api.named_table import named_table
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class DescribeKinesisStreamingDestinationRequest(Request):
    table_name: str | None = None


_decode = decoder(DescribeKinesisStreamingDestinationRequest)
_DESCRIBE_KINESIS_STREAMING_DESTINATION = Members(table_name=TABLE_NAME)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE_KINESIS_STREAMING_DESTINATION, request)
    table = named_table(services, request.table_name).table
    return msgspec.json.encode({"TableName": table.name, "KinesisDataStreamDestinations": []})
