"""PartiQL statements: text in, something that can be bound to a table out. Pure.

    partiql_tokens       text -> tokens, places, and the words of a syntax error
    partiql_tree         what a statement says
    partiql_parser       tokens -> tree
    partiql_literal      'text', 1, [..], {..}, <<..>> -> attribute values
    partiql_condition    WHERE -> the tree of a ConditionExpression, and which items it is about
    partiql_update       SET, REMOVE -> the actions of an UpdateExpression
    partiql_projection   SELECT's list

PartiQL is another way of writing the requests that there are already, so a statement becomes the same trees that
native expressions become, and is evaluated by the same functions: there is no second engine. A statement is one of

    Read      SELECT                 some items of a table, or of an index
    Insert    INSERT                 put an item where there is none
    Change    UPDATE                 change an item that is there
    Removal   DELETE                 delete an item, if it is as the WHERE clause says
    Check     EXISTS(SELECT …)       only in a transaction: an item has to be as the WHERE clause says

Parsing depends on the text alone: it needs neither parameters nor the table's key, so its result is kept (cache.py).
Who has one calls `values` with the request's parameters, which gives all that its placeholders stand for and checks
what depends on them, and hands these values back to whatever it uses.

Source: [DG] "PartiQL - a SQL-compatible query language for Amazon DynamoDB".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from varley.errors import ValidationError
from varley.expression import partiql_tree as tree
from varley.expression.cache import Cache
from varley.expression.partiql_condition import Scope, Where, no_item, parameter_name, where
from varley.expression.partiql_literal import members_of, unsupported
from varley.expression.partiql_parser import parse as parse_tree
from varley.expression.partiql_projection import Columns, columns
from varley.expression.partiql_update import Changes, changes

# [own] Longer texts are not kept: they have their values pasted into them, and will not come again.
_CACHED_CHARS_MAX = 2048

# RETURNING -> ReturnValues of UpdateItem and DeleteItem.
_RETURN_VALUES = {
    "ALL_OLD": "ALL_OLD",
    "MODIFIED_OLD": "UPDATED_OLD",
    "ALL_NEW": "ALL_NEW",
    "MODIFIED_NEW": "UPDATED_NEW",
}

Values = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    table: str  # as written: a name, an ARN, or nothing that could be either
    literals: Mapping[str, Any]  # placeholder -> attribute value
    parameter_count: int
    where: Where | None

    def values(self, parameters: Sequence[Any]) -> Values:
        """All values of the statement, by placeholder; `parameters` were checked and normalised.

        Raises ValidationError if there are too few (AWS ignores those that are too many), or if one does not fit
        where it stands.
        """
        if len(parameters) < self.parameter_count:
            raise ValidationError("Number of parameters in request and statement don't match.")
        values = {**self.literals, **{parameter_name(i): parameters[i] for i in range(self.parameter_count)}}
        if self.where is not None:
            self.where.check(values)
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(_Statement):
    index: str | None
    columns: Columns | None  # None is whole items
    order: tuple[tuple[str, bool], ...]  # (attribute, descending)

    def check_order(self, key_names: tuple[str, ...], *, is_scan: bool) -> None:
        """Raise ValidationError for an ORDER BY that the key cannot serve."""
        if not self.order:
            return
        if self.where is None:
            raise ValidationError("Must have WHERE clause in the statement when using ORDER BY clause.")
        if is_scan:
            raise ValidationError(
                "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause."
            )
        for name, _descending in self.order:
            if name not in key_names:
                raise ValidationError(
                    f"Variable reference {name} in ORDER BY clause must be part of the primary key"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert(_Statement):
    members: Mapping[str, str]  # attribute -> placeholder


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(_Statement):
    where: Where
    changes: Changes
    return_values: str | None  # as UpdateItem's ReturnValues

    def values(self, parameters: Sequence[Any]) -> Values:
        values = _Statement.values(self, parameters)
        self.changes.check(values)
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal(_Statement):
    where: Where
    return_old: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(_Statement):
    where: Where


Statement = Read | Insert | Change | Removal | Check


def parse(text: str) -> Statement:
    """Raises ValidationError for all that is wrong with the text by itself."""
    return _CACHE.get(text, None) if len(text) <= _CACHED_CHARS_MAX else _parse(text, {})


def _parse(text: str, _names: Mapping[str, str]) -> Statement:
    written, parameter_count = parse_tree(text)
    scope = Scope(text)
    match written:
        case tree.Select():
            return _read(written, scope, parameter_count)
        case tree.Insert(table, item):
            return Insert(
                table=table,
                members=_members(item, scope),
                literals=scope.literals,
                parameter_count=parameter_count,
                where=None,
            )
        case tree.Update(table, written_changes, condition, returning):
            return Change(
                table=table,
                changes=changes(written_changes, scope),
                where=_required(condition, scope),
                return_values=None if returning is None else _RETURN_VALUES[returning],
                literals=scope.literals,
                parameter_count=parameter_count,
            )
        case tree.Delete(table, condition, returning):
            return Removal(
                table=table,
                where=_required(condition, scope),
                return_old=returning is not None,
                literals=scope.literals,
                parameter_count=parameter_count,
            )
        case tree.Exists(select):
            return Check(
                table=select.table,
                where=_required(select.where, scope),
                literals=scope.literals,
                parameter_count=parameter_count,
            )


_CACHE: Cache[Statement] = Cache(_parse)


def _read(select: tree.Select, scope: Scope, parameter_count: int) -> Read:
    order = []
    for each in select.order:
        key = each.key
        if not isinstance(key, tree.Reference) or len(key.parts) > 1:
            raise ValidationError(f"Unexpected path component{scope.place(key)}")
        order.append((str(key.parts[0]), each.descending))
    return Read(
        table=select.table,
        index=select.index,
        columns=None if select.projection is None else columns(select.projection, scope.statement),
        where=None if select.where is None else where(select.where, scope),
        order=tuple(order),
        literals=scope.literals,
        parameter_count=parameter_count,
    )


def _required(condition: tree.Expression | None, scope: Scope) -> Where:
    if condition is None:
        raise no_item()
    return where(condition, scope)


def _members(item: tree.Struct, scope: Scope) -> dict[str, str]:
    members = {}
    for name, expression in members_of(item, scope.statement).items():
        value = scope.value(expression)
        if value is None:
            raise unsupported(expression, scope.statement)
        members[name] = value.name
    return members
