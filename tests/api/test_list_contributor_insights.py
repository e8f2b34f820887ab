from __future__ import annotations

from typing import Any

from tests.table.tables import on_demand_table
from varley.api.contributor_insights import with_insights
from varley.api.list_contributor_insights import page
from varley.table.schema import Table


def insights(name: str, *index_names: str | None) -> Table:
    table = on_demand_table(name)
    for index_name in index_names:
        table = with_insights(table, index_name, enable=True, mode=None, now=1.0)
    return table


TABLES = [insights("bbb", "i2", "i1", None), insights("ccc"), insights("aaa", None), insights("ddd", "i1")]
ALL = [("aaa", ""), ("bbb", ""), ("bbb", "i1"), ("bbb", "i2"), ("ddd", "i1")]


def listed(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["TableName"], entry.get("IndexName", "")) for entry in answer["ContributorInsightsSummaries"]]


def test_tables_by_name_and_each_before_its_indexes() -> None:
    answer = page(TABLES, after=None, limit=100)
    assert listed(answer) == ALL
    assert "NextToken" not in answer


def test_pages_follow_each_other_and_the_last_is_not_empty() -> None:
    for limit in (1, 2, 5):
        found, after, pages = [], None, 0
        while True:
            answer = page(TABLES, after=after, limit=limit)
            found += listed(answer)
            pages += 1
            after = answer.get("NextToken")
            if after is None:
                break
        assert found == ALL
        assert pages == -(-len(ALL) // limit)


def test_a_page_follows_also_when_the_entry_before_it_has_gone() -> None:
    assert listed(page(TABLES, after="bbb/i0", limit=1)) == [("bbb", "i1")]
    assert listed(page(TABLES, after="bb/", limit=1)) == [("bbb", "")]
    assert listed(page(TABLES, after="zzz", limit=1)) == []
