from __future__ import annotations

import pytest

from varley.api.tags import Tag, check_count, check_key, tagged_table, tags_of
from varley.errors import ValidationError

INVALID = "One or more parameter values were invalid: "
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/Music"


def test_tags_are_kept_by_key() -> None:
    assert tags_of([Tag(key="owner", value="a b"), Tag(key="empty", value="")]) == {"owner": "a b", "empty": ""}
    assert tags_of(None) == {}


@pytest.mark.parametrize("text", ["ключ", "café", "表", "a\N{NO-BREAK SPACE}b", "a+b-c=d.e_f:g/h@i", "x" * 128])
def test_letters_of_any_script_and_a_few_signs_are_tags(text: str) -> None:
    assert tags_of([Tag(key=text, value=text)]) == {text: text}


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ([Tag(value="x")], "The Tag Key provided is invalid, Key: null"),
        ([Tag(key="", value="x")], "The Tag Key provided is invalid, Key: "),
        ([Tag(key="x" * 129, value="x")], f"The Tag Key provided is invalid, Key: {'x' * 129}"),
        ([Tag(key="a#b", value="x")], "The Tag Key provided is invalid, Key: a#b"),
        ([Tag(key="\N{KEY}", value="x")], "The Tag Key provided is invalid, Key: \N{KEY}"),
        ([Tag(key="a")], "The Tag Value provided is invalid, Value: null"),
        ([Tag(key="a", value="x" * 257)], f"The Tag Value provided is invalid, Value: {'x' * 257}"),
        ([Tag(key="a", value="100%")], "The Tag Value provided is invalid, Value: 100%"),
        ([Tag(key="aws:foo", value="x")], "Tag Key cannot be prefixed with aws:, Key: aws:foo"),
        (
            [Tag(key="dup", value="x"), Tag(key="dup", value="y")],
            "Duplicate Tag Keys provided as input: Duplicate Tag Key found dup",
        ),
        (
            [Tag(key=f"k{number}", value="") for number in range(51)],
            "Number of Tags exceed the current limit for the provided ResourceArn",
        ),
    ],
)
def test_other_tags_are_refused(tags: list[Tag], text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        tags_of(tags)
    assert refusal.value.message == text


def test_fifty_are_not_too_many() -> None:
    check_count(50)
    assert len(tags_of([Tag(key=f"k{number}", value="") for number in range(50)])) == 50


def test_keys_to_remove_have_the_same_form() -> None:
    check_key("owner")
    with pytest.raises(ValidationError):
        check_key("")


def test_a_table_is_tagged_by_its_arn() -> None:
    assert tagged_table(ARN) == "Music"


@pytest.mark.parametrize(
    ("arn", "text"),
    [
        ("Music", f"{INVALID}ARNs must start with 'arn:': Music"),
        (
            "arn:aws:s3:::bucket",
            f"{INVALID}Provided Arn is not a DynamoDB resource arn: arn:aws:s3:::bucket",
        ),
        (
            f"{ARN}/index/ByYear",
            f"{INVALID}Invalid resource arn provided, only table or stream is accepted. "
            f"Provided resource arn: {ARN}/index/ByYear",
        ),
    ],
)
def test_other_things_are_not(arn: str, text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        tagged_table(arn)
    assert refusal.value.message == text
