# Why: an export that is accepted and never comes keeps a pipeline waiting for ever.

from typing import Any

import pytest

from .policies import arn_of
from .refusals import constraint, constraint_on, invalid, refused
from .table import Table


def export(dynamodb: Any, arn: str, **more: Any) -> None:
    dynamodb.export_table_to_point_in_time(TableArn=arn, **{"S3Bucket": "my-bucket", **more})


@pytest.fixture
def arn(table: Table, dynamodb: Any) -> str:
    return arn_of(dynamodb, table)


def test_a_table_without_point_in_time_recovery_cannot_be_exported(table: Table, dynamodb: Any, arn: str) -> None:
    text = f"Point in time recovery is not enabled for table '{table.name}'"
    with refused("PointInTimeRecoveryUnavailableException", text):
        export(dynamodb, arn)


def test_a_missing_table(dynamodb: Any, arn: str) -> None:
    with refused("TableNotFoundException", f"Table not found: {arn}-missing"):
        export(dynamodb, f"{arn}-missing")


def test_a_table_is_not_named_by_its_name(table: Table, dynamodb: Any) -> None:
    with invalid("One or more parameter values were invalid: tableArn is not a valid ARN"):
        export(dynamodb, table.name)


@pytest.mark.parametrize(
    ("parameters", "member"),
    [
        ({"S3Bucket": None}, "s3Bucket"),
        ({"S3Bucket": "arn:aws:s3:::my-bucket"}, "s3Bucket"),
        ({"S3BucketOwner": "me"}, "s3BucketOwner"),
        ({"S3Prefix": "x" * 1025}, "s3Prefix"),
        ({"S3SseAlgorithm": "aws:kms"}, "s3SseAlgorithm"),
        ({"ExportFormat": "CSV"}, "exportFormat"),
        ({"ExportType": "PARTIAL_EXPORT"}, "exportType"),
        ({"ClientToken": "$"}, "clientToken"),
        (
            {"IncrementalExportSpecification": {"ExportViewType": "NEW_IMAGES"}},
            "incrementalExportSpecification.exportViewType",
        ),
    ],
)
def test_these_parameters_break_the_service_model(
    dynamodb: Any, arn: str, parameters: dict[str, Any], member: str
) -> None:
    with invalid(constraint_on(member)):
        export(dynamodb, arn, **parameters)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"S3SseKmsKeyId": "a-key"}, "KMS Key Id is not supported for this encryption type"),
        (
            {"IncrementalExportSpecification": {"ExportFromTime": 1}},
            "Export Type expected to be Incremental Export when incremental export specification is provided",
        ),
        (
            {"ExportType": "FULL_EXPORT", "IncrementalExportSpecification": {"ExportFromTime": 1}},
            "When Export Type is Full Export , Incremental Export Specification should not be provided",
        ),
        (
            {"ExportType": "INCREMENTAL_EXPORT"},
            "Incremental Export Specification expected when export type is set as Incremental Export",
        ),
        (
            {"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": {"ExportToTime": 1}},
            "ExportFromTime must be provided in IncrementalExportSpecification",
        ),
    ],
)
def test_these_do_not_go_together(dynamodb: Any, arn: str, parameters: dict[str, Any], text: str) -> None:
    with invalid(f"Invalid Request: {text}"):
        export(dynamodb, arn, **parameters)


def test_the_table_must_be_named(dynamodb: Any) -> None:
    with invalid(constraint("null", "tableArn", "not be null")):
        dynamodb.export_table_to_point_in_time(S3Bucket="my-bucket")
