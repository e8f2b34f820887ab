"""Cases of transactions: up to four actions on the tables of the world, and reads of what is there then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .draw import Draw, Grammar, Item, Placeholders
from .talk import Body
from .world import WorldTable

Step = tuple[str, Body]

_CAPACITY = ("NONE", "TOTAL", "INDEXES")

KeyOf = Callable[[Draw, WorldTable], Item]


def write_step(draw: Draw, tables: list[WorldTable], key_of: KeyOf, item_of: KeyOf) -> Step:
    """TransactWriteItems. Two actions on one item are a mistake, and drawn now and then."""
    body: Body = {"TransactItems": [_action(draw, draw.any(tables), key_of, item_of) for _ in range(_count(draw))]}
    draw.maybe(body, 0.4, "ReturnConsumedCapacity", lambda: draw.word(*_CAPACITY))
    return "TransactWriteItems", body


def read_step(draw: Draw, tables: list[WorldTable], key_of: KeyOf) -> Step:
    """TransactGetItems."""
    gets = []
    for _ in range(_count(draw)):
        table = draw.any(tables)
        get: Body = {"TableName": table.name, "Key": key_of(draw, table)}
        placeholders = Placeholders(draw)
        if draw.often(0.4):
            get["ProjectionExpression"] = Grammar(draw, placeholders, table.key_names).projection()
        get |= {name: value for name, value in placeholders.members().items() if not name.endswith("Values")}
        gets.append({"Get": get})
    body: Body = {"TransactItems": gets}
    draw.maybe(body, 0.4, "ReturnConsumedCapacity", lambda: draw.word(*_CAPACITY))
    return "TransactGetItems", body


def _count(draw: Draw) -> int:
    return draw.of(0, 101) if draw.errs() else draw.of(1, 1, 2, 3, 4)


def _action(draw: Draw, table: WorldTable, key_of: KeyOf, item_of: KeyOf) -> Body:
    placeholders = Placeholders(draw)
    grammar = Grammar(draw, placeholders, table.key_names)
    kind = draw.of("Put", "Put", "Update", "Update", "Delete", "ConditionCheck")
    action: dict[str, Any] = {"TableName": table.name}
    if kind == "Put":
        action["Item"] = item_of(draw, table)
    else:
        action["Key"] = key_of(draw, table)
    if kind == "Update":
        action["UpdateExpression"] = grammar.update()
    if kind == "ConditionCheck" or draw.often(0.3):
        action["ConditionExpression"] = draw.of(
            f"attribute_exists({table.key_names[0]})", f"attribute_not_exists({table.key_names[0]})"
        ) if draw.often(0.7) else grammar.condition()
    action |= placeholders.members()
    draw.maybe(action, 0.3, "ReturnValuesOnConditionCheckFailure", lambda: draw.word("NONE", "ALL_OLD"))
    if draw.errs():
        action.pop(draw.any(list(action)))
    return {kind: action} if not draw.errs() else draw.of({}, {kind: action, "Delete": action})
