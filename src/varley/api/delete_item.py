"""DeleteItem: one item by its key, if it is there and the condition holds."""

from __future__ import annotations

from varley.api import constraints
from varley.api.expressions import BoundCondition, check_key_paths, refuse
from varley.api.requests import Attributes, ExpectedAttributeValue, OldStyle, Request, decoder, old_style
from varley.api.services import Services
from varley.api.writes import Terms, condition_of, write_expressions
from varley.errors import ValidationError
from varley.http.call import Call
from varley.item.value import check_item
from varley.node.partition import Outcome


class DeleteItemRequest(Request):
    table_name: str | None = None
    key: Attributes | None = None
    expected: OldStyle | None = None
    conditional_operator: str | None = None
    return_values: str | None = None
    return_consumed_capacity: str | None = None
    return_item_collection_metrics: str | None = None
    condition_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None
    expression_attribute_values: Attributes | None = None
    return_values_on_condition_check_failure: str | None = None


_decode = decoder(DeleteItemRequest)


class Delete:
    """The write: no row, if `condition` holds."""

    __slots__ = ("condition", "counts", "key", "terms")

    def __init__(self, key: bytes, condition: BoundCondition | None, terms: Terms) -> None:
        self.key = key
        self.condition = condition
        self.terms = terms
        self.counts = terms.counts

    def evaluate(self, old: bytes | None, timestamp_us: int) -> Outcome:
        terms = self.terms
        if self.condition is not None and not self.condition.holds(old):
            refuse(old, terms.return_old_on_failure)
        return terms.outcome(self.key, old, None, terms.old_attributes(old), timestamp_us)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    if request.expected is not None:
        request.expected = old_style(request.expected, ExpectedAttributeValue)
    name, key = request.table_name, request.key
    if name not in services.router or key is None or constraints.has_unusual_write_options(request):
        constraints.check(constraints.DELETE_ITEM, request)
    assert name is not None and key is not None
    expressions = write_expressions(request)
    check_item(key)
    if request.return_values is not None and request.return_values not in ("NONE", "ALL_OLD"):
        raise ValidationError("ReturnValues can only be ALL_OLD or NONE")
    condition = None if expressions is None else condition_of(request, expressions)
    route = services.router.route(name)
    row_key = route.keys.row_key(key)
    if condition is not None:
        check_key_paths(condition.nested_names, route)
    terms = Terms(
        route,
        "DeleteItem",
        request.return_values,
        request.return_values_on_condition_check_failure,
        request.return_consumed_capacity,
        request.return_item_collection_metrics,
        key,
        table=request.table_name,
    )
    delete = Delete(row_key, condition, terms)
    return route.partition_of(row_key).write(delete, call)
