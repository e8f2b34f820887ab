"""DescribeTimeToLive: which attribute says when an item expires, if any does.

ENABLING and DISABLING last as long as the rows of the table's items are being put right (expiry/amendment.py).
"""

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
    described = named_table(services, request.table_name)
    attribute = described.table.time_to_live_attribute
    is_settled = services.sweeper.is_settled(described, services.router.route(described.table.name))
    if attribute is None:
        description = {"TimeToLiveStatus": "DISABLED" if is_settled else "DISABLING"}
    else:
        description = {"TimeToLiveStatus": "ENABLED" if is_settled else "ENABLING", "AttributeName": attribute}
    return msgspec.json.encode({"TimeToLiveDescription": description})
