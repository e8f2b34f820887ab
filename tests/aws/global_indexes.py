"""Global indexes in few words, for the tests of them."""

from __future__ import annotations

from typing import Any

from .eventually import eventually
from .table import Item, Table

INVALID = "One or more parameter values were invalid: "
INDEX_ACTIVE_SECONDS = 1200.0    # the service takes 8 to 17 minutes to add an index to an empty table


def text(value: str) -> Item:
    return {"S": value}


def number(value: int) -> Item:
    return {"N": str(value)}


def definitions(**kinds: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()]


def keyed(*names: str, hashed: int = 1) -> list[dict[str, str]]:
    """A KeySchema: the first `hashed` of the names are the partition key."""
    return [
        {"AttributeName": name, "KeyType": "HASH" if place < hashed else "RANGE"} for place, name in enumerate(names)
    ]


def index(
    name: str, *keys: str, hashed: int = 1, projection: str = "ALL", included: Any = None, **more: Any
) -> dict[str, Any]:
    shape: dict[str, Any] = {"ProjectionType": projection}
    if included is not None:
        shape["NonKeyAttributes"] = included
    return {"IndexName": name, "KeySchema": keyed(*keys, hashed=hashed), "Projection": shape, **more}


def units(read: int, write: int) -> dict[str, int]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def described(table: Table, name: str) -> dict[str, Any] | None:
    """One global index as DescribeTable shows it; None if there is none of this name."""
    shown = table.client.describe_table(TableName=table.name)["Table"].get("GlobalSecondaryIndexes", ())
    return next((each for each in shown if each["IndexName"] == name), None)


def wait_until_active(table: Table, name: str) -> dict[str, Any]:
    """The index, once it is ACTIVE and the table with it."""
    found = eventually(
        lambda: table.client.describe_table(TableName=table.name)["Table"],
        lambda shown: shown["TableStatus"] == "ACTIVE"
        and any(
            each["IndexName"] == name and each["IndexStatus"] == "ACTIVE"
            for each in shown.get("GlobalSecondaryIndexes", ())
        ),
        seconds=INDEX_ACTIVE_SECONDS,
    )
    return next(each for each in found["GlobalSecondaryIndexes"] if each["IndexName"] == name)


def rows(table: Table, name: str, condition: str, **values: Any) -> list[Item]:
    """All items that a Query of the index finds now, over all pages. `values` by placeholder without its colon."""
    parameters = {
        "IndexName": name,
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": {f":{placeholder}": value for placeholder, value in values.items()},
    }
    return [item for page in table.pages("query", **parameters) for item in page["Items"]]


def wait_for_rows(table: Table, name: str, count: int, condition: str, **values: Any) -> list[Item]:
    """The same, once there are so many."""
    return eventually(lambda: rows(table, name, condition, **values), lambda found: len(found) == count)
