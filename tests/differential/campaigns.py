"""Cases about one thing each, where the usual cases come by seldom: nearly all of them right, so that answers are
compared and not refusals.

    lifecycle       an index comes, is written to and read, changes, goes, while its table has items
    capacity        ReturnConsumedCapacity INDEXES of every operation on tables with indexes
    legacy          KeyConditions, QueryFilter, ScanFilter and AttributesToGet on indexes
    cancellation    transactions whose actions fail for different reasons
    paging          Limit, forwards and backwards, on each index, to the end
    numbers         38 digits, the ends of the range, sums that need more, the order of numbers as keys
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .draw import Draw, Item, Value
from .tables import PREFIX
from .talk import Body
from .world import GLOBAL, INDEXED, SORTED, Index, WorldTable

Step = tuple[str, Body]
Case = list[Step]

_ASKED = {"ReturnConsumedCapacity": "INDEXES"}
_EDGES = (
    "0", "-0", "1", "-1", "9", "10", "99", "100", "0.1", "0.01", "1E-130", "-1E-130", "1E-129", "1.5E-130",
    "9.9999999999999999999999999999999999999E+125", "-9.9999999999999999999999999999999999999E+125", "1E125", "1E126",
    "1E-131", "99999999999999999999999999999999999999", "-99999999999999999999999999999999999999",
    "0.00000000000000000000000000000000000001", "12345678901234567890.123456789012345678",
    "100000000000000000000000000000000000000", "123456789012345678901234567890123456789", "1000000000000000000000000",
    "0.5", "5E-1", "50E-2", "+5", "005", "5.0", "5.", ".5", "1e5", "1E+5", "1E05",
)  # fmt: skip


def _put(table: str, item: Item, **more: Any) -> Step:
    return "PutItem", {"TableName": table, "Item": item, **more}


def _number(text: str | int) -> Value:
    return {"N": str(text)}


# Tables whose indexes come and go


def lifecycle(draw: Draw) -> Case:
    name = f"{PREFIX}alive"
    is_on_demand = draw.often(0.5)
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    throughput: Body = {} if is_on_demand else {"ProvisionedThroughput": units}
    made: Body = {
        "TableName": name,
        "KeySchema": [{"AttributeName": "h", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "h", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST" if is_on_demand else "PROVISIONED",
        **throughput,
    }
    kinds = {"x": draw.of("S", "N"), "y": draw.of("S", "N")}

    def definitions(names: list[str]) -> list[Body]:
        return [{"AttributeName": each, "AttributeType": kinds[each]} for each in names]

    def index() -> tuple[Body, list[str]]:
        keys = draw.of(["x"], ["y"], ["x", "y"])
        schema = [{"AttributeName": keys[0], "KeyType": "HASH"}]
        schema += [{"AttributeName": each, "KeyType": "RANGE"} for each in keys[1:]]
        kind = draw.of({"ProjectionType": "ALL"}, {"ProjectionType": "KEYS_ONLY"},
                       {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]})  # fmt: skip
        return {"IndexName": "later", "KeySchema": schema, "Projection": kind, **throughput}, keys

    def item(number: int) -> Item:
        found: Item = {"h": {"S": f"i{number}"}}
        for each, kind in kinds.items():
            if draw.often(0.8):
                found[each] = {kind: f"{number}"}
        if draw.often(0.5):
            found["a"] = {"S": "a" * draw.of(1, 900, 3000)}
        return found

    steps: Case = [("CreateTable", made)]
    steps += [_put(name, item(number)) for number in range(draw.of(0, 3))]
    described, keys = index()
    update = {"TableName": name, "GlobalSecondaryIndexUpdates": [{"Create": described}]}
    steps.append(("UpdateTable", {**update, "AttributeDefinitions": definitions(keys)}))
    steps.append(("DescribeTable", {"TableName": name}))
    steps.append(("Scan", {"TableName": name, "IndexName": "later", **_ASKED}))
    for number in range(draw.of(1, 4)):
        match draw.random.randrange(4):
            case 0 | 1:
                steps.append(_put(name, item(number)))
            case 2:
                steps.append(("DeleteItem", {"TableName": name, "Key": {"h": {"S": f"i{number}"}}}))
            case _:
                each = draw.of("x", "y")
                body: Body = {"TableName": name, "Key": {"h": {"S": f"i{number}"}}}
                if draw.often(0.5):
                    body |= {"UpdateExpression": f"REMOVE {each}"}
                else:
                    value = {kinds[each] if draw.often(0.9) else "BOOL": "7"}
                    value = {"BOOL": True} if "BOOL" in value else value
                    body |= {"UpdateExpression": f"SET {each} = :v", "ExpressionAttributeValues": {":v": value}}
                steps.append(("UpdateItem", body))
        steps.append(("Scan", {"TableName": name, "IndexName": "later", **_ASKED}))
    value = {kinds[keys[0]]: "1"}
    condition = {"KeyConditionExpression": f"{keys[0]} = :k", "ExpressionAttributeValues": {":k": value}}
    steps.append(("Query", {"TableName": name, "IndexName": "later", **condition, **_ASKED}))
    if draw.often(0.5):
        steps.append(("UpdateTable", {"TableName": name, "GlobalSecondaryIndexUpdates": [
            {"Delete": {"IndexName": "later"}}]}))  # fmt: skip
        steps.append(("DescribeTable", {"TableName": name}))
        steps.append(("Query", {"TableName": name, "IndexName": "later", **condition}))
        again, keys = index()
        update = {"TableName": name, "GlobalSecondaryIndexUpdates": [{"Create": again}]}
        steps.append(("UpdateTable", {**update, "AttributeDefinitions": definitions(keys)}))
        steps.append(("DescribeTable", {"TableName": name}))
        steps.append(("Scan", {"TableName": name, "IndexName": "later", **_ASKED}))
    return steps


# The tables of the world


def _key(table: WorldTable, number: int) -> Item:
    hash_name, range_name = table.key_names
    return {hash_name: {"S": "k"}, range_name: {table.kinds[range_name]: str(number)}}


def _item(draw: Draw, table: WorldTable, number: int) -> Item:
    """No two have the same value in a key of an index that orders."""
    found = _key(table, number)
    for name, kind in table.kinds.items():
        if name not in table.key_names and draw.often(0.85):
            is_hash = any(index.hash_name == name for index in table.indexes)
            text = "k" if is_hash else str(number * 3 % 17)
            found[name] = {kind: "aw==" if kind == "B" else text}
    for name in ("a", "b", "c"):
        if draw.often(0.4):
            found[name] = draw.of({"S": "x" * draw.of(1, 200, 1100, 5000)}, _number(draw.of(1, 5, 10)), {"BOOL": True})
    return found


def _some(draw: Draw, table: WorldTable, low: int, high: int) -> list[Item]:
    return [_item(draw, table, number) for number in range(draw.random.randint(low, high))]


def _of_index(table: WorldTable, index: Index | None) -> tuple[str, Value, str, str]:
    """Partition key of an index of `table`, the value that items have there, sort key and its kind."""
    hash_name = table.hash_name_of(index)
    value = {table.kinds[hash_name]: "aw==" if table.kinds[hash_name] == "B" else "k"}
    range_name = table.key_names[1] if index is None else index.range_name
    return hash_name, value, range_name, table.kinds[range_name]


def capacity(draw: Draw) -> Case:
    table = draw.of(INDEXED, GLOBAL)
    name = table.name
    steps = [_put(name, each, **_ASKED) for each in _some(draw, table, 1, 4)]
    for _ in range(draw.random.randint(1, 4)):
        number = draw.random.randrange(5)
        match draw.random.randrange(7):
            case 0:
                steps.append(_put(name, _item(draw, table, number), **_ASKED))
            case 1:
                body: Body = {"TableName": name, "Key": _key(table, number), **_ASKED}
                attribute = draw.of("a", "b", "n", "s")
                value: Value = {table.kinds.get(attribute, "S"): str(draw.of(1, 40))}
                if draw.often(0.3):
                    body["UpdateExpression"] = f"REMOVE {attribute}"
                else:
                    body |= {"UpdateExpression": f"SET {attribute} = :v", "ExpressionAttributeValues": {":v": value}}
                steps.append(("UpdateItem", body))
            case 2:
                steps.append(("DeleteItem", {"TableName": name, "Key": _key(table, number), **_ASKED}))
            case 3:
                writes = [{"PutRequest": {"Item": _item(draw, table, each)}} for each in range(number)]
                steps.append(("BatchWriteItem", {"RequestItems": {name: writes or [
                    {"PutRequest": {"Item": _item(draw, table, 9)}}]}, **_ASKED}))  # fmt: skip
            case 4:
                keys = [_key(table, each) for each in range(number + 1)]
                steps.append(("BatchGetItem", {"RequestItems": {name: {"Keys": keys}}, **_ASKED}))
            case 5:
                steps.append(("GetItem", {"TableName": name, "Key": _key(table, number), **_ASKED}))
            case _:
                where = f"pk = 'k' AND sk = {number if table.kinds['sk'] == 'N' else repr(str(number))}"
                texts = (f'SELECT * FROM "{name}" WHERE {where}', f'UPDATE "{name}" SET a = \'z\' WHERE {where}',
                         f'UPDATE "{name}" SET n = 3 WHERE {where}', f'DELETE FROM "{name}" WHERE {where}')  # fmt: skip
                if draw.often(0.5):
                    steps.append(("ExecuteStatement", {"Statement": draw.any(texts), **_ASKED}))
                else:
                    steps.append(("BatchExecuteStatement", {"Statements": [{"Statement": draw.any(texts)}], **_ASKED}))
    index = draw.any(table.indexes)
    steps.append(("Scan", {"TableName": name, "IndexName": index.name, **_ASKED}))
    return steps


def legacy(draw: Draw) -> Case:
    table = draw.of(INDEXED, GLOBAL)
    index = draw.of(None, *table.indexes, *table.indexes)
    steps = [_put(table.name, each) for each in _some(draw, table, 2, 6)]
    hash_name, value, range_name, kind = _of_index(table, index)
    body: Body = {"TableName": table.name}
    if index is not None:
        body["IndexName"] = index.name
    names = ["a", "b", *table.kinds]

    def conditions() -> Body:
        name = draw.of("a", "b", "c")
        operator = draw.of("EQ", "NE", "LE", "GT", "NULL", "NOT_NULL", "IN", "BETWEEN", "CONTAINS", "BEGINS_WITH")
        values = {"NULL": [], "NOT_NULL": [], "IN": [_number(1), {"S": "x"}], "BETWEEN": [_number(1), _number(7)]}.get(
            operator, [draw.of({"S": "x"}, _number(5)) if operator != "BEGINS_WITH" else {"S": "x"}]
        )
        condition: Body = {"ComparisonOperator": operator}
        if values:
            condition["AttributeValueList"] = values
        return {name: condition}

    if draw.often(0.7):
        equal = {"ComparisonOperator": "EQ", "AttributeValueList": [value]}
        body["KeyConditions"] = {hash_name: equal}
        if draw.often(0.6):
            operator = draw.of("EQ", "LE", "LT", "GE", "GT", "BETWEEN")
            count = 2 if operator == "BETWEEN" else 1
            values = [{kind: text} for text in sorted(str(draw.random.randrange(9)) for _ in range(count))]
            body["KeyConditions"][range_name] = {"ComparisonOperator": operator, "AttributeValueList": values}
        draw.maybe(body, 0.4, "QueryFilter", conditions)
        draw.maybe(body, 0.3, "ScanIndexForward", lambda: False)
    else:
        draw.maybe(body, 0.6, "ScanFilter", conditions)
    if "QueryFilter" in body or "ScanFilter" in body:
        draw.maybe(body, 0.3, "ConditionalOperator", lambda: draw.of("AND", "OR"))
    draw.maybe(body, 0.5, "AttributesToGet", lambda: draw.random.sample(names, draw.of(1, 2)))
    if "AttributesToGet" not in body:
        draw.maybe(body, 0.4, "Select", lambda: draw.of("COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"))
    draw.maybe(body, 0.5, "ReturnConsumedCapacity", lambda: "INDEXES")
    return [*steps, ("Query" if "KeyConditions" in body else "Scan", body)]


def cancellation(draw: Draw) -> Case:
    table = draw.of(SORTED, INDEXED, GLOBAL)
    steps = [_put(table.name, each) for each in _some(draw, table, 1, 4)]
    actions: list[Body] = []
    for number in draw.random.sample(range(8), draw.random.randint(1, 5)):
        key = _key(table, number)
        told: Body = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if draw.often(0.5) else {}
        where = {"TableName": table.name, **told}
        condition = {"ConditionExpression": draw.of("attribute_exists(pk)", "attribute_not_exists(pk)", "a = b")}
        one = {"ExpressionAttributeValues": {":one": _number(1)}}
        match draw.random.randrange(5):
            case 0:
                actions.append({"Put": {**where, "Item": _item(draw, table, number), **condition}})
            case 1:
                actions.append({"Delete": {**where, "Key": key, **condition}})
            case 2:
                actions.append({"ConditionCheck": {**where, "Key": key, **condition}})
            case 3:
                text = "SET z = :one"
                actions.append({"Update": {**where, "Key": key, "UpdateExpression": text, **one, **condition}})
            case _:
                text = draw.of("SET z = a + :one", "ADD a :one", "SET z = q", "ADD c :one")
                members = one if ":one" in text else {}
                actions.append({"Update": {**where, "Key": key, "UpdateExpression": text, **members}})
    body: Body = {"TransactItems": actions}
    return [*steps, ("TransactWriteItems", body)]


def paging(draw: Draw) -> Case:
    table = draw.of(SORTED, INDEXED, GLOBAL)
    index = draw.of(None, *table.indexes, *table.indexes)
    hash_name, value, range_name, kind = _of_index(table, index)
    body: Body = {
        "TableName": table.name,
        "KeyConditionExpression": f"{hash_name} = :h",
        "ExpressionAttributeValues": {":h": value},
        "Limit": draw.of(1, 1, 2, 3, 5),
        "ScanIndexForward": draw.of(True, False),
        **_ASKED,
    }
    if index is not None:
        body["IndexName"] = index.name
    if draw.often(0.4):
        body["KeyConditionExpression"] += f" AND {range_name} {draw.of('<', '<=', '>', '>=')} :r"
        body["ExpressionAttributeValues"][":r"] = {kind: str(draw.random.randrange(9))}
    if draw.often(0.3):
        body |= {"FilterExpression": "attribute_exists(pk)"} if index is not None and range_name != "sk" else {}
    draw.maybe(body, 0.2, "Select", lambda: "COUNT")
    return [*(_put(table.name, each) for each in _some(draw, table, 1, 9)), ("Query", body)]


def numbers(draw: Draw) -> Case:
    table = SORTED
    one, other, third = (draw.any(_EDGES) for _ in range(3))
    key = {"pk": {"S": "k"}, "sk": _number(1)}
    steps: Case = [_put(table.name, {**key, "a": _number(one), "b": {"NS": [other]}, "c": {"L": [_number(third)]}})]
    target: Body = {"TableName": table.name, "Key": key}
    for _ in range(draw.of(1, 2)):
        text = draw.of(
            "SET a = a + :n", "SET a = a - :n", "ADD a :n", "SET a = :n - a", "SET z = a + c[0]",
            "SET c[0] = c[0] + :n", "SET a = if_not_exists(q, :n) + a", "ADD b :s", "DELETE b :s",
        )  # fmt: skip
        value = {":s": {"NS": [draw.any(_EDGES)]}} if ":s" in text else {":n": _number(draw.any(_EDGES))}
        members = {"ExpressionAttributeValues": value} if ":" in text else {}
        steps.append(("UpdateItem", {**target, "UpdateExpression": text, **members, "ReturnValues": "ALL_NEW"}))
    if draw.often(0.5):
        texts = list(dict.fromkeys(draw.any(_EDGES) for _ in range(5)))
        steps += [_put(table.name, {"pk": {"S": "l"}, "sk": _number(text), "t": {"S": text}}) for text in texts]
        operator = draw.of("<", "<=", ">", ">=", "=")
        steps.append(("Query", {
            "TableName": table.name,
            "KeyConditionExpression": f"pk = :p AND sk {operator} :n",
            "ExpressionAttributeValues": {":p": {"S": "l"}, ":n": _number(draw.any(_EDGES))},
        }))  # fmt: skip
    else:
        operator = draw.of("<", "<=", ">", ">=", "=", "<>")
        steps.append(("Scan", {
            "TableName": table.name,
            "FilterExpression": f"a {operator} :n OR contains(b, :m) OR size(a) = :m",
            "ExpressionAttributeValues": {":n": _number(draw.any(_EDGES)), ":m": _number(draw.any(_EDGES))},
        }))  # fmt: skip
    return steps


CAMPAIGNS: dict[str, Callable[[Draw], Case]] = {
    "lifecycle": lifecycle,
    "capacity": capacity,
    "legacy": legacy,
    "cancellation": cancellation,
    "paging": paging,
    "numbers": numbers,
}
