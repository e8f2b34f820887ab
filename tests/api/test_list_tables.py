from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.api.list_tables import page

NAMES = ["Abc", "abc", "bcd", "cde"]


@pytest.mark.parametrize(
    ("start", "limit", "shown", "last"),
    [
        (None, 100, NAMES, None),
        (None, 4, NAMES, None),
        (None, 3, NAMES[:3], "bcd"),
        ("abc", 1, ["bcd"], "bcd"),
        ("bcd", 1, ["cde"], None),
        ("cde", 5, [], None),
        ("abcd", 1, ["bcd"], "bcd"),
    ],
)
def test_pages(start: str | None, limit: int, shown: list[str], last: str | None) -> None:
    wanted = {"TableNames": shown} if last is None else {"TableNames": shown, "LastEvaluatedTableName": last}
    assert page(NAMES, start=start, limit=limit) == wanted


@given(st.sets(st.text("abcXYZ._-", min_size=3)), st.integers(1, 7))
def test_page_after_page_shows_every_name_once(names: set[str], limit: int) -> None:
    seen: list[str] = []
    start = None
    while True:
        answer = page(sorted(names), start=start, limit=limit)
        seen += answer["TableNames"]
        start = answer.get("LastEvaluatedTableName")
        if start is None:
            break
    assert seen == sorted(names)
