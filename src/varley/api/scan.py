"""Scan: every item of a table, or of one segment of it, in the order of the partition keys' hashes.

Segments cut the space of hashes, not the partitions: they do not change when a partition splits, and together they
hold every item once.
"""

from __future__ import annotations

from varley.api import constraints
from varley.api.expressions import Expressions, check_key_paths, check_parameters, old_condition, shape_of
from varley.api.ranges import (
    RangeRead,
    after,
    check_select,
    check_start_key,
    index_of,
    needs_items,
    space_end,
    start_row,
)
from varley.api.requests import Attributes, Condition, OldStyle, Request, decoder, old_style
from varley.api.services import Services
from varley.errors import ValidationError
from varley.expression import legacy
from varley.expression.projection import Projection
from varley.http.call import Call
from varley.item.key_bytes import ITEM_SPACE
from varley.table.partition_map import segment_range


class ScanRequest(Request):
    table_name: str | None = None
    index_name: str | None = None
    attributes_to_get: list[str] | None = None
    limit: int | None = None
    select: str | None = None
    scan_filter: OldStyle | None = None
    conditional_operator: str | None = None
    exclusive_start_key: Attributes | None = None
    return_consumed_capacity: str | None = None
    total_segments: int | None = None
    segment: int | None = None
    projection_expression: str | None = None
    filter_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None
    expression_attribute_values: Attributes | None = None
    consistent_read: bool | None = None


_decode = decoder(ScanRequest)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    request.scan_filter = old_style(request.scan_filter, Condition)
    constraints.check(constraints.SCAN, request)
    assert request.table_name is not None
    check_parameters(
        {"ProjectionExpression": request.projection_expression, "FilterExpression": request.filter_expression},
        {
            "AttributesToGet": request.attributes_to_get,
            "ScanFilter": request.scan_filter,
            "ConditionalOperator": request.conditional_operator,
        },
        request.expression_attribute_names,
        request.expression_attribute_values,
        ("FilterExpression",),
    )
    _check_segments(request.segment, request.total_segments)
    count_only = check_select(
        request.select,
        projection_expression=request.projection_expression,
        attributes_to_get=request.attributes_to_get,
        index_name=request.index_name,
    )
    start_key = request.exclusive_start_key
    if start_key is not None:
        check_start_key(start_key)
    expressions = Expressions(request.expression_attribute_names, request.expression_attribute_values)
    expressions.open()
    passes = None
    if request.filter_expression is not None:
        passes = expressions.condition(request.filter_expression, "FilterExpression")
    elif request.scan_filter is not None or request.conditional_operator is not None:
        passes = old_condition(request.scan_filter, request.conditional_operator, legacy.item_filter)
    projection: Projection | None = None
    if request.projection_expression is not None:
        projection = expressions.projection(request.projection_expression)
    elif request.attributes_to_get is not None:
        projection = legacy.attributes_to_get(request.attributes_to_get)
    expressions.check_unused()
    route = services.router.route(request.table_name)
    for each in (passes, projection):
        if each is not None:
            check_key_paths(each.nested_names, route)
    index, is_fetching, space = None, False, ITEM_SPACE
    if request.index_name is not None:
        index = index_of(route, request.index_name, consistent=bool(request.consistent_read))
        is_fetching = needs_items(index, request.select, projection)
        space = index.codec.space
    low, high = space, space_end(space)
    if request.segment is not None and request.total_segments is not None:
        hash_low, hash_high = segment_range(request.segment, request.total_segments)
        low, high = space + hash_low, high if hash_high is None else space + hash_high
    if start_key is not None:
        start = start_row(route, index, start_key, operation="Scan")
        if not low <= start < high:
            raise ValidationError(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey "
                f"with correct Segment. TotalSegments: {request.total_segments} Segment: {request.segment}"
            )
        low = after(start)
    shape = None if projection is None else shape_of(projection)
    if (
        index is not None and not index.is_global
        and not is_fetching and passes is not None and not index.codec.projects(passes.names)
    ):  # fmt: skip
        # The filter alone needs the items; what the client gets of them is what the index has.
        is_fetching = True
        shape = shape or index.codec.projected_json
    return RangeRead(
        route=route,
        table=request.table_name or route.name,
        operation="Scan",
        low=low,
        high=high,
        reverse=False,
        limit=request.limit,
        consistent=bool(request.consistent_read),
        passes=None if passes is None else passes.holds_for,
        shape=shape,
        count_only=count_only,
        capacity_mode=request.return_consumed_capacity,
        index=index,
        is_fetching=is_fetching,
    ).run(call)


def _check_segments(segment: int | None, total: int | None) -> None:
    if total is None and segment is not None:
        raise ValidationError(
            "The TotalSegments parameter is required but was not present in the request "
            "when Segment parameter is present"
        )
    if total is not None and segment is None:
        raise ValidationError(
            "The Segment parameter is required but was not present in the request "
            "when parameter TotalSegments is present"
        )
    if total is not None and segment is not None and segment >= total:
        raise ValidationError(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
