"""DescribeContributorInsights: whether they are on for a table or a global index, in which mode, with which rules."""

from __future__ import annotations

import msgspec

from varley.api.constraints import INDEX_NAME, TABLE_NAME, Members, check
from varley.api.contributor_insights import check_index, description
from varley.api.named_table import named_table
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class DescribeContributorInsightsRequest(Request):
    table_name: str | None = None
    index_name: str | None = None


_decode = decoder(DescribeContributorInsightsRequest)
_DESCRIBE_CONTRIBUTOR_INSIGHTS = Members(table_name=TABLE_NAME, index_name=INDEX_NAME)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE_CONTRIBUTOR_INSIGHTS, request)
    table = named_table(services, request.table_name).table
    check_index(table, request.index_name)
    return msgspec.json.encode(description(table, request.index_name))
