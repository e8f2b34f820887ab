# Why: consoles ask it of every table. There are no global tables of the first version, here or in the service.

from typing import Any

import pytest

from .refusals import constraint, constraint_on, invalid, refused
from .table import Table, unique


@pytest.mark.parametrize("is_there", [True, False], ids=["a table", "none"])
def test_none_is_global(table: Table, dynamodb: Any, is_there: bool) -> None:
    name = table.name if is_there else unique("missing")
    text = f"Global table not found: Global table with name: '{name}' does not exist."
    with refused("GlobalTableNotFoundException", text):
        dynamodb.describe_global_table(GlobalTableName=name)


def test_it_must_be_named_by_its_name(dynamodb: Any) -> None:
    with invalid(constraint("null", "globalTableName", "not be null")):
        dynamodb.describe_global_table()
    with invalid(constraint_on("globalTableName")):
        dynamodb.describe_global_table(GlobalTableName="arn:aws:dynamodb:us-east-1:123456789012:table/x")
