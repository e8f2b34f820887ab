"""SearchVectors: the items whose vectors are nearest to a given one.

A condition may only say that attributes of the index's search schema have given values: HASH, which must be said if the
index has one, and INLINE_FILTER. What is projected into the index can be had of an item, and nothing else.

Sources: the service model 2012-08-10 of botocore 1.44.5; [DG] "Troubleshooting vector indexes" for texts and the range
of TopK. How capacity is counted is not known in full: here it is the bytes of the vectors looked at, and of the items
that are given.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from varley.api.constraints import INDEX_NAME, NOT_NULL, TABLE_NAME, Length, Members, OneOf, Range, check
from varley.api.expressions import BoundCondition, Expressions, Shape, check_parameters, shape_of
from varley.api.requests import Attributes, AttributeValue, Request, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.expression import tree
from varley.http.call import Call
from varley.item.size import item_size
from varley.item.value import check_value
from varley.limits import TOP_K_MAX
from varley.remote.peers import Peers
from varley.router.routes import Route
from varley.table.vector_index import Vector, VectorIndexCodec, check_vector

_FLOAT_BYTES: Final = 4


class SearchVectorsRequest(Request):
    table_name: str | None = None
    index_name: str | None = None
    return_consumed_capacity: str | None = None
    expression_attribute_names: dict[str, str] | None = None
    expression_attribute_values: Attributes | None = None
    projection_expression: str | None = None
    search_vector: list[AttributeValue] | None = None
    search_condition_expression: str | None = None
    top_k: int | None = None


_decode = decoder(SearchVectorsRequest)
_encode = msgspec.json.encode
_SEARCH: Final = Members(
    table_name=TABLE_NAME,
    index_name=(NOT_NULL, *INDEX_NAME),
    return_consumed_capacity=(OneOf("INDEXES", "TOTAL", "NONE"),),
    search_vector=(NOT_NULL, Length(1, 4096)),
    top_k=(NOT_NULL, Range(1)),
)


def run(services: Services, call: Call) -> None:
    request = _decode(call.body)
    check(_SEARCH, request)
    assert request.table_name is not None and request.index_name is not None
    assert request.search_vector is not None and request.top_k is not None
    if request.top_k > TOP_K_MAX:
        raise ValidationError("Provided TopK value is out of valid range")
    condition, shape = _expressions_of(request)
    vector = {"L": request.search_vector}
    check_value(vector)
    route = services.router.route(request.table_name)
    index = route.vector_index(request.index_name)
    check_vector(vector, index.dimensions, "SearchVector")
    query = array("f", [float(element["N"]) for element in request.search_vector])
    wanted = {} if condition is None else _equalities(condition.root, condition.values, index)
    if index.hash_name is not None and index.hash_name not in wanted:
        raise ValidationError("SearchConditionExpression must be provided when SearchSchema has a HASH key")
    services.spawn(_search(services, call.elsewhere, request, route, index, query, wanted, shape), call)


def _expressions_of(request: SearchVectorsRequest) -> tuple[BoundCondition | None, Shape | None]:
    """Raises ValidationError."""
    texts = {
        "SearchConditionExpression": request.search_condition_expression,
        "ProjectionExpression": request.projection_expression,
    }
    check_parameters(
        texts, {}, request.expression_attribute_names, request.expression_attribute_values,
        ("SearchConditionExpression",),
    )  # fmt: skip
    expressions = Expressions(request.expression_attribute_names, request.expression_attribute_values)
    expressions.open()
    condition = shape = None
    if request.search_condition_expression is not None:
        condition = expressions.condition(request.search_condition_expression, "SearchConditionExpression")
    if request.projection_expression is not None:
        shape = shape_of(expressions.projection(request.projection_expression))
    expressions.check_unused()
    return condition, shape


def _equalities(root: Any, values: Mapping[str, Any], index: VectorIndexCodec) -> dict[str, Any]:
    """What each attribute must be, from a condition of equalities joined by AND. Raises ValidationError."""
    wanted: dict[str, Any] = {}
    for term in root.terms if isinstance(root, tree.And) else (root,):
        if not isinstance(term, tree.Comparison) or term.operator != "=":
            raise ValidationError("Invalid comparator used in SearchConditionExpression")
        path, value = term.left, term.right
        if isinstance(path, tree.Value):
            path, value = value, path
        if not isinstance(path, tree.Path) or not isinstance(value, tree.Value):
            raise ValidationError("Invalid operand used in SearchConditionExpression")
        name = path.parts[0]
        if len(path.parts) > 1 or name not in index.search_names or name in wanted:
            raise ValidationError(f"Invalid attribute used in SearchConditionExpression: {path}")
        given = values[value.name]
        assert isinstance(name, str)
        if index.kind_of(name) not in given:
            raise ValidationError(
                "One or more parameter values were invalid: Condition parameter type does not match schema type"
            )
        wanted[name] = given
    return wanted


async def _search(
    services: Services,
    peers: Peers | None,
    request: SearchVectorsRequest,
    route: Route,
    index: VectorIndexCodec,
    query: Vector[float],
    wanted: dict[str, Any],
    shape: Shape | None,
) -> bytes:
    assert request.top_k is not None
    found, examined = await services.vectors.nearest(
        route, index, query, request.top_k, wanted, peers
    )
    results = []
    given_bytes = 0
    for item, score in found:
        projected = index.project(item)
        given_bytes += item_size(projected)
        json = _encode(projected) if shape is None else shape(projected)
        results.append({"Item": msgspec.Raw(json), "Score": score})
    answer: dict[str, Any] = {"SearchResults": results}
    if request.return_consumed_capacity not in (None, "NONE"):
        count = float(examined * index.dimensions * _FLOAT_BYTES + given_bytes)
        answer["ConsumedCapacity"] = {"VectorSearchRequestBytes": count}
    return _encode(answer)
