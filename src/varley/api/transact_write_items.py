"""TransactWriteItems: up to 100 puts, updates, deletes and checks of items in any tables, all or none.

Order of checks: shape of the body; constraints of the model; action by action what stands in it by itself; then the
tables; then, action by action, the key and what else has to fit the table; last, in the partitions, conditions and
updates against the items as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from varley.api import constraints
from varley.api.constraints import DATA_TABLE_NAME, NOT_NULL, Each, Length, Members, OneOf
from varley.api.delete_item import Delete as DeleteWrite
from varley.api.expressions import BoundCondition, BoundUpdate, check_key_paths, refuse
from varley.api.put_item import Put as PutWrite
from varley.api.requests import Attributes, Request, Structure, decoder
from varley.api.services import Services
from varley.api.transactions import Refusals, TransactionTerms, repeat_costs, request_hash, write_costs
from varley.api.update_item import Change
from varley.api.writes import (
    TOO_LARGE,
    TOO_LARGE_TO_UPDATE,
    collection_metrics,
    condition_of,
    update_expressions,
    update_of,
    write_expressions,
)
from varley.errors import ValidationError
from varley.http.call import Call
from varley.item.size import item_size
from varley.item.value import Item, check_item
from varley.limits import CLIENT_TOKEN_CHARS_MAX, ITEM_BYTES_MAX, TRANSACTION_ACTIONS_MAX, TRANSACTION_BYTES_MAX
from varley.node.partition import Outcome
from varley.router.routes import Route
from varley.transactions.action import Action
from varley.transactions.reasons import payload_too_large
from varley.transactions.spread import AsSent

_encode = msgspec.json.encode

_OPERATION: Final = "TransactWriteItems"


class _Conditional(Structure):
    """What the four actions have in common."""

    table_name: str | None = None
    condition_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None
    expression_attribute_values: Attributes | None = None
    return_values_on_condition_check_failure: str | None = None

    # What only a request about one item can have.
    expected: ClassVar[None] = None
    conditional_operator: ClassVar[None] = None
    attribute_updates: ClassVar[None] = None


class ConditionCheck(_Conditional):
    key: Attributes | None = None


class Put(_Conditional):
    item: Attributes | None = None


class Delete(_Conditional):
    key: Attributes | None = None


class Update(_Conditional):
    key: Attributes | None = None
    update_expression: str | None = None


class TransactWriteItem(Structure):
    condition_check: ConditionCheck | None = None
    put: Put | None = None
    delete: Delete | None = None
    update: Update | None = None


class TransactWriteItemsRequest(Request):
    transact_items: list[TransactWriteItem] | None = None
    return_consumed_capacity: str | None = None
    return_item_collection_metrics: str | None = None
    client_request_token: str | None = None


_decode = decoder(TransactWriteItemsRequest)

TOKEN: Final = (Length(1, CLIENT_TOKEN_CHARS_MAX),)
_ON_FAILURE: Final = (OneOf("ALL_OLD", "NONE"),)
_MEMBERS: Final = Members(
    return_consumed_capacity=(OneOf("INDEXES", "TOTAL", "NONE"),),
    return_item_collection_metrics=(OneOf("SIZE", "NONE"),),
    client_request_token=TOKEN,
    transact_items=(
        NOT_NULL,
        Length(1, TRANSACTION_ACTIONS_MAX),
        Each(
            Members(
                condition_check=(
                    Members(
                        return_values_on_condition_check_failure=_ON_FAILURE,
                        condition_expression=(NOT_NULL,),
                        key=(NOT_NULL,),
                        table_name=DATA_TABLE_NAME,
                    ),
                ),
                put=(
                    Members(
                        return_values_on_condition_check_failure=_ON_FAILURE,
                        item=(NOT_NULL,),
                        table_name=DATA_TABLE_NAME,
                    ),
                ),
                delete=(
                    Members(
                        return_values_on_condition_check_failure=_ON_FAILURE,
                        key=(NOT_NULL,),
                        table_name=DATA_TABLE_NAME,
                    ),
                ),
                update=(
                    Members(
                        return_values_on_condition_check_failure=_ON_FAILURE,
                        update_expression=(NOT_NULL,),
                        key=(NOT_NULL,),
                        table_name=DATA_TABLE_NAME,
                    ),
                ),
            )
        ),
    ),
)


class Check:
    """A write that writes nothing: the item stays as it is if `condition` holds."""

    __slots__ = ("_condition", "_must_exist", "_return_old", "key")

    def __init__(self, key: bytes, condition: BoundCondition, *, return_old: bool, must_exist: bool = False) -> None:
        self.key = key
        self._condition = condition
        self._return_old = return_old
        self._must_exist = must_exist    # whatever the condition says of an item that is not there

    def evaluate(self, old: bytes | None, timestamp_us: int) -> Outcome:
        if (old is None and self._must_exist) or not self._condition.holds(old):
            refuse(old, self._return_old)
        return old, b"", ()


class _Wanted(NamedTuple):
    """One action, and what could be found out of it without its table."""

    request: ConditionCheck | Put | Delete | Update
    key: Item       # of a Put, the whole item
    size: int       # of what it carries, in DynamoDB bytes
    update: BoundUpdate | None
    condition: BoundCondition | None


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    items = request.transact_items
    if items is None or _is_unusual(request, items):
        constraints.check(_MEMBERS, request)
    assert items is not None
    wanted = [_wanted(item) for item in items]
    check_payload(each.size for each in wanted)
    routes = [services.router.route(each.request.table_name or "") for each in wanted]
    refusals = Refusals(len(wanted))
    actions = [
        _action(number, each, route, refusals)
        for number, (each, route) in enumerate(zip(wanted, routes, strict=True))
    ]
    refusals.check()
    bound = [action for action in actions if action is not None]
    mode = request.return_consumed_capacity
    metrics_mode = request.return_item_collection_metrics

    def answer() -> bytes:
        members = write_costs(_OPERATION, bound).member(mode) + _metrics(bound, wanted, metrics_mode)
        return b"{" + members[1:] + b"}"

    def repeated(values: Sequence[bytes | None]) -> bytes:
        return b"{" + repeat_costs(_OPERATION, bound, values).member(mode)[1:] + b"}"

    return services.transactions.write(
        bound,
        request.client_request_token,
        request_hash(_OPERATION, items),
        call,
        answer=answer,
        repeated=repeated,
        as_sent=AsSent(_OPERATION, lambda numbers: _encode([items[number] for number in numbers])),
    )


def actions_of(services: Services, encoded: bytes) -> list[Action]:
    """Actions of a request that was checked by another node, which asks for its part of them. Raises ApiError."""
    wanted = [_wanted(item) for item in _decode_items(encoded)]
    refusals = Refusals(len(wanted))
    routes = [services.router.route(each.request.table_name or "") for each in wanted]
    actions = [_action(number, each, routes[number], refusals) for number, each in enumerate(wanted)]
    refusals.check()
    return [action for action in actions if action is not None]


_decode_items = msgspec.json.Decoder(list[TransactWriteItem]).decode


def _is_unusual(request: TransactWriteItemsRequest, items: Sequence[TransactWriteItem]) -> bool:
    """Whether there is anything that only the constraints can judge. HOT PATH."""
    token = request.client_request_token
    if (
        not 1 <= len(items) <= TRANSACTION_ACTIONS_MAX
        or request.return_consumed_capacity not in constraints.CAPACITY_MODES
        or request.return_item_collection_metrics is not None
        or (token is not None and not 1 <= len(token) <= CLIENT_TOKEN_CHARS_MAX)
    ):
        return True
    for item in items:
        put, update = item.put, item.update
        if put is not None:
            if put.item is None or not put.table_name or put.return_values_on_condition_check_failure is not None:
                return True
        elif (
            update is None
            or update.key is None
            or update.update_expression is None
            or not update.table_name
            or update.return_values_on_condition_check_failure is not None
        ):
            return True
    return False


def _wanted(item: TransactWriteItem) -> _Wanted:
    """Raises ValidationError for what is wrong whatever the table."""
    given = [each for each in (item.condition_check, item.put, item.delete, item.update) if each is not None]
    if len(given) != 1:
        raise ValidationError(
            "TransactItems can only contain one of Check, Put, Update or Delete"
            if given
            else "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"
        )
    [request] = given
    if isinstance(request, Update):
        return _wanted_update(request)
    key = request.item if isinstance(request, Put) else request.key
    assert key is not None
    expressions = write_expressions(request)
    size = check_item(key)
    if size > ITEM_BYTES_MAX:
        raise ValidationError(TOO_LARGE)
    condition = None if expressions is None else condition_of(request, expressions)
    return _Wanted(request, key, size + _values_size(request), None, condition)


def _wanted_update(request: Update) -> _Wanted:
    key = request.key
    assert key is not None
    expressions = update_expressions(request)
    assert expressions is not None, "an update has an expression"
    size = check_item(key)
    update, condition = update_of(request, expressions, tuple(key))
    return _Wanted(request, key, size + _values_size(request), update, condition)


def _values_size(request: _Conditional) -> int:
    values = request.expression_attribute_values
    return 0 if values is None else item_size(values)


def check_payload(sizes: Iterable[int]) -> None:
    """Raise ValidationError if what all actions carry is more than a transaction may. In DynamoDB bytes."""
    total = 0
    for size in sizes:
        total += size
        if total > TRANSACTION_BYTES_MAX:
            raise payload_too_large(total)


def _action(number: int, wanted: _Wanted, route: Route, refusals: Refusals) -> Action | None:
    """None if it is refused. Raises ValidationError if the whole transaction is."""
    request, key = wanted.request, wanted.key
    if wanted.condition is not None:
        check_key_paths(wanted.condition.nested_names, route)
    row = refusals.row_of(number, route, key, _row_key(wanted, route))
    if row is None:
        return None
    return_old = request.return_values_on_condition_check_failure
    if isinstance(request, ConditionCheck):
        assert wanted.condition is not None, "a check has a condition"
        check = Check(row, wanted.condition, return_old=return_old == "ALL_OLD")
        return Action(route, check, is_check=True, table=request.table_name)
    terms = TransactionTerms(route, _OPERATION, None, return_old)
    if isinstance(request, Put):
        put = PutWrite(row, _encode(key), wanted.size - _values_size(request), wanted.condition, terms)
        return Action(route, put, too_large=TOO_LARGE, table=request.table_name)
    if isinstance(request, Delete):
        return Action(route, DeleteWrite(row, wanted.condition, terms), table=request.table_name)
    change = Change(row, key, wanted.update, wanted.condition, terms)
    return Action(route, change, too_large=TOO_LARGE_TO_UPDATE, table=request.table_name)


def _row_key(wanted: _Wanted, route: Route) -> Callable[[], bytes]:
    consequences = route.consequences

    def of_item() -> bytes:
        row = route.keys.row_key_of_item(wanted.key)
        if consequences is not None:
            consequences.check_item(wanted.key)
        return row

    def of_key() -> bytes:
        row = route.keys.row_key(wanted.key)
        if wanted.update is not None:
            wanted.update.check_keys(route.keys.names)
            if consequences is not None:
                wanted.update.check_index_keys(consequences.index_names)
        return row

    return of_item if isinstance(wanted.request, Put) else of_key


def _metrics(actions: Sequence[Action], wanted: Sequence[_Wanted], mode: str | None) -> bytes:
    """`,"ItemCollectionMetrics":{…}` of the tables with local indexes, or b""."""
    if mode != "SIZE":
        return b""
    tables: dict[str, dict[bytes, Any]] = {}
    for action, each in zip(actions, wanted, strict=True):
        consequences = action.route.consequences
        if action.is_check or consequences is None or not consequences.local_indexes:
            continue
        name = action.route.keys.hash_name
        metrics = collection_metrics({name: each.key[name]}, action.collection_bytes)
        tables.setdefault(action.table, {})[_encode(metrics["ItemCollectionKey"])] = metrics
    if not tables:
        return b""
    shown = {table: list(collections.values()) for table, collections in tables.items()}
    return b',"ItemCollectionMetrics":' + _encode(shown)
