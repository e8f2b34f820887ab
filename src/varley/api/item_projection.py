"""The projection of GetItem and of each table of BatchGetItem: from request to a function that shapes items."""

from __future__ import annotations

from typing import Protocol

from varley.api.expressions import Expressions, Shape, check_parameters, shape_of
from varley.expression import legacy


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


def projection_of(request: ProjectedRead, expressions: Expressions) -> Shape | None:
    """Raises ValidationError."""
    expressions.open()
    shape = None
    if request.projection_expression is not None:
        shape = shape_of(expressions.projection(request.projection_expression))
    elif request.attributes_to_get is not None:
        shape = shape_of(legacy.attributes_to_get(request.attributes_to_get))
    expressions.check_unused()
    return shape
