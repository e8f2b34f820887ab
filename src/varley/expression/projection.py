"""ProjectionExpression: which parts of an item to return.

    projection = path { "," path }

The paths are merged into one tree when parsed, and an item is walked along that tree. What comes back keeps
the item's own shape: maps keep only the members asked for, lists only the elements asked for, closed up and
in the item's order, whatever the order in the text. A map or list of which nothing was found is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from varley.errors import ValidationError
from varley.expression.cache import Cache
from varley.expression.condition import check_scalar_keys
from varley.expression.grammar import Reader
from varley.expression.operands import Checks, check_text
from varley.expression.tokens import END
from varley.expression.tree import Path
from varley.item import path
from varley.item.value import Item

_KIND = "ProjectionExpression"

Branches = dict[Any, "Branches | None"]
"""What to take of a map (keys are names) or of a list (keys are indexes, ascending); None takes it all."""


class Projection:
    """A parsed projection. Nothing in it depends on values, so there is nothing to check but keys."""

    __slots__ = ("_branches", "_flat", "names_used", "nested_names", "paths", "values_used")

    def __init__(self, paths: Iterable[path.Path], names_used: frozenset[str] = frozenset()) -> None:
        self.paths = tuple(paths)
        """As written, placeholders resolved; no two overlap."""
        self.names_used = names_used
        """#placeholders in the text."""
        self.values_used: frozenset[str] = frozenset()
        """A projection has no :placeholders; for names.check_unused."""
        self.nested_names = tuple(dict.fromkeys(str(p[0]) for p in self.paths if len(p) > 1))
        self._branches = _merge(self.paths)
        # Only top-level attributes, the common case, need no walk.
        self._flat = None if self.nested_names else tuple(str(p[0]) for p in self.paths)

    def apply(self, item: Item) -> Item:
        """What is left of `item`; {} if nothing. Shares parts with `item`."""
        if self._flat is not None:
            return {name: item[name] for name in self._flat if name in item}
        return _members(item, self._branches)

    @property
    def top_names(self) -> frozenset[str]:
        """The attributes that it takes something of."""
        return frozenset(str(parts[0]) for parts in self.paths)

    def check_scalar_keys(self, key_names: Collection[str]) -> None:
        """Raise ValidationError if it looks inside of a key attribute."""
        if self.nested_names:
            check_scalar_keys(self.nested_names, key_names)


def parse(text: str, names: Mapping[str, str] | None) -> Projection:
    """`names` is ExpressionAttributeNames. Raises ValidationError for all that is wrong with the text."""
    return _CACHE.get(text, names)


class _Fork:
    """One place in a document that paths lead to or through."""

    __slots__ = ("end", "first", "first_by_type", "ways")

    def __init__(self, first: Path) -> None:
        self.first = first               # the first path that came here
        self.end: Path | None = None     # the path that ends here
        self.ways: dict[str | int, _Fork] = {}
        self.first_by_type: dict[type, Path] = {}   # the first path to go on by a name, and by an index


def check_targets(checks: Checks, paths: Sequence[Path]) -> None:
    """Every path is sound, and none leads to, into, or across another. Raises ValidationError with AWS's words.

    Two paths *overlap* if one is the beginning of the other, or they are the same; they *conflict* if they
    would have one value be both a map and a list. AWS goes from the last path to the first, and reports the
    first that does not get along with those already seen. Linear in the text: comparing each path with each
    other would take a second for the two thousand that fit into 4 KB.
    """
    ways: dict[str | int, _Fork] = {}
    for new in reversed(paths):
        checks.path(new)
        if checks.failing:
            checks.run({})
        _add_way(checks.expression, ways, new)


def _add_way(expression: str, ways: dict[str | int, _Fork], new: Path) -> None:
    fork: _Fork | None = None
    for part in new.parts:
        if fork is not None:
            if fork.end is not None:
                raise _clash(expression, "overlap", new, fork.end)
            other = fork.first_by_type.get(int if isinstance(part, str) else str)
            if other is not None:
                raise _clash(expression, "conflict", new, other)
            fork.first_by_type.setdefault(type(part), new)
        fork = ways.get(part)
        if fork is None:
            fork = ways[part] = _Fork(new)
        ways = fork.ways
    assert fork is not None
    if fork.first is not new:
        raise _clash(expression, "overlap", new, fork.first)
    fork.end = new


def _clash(expression: str, verb: str, first: Path, second: Path) -> ValidationError:
    return ValidationError(
        f"Invalid {expression}: Two document paths {verb} with each other; "
        f"must remove or rewrite one of these paths; path one: {first}, path two: {second}"
    )


def _parse(text: str, names: Mapping[str, str]) -> Projection:
    check_text(_KIND, text)
    reader = Reader(_KIND, text, names)
    cursor = reader.cursor
    reader.path()
    while cursor.kind == ",":
        cursor.advance()
        reader.path()
    if cursor.kind != END:
        cursor.fail()
    for each in reader.paths:
        if each.flaw is not None:
            raise ValidationError(f"Invalid {_KIND}: {each.flaw}")
    check_targets(Checks(_KIND), reader.paths)
    return Projection([each.parts for each in reader.paths], frozenset(reader.names_used))


_CACHE: Cache[Projection] = Cache(_parse)


def _merge(paths: Iterable[path.Path]) -> Branches:
    root: Branches = {}
    # Sorted, so that the indexes of one list ascend. A name and an index are never compared with each other:
    # such paths conflict and were refused.
    for parts in sorted(paths):
        branches = root
        for part in parts[:-1]:
            inner = branches.setdefault(part, {})
            assert inner is not None, f"paths overlap at {part}"
            branches = inner
        branches[parts[-1]] = None
    return root


def _members(members: Mapping[str, Any], branches: Branches) -> dict[str, Any]:
    kept = {}
    for name, inner in branches.items():
        value = members.get(name)
        if value is not None:
            value = value if inner is None else _prune(value, inner)
            if value is not None:
                kept[name] = value
    return kept


def _prune(value: dict[str, Any], branches: Branches) -> dict[str, Any] | None:
    """What the branches leave of a map or list; None if nothing, or if it is neither."""
    if isinstance(next(iter(branches)), str):
        members = value.get("M")
        kept: Any = members and _members(members, branches)
        return {"M": kept} if kept else None
    elements = value.get("L")
    if elements is None:
        return None
    kept = []
    for index, inner in branches.items():
        if index < len(elements):
            element = elements[index] if inner is None else _prune(elements[index], inner)
            if element is not None:
                kept.append(element)
    return {"L": kept} if kept else None
