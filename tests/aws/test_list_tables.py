# Why: the pages of ListTables are how tools walk an account; a page that repeats or skips a name makes them
# create a table twice or forget to delete one.

from typing import Any

import pytest

from .refusals import BAD_TABLE_NAME, constraint, invalid
from .table import unique


@pytest.fixture(scope="module")
def names(make_table: Any) -> list[str]:
    """Four tables whose names stand next to each other in the list."""
    prefix = unique("list")
    return [make_table(TableName=f"{prefix}-{letter}").name for letter in ("B", "a", "c", "d")]


def all_names(dynamodb: Any, limit: int) -> list[str]:
    found: list[str] = []
    parameters: dict[str, Any] = {"Limit": limit}
    while True:
        page = dynamodb.list_tables(**parameters)
        assert len(page["TableNames"]) <= limit
        found += page["TableNames"]
        if "LastEvaluatedTableName" not in page:
            return found
        assert page["LastEvaluatedTableName"] == page["TableNames"][-1]
        parameters["ExclusiveStartTableName"] = page["LastEvaluatedTableName"]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_every_table_is_listed_exactly_once_whatever_the_page_size(dynamodb: Any, names: list[str], limit: int) -> None:
    found = all_names(dynamodb, limit)
    assert len(found) == len(set(found))
    assert [name for name in found if name in names] == names


def test_names_come_in_the_order_of_their_bytes(dynamodb: Any, names: list[str]) -> None:
    found = all_names(dynamodb, 100)
    assert found == sorted(found, key=str.encode)


def test_the_start_is_exclusive_and_need_not_exist(dynamodb: Any, names: list[str]) -> None:
    page = dynamodb.list_tables(ExclusiveStartTableName=names[0], Limit=2)
    assert page["TableNames"] == names[1:3]
    before_first = names[0] + ".gone"
    assert dynamodb.list_tables(ExclusiveStartTableName=before_first, Limit=1)["TableNames"] == [names[1]]


def test_after_the_last_name_comes_nothing(dynamodb: Any, names: list[str]) -> None:
    page = dynamodb.list_tables(ExclusiveStartTableName="zzzzzzzzzzzz")
    assert page["TableNames"] == []
    assert "LastEvaluatedTableName" not in page


@pytest.mark.parametrize(
    ("limit", "rule"),
    [
        (0, "have value greater than or equal to 1"),
        (-5, "have value greater than or equal to 1"),
        (101, "have value less than or equal to 100"),
    ],
)
def test_a_page_holds_from_one_to_a_hundred_names(dynamodb: Any, limit: int, rule: str) -> None:
    with invalid(constraint(f"'{limit}'", "limit", rule)):
        dynamodb.list_tables(Limit=limit)


def test_a_malformed_start_is_refused(dynamodb: Any) -> None:
    with invalid():
        dynamodb.list_tables(ExclusiveStartTableName="a;b")


def test_the_words_for_a_malformed_start_name_the_rule(dynamodb: Any) -> None:
    with invalid() as refusal:
        dynamodb.list_tables(ExclusiveStartTableName="no spaces")
    assert BAD_TABLE_NAME.fullmatch(refusal.text) or "exclusiveStartTableName" in refusal.text
