# Why: Terraform and CDK read the tags right after CreateTable and on every plan; if this fails, nothing applies.

from typing import Any

import pytest

from .refusals import constraint_on, invalid, refused
from .table import Table


def arn_of(table: Table) -> str:
    arn: str = table.client.describe_table(TableName=table.name)["Table"]["TableArn"]
    return arn


def test_a_table_without_tags_has_an_empty_list(dynamodb: Any, make_table: Any) -> None:
    answer = dynamodb.list_tags_of_resource(ResourceArn=arn_of(make_table()))
    assert answer["Tags"] == []
    assert "NextToken" not in answer


def test_all_tags_are_listed_once_over_all_pages(dynamodb: Any, make_table: Any) -> None:
    tags = [{"Key": f"key-{n:02}", "Value": str(n)} for n in range(50)]
    arn = arn_of(make_table(Tags=tags))
    found = []
    more: dict[str, str] = {}
    while True:
        answer = dynamodb.list_tags_of_resource(ResourceArn=arn, **more)
        found += answer["Tags"]
        if "NextToken" not in answer:
            break
        more = {"NextToken": answer["NextToken"]}
    assert sorted(found, key=lambda tag: tag["Key"]) == tags


def test_a_deleted_tables_tags_do_not_come_back(dynamodb: Any, make_table: Any) -> None:
    table = make_table(Tags=[{"Key": "a", "Value": "1"}])
    dynamodb.delete_table(TableName=table.name)
    dynamodb.get_waiter("table_not_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1})
    assert dynamodb.list_tags_of_resource(ResourceArn=arn_of(make_table(TableName=table.name)))["Tags"] == []


def test_a_table_that_is_not_there_is_not_found(dynamodb: Any, table: Table) -> None:
    missing = arn_of(table) + "-missing"
    with refused("ResourceNotFoundException", f"Requested resource not found: ResourcArn: {missing} not found"):
        dynamodb.list_tags_of_resource(ResourceArn=missing)


def test_an_arn_must_be_given(dynamodb: Any) -> None:
    with invalid(constraint_on("resourceArn")):
        dynamodb.list_tags_of_resource()


@pytest.mark.parametrize("arn", ["table", "arn:aws:s3:::bucket"])
def test_what_is_no_arn_of_a_table_is_refused(dynamodb: Any, arn: str) -> None:
    with pytest.raises(dynamodb.exceptions.ClientError) as caught:
        dynamodb.list_tags_of_resource(ResourceArn=arn)
    assert caught.value.response["Error"]["Code"] in ("ValidationException", "AccessDeniedException")
