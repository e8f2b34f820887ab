"""A PartiQL statement bound to a table: one write, or one read, as the native operations have them.

    INSERT     a Put that finds nothing there           UPDATE    a Change of an item that is there
    DELETE     a Delete                                 SELECT    a Selection

A write comes out as a value that a partition evaluates, with its row's key, so that whoever runs several statements
together (a batch now, a transaction one day) can see which rows they are about before any is run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from varley.api.delete_item import Delete
from varley.api.expressions import BoundCondition, BoundUpdate, Shape, end_of
from varley.api.put_item import Put
from varley.api.ranges import ITEMS_END
from varley.api.selection import KeyRange, Selection
from varley.api.services import Services
from varley.api.update_item import Change
from varley.api.writes import Terms
from varley.errors import DuplicateItem, ValidationError
from varley.expression import partiql
from varley.expression.key_condition import Restriction, range_bounds
from varley.expression.partiql_condition import OneItem, Where
from varley.expression.partiql_projection import Columns
from varley.item.key_bytes import sort_bytes
from varley.item.stored import HEADER_BYTES
from varley.item.value import Item, check_item, check_value
from varley.limits import ITEM_BYTES_MAX, TABLE_NAME_CHARS_MAX, TABLE_NAME_CHARS_MIN
from varley.node.partition import Outcome
from varley.router.routes import Route
from varley.table.keys import KeyCodec
from varley.table.table_name import TABLE_NAME_PATTERN

_encode = msgspec.json.encode
_decode_item = msgspec.json.decode
_is_table_name = re.compile(TABLE_NAME_PATTERN).fullmatch

_EVERYTHING = (KeyRange(0, b"\x00", ITEMS_END),)

Values = Mapping[str, Any]
MakeTerms = Callable[[str | None], Terms]    # from what RETURNING asks for, as a native ReturnValues


class Insert:
    """The write: put an item where there is none."""

    __slots__ = ("counts", "key", "put")

    def __init__(self, put: Put) -> None:
        self.put = put
        self.key = put.key
        self.counts = put.counts

    def evaluate(self, old: bytes | None, timestamp_us: int) -> Outcome:
        if old is not None:
            shown = self.put.terms.return_old_on_failure
            raise DuplicateItem(_decode_item(old[HEADER_BYTES:]) if shown else None)
        return self.put.evaluate(old, timestamp_us)


StatementWrite = Insert | Change | Delete


def check_parameters(parameters: list[Any] | None) -> list[Any]:
    """The parameters of one statement, normalised. Raises ValidationError."""
    for value in parameters or ():
        check_value(value)
    return parameters or []


def route_of(services: Services, statement: partiql.Statement) -> Route:
    """Raises ValidationError for what cannot be a table's name, ResourceNotFound for a table that is not."""
    name = statement.table
    fits = TABLE_NAME_CHARS_MIN <= len(name) <= TABLE_NAME_CHARS_MAX and _is_table_name(name)
    if not fits and not name.startswith("arn:"):
        raise ValidationError(
            f"Table name should be within the length [{TABLE_NAME_CHARS_MIN}, {TABLE_NAME_CHARS_MAX}] "
            "and only contain 'a-z', 'A-Z', '0-9', '-', '_', '.'."
        )
    return services.router.route(name)


def write_of(statement: partiql.Statement, values: Values, route: Route, make_terms: MakeTerms) -> StatementWrite:
    """Raises ValidationError for a statement that does not fit the table, or is no write."""
    match statement:
        case partiql.Insert():
            return _insert(statement, values, route, make_terms(None))
        case partiql.Change(where=where, changes=changes):
            key, one = item_of(where, values, route, must_exist=True)
            update = BoundUpdate(changes.update, values)
            update.check_keys(route.keys.names)
            if route.consequences is not None:
                update.check_index_keys(route.consequences.index_names)
            row_key = route.keys.row_key(key)
            return Change(row_key, key, update, _bound(one, values), make_terms(statement.return_values))
        case partiql.Removal(where=where):
            key, one = item_of(where, values, route, must_exist=False)
            terms = make_terms("ALL_OLD" if statement.return_old else None)
            return Delete(route.keys.row_key(key), _bound(one, values), terms)
        case partiql.Check():
            raise ValidationError("EXISTS can only be used in ExecuteTransaction write requests.")
    raise AssertionError(f"not a write: {statement}")


def item_of(where: Where, values: Values, route: Route, *, must_exist: bool) -> tuple[Item, OneItem]:
    """The key of the one item that a WHERE clause is about, and what else is to hold for it.

    Raises ValidationError if it is not about one item, or not about one that the table could have.
    """
    keys = route.keys
    where.check_scalar_keys(keys.names)
    one = where.item(keys.names, values, must_exist=must_exist)
    key = {name: values[placeholder] for name, placeholder in zip(keys.names, one.key, strict=True)}
    _check_key_kinds(key, keys)
    return key, one


