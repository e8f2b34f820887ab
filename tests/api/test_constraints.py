from __future__ import annotations

from typing import Any

import pytest

from varley.api import constraints
from varley.api.batch_write_item import BatchWriteItemRequest, PutRequest, WriteRequest
from varley.api.constraints import (
    NOT_NULL,
    Each,
    KeyLengths,
    Length,
    Members,
    OneOf,
    Pattern,
    Range,
    TableNameOrArn,
    ValueLengths,
    check,
)
from varley.api.requests import Request, Structure
from varley.errors import ValidationError


class Part(Structure):
    part_name: str | None = None


class Whole(Request):
    table_name: str | None = None
    parts: list[Part] | None = None
    limit: int | None = None
    enabled: bool | None = None
    by_name: dict[str, Any] | None = None


def complaint_about(members: Members, request: Any) -> str:
    with pytest.raises(ValidationError) as refusal:
        check(members, request)
    return refusal.value.message


def failed(value: str, path: str, demand: str) -> str:
    return f"Value {value} at '{path}' failed to satisfy constraint: Member must {demand}"


def test_nothing_is_said_of_what_is_right() -> None:
    members = Members(table_name=(NOT_NULL, Length(3, 5)), limit=(Range(1, 9),), parts=(Length(1),))
    check(members, Whole(table_name="abc", limit=9))
    check(members, Whole(table_name="abcde", limit=1, parts=[Part()]))


@pytest.mark.parametrize(
    ("rule", "value", "demand"),
    [
        (NOT_NULL, None, "not be null"),
        (OneOf("A", "B"), "C", "satisfy enum value set: [A, B]"),
        (Length(3, 5), "ab", "have length greater than or equal to 3"),
        (Length(3, 5), "abcdef", "have length less than or equal to 5"),
        (Pattern("[a-z]+"), "a1", "satisfy regular expression pattern: [a-z]+"),
    ],
)
def test_each_rule_has_its_words(rule: Any, value: str | None, demand: str) -> None:
    shown = "null" if value is None else f"'{value}'"
    assert complaint_about(Members(table_name=(rule,)), Whole(table_name=value)) == (
        f"1 validation error detected: {failed(shown, 'tableName', demand)}"
    )


@pytest.mark.parametrize(
    ("value", "demand"),
    [(0, "have value greater than or equal to 1"), (101, "have value less than or equal to 100")],
)
def test_numbers_have_their_words_too(value: int, demand: str) -> None:
    text = failed(f"'{value}'", "limit", demand)
    assert complaint_about(Members(limit=(Range(1, 100),)), Whole(limit=value)) == (
        f"1 validation error detected: {text}"
    )


def test_only_not_null_minds_what_is_not_there() -> None:
    rules = (OneOf("A"), Length(1), Range(1), Pattern("a"), KeyLengths(Length(1)), TableNameOrArn(3))
    check(Members(table_name=rules), Whole())


def test_all_that_is_wrong_is_said_at_once_and_in_order() -> None:
    members = Members(
        limit=(NOT_NULL,), parts=(Each(Members(part_name=(NOT_NULL, Length(2)))),), table_name=(Length(1),)
    )
    request = Whole(table_name="", parts=[Part(part_name="x"), Part(part_name="fine"), Part()])
    assert complaint_about(members, request) == "4 validation errors detected: " + "; ".join(
        [
            failed("null", "limit", "not be null"),
            failed("'x'", "parts.1.member.partName", "have length greater than or equal to 2"),
            failed("null", "parts.3.member.partName", "not be null"),
            failed("''", "tableName", "have length greater than or equal to 1"),
        ]
    )


def test_ten_complaints_are_enough() -> None:
    members = Members(parts=(Each(Members(part_name=(NOT_NULL,))),))
    text = complaint_about(members, Whole(parts=[Part() for _ in range(12)]))
    assert text.startswith("10 validation errors detected: ")
    assert text.count("Member must not be null") == 10


