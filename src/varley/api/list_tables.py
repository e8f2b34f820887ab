"""ListTables: names in the order of their bytes, a page at a time.

The name to start after need not be that of a table, so a page follows its predecessor also when the table
that ended it was deleted in between.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import msgspec

from varley.api.constraints import LIST_TABLES_LIMIT, START_TABLE_NAME, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call
from varley.limits import LIST_TABLES_MAX


class ListTablesRequest(Request):
    exclusive_start_table_name: str | None = None
    limit: int | None = None


_decode = decoder(ListTablesRequest)
_LIST_TABLES = Members(exclusive_start_table_name=START_TABLE_NAME, limit=LIST_TABLES_LIMIT)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_LIST_TABLES, request)
    return msgspec.json.encode(
        page(
            services.catalog.names(),
            start=request.exclusive_start_table_name,
            limit=LIST_TABLES_MAX if request.limit is None else request.limit,
        )
    )


def page(names: Sequence[str], *, start: str | None, limit: int) -> dict[str, Any]:
    """The answer: up to `limit` of the sorted `names` that come after `start`."""
    first = 0 if start is None else bisect_right(names, start)
    shown = names[first : first + limit]
    answer: dict[str, Any] = {"TableNames": shown}
    if first + limit < len(names):
        answer["LastEvaluatedTableName"] = shown[-1]
    return answer
