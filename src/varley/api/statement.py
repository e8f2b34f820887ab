"""A PartiQL statement bound to a table: one write, or one read, as the native operations have them.

    INSERT     a Put that finds nothing there           UPDATE    a Change of an item that is there
    DELETE     a Delete                                 SELECT    a Selection

A write comes out as a value that a partition evaluates, with its row's key, so that whoever runs several statements
together (a batch now, a transaction one day) can see which rows they are about before any is run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from varley.api.delete_item import Delete
from varley.api.expressions import BoundCondition, BoundUpdate, Shape, end_of
from varley.api.put_item import Put
from varley.api.ranges import index_of, needs_items_for
from varley.api.select_key import SelectKey, check_kind
from varley.api.selection import KeyRange, Selection
from varley.api.services import Services
from varley.api.update_item import Change
from varley.api.writes import Terms
from varley.errors import DuplicateItem, ValidationError
from varley.expression import partiql
from varley.expression.partiql_condition import OneItem, Where
from varley.expression.partiql_projection import Columns
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


def read_of(statement: partiql.Read, values: Values, route: Route, *, consistent: bool) -> Selection:
    """Raises ValidationError for a statement that does not fit the table or the index."""
    index = None if statement.index is None else index_of(route, statement.index, consistent=consistent)
    key = SelectKey(route.keys if index is None else index.codec)
    if statement.columns is not None:
        statement.columns.check_scalar_keys(key.names)
    shape = None if statement.columns is None else _shape_of(statement.columns)
    is_fetching = index is not None and statement.columns is not None and needs_items_for(
        index, statement.columns.top_names
    )  # fmt: skip
    selection = Selection(route, (KeyRange(0, *key.everything),), None, shape, index=index, is_fetching=is_fetching)
    if statement.where is None:
        statement.check_order(key.names, is_scan=True)
        return selection
    statement.where.check_scalar_keys(key.names)
    access = statement.where.access(key.hash_names, key.range_names)
    statement.check_order(key.names, is_scan=access.hash_values is None)
    if access.filter is not None:
        bound = BoundCondition(access.filter, values)
        if index is not None and access.hash_values is not None:
            index.codec.check_filter(bound.names)
        selection = selection.filtered(bound)
    if access.hash_values is None:
        return selection
    descending = dict(statement.order)
    order_name = key.range_names[0] if key.range_names else None
    reverse = order_name is not None and descending.get(order_name, False)
    hash_values = [[values[placeholder] for placeholder in each] for each in access.hash_values]
    collections = key.collections(hash_values, descending.get(key.hash_names[0]))
    sort_ranges = key.sort_ranges(access, values)
    if reverse:
        sort_ranges.reverse()
    ranges = tuple(
        KeyRange(number, prefix + low, end_of(prefix) if high is None else prefix + high)
        for number, prefix in enumerate(collections)
        for low, high in sort_ranges
    )
    return replace(
        selection,
        ranges=ranges,
        reverse=reverse,
        is_merged=len(collections) > 1 and bool(statement.order) and statement.order[0][0] == order_name,
        is_one_item=index is None
        and len(collections) == 1
        and (order_name is None or any(each.operator == "=" for each in access.sort)),
        is_filtered=access.filter is not None or len(access.sort) >= len(key.names),
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
    check_kind(item[keys.hash_name], keys.hash_name, keys.hash_kind)
    if keys.range_name is not None:
        check_kind(item[keys.range_name], keys.range_name, keys.range_kind)