def read_of(statement: partiql.Read, values: Values, route: Route) -> Selection:
    """Raises ValidationError for a statement that does not fit the table."""
    keys = route.keys
    if statement.index is not None:
        raise ValidationError(f"The table does not have the specified index: {statement.index}")
    if statement.columns is not None:
        statement.columns.check_scalar_keys(keys.names)
    shape = None if statement.columns is None else _shape_of(statement.columns)
    if statement.where is None:
        statement.check_order(keys.names, is_scan=True)
        return Selection(route, _EVERYTHING, None, shape)
    statement.where.check_scalar_keys(keys.names)
    access = statement.where.access(keys.hash_name, keys.range_name)
    statement.check_order(keys.names, is_scan=access.hash_values is None)
    bound = None if access.filter is None else BoundCondition(access.filter, values)
    passes = None if bound is None else bound.holds_for
    if access.hash_values is None:
        return Selection(route, _EVERYTHING, passes, shape)
    descending = dict(statement.order)
    reverse = keys.range_name is not None and descending.get(keys.range_name, False)
    collections = _collections([values[each] for each in access.hash_values], keys, descending.get(keys.hash_name))
    sort_ranges = _sort_ranges(access.sort, values, keys)
    if reverse:
        sort_ranges.reverse()
    ranges = tuple(
        KeyRange(number, prefix + low, end_of(prefix) if high is None else prefix + high)
        for number, prefix in enumerate(collections)
        for low, high in sort_ranges
    )
    return Selection(
        route,
        ranges,
        passes,
        shape,
        reverse=reverse,
        is_merged=len(collections) > 1 and bool(statement.order) and statement.order[0][0] == keys.range_name,
        is_one_item=len(collections) == 1
        and (keys.range_name is None or any(each.operator == "=" for each in access.sort)),
        is_filtered=access.filter is not None or len(access.sort) >= len(keys.names),
    )


def _insert(statement: partiql.Insert, values: Values, route: Route, terms: Terms) -> Insert:
    item = {name: values[placeholder] for name, placeholder in statement.members.items()}
    _check_key_kinds(item, route.keys)
    size = check_item(item)
    if size > ITEM_BYTES_MAX:
        raise ValidationError("Item size has exceeded the maximum allowed size")
    row_key = route.keys.row_key_of_item(item)
    if route.consequences is not None:
        route.consequences.check_item(item)
    return Insert(Put(row_key, _encode(item), size, None, terms))


def _shape_of(columns: Columns) -> Shape:
    apply = columns.apply
    return lambda item: _encode(apply(item))


def _bound(one: OneItem, values: Values) -> BoundCondition | None:
    return None if one.condition is None else BoundCondition(one.condition, values)


def _check_key_kinds(item: Item, keys: KeyCodec) -> None:
    for name in keys.names:
        if name not in item:
            raise ValidationError(f"Key attribute should be present in the item: Key {name}")
    _check_kind(item[keys.hash_name], keys.hash_name, keys.hash_kind)
    if keys.range_name is not None:
        _check_kind(item[keys.range_name], keys.range_name, keys.range_kind)


def _check_kind(value: Mapping[str, Any], name: str, kind: str | None) -> None:
    if kind not in value:
        raise ValidationError(f"Key attribute's data type should match its data type in table's schema: Key {name}")


def _collections(hash_values: list[Any], keys: KeyCodec, descending: bool | None) -> list[bytes]:
    """What the row keys of each item collection begin with, each once, in the order in which to read them."""
    for value in hash_values:
        _check_kind(value, keys.hash_name, keys.hash_kind)
    if descending is not None:
        kind = keys.hash_kind
        hash_values = sorted(hash_values, key=lambda value: sort_bytes(kind, value[kind]), reverse=descending)
    return list(dict.fromkeys(map(keys.item_collection, hash_values)))


def _sort_ranges(
    restrictions: tuple[Restriction, ...], values: Values, keys: KeyCodec
) -> list[tuple[bytes, bytes | None]]:
    """The ranges of sort keys' bytes that all restrictions allow, ascending; perhaps none."""
    ranges: list[tuple[bytes, bytes | None]] = [(b"", None)]
    for each in restrictions:
        operands = [values[placeholder] for placeholder in each.operands]
        for value in operands:
            _check_kind(value, each.name, keys.range_kind)
        points = [keys.range_bytes(value) for value in operands]
        if each.operator == "IN":
            allowed = [range_bounds("=", [point]) for point in sorted(set(points))]
        else:
            allowed = [range_bounds(each.operator, points)]
        ranges = [both for one in ranges for other in allowed if (both := _intersection(one, other)) is not None]
    return ranges


def _intersection(
    one: tuple[bytes, bytes | None], other: tuple[bytes, bytes | None]
) -> tuple[bytes, bytes | None] | None:
    low = max(one[0], other[0])
    ends = [end for end in (one[1], other[1]) if end is not None]
    high = min(ends) if ends else None
    return None if high is not None and low >= high else (low, high)
