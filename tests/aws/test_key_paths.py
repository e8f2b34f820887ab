# Why: key attributes are scalars, so a document path that leads into one can never hold. The service refuses such a
# path in every expression, instead of never finding anything.

from collections.abc import Callable
from typing import Any

import pytest

from .refusals import invalid
from .table import Item, Table, schema


def not_scalar(name: str, kind: str = "Key") -> Any:
    return invalid(
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
        f"{kind}: {name}"
    )


@pytest.fixture(scope="module")
def indexed(make_table: Callable[..., Table]) -> Table:
    keys = schema("S", "S")
    keys["AttributeDefinitions"].append({"AttributeName": "x", "AttributeType": "S"})
    return make_table(
        **keys,
        LocalSecondaryIndexes=[
            {
                "IndexName": "by-x",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "x", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


@pytest.fixture
def there(indexed: Table, key: Item) -> Item:
    return {**key, "sk": {"S": "a"}}


@pytest.mark.parametrize(("path", "name"), [("pk.a", "pk"), ("sk[0]", "sk")])
def test_in_conditions(indexed: Table, there: Item, path: str, name: str) -> None:
    condition = f"attribute_not_exists({path})"
    with not_scalar(name):
        indexed.put(there, ConditionExpression=condition)
    with not_scalar(name):
        indexed.delete(there, ConditionExpression=condition)
    with not_scalar(name):
        indexed.update(there, ConditionExpression=condition)


def test_in_conditions_on_index_keys(indexed: Table, there: Item) -> None:
    with not_scalar("x", "IndexKey"):
        indexed.put(there, ConditionExpression="attribute_not_exists(x.a)")


@pytest.mark.parametrize(("path", "name", "kind"), [("pk.a", "pk", "Key"), ("a, x[1]", "x", "IndexKey")])
def test_in_projections(
    dynamodb: Any, indexed: Table, there: Item, key: Item, path: str, name: str, kind: str
) -> None:
    with not_scalar(name, kind):
        indexed.get(there, ProjectionExpression=path)
    with not_scalar(name, kind):
        dynamodb.batch_get_item(RequestItems={indexed.name: {"Keys": [there], "ProjectionExpression": path}})
    with not_scalar(name, kind):
        indexed.scan(ProjectionExpression=path)
    with not_scalar(name, kind):
        indexed.query("pk = :pk", ExpressionAttributeValues={":pk": key["pk"]}, ProjectionExpression=path)


@pytest.mark.parametrize(("path", "name", "kind"), [("sk.a", "sk", "Key"), ("x[1]", "x", "IndexKey")])
def test_in_filters(indexed: Table, key: Item, path: str, name: str, kind: str) -> None:
    with not_scalar(name, kind):
        indexed.scan(FilterExpression=f"attribute_exists({path})")
    with not_scalar(name, kind):
        indexed.query(
            "pk = :pk", ExpressionAttributeValues={":pk": key["pk"]}, FilterExpression=f"attribute_exists({path})"
        )


def test_the_index_keys_of_the_index_that_is_queried_too(indexed: Table, key: Item) -> None:
    with not_scalar("x", "IndexKey"):
        indexed.query(
            "pk = :pk",
            IndexName="by-x",
            ExpressionAttributeValues={":pk": key["pk"]},
            FilterExpression="attribute_exists(x.a)",
        )


def test_an_empty_partition_key_in_a_query_of_an_index_is_told_of_the_index(indexed: Table) -> None:
    text = (
        "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
        "The AttributeValue for a key attribute cannot contain an empty string value. IndexName: by-x, IndexKey: pk"
    )
    with invalid(text):
        indexed.query("pk = :pk", IndexName="by-x", ExpressionAttributeValues={":pk": {"S": ""}})
