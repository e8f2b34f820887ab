"""Transactions as tests write them, and what a cancelled one says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .refusals import Refusal, assert_words, refused
from .table import Item, Table

CONFLICT = "Transaction is ongoing for the item"
FAILED = "The conditional request failed"
TWICE = "Transaction request cannot include multiple operations on one item"
NONE = {"Code": "None"}
CONDITION = {"Code": "ConditionalCheckFailed", "Message": FAILED}


def put(table: Table, item: Item, **parameters: Any) -> dict[str, Any]:
    return {"Put": {"TableName": table.name, "Item": item, **parameters}}


def update(table: Table, key: Item, expression: str, **parameters: Any) -> dict[str, Any]:
    return {"Update": {"TableName": table.name, "Key": key, "UpdateExpression": expression, **parameters}}


def delete(table: Table, key: Item, **parameters: Any) -> dict[str, Any]:
    return {"Delete": {"TableName": table.name, "Key": key, **parameters}}


def check(table: Table, key: Item, expression: str, **parameters: Any) -> dict[str, Any]:
    return {"ConditionCheck": {"TableName": table.name, "Key": key, "ConditionExpression": expression, **parameters}}


def get(table: Table, key: Item, **parameters: Any) -> dict[str, Any]:
    return {"Get": {"TableName": table.name, "Key": key, **parameters}}


def write(table: Table, *actions: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    answer: dict[str, Any] = table.client.transact_write_items(TransactItems=list(actions), **parameters)
    return answer


def read(table: Table, *gets: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    answer: dict[str, Any] = table.client.transact_get_items(TransactItems=list(gets), **parameters)
    return answer


@contextmanager
def canceled(*reasons: dict[str, Any]) -> Iterator[Refusal]:
    """The block must end in a TransactionCanceledException with exactly these reasons, in this order.

    A reason's Message may be a pattern where only part of it is known.
    """
    codes = ", ".join(reason["Code"] for reason in reasons)
    text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    with refused("TransactionCanceledException", text) as refusal:
        yield refusal
    told = refusal.response["CancellationReasons"]
    for one, wanted in zip(told, reasons, strict=True):
        if "Message" in wanted:
            assert_words(one["Message"], wanted["Message"])
        assert {**one, "Message": ""} == {**wanted, "Message": ""}
        assert ("Message" in one) == ("Message" in wanted)


def wrong(text: Any) -> dict[str, Any]:
    return {"Code": "ValidationError", "Message": text}
