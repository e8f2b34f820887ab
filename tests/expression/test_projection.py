"""ProjectionExpression. Texts and results as observed on DynamoDB Local 2.x."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.errors import ValidationError
from varley.expression import projection
from varley.item import path

ONE, TWO = {"N": "1"}, {"N": "2"}
ITEM: dict[str, Any] = {
    "pk": {"S": "p"},
    "m": {"M": {"a": ONE, "b": {"M": {"c": TWO}}, "e": {"M": {}}}},
    "l": {"L": [ONE, TWO, {"L": [ONE, TWO]}, {"M": {"x": ONE, "y": TWO}}]},
}


def refusal(text: str, names: dict[str, str] | None = None) -> str:
    with pytest.raises(ValidationError) as caught:
        projection.parse(text, names)
    prefix = "Invalid ProjectionExpression: "
    assert caught.value.message.startswith(prefix)
    return caught.value.message.removeprefix(prefix)


def clash(verb: str, first: str, second: str) -> str:
    return (
        f"Two document paths {verb} with each other; must remove or rewrite one of these paths; "
        f"path one: {first}, path two: {second}"
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("pk", {"pk": {"S": "p"}}),
        ("pk, zz", {"pk": {"S": "p"}}),
        ("zz", {}),
        ("m.a", {"m": {"M": {"a": ONE}}}),
        ("m.b.c, m.a", {"m": {"M": {"a": ONE, "b": {"M": {"c": TWO}}}}}),
        ("m.b.zz", {}),
        ("m.zz, pk", {"pk": {"S": "p"}}),
        ("m.e", {"m": {"M": {"e": {"M": {}}}}}),
        ("m.e.x, m.a", {"m": {"M": {"a": ONE}}}),
        ("l[0], l[2]", {"l": {"L": [ONE, {"L": [ONE, TWO]}]}}),
        ("l[2], l[0]", {"l": {"L": [ONE, {"L": [ONE, TWO]}]}}),
        ("l[2][1], l[1]", {"l": {"L": [TWO, {"L": [TWO]}]}}),
        ("l[3].y", {"l": {"L": [{"M": {"y": TWO}}]}}),
        ("l[9]", {}),
        ("l[2][9], m.a", {"m": {"M": {"a": ONE}}}),
        ("l.a", {}),
        ("m[0]", {}),
        ("pk.x", {}),
        ("pk[0]", {}),
    ],
)
def test_it_keeps_what_was_asked_for_in_the_items_own_shape(text: str, kept: dict[str, Any]) -> None:
    assert projection.parse(text, None).apply(ITEM) == kept


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "The expression can not be empty;"),
        ("a" * 4097, "Expression size has exceeded the maximum allowed size;"),
        ("#x", "An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("a[2147483648]", "List index is not within the allowable range; index: [2147483648]"),
        ("a" + ".a" * 32, "The document path has too many nesting levels; nesting levels: 33"),
        ("a, a", clash("overlap", "[a]", "[a]")),
        ("a, a.b", clash("overlap", "[a]", "[a, b]")),
        ("a.b.c, a.b", clash("overlap", "[a, b, c]", "[a, b]")),
        ("a[0], a[0].b", clash("overlap", "[a, [0]]", "[a, [0], b]")),
        ("a.b, a[0]", clash("conflict", "[a, b]", "[a, [0]]")),
        ("a[0].b, a.c", clash("conflict", "[a, [0], b]", "[a, c]")),
        ("c, c[3].q, d.a, d", clash("overlap", "[d, a]", "[d]")),  # from the last path to the first
    ],
)
def test_what_is_refused(text: str, wanted: str) -> None:
    assert refusal(text) == wanted


def test_paths_that_only_meet_are_fine() -> None:
    assert projection.parse("a.b, a.c, d[0], d[1], e.x.y, e.x.z", None).apply({}) == {}


def test_a_name_and_its_placeholder_are_the_same_path() -> None:
    assert "overlap" in refusal("a, #a", {"#a": "a"})


def test_key_attributes_have_no_inside() -> None:
    parsed = projection.parse("pk.a, m.a", None)
    with pytest.raises(ValidationError) as caught:
        parsed.check_scalar_keys(("pk", "sk"))
    assert caught.value.message == (
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk"
    )
    projection.parse("pk, m.a", None).check_scalar_keys(("pk", "sk"))


@pytest.mark.slow
def test_thousands_of_paths_take_no_time_to_compare() -> None:
    text = ",".join(f"#a[{i}]" for i in range(500))
    assert len(projection.parse(text, {"#a": "a"}).paths) == 500


PATHS = st.lists(
    st.tuples(
        st.sampled_from(["m", "l", "pk"]), st.sampled_from(["", ".a", ".b.c", "[0]", "[2][1]", "[3].x", "[7]"])
    ).map("".join),
    min_size=1,
    max_size=5,
)


@given(PATHS)
def test_each_path_alone_finds_what_is_there(texts: list[str]) -> None:
    for text in texts:
        parsed = projection.parse(text, None)
        (parts,) = parsed.paths
        kept = parsed.apply(ITEM)
        if (found := path.get(ITEM, parts)) is None:
            assert kept == {}
        else:
            # Elements close up: what was kept is always at index 0.
            assert path.get(kept, tuple(0 if isinstance(part, int) else part for part in parts)) == found


# ---- Against a plain model: what is left of an item is what some path leads to, and the ways there ----

LEAVES = st.sampled_from([{"N": "1"}, {"S": "x"}, {"SS": ["a"]}, {"L": []}, {"M": {}}])
VALUES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda elements: {"L": elements}),
        st.dictionaries(st.sampled_from("ab"), inner, max_size=2).map(lambda members: {"M": members}),
    ),
    max_leaves=8,
)
ITEMS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
PARTS = st.tuples(st.sampled_from("abc")).flatmap(
    lambda top: st.lists(st.sampled_from(["a", "b", 0, 1, 2]), max_size=3).map(lambda rest: (*top, *rest))
)


def written(parts: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)[1:]


def is_sound(paths: list[tuple[str | int, ...]]) -> bool:
    """No path is another's beginning, and none takes for a list what another takes for a map."""
    kinds: dict[tuple[str | int, ...], type] = {}
    for one in paths:
        if any(other[: len(one)] == one for other in paths if other is not one):
            return False
        for at in range(1, len(one)):
            if kinds.setdefault(one[:at], type(one[at])) is not type(one[at]):
                return False
    return True


