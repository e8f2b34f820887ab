# Why: tools poll for the end of an import; they go by the code of the refusal.

from typing import Any

import pytest

from .policies import arn_of
from .refusals import constraint, invalid, refused
from .table import Table


def test_an_import_that_is_not_there(table: Table, dynamodb: Any) -> None:
    arn = arn_of(dynamodb, table) + "/import/01658528578619-c4d4e311"
    with refused("ImportNotFoundException", f"Import not found: {arn}"):
        dynamodb.describe_import(ImportArn=arn)


@pytest.mark.parametrize("end", ["", "/export/01658528578619-c4d4e311"], ids=["a table", "an export"])
def test_what_is_no_import(table: Table, dynamodb: Any, end: str) -> None:
    with invalid("Invalid Import ARN"):
        dynamodb.describe_import(ImportArn=arn_of(dynamodb, table) + end)


def test_it_must_be_named(dynamodb: Any) -> None:
    with invalid(constraint("null", "importArn", "not be null")):
        dynamodb.describe_import()
