from __future__ import annotations

from typing import Any

import pytest

from varley.item.path import Path, get

ITEM: dict[str, Any] = {
    "a": {"M": {"b": {"L": [{"S": "x"}, {"M": {"c": {"N": "1"}}}]}, "L": {"S": "a member named as a kind"}}},
    "l": {"L": []},
    "s": {"SS": ["x", "y"]},
    "t": {"S": "text"},
    "M": {"S": "an attribute named as a kind"},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("t",), {"S": "text"}),
        (("M",), {"S": "an attribute named as a kind"}),
        (("a", "b"), {"L": [{"S": "x"}, {"M": {"c": {"N": "1"}}}]}),
        (("a", "b", 0), {"S": "x"}),
        (("a", "b", 1, "c"), {"N": "1"}),
        (("a", "L"), {"S": "a member named as a kind"}),
        (("z",), None),
        (("z", "y", 0), None),
        (("a", "z"), None),
        (("a", 0), None),
        (("a", "b", 2), None),
        (("a", "b", "c"), None),
        (("a", "b", 0, 0), None),
        (("a", "b", 0, "S"), None),
        (("l", 0), None),
        (("s", 0), None),
        (("t", 0), None),
        (("t", "S"), None),
    ],
)
def test_a_path_leads_to_a_value_or_nowhere(path: Path, value: dict[str, Any] | None) -> None:
    assert get(ITEM, path) == value
