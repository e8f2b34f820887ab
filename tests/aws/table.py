"""One table as a test sees it: the client's item operations with the table's name filled in."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

Item = dict[str, Any]


class Table:
    """`client` is a boto3 DynamoDB client; parameters are spelt and answered exactly as it does."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name

    def put(self, item: Item, **parameters: Any) -> dict[str, Any]:
        return self.client.put_item(TableName=self.name, Item=item, **parameters)

    def get(self, key: Item, **parameters: Any) -> dict[str, Any]:
        return self.client.get_item(TableName=self.name, Key=key, **parameters)

    def update(self, key: Item, **parameters: Any) -> dict[str, Any]:
        return self.client.update_item(TableName=self.name, Key=key, **parameters)

    def delete(self, key: Item, **parameters: Any) -> dict[str, Any]:
        return self.client.delete_item(TableName=self.name, Key=key, **parameters)

    def query(self, condition: str | None = None, **parameters: Any) -> dict[str, Any]:
        if condition is not None:
            parameters["KeyConditionExpression"] = condition
        return self.client.query(TableName=self.name, **parameters)

    def scan(self, **parameters: Any) -> dict[str, Any]:
        return self.client.scan(TableName=self.name, **parameters)

    def item(self, key: Item) -> Item | None:
        """The newest item with this key, or None."""
        return self.get(key, ConsistentRead=True).get("Item")

    def pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Every page of a "query" or "scan", following LastEvaluatedKey to its end."""
        while True:
            page = getattr(self.client, operation)(TableName=self.name, **parameters)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            parameters["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def fill(self, items: list[Item]) -> None:
        """Put all of them, 25 to a request."""
        for start in range(0, len(items), 25):
            waiting = {self.name: [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]}
            while waiting:
                waiting = self.client.batch_write_item(RequestItems=waiting)["UnprocessedItems"]


def unique(prefix: str = "k") -> str:
    """A text that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:16]}"


def sort_keys(answer: dict[str, Any], name: str = "sk") -> list[Any]:
    """The values of one attribute in the order in which a query gave its items."""
    return [next(iter(item[name].values())) for item in answer["Items"]]


def schema(partition_key: str = "S", sort_key: str | None = None) -> dict[str, Any]:
    """CreateTable parameters of a table with key `pk` (and `sk`) of these types."""
    keys = [("pk", "HASH", partition_key)] + ([("sk", "RANGE", sort_key)] if sort_key else [])
    return {
        "KeySchema": [{"AttributeName": name, "KeyType": role} for name, role, _ in keys],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, _, kind in keys],
        "BillingMode": "PAY_PER_REQUEST",
    }


def nested(levels: int, leaf: Item | None = None) -> Item:
    """A value that is `levels` lists deep, around a text."""
    value = leaf or {"S": "leaf"}
    for _ in range(levels):
        value = {"L": [value]}
    return value
