"""Cases: a few requests one after the other, most of them valid, all of them drawn from one seed.

A case begins with the tables of world.py empty, puts items into one of them, and goes on with what its kind is about.
Each kind is a function from a Draw to the steps; KINDS has them with how often each is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from .campaigns import CAMPAIGNS
from .draw import Draw, Grammar, Item, Placeholders, Value
from .statements import batch_execute_statement, execute_statement
from .tables import tables
from .talk import Body
from .transactions import read_step, write_step
from .world import GLOBAL, INDEXED, SORTED, TABLES, Index, WorldTable

Step = tuple[str, Body]
Case = list[Step]

_CAPACITY = ("NONE", "TOTAL", "INDEXES")


def case_of(seed: str, kind: str | None = None) -> Case:
    """The case of a seed: always the same. `kind` is one of KINDS, or drawn."""
    random = Random(seed)
    drawn = random.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    draw = Draw(random, faults=random.choice((0.0, 0.0, 0.004, 0.02)))
    return KINDS[kind or drawn][1](draw)


# Keys and items


def key_value(draw: Draw, kind: str, *, is_hash: bool) -> Value:
    if draw.errs():
        return draw.of(
            {"S": ""}, {"N": "1"}, {"S": "k"}, {"B": ""}, {"NULL": True}, {"S": "x" * 2049}, {}, draw.value()
        )
    match kind:
        case "S":
            return {"S": draw.hash_text() if is_hash else draw.of("a", "ab", "b", "Ä", "😀", "Z", "a b")}
        case "N":
            return {"N": draw.of("1", "2", "3", "-1", "0", "1.5", "10", "1E2", "1.0", "-1.5", "0.001", "99")}
        case _:
            texts = ("aw==", "aw==", "bA==") if is_hash else ("YQ==", "YWI=", "AA==", "/w==", "AAA=")
            return {"B": draw.of(*texts)}


def key(draw: Draw, table: WorldTable) -> Item:
    found = {
        name: key_value(draw, table.kinds[name], is_hash=number == 0) for number, name in enumerate(table.key_names)
    }
    if draw.errs():
        found.pop(draw.any(table.key_names))
    if draw.errs():
        found[draw.attribute()] = draw.value()
    return found


def item(draw: Draw, table: WorldTable) -> Item:
    found = draw.item(key(draw, table))
    for name in _index_names(table):
        if draw.often(0.7):
            found[name] = _index_value(draw, table, name)
        elif not draw.errs():
            found.pop(name, None)
    return found


def _index_names(table: WorldTable) -> list[str]:
    """The attributes that are keys of indexes and not of the table."""
    return [name for name in table.kinds if name not in table.key_names]


def _index_value(draw: Draw, table: WorldTable, name: str) -> Value:
    is_hash = any(index.hash_name == name for index in table.indexes)
    return key_value(draw, table.kinds[name], is_hash=is_hash)


def filled(draw: Draw, table: WorldTable, low: int, high: int) -> Case:
    """Items to begin with: valid ones."""
    careful = Draw(draw.random, 0.0)
    items = [item(careful, table) for _ in range(draw.random.randint(low, high))]
    for index in table.indexes:
        # Nobody says how rows with equal index keys are ordered.
        seen: set[str] = set()
        for each in items:
            names = (table.hash_name_of(index), index.range_name)
            if all(name in each for name in names):
                text = str([_plain(each[name]) for name in names])
                if text in seen:
                    del each[index.hash_name or index.range_name]
                seen.add(text)
    return [("PutItem", {"TableName": table.name, "Item": each}) for each in items]


def table_name(draw: Draw, table: WorldTable) -> str:
    return draw.of("world.none", "", "a", "!!!", "x" * 256) if draw.errs() else table.name


def old_conditions(draw: Draw, *, is_expected: bool) -> dict[str, Any]:
    """A map of old-style conditions: Expected, QueryFilter or ScanFilter."""
    return {draw.attribute(): old_condition(draw, is_expected=is_expected) for _ in range(draw.random.randint(1, 2))}


def old_condition(draw: Draw, *, is_expected: bool) -> Body:
    if is_expected and draw.often(0.4):
        body: Body = {}
        draw.maybe(body, 0.7, "Value", draw.value)
        draw.maybe(body, 0.6, "Exists", lambda: draw.of(True, False))
        return body
    operator = draw.word(
        "EQ", "NE", "LE", "LT", "GE", "GT", "NULL", "NOT_NULL", "CONTAINS", "NOT_CONTAINS", "BEGINS_WITH", "IN",
        "BETWEEN",
    )  # fmt: skip
    count = {"NULL": 0, "NOT_NULL": 0, "BETWEEN": 2, "IN": draw.random.randint(1, 3)}.get(operator, 1)
    if draw.errs():
        count = draw.random.randint(0, 3)
    values = [draw.scalar() if draw.often(0.8) else draw.value() for _ in range(count)]
    if operator == "BETWEEN" and draw.often(0.7):
        values = [{"N": "1"}, {"N": "5"}]
    body = {"ComparisonOperator": operator}
    if values or draw.often(0.1):
        body["AttributeValueList"] = values
    if draw.errs():
        body.pop("ComparisonOperator")
    return body


# The kinds of cases


def _written(draw: Draw, table: WorldTable, *, with_update: bool = False) -> Body:
    """What PutItem, DeleteItem and UpdateItem have beside the item or the key."""
    body: Body = {"TableName": table_name(draw, table)}
    placeholders = Placeholders(draw)
    grammar = Grammar(draw, placeholders, table.key_names)
    old_style = draw.often(0.2)
    if with_update and not old_style:
        draw.maybe(body, 0.95, "UpdateExpression", grammar.update)
    if with_update and (old_style or draw.errs()):
        draw.maybe(body, 0.95, "AttributeUpdates", lambda: attribute_updates(draw))
    if old_style or draw.errs():
        draw.maybe(body, 0.6, "Expected", lambda: old_conditions(draw, is_expected=True))
        if "Expected" in body or draw.errs():
            draw.maybe(body, 0.4, "ConditionalOperator", lambda: draw.word("AND", "OR"))
    if not old_style or draw.errs():
        draw.maybe(body, 0.4, "ConditionExpression", grammar.condition)
        body.update(placeholders.members())
    returned = ["NONE", "ALL_OLD"]
    if with_update or draw.errs():
        returned += ["UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]
    draw.maybe(body, 0.5, "ReturnValues", lambda: draw.word(*returned))
    draw.maybe(body, 0.4, "ReturnConsumedCapacity", lambda: draw.word(*_CAPACITY))
    draw.maybe(body, 0.1, "ReturnItemCollectionMetrics", lambda: draw.word("NONE", "SIZE"))
    draw.maybe(body, 0.2, "ReturnValuesOnConditionCheckFailure", lambda: draw.word("NONE", "ALL_OLD"))
    return body


def attribute_updates(draw: Draw) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(draw.random.randint(1, 3)):
        update: Body = {}
        draw.maybe(update, 0.8, "Action", lambda: draw.word("PUT", "ADD", "DELETE"))
        action = update.get("Action", "PUT")
        if action != "DELETE" or draw.often(0.5):
            value = draw.value()
            if action == "ADD" and draw.often(0.7):
                value = {"N": draw.number()}
            if action == "DELETE" and draw.often(0.8):
                value = draw.set_of(draw.of("SS", "NS"))
            update["Value"] = value
        found[draw.any(("pk", "sk")) if draw.errs() else draw.attribute()] = update
    return found


def put_item(draw: Draw) -> Case:
    table = draw.any(TABLES)
    body = {**_written(draw, table), "Item": item(draw, table)}
    if draw.errs():
        body.pop("Item")
    return [*filled(draw, table, 0, 2), ("PutItem", body)]


def delete_item(draw: Draw) -> Case:
    table = draw.any(TABLES)
    return [*filled(draw, table, 0, 2), ("DeleteItem", {**_written(draw, table), "Key": key(draw, table)})]


def update_item(draw: Draw) -> Case:
    table = draw.any(TABLES)
    steps = filled(draw, table, 0, 2)
    for _ in range(draw.random.randint(1, 3)):
        steps.append(("UpdateItem", {**_written(draw, table, with_update=True), "Key": key(draw, table)}))
    return steps


def _projected(draw: Draw, body: Body, table: WorldTable, placeholders: Placeholders) -> None:
    if draw.often(0.15):
        names = draw.some(0 if draw.errs() else 1, 3, draw.attribute)
        body["AttributesToGet"] = names if draw.errs() else list(dict.fromkeys(names))
    if "AttributesToGet" not in body or draw.errs():
        draw.maybe(body, 0.5, "ProjectionExpression", Grammar(draw, placeholders, table.key_names).projection)


def get_item(draw: Draw) -> Case:
    table = draw.any(TABLES)
    body: Body = {"TableName": table_name(draw, table), "Key": key(draw, table)}
    placeholders = Placeholders(draw)
    _projected(draw, body, table, placeholders)
    body.update({name: value for name, value in placeholders.members().items() if not name.endswith("Values")})
    draw.maybe(body, 0.5, "ConsistentRead", lambda: draw.of(True, False))
    draw.maybe(body, 0.5, "ReturnConsumedCapacity", lambda: draw.word(*_CAPACITY))
    if draw.errs():
        body.pop("Key")
    return [*filled(draw, table, 0, 3), ("GetItem", body)]


def _range_read(draw: Draw, table: WorldTable, placeholders: Placeholders) -> tuple[Body, Index | None]:
    """What Query and Scan have in common."""
    body: Body = {"TableName": table_name(draw, table)}
    index: Index | None = None
    if table.indexes and draw.often(0.6):
        index = draw.any(table.indexes)
        body["IndexName"] = draw.of("none", "", "by n", "by-x") if draw.errs() else index.name
    elif draw.errs():
        body["IndexName"] = "by-n"
    _projected(draw, body, table, placeholders)
    asks = "AttributesToGet" in body or "ProjectionExpression" in body
    if draw.often(0.3):
        choices = ["SPECIFIC_ATTRIBUTES"] if asks else ["ALL_ATTRIBUTES", "COUNT"]
        if index is not None and not asks:
            choices.append("ALL_PROJECTED_ATTRIBUTES")
        if draw.errs():
            choices = ["SPECIFIC_ATTRIBUTES", "ALL_ATTRIBUTES", "COUNT", "ALL_PROJECTED_ATTRIBUTES"]
        body["Select"] = draw.word(*choices)
    draw.maybe(body, 0.3, "Limit", lambda: draw.of(0, -1) if draw.errs() else draw.of(1, 2, 3, 100))
    is_global = index is not None and index.hash_name is not None
    draw.maybe(body, 0.4, "ConsistentRead", lambda: draw.of(True, False) and (not is_global or draw.errs()))
    draw.maybe(body, 0.5, "ReturnConsumedCapacity", lambda: draw.word(*_CAPACITY))
    if draw.often(0.15):
        start = key(draw, table)
        if index is not None and not draw.errs():
            for name in (index.hash_name, index.range_name):
                if name is not None and name not in table.key_names:
                    start[name] = _between(draw, table, name)
        body["ExclusiveStartKey"] = start
    return body, index


def _between(draw: Draw, table: WorldTable, name: str) -> Value:
    """A value for an index key that no item has as its sort key: nobody says which of equal rows come first."""
    if any(index.hash_name == name for index in table.indexes):
        return _index_value(draw, table, name)
    return {"N": draw.of("1.25", "4", "50")} if table.kinds[name] == "N" else {"S": draw.of("aa", "c", "zz")}


def key_condition(draw: Draw, table: WorldTable, index: Index | None, placeholders: Placeholders) -> str:
    hash_name = table.hash_name_of(index)
    range_name = index.range_name if index is not None else table.key_names[1] if len(table.key_names) > 1 else None
    hash_kind = table.kinds[hash_name]
    if range_name is None and draw.errs():
        range_name = draw.attribute()
    if draw.errs():
        hash_name = draw.attribute()
    operator = draw.of("<", "<>") if draw.errs() else "="
    value = placeholders.value(key_value(draw, hash_kind, is_hash=True))
    parts = [f"{placeholders.name(hash_name)} {operator} {value}"]
    if range_name is not None and draw.often(0.7):
        kind = table.kinds.get(range_name, "S")

        def operand() -> str:
            return placeholders.value(key_value(draw, kind, is_hash=False))

        name = placeholders.name(range_name)
        match draw.random.randrange(4):
            case 0 if kind != "N" or draw.errs():
                parts.append(f"begins_with({name}, {operand()})")
            case 1:
                parts.append(f"{name} BETWEEN {operand()} AND {operand()}")
            case _:
                operator = draw.of("<>", "IN") if draw.errs() else draw.of("=", "<", "<=", ">", ">=")
                parts.append(f"{name} {operator} {operand()}")
    if draw.errs():
        parts.append(Grammar(draw, placeholders, table.key_names).predicate())
    if draw.often(0.2):
        parts.reverse()
    if draw.often(0.1):
        parts = [f"({part})" for part in parts]
    return Grammar(draw, placeholders, table.key_names).smudged(" AND ".join(parts))


def old_key_conditions(draw: Draw, table: WorldTable, index: Index | None) -> dict[str, Any]:
    hash_name = table.hash_name_of(index)
    value = key_value(draw, table.kinds[hash_name], is_hash=True)
    operator = draw.word("LT", "NE") if draw.errs() else "EQ"
    found: dict[str, Any] = {hash_name: {"AttributeValueList": [value], "ComparisonOperator": operator}}
    range_name = index.range_name if index is not None else table.key_names[-1]
    if range_name != hash_name and draw.often(0.6):
        condition = old_condition(draw, is_expected=False)
        if not draw.errs():
            condition["ComparisonOperator"] = draw.of("EQ", "LE", "LT", "GE", "GT", "BETWEEN")
            count = 2 if condition["ComparisonOperator"] == "BETWEEN" else 1
            kind = table.kinds[range_name]
            condition["AttributeValueList"] = [key_value(draw, kind, is_hash=False) for _ in range(count)]
        found[range_name] = condition
    if draw.errs():
        found[draw.attribute()] = old_condition(draw, is_expected=False)
    return found


def query(draw: Draw) -> Case:
    table = draw.any(TABLES) if draw.often(0.3) else draw.of(SORTED, INDEXED, GLOBAL)
    placeholders = Placeholders(draw)
    body, index = _range_read(draw, table, placeholders)
    # A filter may not speak of the key of what is read.
    keys = table.key_names if draw.errs() else ("a", "b")
    is_old = "AttributesToGet" in body or (draw.often(0.15) and "ProjectionExpression" not in body)
    if is_old and not draw.errs():
        body["KeyConditions"] = old_key_conditions(draw, table, index)
        if draw.often(0.3):
            body["QueryFilter"] = old_conditions(draw, is_expected=False)
            draw.maybe(body, 0.4, "ConditionalOperator", lambda: draw.word("AND", "OR"))
    else:
        body["KeyConditionExpression"] = key_condition(draw, table, index, placeholders)
        draw.maybe(body, 0.4, "FilterExpression", Grammar(draw, placeholders, keys).condition)
        body.update(placeholders.members())
    draw.maybe(body, 0.3, "ScanIndexForward", lambda: draw.of(True, False))
    if draw.errs():
        body.pop(draw.any(list(body)))
    return [*filled(draw, table, 1, 7), ("Query", body)]


def scan(draw: Draw) -> Case:
    """In an order that both have in common: all items are of one partition key, or all are answered."""
    table = draw.any(TABLES)
    placeholders = Placeholders(draw)
    body, index = _range_read(draw, table, placeholders)
    steps = filled(draw, table, 1, 6)
    if index is not None and index.hash_name is not None:
        body.pop("Limit", None)    # the rows of one partition key of the index may be of several of the table
        body.pop("ExclusiveStartKey", None)
    if "Limit" in body or "ExclusiveStartKey" in body:
        hash_name = table.key_names[0]
        value = {"S": "k"} if table.kinds[hash_name] == "S" else {"B": "aw=="}
        for step in steps:
            step[1]["Item"][hash_name] = value
        if hash_name in body.get("ExclusiveStartKey", {}):
            body["ExclusiveStartKey"][hash_name] = value
    if draw.often(0.2) and "Limit" not in body and "ExclusiveStartKey" not in body:
        if draw.errs():
            body |= draw.of({"Segment": 0}, {"TotalSegments": 2}, {"Segment": 2, "TotalSegments": 2}, {"Segment": -1})
        else:
            body |= {"Segment": 0, "TotalSegments": 1}
    if "AttributesToGet" in body or (draw.often(0.2) and "ProjectionExpression" not in body):
        if draw.often(0.5):
            body["ScanFilter"] = old_conditions(draw, is_expected=False)
            draw.maybe(body, 0.4, "ConditionalOperator", lambda: draw.word("AND", "OR"))
    else:
        draw.maybe(body, 0.6, "FilterExpression", Grammar(draw, placeholders, table.key_names).condition)
        body.update(placeholders.members())
    return [*steps, ("Scan", body)]


def batch_get_item(draw: Draw) -> Case:
    tables = draw.random.sample(TABLES, draw.of(1, 1, 2))
    steps: Case = []
    wanted: Body = {}
    for table in tables:
        steps += filled(draw, table, 0, 3)
        placeholders = Placeholders(draw)
        body: Body = {"Keys": _distinct_keys(draw, [key(draw, table) for _ in range(draw.random.randint(1, 4))])}
        _projected(draw, body, table, placeholders)
        body.update({name: value for name, value in placeholders.members().items() if not name.endswith("Values")})
        draw.maybe(body, 0.4, "ConsistentRead", lambda: draw.of(True, False))
        if draw.errs():
            body["Keys"] = draw.of([], body["Keys"] * 2, [{}])
        wanted[table_name(draw, table)] = body
    request: Body = {"RequestItems": {} if draw.errs() else wanted}
    draw.maybe(request, 0.5, "ReturnConsumedCapacity", lambda: draw.word(*_CAPACITY))
    return [*steps, ("BatchGetItem", request)]


def batch_write_item(draw: Draw) -> Case:
    tables = draw.random.sample(TABLES, draw.of(1, 1, 2))
    steps: Case = []
    wanted: Body = {}
    for table in tables:
        steps += filled(draw, table, 0, 2)
        keys = _distinct_keys(draw, [key(draw, table) for _ in range(draw.random.randint(1, 4))])
        writes: list[Body] = []
        for each in keys:
            if draw.often(0.5):
                writes.append({"DeleteRequest": {"Key": each}})
            else:
                writes.append({"PutRequest": {"Item": {**item(draw, table), **each}}})
        if draw.errs():
            writes = draw.of([], writes * 2, [{}], [{**writes[0], "DeleteRequest": {"Key": key(draw, table)}}])
        wanted[table_name(draw, table)] = writes
    request: Body = {"RequestItems": {} if draw.errs() else wanted}
    draw.maybe(request, 0.5, "ReturnConsumedCapacity", lambda: draw.word(*_CAPACITY))
    draw.maybe(request, 0.2, "ReturnItemCollectionMetrics", lambda: draw.word("NONE", "SIZE"))
    return [*steps, ("BatchWriteItem", request)]


def transaction(draw: Draw) -> Case:
    """Mostly on different items: their sort keys, or else partition keys, are drawn from more values."""
    tables = draw.random.sample(TABLES, draw.of(1, 1, 2))
    steps: Case = []
    for table in tables:
        steps += filled(draw, table, 0, 3)
    steps.append(write_step(draw, tables, key, item))
    return [*steps, read_step(draw, tables, key)]


def _distinct_keys(draw: Draw, keys: list[Item]) -> list[Item]:
    """Without those that are equal, but for a mistake."""
    if draw.errs():
        return keys
    return list({str({name: _plain(value) for name, value in each.items()}): each for each in keys}.values())


def _plain(value: Value) -> Any:
    return float(value["N"]) if set(value) == {"N"} and value["N"] not in ("", "abc") and _is_number(value) else value


def _is_number(value: Value) -> bool:
    try:
        float(value["N"])
    except (ValueError, TypeError):
        return False
    return True


KINDS: dict[str, tuple[int, Callable[[Draw], Case]]] = {
    "put": (3, put_item),
    "delete": (2, delete_item),
    "update": (6, update_item),
    "get": (3, get_item),
    "query": (6, query),
    "scan": (4, scan),
    "batch_get": (2, batch_get_item),
    "batch_write": (2, batch_write_item),
    "statement": (3, execute_statement),
    "batch_statement": (1, batch_execute_statement),
    "tables": (2, tables),
    "transaction": (2, transaction),
    **{name: (1, campaign) for name, campaign in CAMPAIGNS.items()},
}
