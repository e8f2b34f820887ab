# Why: consoles ask for it whenever they show a table.

from typing import Any

from .policies import arn_of
from .refusals import constraint, invalid
from .table import Table


def test_a_new_table_has_no_exports(table: Table, dynamodb: Any) -> None:
    answer = dynamodb.list_exports(TableArn=arn_of(dynamodb, table), MaxResults=25)
    assert answer["ExportSummaries"] == []
    assert "NextToken" not in answer


def test_a_page_has_a_size(dynamodb: Any) -> None:
    with invalid(constraint("'26'", "maxResults", "have value less than or equal to 25")):
        dynamodb.list_exports(MaxResults=26)


def test_a_token_that_was_never_given_out(dynamodb: Any) -> None:
    with invalid("Invalid Request: Provided nextToken is invalid: abc"):
        dynamodb.list_exports(NextToken="abc")
