"""How a test says that a request must be refused, with which code and in which words.

AWS's own client shows a refusal as `ClientError`. A test here names the code and, where we know it, the
whole text, because programs do compare these texts. A text may be a compiled pattern where AWS's words are
known only in part, or hold an order that AWS does not promise.

An endpoint that refuses rightly but in other words is not failed for its words: `words_of_endpoint` holds
the pairs (AWS's words, its words) that known_differences.py lists for the endpoint of this session.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

# Filled once, by conftest.py, before any test runs: (pattern of AWS's words, pattern of this endpoint's).
words_of_endpoint: list[tuple[re.Pattern[str], re.Pattern[str]]] = []


class Refusal:
    """What came back. Filled when the `with refused(...)` block ends."""

    code: str = ""
    text: str = ""
    response: dict[str, Any]


@contextmanager
def refused(code: str, text: str | re.Pattern[str] | None = None) -> Iterator[Refusal]:
    """The block must end in a refusal with this code and, if given, this text."""
    refusal = Refusal()
    with pytest.raises(ClientError) as caught:
        yield refusal
    refusal.response = caught.value.response
    refusal.code = refusal.response["Error"]["Code"]
    refusal.text = refusal.response["Error"]["Message"]
    assert refusal.code == code, f"{refusal.code}: {refusal.text}"
    assert refusal.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    if text is not None:
        assert_words(refusal.text, text)


def invalid(text: str | re.Pattern[str] | None = None) -> Any:
    """`refused` with the commonest code of all."""
    return refused("ValidationException", text)


def assert_words(said: str, expected: str | re.Pattern[str]) -> None:
    """`said` is the expected text, or this endpoint's known way of saying it."""
    if isinstance(expected, str):
        if said == expected:
            return
        wanted = expected
    else:
        if expected.fullmatch(said):
            return
        wanted = expected.pattern
    for aws, here in words_of_endpoint:
        if aws.fullmatch(wanted) and here.fullmatch(said):
            return
    assert said == wanted


def constraint(value: str, member: str, rule: str) -> str:
    """The text of one broken constraint of the service model."""
    return f"1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: Member must {rule}"


def constraint_on(member: str) -> re.Pattern[str]:
    """Any text that says a constraint of the service model is broken at `member`, alone or among others."""
    return re.compile(
        rf"\d+ validation errors? detected: .*at '{re.escape(member)}' failed to satisfy constraint: .*",
        re.DOTALL,
    )


NOT_EXPRESSION = "ExpressionAttributeNames can only be specified when using expressions"
KEY_MISMATCH = "The provided key element does not match the schema"
NO_TABLE = "Requested resource not found"
EMPTY_VALUE = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
TWO_TYPES = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
)
PARTITION_KEY_TOO_LONG = (
    "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"
)
SORT_KEY_TOO_LONG = (
    "One or more parameter values were invalid: "
    "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
)
# Which of the two AWS says for a malformed name depends on the operation and changed when ARNs came in (2024).
BAD_TABLE_NAME = re.compile(
    r"(\d validation errors? detected: Value '.*' at '(tableName|requestItems)' failed to satisfy constraint: .*"
    r"|TableName must be at least 3 characters long and at most 255 characters long"
    r"|Invalid table/index name\.  Table/index names must be between 3 and 255 characters long, and may contain "
    r"only the characters a-z, A-Z, 0-9, '_', '-', and '\.'"
    r"|Invalid ResourceArn: .*)",
    re.DOTALL,
)


def empty_key(name: str, kind: str = "string") -> str:
    return (
        "One or more parameter values are not valid. "
        f"The AttributeValue for a key attribute cannot contain an empty {kind} value. Key: {name}"
    )


def missing_key(name: str) -> str:
    return f"One or more parameter values were invalid: Missing the key {name} in the item"


def wrong_key_type(name: str, expected: str, actual: str) -> str:
    return (
        f"One or more parameter values were invalid: Type mismatch for key {name} expected: {expected} actual: {actual}"
    )
