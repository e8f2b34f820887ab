"""UpdateContributorInsights: turn them on for a table or a global index, in one of two modes, or off.

No change is no error. To turn them on without a mode is to ask for the default mode, also where the other one is in
force.
"""

from __future__ import annotations

from typing import cast

import msgspec

from varley.api.constraints import INDEX_NAME, NOT_NULL, TABLE_NAME, Members, OneOf, check
from varley.api.contributor_insights import check_index, description_when_updated, with_insights
from varley.api.named_table import named_table
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call
from varley.table.schema import ContributorInsightsMode, Table


class UpdateContributorInsightsRequest(Request):
    table_name: str | None = None
    index_name: str | None = None
    contributor_insights_action: str | None = None
    contributor_insights_mode: str | None = None


_decode = decoder(UpdateContributorInsightsRequest)
_UPDATE_CONTRIBUTOR_INSIGHTS = Members(
    table_name=TABLE_NAME,
    index_name=INDEX_NAME,
    contributor_insights_action=(NOT_NULL, OneOf("ENABLE", "DISABLE")),
    contributor_insights_mode=(OneOf("ACCESSED_AND_THROTTLED_KEYS", "THROTTLED_KEYS"),),
)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_UPDATE_CONTRIBUTOR_INSIGHTS, request)
    table = named_table(services, request.table_name).table
    check_index(table, request.index_name)
    services.spawn(_update(services, request, table.name), call)
    return None


async def _update(services: Services, request: UpdateContributorInsightsRequest, name: str) -> bytes:
    now = services.clock.time()
    mode = cast("ContributorInsightsMode | None", request.contributor_insights_mode)    # constraints
    enable = request.contributor_insights_action == "ENABLE"
    index_name = request.index_name

    def changed(table: Table) -> Table:
        check_index(table, index_name, is_enabling=enable)
        return with_insights(table, index_name, enable=enable, mode=mode, now=now)

    async with services.catalog.changes:
        before, after = await services.catalog.change(name, changed)
    return msgspec.json.encode(description_when_updated(before.table, after.table, index_name))
