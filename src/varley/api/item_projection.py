"""The projection of GetItem and of each table of BatchGetItem: from request to a function that shapes items.

In three steps, since the table is looked for between the second and the third: `projection_expressions`,
`projection_of`, `shape_for`.
"""

from __future__ import annotations

from typing import Protocol

from varley.api.expressions import Expressions, Shape, check_key_paths, check_parameters, shape_of
from varley.expression import legacy
from varley.expression.projection import Projection
from varley.router.routes import Route


class ProjectedRead(Protocol):
    """What the two requests have in common."""

    projection_expression: str | None
    expression_attribute_names: dict[str, str] | None

    @property
    def attributes_to_get(self) -> list[str] | None: ...


def projection_expressions(request: ProjectedRead) -> Expressions | None:
    """None if whole items are wanted: the usual case, at no cost."""
    if (
        request.projection_expression is None
        and request.expression_attribute_names is None
        and request.attributes_to_get is None
    ):
        return None
    check_parameters(
        {"ProjectionExpression": request.projection_expression},
        {"AttributesToGet": request.attributes_to_get},
        request.expression_attribute_names,
        None,
        (),
    )
    return Expressions(request.expression_attribute_names, None)


def projection_of(request: ProjectedRead, expressions: Expressions) -> Projection | None:
    """Raises ValidationError."""
    expressions.open()
    projection = None
    if request.projection_expression is not None:
        projection = expressions.projection(request.projection_expression)
    elif request.attributes_to_get is not None:
        projection = legacy.attributes_to_get(request.attributes_to_get)
    expressions.check_unused()
    return projection


def shape_for(projection: Projection | None, route: Route) -> Shape | None:
    """Raises ValidationError if it leads into a key attribute."""
    if projection is None:
        return None
    check_key_paths(projection.nested_names, route)
    return shape_of(projection)