def left(value: dict[str, Any], paths: list[tuple[str | int, ...]]) -> dict[str, Any] | None:
    """What the paths leave of a value; None is nothing. A list closes up in its own order."""
    if () in paths:
        return value
    if "M" in value:
        names = [name for name in value["M"] if any(each[0] == name for each in paths)]
        found = {name: left(value["M"][name], [p[1:] for p in paths if p[0] == name]) for name in names}
        kept = {name: each for name, each in found.items() if each is not None}
        return {"M": kept} if kept else None
    if "L" in value:
        elements = [
            left(element, [p[1:] for p in paths if p[0] == at])
            for at, element in enumerate(value["L"])
            if any(each[0] == at for each in paths)
        ]
        inside = [element for element in elements if element is not None]
        return {"L": inside} if inside else None
    return None


@given(st.lists(PARTS, min_size=1, max_size=5, unique=True), ITEMS)
def test_it_agrees_with_a_plain_model(paths: list[tuple[str | int, ...]], item: dict[str, Any]) -> None:
    text = ", ".join(map(written, paths))
    if not is_sound(paths):
        with pytest.raises(ValidationError, match=r"Two document paths (overlap|conflict) with each other"):
            projection.parse(text, None)
        return
    whole = left({"M": item}, [tuple(each) for each in paths])
    assert projection.parse(text, None).apply(item) == ({} if whole is None else whole["M"])