def test_values_are_shown_as_java_shows_them() -> None:
    shown = complaint_about(Members(parts=(Length(3),)), Whole(parts=[Part(part_name="a")]))
    assert "Value '[com.amazonaws.dynamodb.v20120810.Part@" in shown
    shown = complaint_about(Members(by_name=(Length(3),)), Whole(by_name={"a": ["x", True], "b": 1}))
    assert "Value '{a=[x, true], b=1}' at 'byName'" in shown


def test_lengths_of_keys_and_values_are_told_for_the_whole_map() -> None:
    between = (
        "[Member must have length less than or equal to 2, Member must have length greater than or equal to 1]"
    )
    assert complaint_about(Members(by_name=(KeyLengths(Length(1, 2)),)), Whole(by_name={"abc": "x"})) == (
        "1 validation error detected: Value '{abc=x}' at 'byName' failed to satisfy constraint: "
        f"Map keys must satisfy constraint: {between}"
    )
    assert complaint_about(Members(by_name=(ValueLengths(Length(1, 2)),)), Whole(by_name={"a": ""})) == (
        "1 validation error detected: Value '{a=}' at 'byName' failed to satisfy constraint: "
        f"Map value must satisfy constraint: {between}"
    )


@pytest.mark.parametrize("name", ["abc", "arn:aws:dynamodb:us-east-1:123456789012:table/abc", "arn:of anything"])
def test_a_table_may_be_named_by_its_arn(name: str) -> None:
    check(Members(table_name=constraints.TABLE_NAME), Whole(table_name=name))
    check(Members(table_name=constraints.DATA_TABLE_NAME), Whole(table_name=name))


def test_the_data_plane_looks_for_short_names_and_the_control_plane_refuses_them() -> None:
    check(Members(table_name=constraints.DATA_TABLE_NAME), Whole(table_name="ab"))
    assert complaint_about(Members(table_name=constraints.TABLE_NAME), Whole(table_name="ab")) == (
        "1 validation error detected: "
        + failed("'ab'", "tableName", "have length greater than or equal to 3")
    )


def test_an_empty_table_name() -> None:
    assert complaint_about(Members(table_name=constraints.DATA_TABLE_NAME), Whole(table_name="")) == (
        "1 validation error detected: " + failed("''", "tableName", "have length greater than or equal to 1")
    )
    assert complaint_about(Members(table_name=constraints.TABLE_NAME), Whole(table_name="")) == (
        "2 validation errors detected: "
        + failed("''", "tableName", "have length greater than or equal to 3")
        + "; "
        + failed("''", "tableName", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    )


def test_an_entry_of_a_batch_is_named_by_its_table_and_number() -> None:
    request = BatchWriteItemRequest(request_items={"abc": [WriteRequest(put_request=PutRequest())]})
    with pytest.raises(ValidationError) as refusal:
        constraints.check(constraints.BATCH_WRITE_ITEM, request)
    assert refusal.value.message == "1 validation error detected: " + failed(
        "null", "requestItems.abc.member.1.member.putRequest.item", "not be null"
    )


def test_old_style_conditions_are_checked_in_their_raw_form() -> None:
    class Put(Request):
        table_name: str | None = "abc"
        item: Any = None
        expected: dict[str, Any] | None = None
        return_values: str | None = None
        return_consumed_capacity: str | None = None
        return_item_collection_metrics: str | None = None
        conditional_operator: str | None = None
        return_values_on_condition_check_failure: str | None = None

    usual = Put(item={}, return_values="ALL_OLD", return_consumed_capacity="TOTAL")
    assert not constraints.has_unusual_write_options(usual)
    unusual = Put(item={}, expected={"a": {"ComparisonOperator": "IS"}})
    assert constraints.has_unusual_write_options(unusual)
    with pytest.raises(ValidationError) as refusal:
        constraints.check(constraints.PUT_ITEM, unusual)
    assert "Value 'IS' at 'expected.a.member.comparisonOperator'" in refusal.value.message
