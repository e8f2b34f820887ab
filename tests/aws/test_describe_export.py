# Why: tools poll for the end of an export; they go by the code of the refusal.

from typing import Any

import pytest

from .policies import arn_of
from .refusals import constraint, invalid, refused
from .table import Table


def test_an_export_that_is_not_there(table: Table, dynamodb: Any) -> None:
    arn = arn_of(dynamodb, table) + "/export/01658528578619-c4d4e311"
    with refused("ExportNotFoundException", f"Export not found: Export not found: {arn}"):
        dynamodb.describe_export(ExportArn=arn)


@pytest.mark.parametrize("end", ["", "/import/01658528578619-c4d4e311"], ids=["a table", "an import"])
def test_what_is_no_export(table: Table, dynamodb: Any, end: str) -> None:
    with invalid("Invalid Export ARN"):
        dynamodb.describe_export(ExportArn=arn_of(dynamodb, table) + end)


def test_it_must_be_named(dynamodb: Any) -> None:
    with invalid(constraint("null", "exportArn", "not be null")):
        dynamodb.describe_export()
