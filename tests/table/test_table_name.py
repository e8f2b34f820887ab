from __future__ import annotations

import pytest

from varley.errors import ValidationError
from varley.table.table_name import table_arn, table_name

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/Music"


@pytest.mark.parametrize("name", ["Music", "abc", "a.b-c_D", "x" * 255, "x"])
def test_a_name_is_itself(name: str) -> None:
    assert table_name(name) == name


@pytest.mark.parametrize(
    "arn",
    [
        ARN,
        "arn:aws:dynamodb:local:000000000000:table/Music",
        "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/Music",
        "arn:aws:dynamodb::123456789012:table/Music",
        table_arn("Music", account="123456789012", region="eu-west-1"),
    ],
)
def test_an_arn_names_its_table(arn: str) -> None:
    assert table_name(arn) == "Music"


@pytest.mark.parametrize(
    ("name", "demand"),
    [
        ("", "have length greater than or equal to 1"),
        ("a b", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
        ("naïve", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
        ("abc\n", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
        ("x" * 256, "have length less than or equal to 255"),
    ],
)
def test_what_cannot_be_a_name_is_refused(name: str, demand: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        table_name(name)
    assert refusal.value.message == (
        f"1 validation error detected: Value '{name}' at 'tableName' failed to satisfy constraint: Member must {demand}"
    )


@pytest.mark.parametrize(
    "arn",
    [f"{ARN}/index/ByYear", f"{ARN}/stream/2026", "arn:aws:s3:::bucket", "arn:aws:dynamodb:x:1:table/Music", "arn:"],
)
def test_arns_of_other_things_are_refused(arn: str) -> None:
    with pytest.raises(ValidationError):
        table_name(arn)
