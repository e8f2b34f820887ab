"""ListContributorInsights: those that are on, of one table or of all, a page at a time.

A token is the table, and after a slash the index, of the last entry before it; neither need be there any more. So a
page follows its predecessor also when the entry that ended it was turned off in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from varley.api.constraints import Members, Range, check
from varley.api.contributor_insights import summaries
from varley.api.named_table import OPTIONAL_TABLE_NAME, named_table
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call
from varley.table.schema import Table

_RESULTS_MAX: Final = 100    # [API]


class ListContributorInsightsRequest(Request):
    table_name: str | None = None
    next_token: str | None = None
    max_results: int | None = None


_decode = decoder(ListContributorInsightsRequest)
_LIST_CONTRIBUTOR_INSIGHTS = Members(table_name=OPTIONAL_TABLE_NAME, max_results=(Range(high=_RESULTS_MAX),))


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_LIST_CONTRIBUTOR_INSIGHTS, request)
    if request.table_name is None:
        tables = [described.table for described in services.catalog]
    else:
        tables = [named_table(services, request.table_name).table]
    limit = request.max_results or _RESULTS_MAX
    return msgspec.json.encode(page(tables, after=request.next_token, limit=max(limit, 1)))


def page(tables: Sequence[Table], *, after: str | None, limit: int) -> dict[str, Any]:
    """The answer: up to `limit` entries that come after the token `after`; None is the beginning."""
    every = [entry for table in sorted(tables, key=lambda table: table.name) for entry in summaries(table)]
    if after is not None:
        every = [entry for entry in every if _place(_token(entry)) > _place(after)]
    shown = every[:limit]
    answer: dict[str, Any] = {"ContributorInsightsSummaries": shown}
    if len(every) > limit:
        answer["NextToken"] = _token(shown[-1])
    return answer


def _token(entry: dict[str, Any]) -> str:
    return f"{entry['TableName']}/{entry.get('IndexName', '')}"


def _place(token: str) -> tuple[str, str]:
    table, _, index = token.partition("/")
    return table, index
