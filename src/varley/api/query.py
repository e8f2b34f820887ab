"""Query: the items of one partition key, in the order of their sort keys."""

from __future__ import annotations

from varley.api import constraints
from varley.api.expressions import (
    BoundKeyCondition,
    Expressions,
    check_key_paths,
    check_parameters,
    old_condition,
    shape_of,
)
from varley.api.ranges import (
    COLLECTION_BYTES,
    RangeRead,
    after,
    check_select,
    check_start_key,
    index_of,
    needs_items,
    start_row,
)
from varley.api.requests import Attributes, Condition, OldStyle, Request, decoder, old_style
from varley.api.services import Services
from varley.errors import ValidationError
from varley.expression import legacy
from varley.expression.projection import Projection
from varley.http.call import Call


class QueryRequest(Request):
    table_name: str | None = None
    index_name: str | None = None
    select: str | None = None
    attributes_to_get: list[str] | None = None
    limit: int | None = None
    consistent_read: bool | None = None
    key_conditions: OldStyle | None = None
    query_filter: OldStyle | None = None
    conditional_operator: str | None = None
    scan_index_forward: bool | None = None
    exclusive_start_key: Attributes | None = None
    return_consumed_capacity: str | None = None
    projection_expression: str | None = None
    filter_expression: str | None = None
    key_condition_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None
    expression_attribute_values: Attributes | None = None


_decode = decoder(QueryRequest)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    if request.key_conditions is not None or request.query_filter is not None:
        request.key_conditions = old_style(request.key_conditions, Condition)
        request.query_filter = old_style(request.query_filter, Condition)
    name = request.table_name
    if name not in services.router or _is_unusual(request):
        constraints.check(constraints.QUERY, request)
        check_parameters(
            {
                "ProjectionExpression": request.projection_expression,
                "FilterExpression": request.filter_expression,
                "KeyConditionExpression": request.key_condition_expression,
            },
            {
                "AttributesToGet": request.attributes_to_get,
                "QueryFilter": request.query_filter,
                "ConditionalOperator": request.conditional_operator,
                "KeyConditions": request.key_conditions,
            },
            request.expression_attribute_names,
            request.expression_attribute_values,
            ("FilterExpression", "KeyConditionExpression"),
        )
    assert name is not None
    count_only = request.select is not None and check_select(
        request.select,
        projection_expression=request.projection_expression,
        attributes_to_get=request.attributes_to_get,
        index_name=request.index_name,
    )
    start_key = request.exclusive_start_key
    if start_key is not None:
        check_start_key(start_key)
    if request.key_condition_expression is None and request.key_conditions is None:
        raise ValidationError(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
        )
    expressions = Expressions(request.expression_attribute_names, request.expression_attribute_values)
    expressions.open()
    passes = None
    if request.filter_expression is not None:
        passes = expressions.condition(request.filter_expression, "FilterExpression")
    elif request.query_filter is not None or request.conditional_operator is not None:
        passes = old_condition(request.query_filter, request.conditional_operator, legacy.item_filter)
    projection: Projection | None = None
    if request.projection_expression is not None:
        projection = expressions.projection(request.projection_expression)
    elif request.attributes_to_get is not None:
        projection = legacy.attributes_to_get(request.attributes_to_get)
    if request.key_condition_expression is not None:
        key_condition = expressions.key_condition(request.key_condition_expression)
    else:
        assert request.key_conditions is not None
        key_condition = BoundKeyCondition(*legacy.key_conditions(request.key_conditions))
    expressions.check_unused()
    route = services.router.route(name)
    for each in (passes, projection):
        if each is not None:
            check_key_paths(each.nested_names, route)
    index, is_fetching = None, False
    if request.index_name is None:
        bounds = key_condition.bounds(route.keys)
        if passes is not None:
            passes.check_no_keys(route.keys.names)
    else:
        index = index_of(route, request.index_name, consistent=bool(request.consistent_read))
        bounds = key_condition.bounds(index.codec)
        if passes is not None:
            passes.check_no_keys(index.codec.key_names)
            index.codec.check_filter(passes.names)
        is_fetching = needs_items(index, request.select, projection)
    reverse = request.scan_index_forward is False
    low, high = bounds.low, bounds.high
    end = bounds.first if reverse else bounds.last
    if start_key is not None:
        start = start_row(route, index, start_key, operation="Query")
        # Nothing can follow a start key that is the end of a range of sort keys: the service does not give it as a
        # LastEvaluatedKey, and refuses it. Seen with DynamoDB Local, and reported of the service: aws-sdk-ruby#2456.
        if start == end and route.keys.range_name is not None:
            raise ValidationError("The provided starting key does not match the range key predicate")
        if not low <= start < high:
            if start.startswith(low[:COLLECTION_BYTES]):
                raise ValidationError("The provided starting key does not match the range key predicate")
            raise ValidationError(
                "The provided starting key is outside query boundaries based on provided conditions"
            )
        low, high = (low, start) if reverse else (after(start), high)
    return RangeRead(
        route=route,
        table=request.table_name or route.name,
        operation="Query",
        low=low,
        high=high,
        reverse=reverse,
        limit=request.limit,
        consistent=bool(request.consistent_read),
        passes=None if passes is None else passes.holds_for,
        shape=None if projection is None else shape_of(projection),
        count_only=count_only,
        capacity_mode=request.return_consumed_capacity,
        index=index,
        is_fetching=is_fetching,
        end=end,
    ).run(call)


def _is_unusual(request: QueryRequest) -> bool:
    """Whether it has what the usual request has not, and what only the whole check can judge. HOT PATH."""
    limit = request.limit
    return (
        request.key_condition_expression is None
        or (limit is not None and limit < 1)
        or request.return_consumed_capacity is not None
        or request.select is not None
        or request.index_name is not None
        or request.attributes_to_get is not None
        or request.conditional_operator is not None
        or request.key_conditions is not None
        or request.query_filter is not None
    )
