# Why: who asks for an operation that is not there must hear it as from the service; what operations do with objects
# is in tests/test_bulk_put.py, since it needs a folder that stands for Amazon S3.

from typing import Any

import pytest

from .refusals import constraint_on, invalid, refused
from .table import Table, unique

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/Music/bulk-operation/01764000000000-0123abcd"
INPUT = {"S3Bucket": "some-bucket", "InputFormat": "DYNAMODB_JSON"}
OUTPUT = {"S3Bucket": "some-bucket", "OutputType": ["ERROR"]}


@pytest.mark.parametrize("operation", ["describe_bulk_operation", "cancel_bulk_operation"])
def test_an_operation_that_is_not_there(dynamodb: Any, operation: str) -> None:
    with refused("ResourceNotFoundException"):
        getattr(dynamodb, operation)(BulkOperationArn=ARN)


def test_none_are_listed_before_the_first(dynamodb: Any) -> None:
    assert dynamodb.list_bulk_operations(MaxResults=25)["BulkOperationsSummaryList"] == []


@pytest.mark.parametrize("maximum", [0, 26])
def test_a_page_has_1_to_25_operations(dynamodb: Any, maximum: int) -> None:
    with invalid(constraint_on("maxResults")):
        dynamodb.list_bulk_operations(MaxResults=maximum)


@pytest.mark.parametrize(
    ("more", "member"),
    [
        ({"InputS3Configuration": None}, "inputS3Configuration"),
        ({"OutputS3Configuration": None}, "outputS3Configuration"),
        ({"InputS3Configuration": {**INPUT, "InputFormat": "CSV"}}, "inputS3Configuration.inputFormat"),
        ({"MaxWriteRequestUnits": 1023}, "maxWriteRequestUnits"),
        ({"PerformanceTier": "FAST"}, "performanceTier"),
    ],
)
def test_constraints_of_the_model(dynamodb: Any, table: Table, more: dict[str, Any], member: str) -> None:
    request = {"InputS3Configuration": INPUT, "OutputS3Configuration": OUTPUT, **more}
    with invalid(constraint_on(member)):
        dynamodb.start_bulk_put_items(
            TableName=table.name, **{name: value for name, value in request.items() if value is not None}
        )


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.start_bulk_put_items(TableName=name, InputS3Configuration=INPUT, OutputS3Configuration=OUTPUT)


@pytest.mark.varley_only
def test_without_a_folder_for_s3_there_is_nothing_to_read(dynamodb: Any, table: Table) -> None:
    with invalid("There is no Amazon S3 to read from: start the server with --s3-dir FOLDER"):
        dynamodb.start_bulk_put_items(TableName=table.name, InputS3Configuration=INPUT, OutputS3Configuration=OUTPUT)


@pytest.mark.varley_only
@pytest.mark.parametrize("more", [{"InputFormat": "ION"}, {"InputCompressionType": "ZSTD"}], ids=["ion", "zstd"])
def test_forms_that_are_not_read(dynamodb: Any, table: Table, more: dict[str, Any]) -> None:
    [(name, value)] = more.items()
    with invalid(f"{name} {value} is not supported by this version of Varley"):
        dynamodb.start_bulk_put_items(
            TableName=table.name, InputS3Configuration={**INPUT, **more}, OutputS3Configuration=OUTPUT
        )
