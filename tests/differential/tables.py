"""Cases about tables themselves: made, described, changed, listed, deleted. Their names all begin with PREFIX."""

from __future__ import annotations

from typing import Any

from .draw import Draw
from .talk import Body

PREFIX = "made."
Step = tuple[str, Body]

_ATTRIBUTES = ("h", "r", "x", "y")


def tables(draw: Draw) -> list[Step]:
    name = f"{PREFIX}{draw.of('one', 'two')}"
    steps: list[Step] = [("CreateTable", create_table(draw, name))]
    for _ in range(draw.random.randint(1, 4)):
        match draw.random.randrange(8):
            case 0 | 1:
                steps.append(("DescribeTable", {"TableName": _name(draw, name)}))
            case 2 | 3 | 4:
                steps.append(("UpdateTable", update_table(draw, name)))
            case 5:
                steps.append(("CreateTable", create_table(draw, name)))
            case 6:
                steps.append(("DeleteTable", {"TableName": _name(draw, name)}))
            case _:
                steps.append(("ListTables", list_tables(draw)))
    return [*steps, ("DescribeTable", {"TableName": name})]


def _name(draw: Draw, name: str) -> str:
    return draw.of("none-such", "", "a", "!!!", "x" * 256) if draw.errs() else name


def _throughput(draw: Draw) -> Body:
    if draw.errs():
        return draw.of({}, {"ReadCapacityUnits": 1}, {"ReadCapacityUnits": 0, "WriteCapacityUnits": 1})
    return {"ReadCapacityUnits": draw.of(1, 2, 5), "WriteCapacityUnits": draw.of(1, 2, 5)}


def create_table(draw: Draw, name: str) -> Body:
    has_range = draw.often(0.6)
    keys = ["h", "r"] if has_range else ["h"]
    used = set(keys)
    body: Body = {"TableName": _name(draw, name), "KeySchema": _key_schema(draw, keys)}
    if draw.often(0.5):
        body["BillingMode"] = draw.word("PAY_PER_REQUEST")
    else:
        draw.maybe(body, 0.5, "BillingMode", lambda: "PROVISIONED")
        body["ProvisionedThroughput"] = _throughput(draw)
        if draw.errs():
            body.pop("ProvisionedThroughput")
    if (has_range and draw.often(0.3)) or draw.errs():
        body["LocalSecondaryIndexes"] = [
            _local_index(draw, number, used) for number in range(draw.of(0, 6) if draw.errs() else draw.of(1, 2))
        ]
    if draw.often(0.3):
        count = draw.of(0, 21) if draw.errs() else draw.of(1, 2)
        body["GlobalSecondaryIndexes"] = [_global_index(draw, number, used, body) for number in range(count)]
    if draw.errs():
        used ^= {draw.any(_ATTRIBUTES)}
    kinds = ("S", "N", "B")
    body["AttributeDefinitions"] = [
        {"AttributeName": each, "AttributeType": draw.word(*kinds)} for each in sorted(used)
    ]
    if draw.errs():
        body.pop(draw.any(list(body)))
    return body


def _key_schema(draw: Draw, names: list[str]) -> list[Body]:
    found = [{"AttributeName": names[0], "KeyType": draw.word("HASH")}]
    found += [{"AttributeName": name, "KeyType": draw.word("RANGE")} for name in names[1:]]
    if draw.errs():
        found = draw.of([], found[::-1], found * 2, [*found, {"AttributeName": "y", "KeyType": "RANGE"}])
    return found


def _projection(draw: Draw) -> Body:
    if draw.errs():
        return draw.of({}, {"ProjectionType": "INCLUDE"}, {"ProjectionType": "ALL", "NonKeyAttributes": ["a"]})
    kind = draw.word("ALL", "KEYS_ONLY", "INCLUDE")
    return {"ProjectionType": kind, "NonKeyAttributes": ["a", "b"]} if kind == "INCLUDE" else {"ProjectionType": kind}


def _local_index(draw: Draw, number: int, used: set[str]) -> Body:
    attribute = draw.of("x", "y", "r")
    used.add(attribute)
    names = [draw.of("x", "y") if draw.errs() else "h", attribute]
    return {
        "IndexName": draw.of("same", "", "a b") if draw.errs() else f"local-{number}",
        "KeySchema": _key_schema(draw, names),
        "Projection": _projection(draw),
    }


def _global_index(draw: Draw, number: int, used: set[str], table: Body) -> Body:
    names = draw.random.sample(_ATTRIBUTES, draw.of(1, 2))
    used |= set(names)
    body: Body = {
        "IndexName": draw.of("same", "", "a b") if draw.errs() else f"global-{number}",
        "KeySchema": _key_schema(draw, names),
        "Projection": _projection(draw),
    }
    if ("ProvisionedThroughput" in table) != draw.errs():
        body["ProvisionedThroughput"] = _throughput(draw)
    return body


def update_table(draw: Draw, name: str) -> Body:
    body: Body = {"TableName": _name(draw, name)}
    match draw.random.randrange(4):
        case 0:
            body["ProvisionedThroughput"] = _throughput(draw)
            draw.maybe(body, 0.3, "BillingMode", lambda: draw.word("PROVISIONED"))
        case 1:
            body["BillingMode"] = draw.word("PAY_PER_REQUEST", "PROVISIONED")
        case 2:
            body["DeletionProtectionEnabled"] = draw.of(True, False)
        case _:
            body["GlobalSecondaryIndexUpdates"] = [_index_update(draw)]
            draw.maybe(body, 0.8, "AttributeDefinitions", lambda: _definitions(draw))
    return body


def _definitions(draw: Draw) -> list[Body]:
    return [{"AttributeName": name, "AttributeType": draw.word("S", "N")} for name in _ATTRIBUTES]


def _index_update(draw: Draw) -> Body:
    name = draw.of("global-0", "global-1", "later")
    match draw.random.randrange(3):
        case 0:
            index: Any = _global_index(draw, 0, set(), {"ProvisionedThroughput": 1} if draw.often(0.5) else {})
            return {"Create": {**index, "IndexName": name}}
        case 1:
            return {"Delete": {"IndexName": name}}
        case _:
            return {"Update": {"IndexName": name, "ProvisionedThroughput": _throughput(draw)}}


def list_tables(draw: Draw) -> Body:
    body: Body = {}
    draw.maybe(body, 0.5, "Limit", lambda: draw.of(0, 101, -1) if draw.errs() else draw.of(1, 2, 100))
    draw.maybe(body, 0.5, "ExclusiveStartTableName", lambda: draw.of("made.", "made.one", "world.plain", "zzz", "aaa"))
    return body
