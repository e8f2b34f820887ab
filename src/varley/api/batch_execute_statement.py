"""BatchExecuteStatement: up to 25 statements of PartiQL, all reads of one item or all writes, each by itself.

What is wrong with one statement is told in its place, and the others are run. The whole batch is refused, and nothing
is run, if reads and writes are mixed or two statements are about the same item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from varley.api import capacity
from varley.api.away_rows import AwayRows
from varley.api.constraints import NOT_NULL, Each, Length, Members, check
from varley.api.execute_statement import CAPACITY, ON_FAILURE, PARAMETERS, STATEMENT
from varley.api.requests import AttributeValue, Request, Structure, decoder
from varley.api.selection import Selection
from varley.api.services import Services
from varley.api.statement import StatementWrite, check_parameters, read_of, route_of, write_of
from varley.api.writes import Terms
from varley.errors import ApiError, Throttling, ValidationError, WorldError
from varley.expression import partiql
from varley.http.call import Call
from varley.http.wire import as_api_error
from varley.item.units import read_units, write_units_of
from varley.limits import PARTIQL_BATCH_STATEMENTS_MAX
from varley.node.elsewhere import Elsewhere, Need
from varley.node.replica import Proposal
from varley.node.settled import reply_when_settled
from varley.remote.peers import Peers
from varley.router.routes import Route

_encode = msgspec.json.encode


class BatchStatementRequest(Structure):
    statement: str | None = None
    parameters: list[AttributeValue] | None = None
    consistent_read: bool | None = None
    return_values_on_condition_check_failure: str | None = None


class BatchExecuteStatementRequest(Request):
    statements: list[BatchStatementRequest] | None = None
    return_consumed_capacity: str | None = None


_decode = decoder(BatchExecuteStatementRequest)

_MEMBERS: Final = Members(
    return_consumed_capacity=CAPACITY,
    statements=(
        NOT_NULL,
        Length(1, PARTIQL_BATCH_STATEMENTS_MAX),
        Each(
            Members(
                return_values_on_condition_check_failure=ON_FAILURE,
                parameters=PARAMETERS,
                statement=STATEMENT,
            )
        ),
    ),
)

# The names that errors have in a batch, where they are not those they have elsewhere without "Exception".
_ERROR_CODES: Final = {
    "ValidationException": "ValidationError",
    "ThrottlingException": "ThrottlingError",
    "ServiceUnavailable": "InternalServerError",
}


class _Slot:
    """One statement and what becomes of it. It waits for its write; `done` is called once it is settled."""

    __slots__ = (
        "_done", "_error", "_item", "_told", "consistent", "index_units", "operation", "request", "route", "units",
        "values",
    )  # fmt: skip

    def __init__(self, request: BatchStatementRequest) -> None:
        self.request = request
        self.consistent = bool(request.consistent_read)
        self.route: Route | None = None    # once it is known that there is such a table
        self.operation: Selection | StatementWrite | None = None    # None if the statement is refused
        self.units = 0.0    # of the table
        self.index_units: dict[str, float] = {}
        self.values: dict[bytes, bytes] | None = None    # the row that it reads, if another node has it
        self._item: Any = None
        self._told: Any = None    # its element of Responses, as another node has it
        self._error: ApiError | None = None
        self._done: Callable[[], None] | None = None

    def bind(self, services: Services, statement: partiql.Statement, parameters: Sequence[Any]) -> None:
        """Raises ApiError if the statement is refused."""
        values = statement.values(parameters)
        self.route = route = route_of(services, statement)
        if isinstance(statement, partiql.Read):
            selection = read_of(statement, values, route, consistent=self.consistent)
            if not selection.is_whole_key:
                raise ValidationError(
                    "Select statements within BatchExecuteStatement must specify the primary key in the where clause."
                )
            self.operation = selection
            return
        on_failure = self.request.return_values_on_condition_check_failure
        self.operation = write_of(
            statement, values, route, lambda return_values: _Terms(route, _OPERATION, return_values, on_failure)
        )

    def row(self) -> tuple[str, bytes] | None:
        """The table and the row that the statement is about."""
        if self.route is None or self.operation is None:
            return None
        if isinstance(self.operation, Selection):
            return self.route.name, self.operation.ranges[0].low
        return self.route.name, self.operation.key

    def read(self) -> None:
        if not isinstance(self.operation, Selection):
            return
        try:
            found, size = self.operation.one(self.values)
        except WorldError as error:
            self.refuse(as_api_error(error))
            return
        self._item = None if found is None else msgspec.Raw(found)
        self.units = read_units(size, self.consistent)
        self.operation.route.counts[_OPERATION].consumed_read_units += self.units

    def write(self, done: Callable[[], None]) -> None:
        """Run the write; `done` is called when it is settled, perhaps before this returns."""
        self._done = done
        if self.operation is None or isinstance(self.operation, Selection):
            done()
            return
        assert self.route is not None
        try:
            answer = self.route.partition_of(self.operation.key).write(self.operation, self)
        except ApiError as refusal:
            self.fail(refusal)
        except Elsewhere:    # in the very moment in which its partition is split
            self.fail(Throttling("The partition is being split. Try again in a moment."))
        else:
            if answer is not None:
                self.reply(answer)

    @property
    def group(self) -> int | None:
        """Of the partition that it writes to."""
        if self.route is None or self.operation is None or isinstance(self.operation, Selection):
            return None
        return self.route.partition_of(self.operation.key).group

    def write_elsewhere(self, call: Call, peers: Peers, done: Callable[[], None]) -> None:
        """Run the write as a batch of its own, wherever that is."""
        self._done = done
        group = self.group
        if group is None:
            done()
            return
        body = _encode({"Statements": [self.request], "ReturnConsumedCapacity": "INDEXES"})
        peers.part(call, group, Need.WRITE, _OPERATION, body, self._heard)

    def _heard(self, answer: bytes | ApiError) -> None:
        if isinstance(answer, ApiError):
            self.fail(answer)
            return
        told = _decode_told(answer)
        [self._told] = told.responses
        if told.consumed:
            self.units, self.index_units = capacity.told(told.consumed[0])
        self._settle()

    def reply(self, body: bytes) -> None:
        written = _decode_written(body)
        self.units = written.units
        self.index_units = written.index_units
        self._item = None if written.attributes is msgspec.UNSET else written.attributes
        self._settle()

    def fail(self, error: BaseException) -> None:
        self.refuse(as_api_error(error))
        self._settle()

    def refuse(self, error: ApiError) -> None:
        self.operation = None
        self._error = error

    def response(self) -> dict[str, Any]:
        """Its element of Responses."""
        if self._told is not None:
            return self._told    # type: ignore[no-any-return]
        members: dict[str, Any] = {}
        if self._error is not None:
            code = self._error.code
            members["Error"] = {
                "Code": _ERROR_CODES.get(code, code.removesuffix("Exception")),
                "Message": self._error.message,
            }
            item = getattr(self._error, "item", None)
            if item is not None:
                members["Error"]["Item"] = item
        if self.route is not None:
            members["TableName"] = self.route.name
        if self._item is not None:
            members["Item"] = self._item
        return members

    def _settle(self) -> None:
        assert self._done is not None
        self._done()


_OPERATION: Final = "BatchExecuteStatement"


class _Written(msgspec.Struct):
    """What a write of a batch answers to its slot."""

    units: float
    index_units: dict[str, float]
    attributes: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_written = msgspec.json.Decoder(_Written).decode


class _Told(msgspec.Struct):
    """What a batch of one statement answers."""

    responses: list[msgspec.Raw] = msgspec.field(name="Responses")
    consumed: list[dict[str, Any]] = msgspec.field(name="ConsumedCapacity", default_factory=list)


_decode_told = msgspec.json.Decoder(_Told).decode


class _Terms(Terms):
    __slots__ = ()

    def answer(
        self,
        attributes: bytes,
        old: bytes | None,
        new: bytes | None,
        index_units: Mapping[str, float] | None = None,
        metrics: dict[str, Any] | None = None,
    ) -> bytes:
        units = write_units_of(old, new)
        shown = msgspec.Raw(attributes) if attributes else msgspec.UNSET
        return _encode(_Written(units, dict(index_units or {}), shown))


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_MEMBERS, request)
    assert request.statements is not None
    slots = [_Slot(each) for each in request.statements]
    statements = _parse(slots)
    kinds = {isinstance(statement, partiql.Read) for _, statement, _ in statements}
    if len(kinds) > 1:
        raise ValidationError("Read and write requests together in the same batch is not supported.")
    for slot, statement, parameters in statements:
        try:
            slot.bind(services, statement, parameters)
        except ApiError as refusal:
            slot.refuse(refusal)
    rows = [row for slot in slots if (row := slot.row()) is not None]
    if len(set(rows)) < len(rows):
        raise ValidationError("Provided list of item keys contains duplicates")
    mode = request.return_consumed_capacity
    if kinds == {True}:
        return _read(slots, mode, call)
    left = len(slots)

    def settled() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            call.reply(_body(slots, mode))

    peers = call.elsewhere
    groups = {slot.group for slot in slots} - {None}
    if peers is not None and not all(peers.is_here(group, Need.WRITE) for group in groups if group is not None):
        for slot in slots:
            slot.write_elsewhere(call, peers, settled)
        return None
    for slot in slots:
        slot.write(settled)
    return None


def _parse(slots: list[_Slot]) -> list[tuple[_Slot, partiql.Statement, list[Any]]]:
    """The statements that are well formed; the slots of others are refused. Raises ValidationError for parameters."""
    given = [check_parameters(slot.request.parameters) for slot in slots]
    found = []
    for slot, parameters in zip(slots, given, strict=True):
        assert slot.request.statement is not None
        try:
            found.append((slot, partiql.parse(slot.request.statement), parameters))
        except ApiError as refusal:
            slot.refuse(refusal)
    return found


def _read(slots: list[_Slot], mode: str | None, call: Call) -> bytes | None:
    away = AwayRows(call.elsewhere)
    undecided: list[Proposal] = []
    for slot in slots:
        selection = slot.operation
        if not isinstance(selection, Selection):
            continue
        slot.values = away.holder(selection.partition, selection.ranges[0].low, consistent=slot.consistent)
        if slot.values is None and slot.consistent:
            undecided += selection.undecided()
    if not undecided and not away:
        return _read_now(slots, mode)

    away.when_read(undecided, reply_when_settled(call, lambda: _read_now(slots, mode)))
    return None


def _read_now(slots: list[_Slot], mode: str | None) -> bytes:
    for slot in slots:
        slot.read()
    return _body(slots, mode)


def _body(slots: list[_Slot], mode: str | None) -> bytes:
    members: dict[str, Any] = {"Responses": [slot.response() for slot in slots]}
    if mode is not None and mode != "NONE":
        members["ConsumedCapacity"] = _consumed(slots, mode)
    return _encode(members)


def _consumed(slots: list[_Slot], mode: str) -> list[Any]:
    """By table, in the order in which they are first named."""
    routes = {slot.route.name: slot.route for slot in slots if slot.route is not None and slot.units}
    consumed = []
    for table, route in routes.items():
        own = [slot for slot in slots if slot.route is route]
        indexes: dict[str, float] = {}
        for slot in own:
            for index, units in slot.index_units.items():
                indexes[index] = indexes.get(index, 0.0) + units
        units = sum(slot.units for slot in own)
        consumed.append(capacity.consumed(table, units, mode, indexes, route.index_members))
    return consumed
