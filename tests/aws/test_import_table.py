# Why: a table that is announced and never comes keeps a pipeline waiting for ever.

from typing import Any

import pytest

from .refusals import constraint_on, invalid, refused
from .table import Table, schema, unique


def request(**more: Any) -> dict[str, Any]:
    return {
        "S3BucketSource": {"S3Bucket": "my-bucket"},
        "InputFormat": "CSV",
        "InputFormatOptions": {"Csv": {"Delimiter": ",", "HeaderList": ["pk", "x"]}},
        "TableCreationParameters": {"TableName": unique("imported"), **schema("S")},
        **more,
    }


@pytest.mark.varley_only
def test_no_table_is_imported(dynamodb: Any) -> None:
    parameters = request()
    with invalid("ImportTable is not supported by this version of Varley"):
        dynamodb.import_table(**parameters)
    with refused("ResourceNotFoundException"):
        dynamodb.describe_table(TableName=parameters["TableCreationParameters"]["TableName"])


def test_a_table_that_is_there(table: Table, dynamodb: Any) -> None:
    with refused("ResourceInUseException", f"Table already exists: {table.name}"):
        dynamodb.import_table(**request(TableCreationParameters={"TableName": table.name, **schema("S")}))


def test_options_are_for_csv(dynamodb: Any) -> None:
    with invalid("Invalid Request: Unsupported InputFormatOptions for the given input format: DYNAMODB_JSON."):
        dynamodb.import_table(**request(InputFormat="DYNAMODB_JSON"))


@pytest.mark.parametrize(
    ("parameters", "member"),
    [
        ({"S3BucketSource": {}}, "s3BucketSource.s3Bucket"),
        ({"S3BucketSource": {"S3Bucket": "a/b"}}, "s3BucketSource.s3Bucket"),
        ({"InputFormat": "XML"}, "inputFormat"),
        ({"InputCompressionType": "LZ4"}, "inputCompressionType"),
        ({"InputFormatOptions": {"Csv": {"Delimiter": "x"}}}, "inputFormatOptions.csv.delimiter"),
        ({"InputFormatOptions": {"Csv": {"HeaderList": ["a,b"]}}}, "inputFormatOptions.csv.headerList.1.member"),
        ({"TableCreationParameters": {"TableName": "ab"}}, "tableCreationParameters.keySchema"),
    ],
)
def test_these_parameters_break_the_service_model(dynamodb: Any, parameters: dict[str, Any], member: str) -> None:
    with invalid(constraint_on(member)):
        dynamodb.import_table(**request(**parameters))
