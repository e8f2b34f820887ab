"""ExecuteStatement: one statement of PartiQL, a read of any number of items or a write of one.

Order of checks: shape of the body; constraints of the model; parameters' values; the statement by itself; how many
parameters it has, and whether they fit; then the table, and the statement against the table's key; last, for a write,
its condition against the item as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from varley.api import next_token
from varley.api.capacity import member
from varley.api.constraints import NOT_NULL, Length, Members, OneOf, Range, Rule, check
from varley.api.next_token import Place
from varley.api.requests import AttributeValue, Request, decoder
from varley.api.selection import SelectionRead
from varley.api.services import Services
from varley.api.statement import check_parameters, read_of, route_of, write_of
from varley.api.writes import Terms
from varley.expression import partiql
from varley.http.call import Call
from varley.item.units import write_units_of
from varley.limits import PARTIQL_NEXT_TOKEN_CHARS_MAX, PARTIQL_STATEMENT_CHARS_MAX


class ExecuteStatementRequest(Request):
    statement: str | None = None
    parameters: list[AttributeValue] | None = None
    consistent_read: bool | None = None
    next_token: str | None = None
    return_consumed_capacity: str | None = None
    limit: int | None = None
    return_values_on_condition_check_failure: str | None = None


_decode = decoder(ExecuteStatementRequest)

STATEMENT: Final[tuple[Rule, ...]] = (NOT_NULL, Length(1, PARTIQL_STATEMENT_CHARS_MAX))
PARAMETERS: Final[tuple[Rule, ...]] = (Length(1),)
ON_FAILURE: Final[tuple[Rule, ...]] = (OneOf("ALL_OLD", "NONE"),)
CAPACITY: Final[tuple[Rule, ...]] = (OneOf("INDEXES", "TOTAL", "NONE"),)

_MEMBERS: Final = Members(
    return_consumed_capacity=CAPACITY,
    return_values_on_condition_check_failure=ON_FAILURE,
    limit=(Range(1),),
    next_token=(Length(1, PARTIQL_NEXT_TOKEN_CHARS_MAX),),
    parameters=PARAMETERS,
    statement=STATEMENT,
)


class _Terms(Terms):
    """The answer to a write: what RETURNING asks for comes as the one item."""

    __slots__ = ()

    def answer(
        self,
        attributes: bytes,
        old: bytes | None,
        new: bytes | None,
        index_units: Mapping[str, float] | None = None,
        metrics: dict[str, Any] | None = None,
    ) -> bytes:
        body = b'{"Items":[' + attributes + b"]"
        if self.capacity_mode is not None:
            units = write_units_of(old, new)
            body += member(self.route.name, units, self.capacity_mode, index_units, self.route.index_members)
        return body + b"}"


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_MEMBERS, request)
    text = request.statement
    assert text is not None
    parameters = check_parameters(request.parameters)
    statement = partiql.parse(text)
    values = statement.values(parameters)
    route = route_of(services, statement)
    if not isinstance(statement, partiql.Read):
        write = write_of(
            statement,
            values,
            route,
            lambda return_values: _Terms(
                route,
                "ExecuteStatement",
                return_values,
                request.return_values_on_condition_check_failure,
                request.return_consumed_capacity,
            ),
        )
        return route.partition_of(write.key).write(write, call)
    selection = read_of(statement, values, route, consistent=bool(request.consistent_read))
    place = Place(0, None)
    if request.next_token is not None:
        place = next_token.read(request.next_token, text, parameters)
        selection.page_ranges(place)    # a place that cannot be is the client's fault, and it is told now
    return SelectionRead(
        selection,
        place,
        request.limit,
        bool(request.consistent_read),
        request.return_consumed_capacity,
        lambda following: next_token.write(following, text, parameters),
    ).run(call)
