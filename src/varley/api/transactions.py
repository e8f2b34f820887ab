"""What the three operations on transactions have in common: what is told of capacity, requests that come again, keys.

Which mistakes cancel a transaction, with a reason for each action, and which refuse the request as a whole: what can be
seen without the table's key refuses, and so does an empty key; a key that does not fit the table cancels. (Reported by
users of the service; an empty key is found where values are looked at.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from varley.api import capacity
from varley.api.writes import Terms
from varley.errors import ApiError, TransactionCanceled, ValidationError
from varley.item.marker import ID_BYTES
from varley.item.stored import item_size
from varley.item.units import read_units
from varley.item.value import Item
from varley.node.partition import Outcome
from varley.router.routes import Route
from varley.transactions import reasons
from varley.transactions.action import UNITS_FACTOR, Action

_encode = msgspec.json.encode
_encode_in_order = msgspec.json.Encoder(order="deterministic").encode

TWICE: Final = "Transaction request cannot include multiple operations on one item"


class TransactionTerms(Terms):
    """The terms of one write of a transaction: what it comes to is asked of its Action."""

    __slots__ = ()

    def outcome(
        self, key: bytes, old: bytes | None, new: bytes | None, attributes: bytes, timestamp_us: int
    ) -> Outcome:
        return new, b"", ()


def request_hash(operation: str, actions: Any) -> bytes:
    """16 bytes that are the same for the same request, in whatever order its maps come."""
    return blake2b(_encode_in_order([operation, actions]), digest_size=ID_BYTES).digest()


class Refusals:
    """Why single actions cannot be, found before any is tried."""

    __slots__ = ("_refusals", "_rows")

    def __init__(self, count: int) -> None:
        self._refusals: list[ApiError | None] = [None] * count
        self._rows: set[tuple[str, bytes]] = set()

    def row_of(self, number: int, route: Route, key: Item, row_key: Callable[[], bytes]) -> bytes | None:
        """The row that action `number` is about; None if it is refused. Raises ValidationError if all are.

        `row_key` makes it of `key`, or of an item that has it, and checks what else has to fit the table.
        """
        try:
            row = row_key()
        except ValidationError as refusal:
            keys = route.keys
            kinds = ((keys.hash_name, keys.hash_kind), (keys.range_name, keys.range_kind))
            if any(name in key and key[name] == {kind: ""} for name, kind in kinds if name is not None):
                raise
            self._refusals[number] = refusal
            return None
        self.add(route, row)
        return row

    def add(self, route: Route, row: bytes) -> None:
        """An action is about this row. Raises ValidationError if another is, too."""
        if (route.name, row) in self._rows:
            raise ValidationError(TWICE)
        self._rows.add((route.name, row))

    def refuse(self, number: int, refusal: ApiError) -> None:
        self._refusals[number] = refusal

    def check(self) -> None:
        """Raises TransactionCanceled if any action was refused."""
        if any(self._refusals):
            raise self.canceled()

    def canceled(self) -> TransactionCanceled:
        return reasons.canceled(self._refusals)


class Costs:
    """Units by table and index, in the order in which tables are first named."""

    __slots__ = ("_indexes", "_kind", "_members", "_units")

    def __init__(self, kind: str) -> None:
        """`kind`: "WriteCapacityUnits" or "ReadCapacityUnits"."""
        self._kind = kind
        self._units: dict[str, float] = {}
        self._indexes: dict[str, dict[str, float]] = {}
        self._members: dict[str, Mapping[str, str]] = {}

    def add(self, table: str, route: Route, units: float, index_units: Mapping[str, float] | None = None) -> None:
        """`table`: as the client named it."""
        self._units[table] = self._units.get(table, 0.0) + units
        if index_units:
            self._members[table] = route.index_members
            indexes = self._indexes.setdefault(table, {})
            for index, each in index_units.items():
                indexes[index] = indexes.get(index, 0.0) + each

    def member(self, mode: str | None) -> bytes:
        """`,"ConsumedCapacity":[…]` or b""."""
        if mode is None or mode == "NONE":
            return b""
        consumed = [
            capacity.consumed(table, units, mode, self._indexes.get(table), self._members.get(table, {}))
            for table, units in self._units.items()
        ]
        return b',"ConsumedCapacity":' + _encode([self._with_kind(each) for each in consumed])

    def _with_kind(self, structure: Any) -> Any:
        """Wherever units are told, told a second time by what they were used for."""
        if not isinstance(structure, dict):
            return structure
        told = {name: self._with_kind(member) for name, member in structure.items()}
        if "CapacityUnits" in told:
            told[self._kind] = told["CapacityUnits"]
        return told


def write_costs(operation: str, actions: Iterable[Action]) -> Costs:
    """Of a transaction that was done; counted."""
    costs = Costs("WriteCapacityUnits")
    for action in actions:
        route = action.route
        costs.add(action.table, route, action.units, action.index_units)
        route.counts[operation].consumed_write_units += action.units
        for index, units in action.index_units.items():
            if index in route.index_counts:    # it may have been deleted since; or it is a vector index
                route.index_counts[index][operation].consumed_write_units += units
    return costs


def read_costs(
    operation: str, routes: Sequence[Route], values: Sequence[bytes | None], tables: Sequence[str]
) -> Costs:
    """Of stored values that were read in a transaction, each from its table; counted. `tables`: as they were named."""
    costs = Costs("ReadCapacityUnits")
    for table, route, value in zip(tables, routes, values, strict=True):
        units = UNITS_FACTOR * read_units(0 if value is None else item_size(value), True)
        costs.add(table, route, units)
        route.counts[operation].consumed_read_units += units
    return costs


def repeat_costs(operation: str, actions: Sequence[Action], values: Sequence[bytes | None]) -> Costs:
    """Of a request that was done before: what it takes to read its items, which have these stored values."""
    routes = [action.route for action in actions]
    return read_costs(operation, routes, values, [action.table for action in actions])
