"""A request with parts of it mended, whatever was wrong with them: how to find out that it has two mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from .talk import Body
from .world import BY_NAME, WorldTable

_PARTS = (
    ("Key", "Item", "ExclusiveStartKey", "RequestItems"),
    ("ConditionExpression", "UpdateExpression", "FilterExpression", "ProjectionExpression", "KeyConditionExpression",
     "ExpressionAttributeNames", "ExpressionAttributeValues"),
    ("Expected", "AttributeUpdates", "AttributesToGet", "ScanFilter", "QueryFilter", "KeyConditions",
     "ConditionalOperator"),
    ("ReturnValues", "Select", "Segment", "TotalSegments", "IndexName", "Limit"),
)  # fmt: skip


def mended(body: Body) -> Iterator[Body]:
    """The request with every choice of its parts mended: taken out, or put in as they should be."""
    if isinstance(body.get("RequestItems"), dict):
        yield from _mended_batch(body)
        return
    table = BY_NAME.get(str(body.get("TableName")))
    for count in range(len(_PARTS)):
        for parts in combinations(_PARTS, count):
            names = {name for part in parts for name in part}
            kept = {name: member for name, member in body.items() if name not in names}
            if table is not None:
                kept |= {name: _key(table) for name in ("Key", "Item") if name in names and name in body}
                if "KeyConditionExpression" in body and "KeyConditionExpression" in names:
                    kept["KeyConditions"] = _collection(table)
            yield kept
    for name, member in body.items():
        if name != "TableName":
            rest = {other: each for other, each in body.items() if other != name}
            yield rest
            if table is not None and name in ("Key", "Item"):
                yield {**body, name: _key(table)}
            if isinstance(member, dict):
                for entry in member:
                    yield {**body, name: {other: each for other, each in member.items() if other != entry}}


def _mended_batch(body: Body) -> Iterator[Body]:
    for name, wanted in body["RequestItems"].items():
        for part in _smaller(wanted, BY_NAME.get(name)):
            yield {**body, "RequestItems": {name: part}}


def _smaller(wanted: Any, table: WorldTable | None) -> Iterator[Any]:
    """What is wanted of one table, with parts of it mended."""
    if isinstance(wanted, list):
        yield from ([one] for one in wanted)
        return
    key = {} if table is None else {"Keys": [_key(table)]}
    bare = {name: member for name, member in wanted.items() if name in ("Keys", "ConsistentRead")}
    yield from (wanted, {**wanted, **key}, bare, {**bare, **key})
    yield from ({**bare, "Keys": [one]} for one in wanted.get("Keys", ()))


def _key(table: WorldTable) -> dict[str, Any]:
    return {name: _VALUES[table.kinds[name]] for name in table.key_names}


def _collection(table: WorldTable) -> dict[str, Any]:
    name = table.key_names[0]
    return {name: {"ComparisonOperator": "EQ", "AttributeValueList": [_VALUES[table.kinds[name]]]}}


_VALUES = {"S": {"S": "k"}, "N": {"N": "1"}, "B": {"B": "aw=="}}
