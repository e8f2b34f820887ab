# Why: consoles ask for it whenever they show a table.

from typing import Any

from .policies import arn_of
from .refusals import constraint, constraint_on, invalid
from .table import Table


def test_a_new_table_was_not_imported(table: Table, dynamodb: Any) -> None:
    answer = dynamodb.list_imports(TableArn=arn_of(dynamodb, table), PageSize=25)
    assert answer["ImportSummaryList"] == []
    assert "NextToken" not in answer


def test_a_page_has_a_size(dynamodb: Any) -> None:
    with invalid(constraint("'26'", "pageSize", "have value less than or equal to 25")):
        dynamodb.list_imports(PageSize=26)


def test_a_token_has_a_form(dynamodb: Any) -> None:
    with invalid(constraint_on("nextToken")):
        dynamodb.list_imports(NextToken="x" * 112)


def test_a_token_that_was_never_given_out(dynamodb: Any) -> None:
    token = "0123456789abcdef" * 7
    with invalid(f"Invalid Request: Provided nextToken is invalid: {token}"):
        dynamodb.list_imports(NextToken=token)
