"""The list of a SELECT: which parts of an item to return, and under which names.

    SELECT a, m.b, m.l[0].c, m.l[1] FROM …    {"a": …, "b": …, "c": …, "l[1]": …}

Unlike a ProjectionExpression it lays everything side by side: a part comes under the last name of its path, with the
indexes that follow it. So no two may have the same. Parts that an item lacks are left out.
"""

from __future__ import annotations

from varley.errors import ValidationError
from varley.expression.condition import check_scalar_keys
from varley.expression.operands import Checks
from varley.expression.partiql_condition import bare
from varley.expression.partiql_tokens import place
from varley.expression.partiql_tree import Expression, Reference
from varley.expression.projection import check_targets
from varley.expression.tree import Path
from varley.item import path
from varley.item.value import Item

_KIND = "ProjectionExpression"


class Columns:
    """What to return, in the order of the text."""

    __slots__ = ("_named", "_nested_names", "top_names")

    def __init__(self, named: dict[str, path.Path]) -> None:
        self._named = tuple(named.items())
        self.top_names = tuple(dict.fromkeys(str(parts[0]) for parts in named.values()))    # attributes that it reads
        self._nested_names = tuple(dict.fromkeys(str(parts[0]) for parts in named.values() if len(parts) > 1))

    def apply(self, item: Item) -> Item:
        """The parts that `item` has. Shares them with `item`."""
        found = ((name, path.get(item, parts)) for name, parts in self._named)
        return {name: value for name, value in found if value is not None}

    def check_scalar_keys(self, key_names: tuple[str, ...]) -> None:
        """Raise ValidationError if it looks for something inside of a key attribute."""
        check_scalar_keys(self._nested_names, key_names)


def columns(expressions: tuple[Expression, ...], statement: str) -> Columns:
    """Raises ValidationError."""
    named: dict[str, path.Path] = {}
    for each in expressions:
        if not isinstance(each, Reference):
            raise ValidationError(f"Unexpected path component{place(statement, each.at)}")
        name = _name(each.parts)
        if name in named:
            raise ValidationError(f"Duplicate identifiers in select clause: {name}")
        named[name] = each.parts
    try:
        check_targets(Checks(_KIND), [Path(parts) for parts in reversed(named.values())])
    except ValidationError as error:
        raise bare(_KIND, error) from None
    return Columns(named)


def _name(parts: path.Path) -> str:
    name = ""
    for part in parts:
        name = f"{name}[{part}]" if isinstance(part, int) else part
    return name
