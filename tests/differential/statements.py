"""Cases of PartiQL: statements about the tables of the world, with literals and with parameters."""

from __future__ import annotations

from typing import Any

from .draw import Draw, Item, Value
from .talk import Body
from .world import BINARY, INDEXED, PLAIN, SORTED, WorldTable

Step = tuple[str, Body]

_CAPACITY = ("NONE", "TOTAL", "INDEXES")
_TABLES = (PLAIN, SORTED, INDEXED, BINARY)
_NAMES = ("a", "b", "c", "d", "e", "n", "s")


class _Statement:
    """A statement as it grows, with its parameters."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.parameters: list[Value] = []

    def value(self, value: Value) -> str:
        """A value in the text: as a parameter or, if it can be one, as a literal."""
        if self.draw.often(0.5):
            self.parameters.append(value)
            return "?"
        return literal(value)

    def body(self, text: str) -> Body:
        body: Body = {"Statement": text}
        if self.draw.errs():
            self.parameters.append({"S": "too many"})
        if self.parameters:
            body["Parameters"] = self.parameters
        return body


def literal(value: Value) -> str:
    [(kind, content)] = value.items()
    match kind:
        case "S":
            text = content.replace("'", "''")
            return f"'{text}'"
        case "N":
            return str(content)
        case "BOOL":
            return "true" if content else "false"
        case "NULL":
            return "null"
        case "L":
            return f"[{', '.join(map(literal, content))}]"
        case "M":
            return "{" + ", ".join(f"'{name}': {literal(member)}" for name, member in content.items()) + "}"
        case "SS":
            return "<<" + ", ".join(literal({"S": each}) for each in content) + ">>"
        case "NS":
            return "<<" + ", ".join(content) + ">>"
    raise AssertionError(f"PartiQL has no literal of {kind}")


def _plain_value(draw: Draw, depth: int = 0) -> Value:
    """One that has a literal, in a spelling that PartiQL takes."""
    match draw.random.randrange(7 if depth < 2 else 4):
        case 0 | 1:
            return {"S": draw.of("", "a", "b", "ab", "Ä", "it's")}
        case 2:
            return {"N": draw.of("0", "1", "2", "5", "-1", "1.5", "10")}
        case 3:
            return draw.of({"BOOL": True}, {"BOOL": False}, {"NULL": True})
        case 4:
            return {"L": draw.some(0, 2, lambda: _plain_value(draw, depth + 1))}
        case 5:
            return {"M": {draw.any(_NAMES): _plain_value(draw, depth + 1) for _ in range(draw.random.randint(0, 2))}}
        case _:
            return draw.of({"SS": ["a", "b"]}, {"NS": ["1", "2"]}, {"SS": ["a"]})


def _key(draw: Draw, table: WorldTable) -> Item:
    values = {
        "S": lambda: {"S": draw.of("k", "k", "l", "a")},
        "N": lambda: {"N": draw.of("1", "2", "3", "-1")},
        "B": lambda: {"B": draw.of("aw==", "YQ==")},
    }
    return {name: values[table.kinds[name]]() for name in table.key_names}


def _value(statement: _Statement, value: Value) -> str:
    if "B" in value:
        statement.parameters.append(value)
        return "?"
    return statement.value(value)


def _insert(draw: Draw, table: WorldTable) -> Body:
    statement = _Statement(draw)
    item = {**{draw.any(_NAMES): _plain_value(draw) for _ in range(draw.random.randint(0, 3))}, **_key(draw, table)}
    for name in table.kinds:
        if name not in table.key_names:
            item.pop(name, None)
    if draw.errs():
        item.pop(draw.any(table.key_names))
    members = ", ".join(f"'{name}': {_value(statement, value)}" for name, value in item.items())
    return statement.body(f'INSERT INTO "{table.name}" VALUE {{{members}}}')


def _where_key(statement: _Statement, table: WorldTable) -> str:
    draw = statement.draw
    conditions = [f"{name} = {_value(statement, value)}" for name, value in _key(draw, table).items()]
    if draw.errs():
        conditions.pop()
    return " AND ".join(conditions)


def _term(statement: _Statement) -> str:
    draw = statement.draw
    name = draw.any(_NAMES)
    match draw.random.randrange(8):
        case 0:
            return f"begins_with({name}, {statement.value({'S': draw.of('', 'a', 'ab')})})"
        case 1:
            return f"contains({name}, {statement.value(_plain_value(draw, 2))})"
        case 2:
            return f"{name} IS {draw.of('', 'NOT ')}MISSING"
        case 3:
            low, high = (statement.value({"N": each}) for each in ("1", "5"))
            return f"{name} BETWEEN {low} AND {high}"
        case 4:
            return f"{name} IN [{', '.join(draw.some(1, 3, lambda: statement.value(_plain_value(draw, 2))))}]"
        case 5:
            return f"attribute_type({name}, {statement.value({'S': draw.of('S', 'N', 'L')})})"
        case 6:
            return f"size({name}) > {statement.value({'N': '1'})}"
        case _:
            operator = draw.of("=", "<>", "<", "<=", ">", ">=")
            value = _plain_value(draw, 2) if operator in ("=", "<>") else {"N": draw.of("1", "5")}
            return f"{name} {operator} {statement.value(value)}"


def _select(draw: Draw, table: WorldTable) -> Body:
    statement = _Statement(draw)
    columns = "*" if draw.often(0.5) else ", ".join(draw.random.sample(_NAMES, draw.random.randint(1, 3)))
    text = f'SELECT {columns} FROM "{table.name}"'
    conditions = []
    if draw.often(0.8):
        conditions.append(_where_key(statement, table) if draw.often(0.5) else _hash_only(statement, table))
    if draw.often(0.4):
        conditions.append(_term(statement))
    if conditions:
        text += " WHERE " + " AND ".join(conditions)
    return statement.body(text)


def _hash_only(statement: _Statement, table: WorldTable) -> str:
    name = table.key_names[0]
    return f"{name} = {_value(statement, _key(statement.draw, table)[name])}"


def _update(draw: Draw, table: WorldTable) -> Body:
    statement = _Statement(draw)
    text = f'UPDATE "{table.name}"'
    names = draw.random.sample(("a", "b", "c", "d", "e"), 2)
    text += f" SET {names[0]} = {statement.value(_plain_value(draw))}"
    if draw.often(0.3):
        text += f" REMOVE {names[1]}"
    text += f" WHERE {_where_key(statement, table)}"
    if draw.often(0.3):
        text += f" AND {_term(statement)}"
    if draw.often(0.3):
        text += f" RETURNING {draw.of('ALL OLD', 'ALL NEW', 'MODIFIED OLD', 'MODIFIED NEW')} *"
    return statement.body(text)


def _delete(draw: Draw, table: WorldTable) -> Body:
    statement = _Statement(draw)
    text = f'DELETE FROM "{table.name}" WHERE {_where_key(statement, table)}'
    if draw.often(0.3):
        text += f" AND {_term(statement)}"
    if draw.often(0.3):
        text += " RETURNING ALL OLD *"
    return statement.body(text)


def execute_statement(draw: Draw) -> list[Step]:
    table = draw.any(_TABLES)
    steps: list[Step] = []
    for _ in range(draw.random.randint(2, 6)):
        make = draw.of(_insert, _insert, _select, _select, _update, _delete)
        body = make(draw, table)
        draw.maybe(body, 0.4, "ReturnConsumedCapacity", lambda: draw.word(*_CAPACITY))
        steps.append(("ExecuteStatement", body))
    return steps


def batch_execute_statement(draw: Draw) -> list[Step]:
    table = draw.any(_TABLES)
    steps: list[Step] = [("ExecuteStatement", _insert(Draw(draw.random, 0.0), table))]
    make: Any = draw.of(_insert, _update, _delete) if draw.often(0.6) else None
    if make is None:
        statements = [_one_item(draw, table) for _ in range(draw.random.randint(1, 4))]
    else:
        statements = [make(draw, table) for _ in range(draw.random.randint(1, 4))]
    for each in statements:
        if " RETURNING " in each["Statement"]:
            each["Statement"] = each["Statement"].partition(" RETURNING ")[0]
    body: Body = {"Statements": statements}
    draw.maybe(body, 0.4, "ReturnConsumedCapacity", lambda: draw.word(*_CAPACITY))
    return [*steps, ("BatchExecuteStatement", body)]


def _one_item(draw: Draw, table: WorldTable) -> Body:
    statement = _Statement(draw)
    return statement.body(f'SELECT * FROM "{table.name}" WHERE {_where_key(statement, table)}')
