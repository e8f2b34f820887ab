"""DescribeTimeToLive: which attribute says when an item expires, if any does."""

from __future__ import annotations

import msgspec

from varley.api.constraints import TABLE_NAME, Members, check
from varley.api.named_table import named_table
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class DescribeTimeToLiveRequest(Request):
    table_name: str | None = None


_decode = decoder(DescribeTimeToLiveRequest)
_DESCRIBE_TIME_TO_LIVE = Members(table_name=TABLE_NAME)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE_TIME_TO_LIVE, request)
    attribute = named_table(services, request.table_name).table.time_to_live_attribute
    description = {"TimeToLiveStatus": "DISABLED"}
    if attribute is not None:
        description = {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}
    return msgspec.json.encode({"TimeToLiveDescription": description})
