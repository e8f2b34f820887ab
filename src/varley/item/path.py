"""Document paths: where inside an item a value lies.

A path is a tuple: first the name of a top-level attribute, then for each step a str (a key of a map) or an
int (an index into a list, from 0). `a.b[2]` is ("a", "b", 2).
"""

from __future__ import annotations

from typing import Any

Path = tuple[str | int, ...]


def get(item: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """The attribute value at `path`, such as {"S": "x"}; None if there is none.

    A step into something that is not a map or not a list leads nowhere, as a missing attribute does.
    """
    value: dict[str, Any] | None = item.get(path[0])  # type: ignore[arg-type]  # the first step is a name
    for step in path[1:]:
        if value is None:
            return None
        if isinstance(step, int):
            elements = value.get("L")
            value = elements[step] if elements is not None and step < len(elements) else None
        else:
            members = value.get("M")
            value = members.get(step) if members is not None else None
    return value
