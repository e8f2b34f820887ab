"""ExecuteTransaction: up to 100 statements of PartiQL, all reads or all writes, as one transaction.

A SELECT is a Get of TransactGetItems, EXISTS is a ConditionCheck of TransactWriteItems, and the others are what they
are elsewhere.

Order of checks: shape of the body; constraints of the model; parameters' values; statement by statement what stands in
it by itself; reads and writes mixed; the tables; then, statement by statement, whether it fits its table.

Texts: as DynamoDB Local 1.25 has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from varley.api.capacity import answer as answer_of
from varley.api.constraints import NOT_NULL, Each, Length, Members, check
from varley.api.execute_statement import CAPACITY, ON_FAILURE, PARAMETERS, STATEMENT
from varley.api.expressions import BoundCondition, Shape
from varley.api.requests import AttributeValue, Request, Structure, decoder
from varley.api.services import Services
from varley.api.statement import check_parameters, item_of, read_of, route_of, write_of
from varley.api.transact_get_items import responses
from varley.api.transact_write_items import TOKEN, Check, check_payload
from varley.api.transactions import Refusals, TransactionTerms, repeat_costs, request_hash, write_costs
from varley.api.writes import TOO_LARGE, TOO_LARGE_TO_UPDATE
from varley.errors import ValidationError
from varley.expression import partiql
from varley.http.call import Call
from varley.item.size import value_size
from varley.limits import TRANSACTION_ACTIONS_MAX
from varley.router.routes import Route
from varley.transactions.action import Action
from varley.transactions.spread import AsSent

_OPERATION: Final = "ExecuteTransaction"


class ParameterizedStatement(Structure):
    statement: str | None = None
    parameters: list[AttributeValue] | None = None
    return_values_on_condition_check_failure: str | None = None


class ExecuteTransactionRequest(Request):
    transact_statements: list[ParameterizedStatement] | None = None
    client_request_token: str | None = None
    return_consumed_capacity: str | None = None


_decode = decoder(ExecuteTransactionRequest)

_MEMBERS: Final = Members(
    return_consumed_capacity=CAPACITY,
    client_request_token=TOKEN,
    transact_statements=(
        NOT_NULL,
        Length(1, TRANSACTION_ACTIONS_MAX),
        Each(
            Members(
                return_values_on_condition_check_failure=ON_FAILURE,
                parameters=PARAMETERS,
                statement=STATEMENT,
            )
        ),
    ),
)


class _Wanted:
    """One statement with its parameters."""

    __slots__ = ("number", "request", "statement", "values")

    def __init__(self, number: int, request: ParameterizedStatement, parameters: Sequence[Any]) -> None:
        assert request.statement is not None
        self.number = number
        self.request = request
        self.statement = partiql.parse(request.statement)
        try:
            self.values = self.statement.values(parameters)
        except ValidationError as error:
            raise self.failed(error.message) from None

    def failed(self, problem: str) -> ValidationError:
        return ValidationError(f"Validation failed in TransactStatements[{self.number}]: {problem}")

    @property
    def is_read(self) -> bool:
        return isinstance(self.statement, partiql.Read)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_MEMBERS, request)
    given = request.transact_statements
    assert given is not None
    parameters = [check_parameters(each.parameters) for each in given]
    check_payload(sum(map(value_size, values)) for values in parameters)
    wanted = [_Wanted(number, each, parameters[number]) for number, each in enumerate(given)]
    if len({each.is_read for each in wanted}) > 1:
        raise ValidationError(
            "ExecuteTransaction API does not support both read and write operations in the same request."
        )
    routes = [route_of(services, each.statement) for each in wanted]
    refusals = Refusals(len(wanted))
    mode = request.return_consumed_capacity
    if wanted[0].is_read:
        return _read(services, call, wanted, routes, refusals, mode)
    actions = []
    for each, route in zip(wanted, routes, strict=True):
        try:
            action = _action(each, route)
        except ValidationError as refusal:
            if refusal.message.startswith(_FAILED):
                raise
            refusals.refuse(each.number, refusal)
        else:
            refusals.add(route, action.key)
            actions.append(action)
    refusals.check()

    def answer() -> bytes:
        return answer_of(b',"Responses":[]' + write_costs(_OPERATION, actions).member(mode))

    def repeated(values: Sequence[bytes | None]) -> bytes:
        return answer_of(b',"Responses":[]' + repeat_costs(_OPERATION, actions, values).member(mode))

    return services.transactions.write(
        actions,
        request.client_request_token,
        request_hash(_OPERATION, given),
        call,
        answer=answer,
        repeated=repeated,
        as_sent=AsSent(_OPERATION, lambda numbers: msgspec.json.encode([given[number] for number in numbers])),
    )


def actions_of(services: Services, encoded: bytes) -> list[Action]:
    """Actions of a request that was checked by another node, which asks for its part of them. Raises ApiError."""
    wanted = [_Wanted(number, each, each.parameters or ()) for number, each in enumerate(_decode_given(encoded))]
    return [_action(each, route_of(services, each.statement)) for each in wanted]


_decode_given = msgspec.json.Decoder(list[ParameterizedStatement]).decode

_FAILED: Final = "Validation failed in TransactStatements"


def _action(wanted: _Wanted, route: Route) -> Action:
    """Raises ValidationError: with `_FAILED` for what refuses all, otherwise for what cancels."""
    statement, values = wanted.statement, wanted.values
    on_failure = wanted.request.return_values_on_condition_check_failure
    if isinstance(statement, partiql.Check):
        key, one = item_of(statement.where, values, route, must_exist=False)
        if one.condition is None:
            raise wanted.failed("EXISTS() must contain a single item read with additional condition")
        condition = BoundCondition(one.condition, values)
        row = route.keys.row_key(key)
        exists = Check(row, condition, return_old=on_failure == "ALL_OLD", must_exist=True)
        return Action(route, exists, is_check=True)

    def terms(return_values: str | None) -> TransactionTerms:
        if return_values is not None:
            raise wanted.failed("RETURNING clause is not supported in ExecuteTransaction.")
        return TransactionTerms(route, _OPERATION, None, on_failure)

    is_update = isinstance(statement, partiql.Change)
    write = write_of(statement, values, route, terms)
    return Action(route, write, too_large=TOO_LARGE_TO_UPDATE if is_update else TOO_LARGE)


def _read(
    services: Services,
    call: Call,
    wanted: Sequence[_Wanted],
    routes: Sequence[Route],
    refusals: Refusals,
    mode: str | None,
) -> bytes | None:
    rows: list[tuple[Route, bytes]] = []
    shapes: list[Shape | None] = []
    for each, route in zip(wanted, routes, strict=True):
        assert isinstance(each.statement, partiql.Read)
        try:
            selection = read_of(each.statement, each.values, route, consistent=True)
        except ValidationError as refusal:
            refusals.refuse(each.number, refusal)
            continue
        if not selection.is_whole_key:
            raise each.failed(
                "Select statements within ExecuteTransaction must specify the primary key in the where clause."
            )
        refusals.add(route, selection.ranges[0].low)
        rows.append((route, selection.ranges[0].low))
        shapes.append(selection.shape)
    refusals.check()

    def answer(values: Sequence[bytes | None]) -> bytes:
        return responses(_OPERATION, routes, values, shapes, mode)

    return services.transactions.read(rows, call, answer)
