"""A request of 16 MB is handled in one turn of the loop: what is not needed of it is not looked at.

That something is not looked at shows in what is planted there: a wrong type that would be told, an element that counts
who asks for it. Where all must be looked at, time is compared with that of decoding the same bytes, on this thread's
own clock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from varley.api import constraints
from varley.api.batch_write_item import BatchWriteItemRequest
from varley.api.constraints import Length, Members
from varley.api.put_item import PutItemRequest
from varley.api.requests import Condition, Request, check_body, decoder, old_style
from varley.api.tags import Tag, tags_of
from varley.errors import SerializationError, ValidationError
from varley.item.number import normalize
from varley.item.value import check_item
from varley.limits import ITEM_BYTES_MAX, QUOTED_CHARS_MAX

WRONG_TYPE = 7      # where a string has to be
TOO_LARGE = "^Item size has exceeded the maximum allowed size$"
SLOWER_MAX = 20     # times as long as decoding: it was 20 to 60, and is 1 to 6; others may use the machine


class Counting(list[Any]):
    """Knows how many of its elements somebody has asked for."""

    asked_for = 0

    def __iter__(self) -> Iterator[Any]:
        for element in super().__iter__():
            self.asked_for += 1
            yield element


class ListRequest(Request):
    names: list[Any] | None = None


def test_an_error_quotes_no_more_than_the_beginning_of_a_value() -> None:
    names = Counting(["name"] * 1_000_000)
    with pytest.raises(ValidationError) as caught:
        constraints.check(Members(names=(Length(high=2),)), ListRequest(names=names))
    assert "Value '[name, name, name, " in caught.value.message
    assert "...' at 'names' failed to satisfy constraint: Member must have length" in caught.value.message
    assert len(caught.value.message) < QUOTED_CHARS_MAX + 200
    assert names.asked_for < QUOTED_CHARS_MAX


def test_what_is_just_not_too_long_is_quoted_whole() -> None:
    name = "x" * (QUOTED_CHARS_MAX - 2)
    with pytest.raises(ValidationError) as caught:
        constraints.check(Members(names=(Length(high=0),)), ListRequest(names=[name]))
    assert f"'[{name}]'" in caught.value.message


@pytest.mark.parametrize(
    "value",
    [
        {"L": [WRONG_TYPE] * (ITEM_BYTES_MAX + 1)},
        {"M": dict.fromkeys(map(str, range(ITEM_BYTES_MAX + 1)), WRONG_TYPE)},
        {"SS": [WRONG_TYPE] * (ITEM_BYTES_MAX + 2)},
        {"NS": [WRONG_TYPE] * (ITEM_BYTES_MAX + 1)},
        {"BS": [WRONG_TYPE] * (ITEM_BYTES_MAX + 2)},
    ],
    ids=lambda value: next(iter(value)),
)
def test_more_elements_than_an_item_has_bytes_are_not_looked_at(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=TOO_LARGE):
        check_item({"a": value})
    (content,) = value.values()
    few = dict(list(content.items())[:5]) if isinstance(content, dict) else content[:5]
    with pytest.raises(SerializationError):
        check_item({"a": {next(iter(value)): few}})


def test_a_set_that_just_fits_is_taken() -> None:
    texts = [f"{number:06}"[-6:] for number in range(60_000)]
    assert check_item({"a": {"SS": texts}}) == 1 + 6 * 60_000


def test_duplicates_are_listed_up_to_a_length() -> None:
    with pytest.raises(ValidationError) as caught:
        check_item({"a": {"SS": ["same"] * 300_000}})
    assert len(caught.value.message) < QUOTED_CHARS_MAX + 200


def test_what_is_no_number_is_quoted_up_to_a_length() -> None:
    with pytest.raises(ValidationError) as caught:
        normalize("1" * 1_000_000 + "x")
    assert len(caught.value.message) < QUOTED_CHARS_MAX + 200


def test_a_million_tags_are_too_many_whatever_they_are() -> None:
    with pytest.raises(ValidationError, match="Tag Key provided is invalid"):
        tags_of([Tag(key=None)] * 60)
    with pytest.raises(ValidationError, match="Number of Tags exceed"):
        tags_of([Tag(key=None)] * 1_000_000)


def test_a_refused_body_of_megabytes_is_not_walked_for_wrong_types() -> None:
    def body(filling: int) -> bytes:
        item = {"a": {"S": WRONG_TYPE}, "b": {"S": "x" * filling}}
        return json.dumps({"TableName": "t", "Item": item}).encode()

    with pytest.raises(SerializationError):
        check_body(body(500_000), PutItemRequest)
    check_body(body(1_100_000), PutItemRequest)


def test_old_style_conditions_of_the_right_shape_are_not_walked() -> None:
    """What the walk would leave out shows whether there was one."""
    right = {"a": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "x"}], "Unknown": 1}}
    assert old_style(right, Condition) is right
    odd = {"a": None, "b": {"ComparisonOperator": "NULL", "Unknown": 1}}
    assert old_style(odd, Condition) == {"a": {}, "b": {"ComparisonOperator": "NULL"}}
    with pytest.raises(SerializationError, match="NUMBER_VALUE cannot be converted to String"):
        old_style({"a": {"ComparisonOperator": 1}}, Condition)


def batch_of_nothing(size: int) -> bytes:
    return json.dumps({"RequestItems": {"t": [{} for _ in range(size)]}}).encode()


def set_of_numbers(size: int) -> bytes:
    return json.dumps({"TableName": "t", "Item": {"a": {"NS": [f"{number}e-100" for number in range(size)]}}}).encode()


_decode_batch = decoder(BatchWriteItemRequest)
_decode_put = decoder(PutItemRequest)


def check_batch(body: bytes) -> None:
    constraints.check(constraints.BATCH_WRITE_ITEM, _decode_batch(body))


def check_put(body: bytes) -> None:
    check_item(_decode_put(body).item or {})


@pytest.mark.parametrize(
    ("body", "handle"),
    [(batch_of_nothing(800_000), check_batch), (set_of_numbers(450_000), check_put)],
    ids=["batch", "numbers"],
)
def test_a_large_request_is_refused_in_about_the_time_that_decoding_takes(
    body: bytes, handle: Callable[[bytes], None]
) -> None:
    assert len(body) > 3_000_000

    def refused() -> None:
        with pytest.raises(ValidationError):
            handle(body)

    assert least_seconds(refused) < SLOWER_MAX * least_seconds(lambda: msgspec.json.decode(body))


def least_seconds(work: Callable[[], Any]) -> float:
    """On this thread's clock, which stands still while others have the processor."""
    found = []
    for _ in range(3):
        began = time.thread_time()
        work()
        found.append(time.thread_time() - began)
    return min(found)
