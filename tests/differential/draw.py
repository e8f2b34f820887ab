"""Chance with a grammar: attribute values, names, placeholders and expressions, most of them valid.

A `Draw` decides once how often it errs (`faults`, the chance at each choice). Half of all cases err nowhere, so that
the answers of good requests are compared too; the others err seldom enough that a request mostly has one mistake: of
two mistakes each server may tell another one first.

Names and values come from small pools, so that attributes meet: an item has the attribute that a condition asks for,
two updates write the same path, a query finds something.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")
Value = dict[str, Any]
Item = dict[str, Value]

NAMES = ("a", "b", "c", "d", "e", "n", "s", "Ä", "x.y", "size", "name")
_NUMBERS = (
    "0", "1", "2", "3", "5", "-1", "10", "100", "1.5", "-0", "1.0", "+2", "007", "1E2", "1e-3", "-0.00", ".5", "5.",
    "12345678901234567890123456789012345678", "9.9999999999999999999999999999999999999E+125", "1E-130",
    "-9.9999999999999999999999999999999999999E+125", "0.1", "99", "0E5", "1234567890.123456789",
)  # fmt: skip
_BAD_NUMBERS = (
    "", " 1", "1 ", "abc", "1e", "NaN", "Infinity", "0x10", "1_0", "--1", "1,5", ".", "-", "1E126", "1E-131",
    "123456789012345678901234567890123456789", "1.23456789012345678901234567890123456789", "1E400", "-1E126",
)  # fmt: skip
_STRINGS = ("", "a", "b", "ab", "abc", "x", "Ä", "😀", "a b", "0", "B", "\n", "ab😀c")
_BYTES = (b"", b"a", b"b", b"ab", b"\x00", b"\xff", b"abc")


class Draw:
    """Draws everything that requests are made of; `random` decides all of it."""

    def __init__(self, random: Random, faults: float) -> None:
        self.random = random
        self.faults = faults

    # Choices

    def of(self, *options: T) -> T:
        return self.random.choice(options)

    def any(self, options: Sequence[T]) -> T:
        return self.random.choice(options)

    def often(self, chance: float) -> bool:
        return self.random.random() < chance

    def errs(self) -> bool:
        return self.random.random() < self.faults

    def some(self, low: int, high: int, draw: Callable[[], T]) -> list[T]:
        return [draw() for _ in range(self.random.randint(low, high))]

    def maybe(self, body: dict[str, Any], chance: float, name: str, draw: Callable[[], Any]) -> None:
        """Give `body` the member `name`, at this chance."""
        if self.often(chance):
            body[name] = draw()

    def word(self, *words: str) -> str:
        """One of the words of an enumeration, or none of them."""
        return self.of("SOME", "", words[0].lower()) if self.errs() else self.of(*words)

    # Values

    def string(self) -> str:
        return self.any(_STRINGS)

    def number(self) -> str:
        if self.errs():
            return self.any(_BAD_NUMBERS)
        if self.often(0.1):
            return f"{self.random.randint(-999, 999)}E{self.random.randint(-20, 20)}"
        return self.any(_NUMBERS)

    def binary(self) -> str:
        return base64.b64encode(self.any(_BYTES)).decode()

    def scalar(self) -> Value:
        match self.random.randrange(8):
            case 0 | 1 | 2:
                return {"S": self.string()}
            case 3 | 4 | 5:
                return {"N": self.number()}
            case 6:
                return {"B": self.binary()}
            case _:
                return self.of({"BOOL": True}, {"BOOL": False}, {"NULL": True})

    def set_of(self, kind: str) -> Value:
        draw = {"SS": self.string, "NS": self.number, "BS": self.binary}[kind]
        members = self.some(0 if self.errs() else 1, 4, draw)
        if not self.errs():
            members = _distinct(members, kind)
        return {kind: members}

    def value(self, depth: int = 0) -> Value:
        if self.errs():
            return self.odd_value()
        chance = self.random.random()
        if chance < 0.62 or depth > 3:
            return self.scalar()
        if chance < 0.78:
            return self.set_of(self.of("SS", "NS", "BS"))
        if chance < 0.9:
            return {"L": self.some(0, 3, lambda: self.value(depth + 1))}
        return {"M": {self.attribute(): self.value(depth + 1) for _ in range(self.random.randint(0, 3))}}

    def odd_value(self) -> Value:
        """A value that cannot be, or is at the edge."""
        return self.of(
            dict,
            lambda: {"S": "a", "N": "1"},
            lambda: {"NULL": False},
            lambda: {"SS": []},
            lambda: {"NS": []},
            lambda: {"BS": []},
            lambda: {"SS": ["a", "a"]},
            lambda: {"NS": ["1", "1.0"]},
            lambda: {"BS": ["YQ==", "YQ=="]},
            lambda: {"N": self.any(_BAD_NUMBERS)},
            lambda: {"M": {"": {"S": "a"}}},
            lambda: nested(self.of(29, 30, 31, 32, 33)),
            lambda: {"L": [{}]},
            lambda: {"X": "a"},
        )()

    # Names and keys

    def attribute(self) -> str:
        return self.any(NAMES)

    def hash_text(self) -> str:
        return self.of("k", "k", "k", "l")

    def item(self, key: Item) -> Item:
        found = {self.attribute(): self.value() for _ in range(self.random.randint(0, 5))}
        if self.errs():
            found[""] = {"S": "a"}
        return {**found, **key}


class Placeholders:
    """The names and values that expressions were given placeholders for, as they were drawn."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.names: dict[str, str] = {}
        self.values: dict[str, Value] = {}

    def name(self, attribute: str | None = None) -> str:
        if self.draw.errs():
            return self.draw.of("#zz", "#", "1a", "a..b", "select", "a[", "a[x]", "a[-1]", "")
        attribute = self.draw.attribute() if attribute is None else attribute
        plain = attribute.isascii() and attribute.isalnum() and attribute not in ("size", "name")
        if plain and self.draw.often(0.7):
            return attribute
        placeholder = f"#n{len(self.names)}"
        for known, meant in self.names.items():
            if meant == attribute:
                placeholder = known
        self.names[placeholder] = attribute
        return placeholder

    def value(self, value: Value | None = None) -> str:
        if self.draw.errs():
            return self.draw.of(":zz", ":", "1", "'a'", "")
        if value is None and self.values and self.draw.often(0.2):
            return self.draw.any(list(self.values))
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = self.draw.value() if value is None else value
        return placeholder

    def members(self) -> dict[str, Any]:
        """ExpressionAttributeNames and -Values of the request."""
        draw = self.draw
        if draw.errs():
            self.names[draw.of("#unused", "bad", "#", "", "#a-b")] = draw.of("a", "", "x" * 300)
        if draw.errs():
            self.values[draw.of(":unused", "bad", ":", "", ":a-b")] = draw.value()
        members: dict[str, Any] = {}
        if self.names or draw.errs():
            members["ExpressionAttributeNames"] = self.names
        if self.values or draw.errs():
            members["ExpressionAttributeValues"] = self.values
        return members


class Grammar:
    """Expressions as texts, with their placeholders."""

    def __init__(self, draw: Draw, placeholders: Placeholders, key_names: Sequence[str]) -> None:
        self.draw = draw
        self.placeholders = placeholders
        self.key_names = key_names

    def path(self) -> str:
        """A document path."""
        if self.draw.often(0.08):
            return self.placeholders.name(self.draw.any(self.key_names))
        return self._steps(self.placeholders.name())

    def paths(self, low: int, high: int) -> list[str]:
        """Some paths that do not overlap, mostly, and are no keys."""
        draw = self.draw
        names = draw.random.sample(NAMES, draw.random.randint(low, high))
        if draw.errs():
            names[0] = draw.any((*self.key_names, *names))
        return [self._steps(self.placeholders.name(name)) for name in names]

    def _steps(self, text: str) -> str:
        draw = self.draw
        while draw.often(0.3):
            text += f"[{draw.random.randint(0, 3)}]" if draw.often(0.4) else f".{self.placeholders.name()}"
        return text

    def operand(self, depth: int = 0) -> str:
        draw = self.draw
        chance = draw.random.random()
        if chance < 0.48:
            text = self.path()
        elif chance < 0.92 or depth > 1:
            text = self.placeholders.value()
        else:
            text = f"size({self.path() if draw.often(0.9) else self.operand(depth + 1)})"
        if draw.errs():
            text = draw.of(f"({text})", f"foo({text})", f"if_not_exists({text}, {text})", f"begins_with({text}, a)")
        return text

    def predicate(self) -> str:
        draw = self.draw
        operand, path = self.operand, self.path
        match draw.random.randrange(10):
            case 0 | 1 | 2 | 3:
                return f"{operand()} {draw.of('=', '<>', '<', '<=', '>', '>=')} {operand()}"
            case 4:
                low, high = operand(), operand()
                if draw.often(0.6):
                    low, high = (self.placeholders.value({"N": n}) for n in ("1", draw.of("1", "5", "10")))
                return f"{operand()} BETWEEN {low} AND {high}"
            case 5:
                return f"{operand()} IN ({', '.join(draw.some(1, 4, operand))})"
            case 6:
                return f"{draw.of('attribute_exists', 'attribute_not_exists')}({path()})"
            case 7:
                kind = {"S": draw.of("S", "N", "B", "SS", "NS", "BS", "L", "M", "NULL", "BOOL")}
                if draw.errs():
                    kind = draw.of({"S": "X"}, {"N": "1"}, {"S": ""})
                return f"attribute_type({path()}, {self.placeholders.value(kind)})"
            case 8:
                prefix = self.placeholders.value({"S": draw.string()}) if draw.often(0.8) else operand()
                return f"begins_with({path()}, {prefix})"
            case _:
                return f"contains({path() if draw.often(0.8) else operand()}, {operand()})"

    def condition(self, depth: int = 0) -> str:
        draw = self.draw
        chance = draw.random.random()
        if depth > 2 or chance < 0.6:
            text = self.predicate()
        elif chance < 0.7:
            text = f"NOT {self.condition(depth + 1)}"
        else:
            text = draw.of(" AND ", " OR ", " and ").join(draw.some(2, 3, lambda: self.condition(depth + 1)))
        if draw.often(0.15) and not text.startswith("("):
            text = f"({text})"
        return self.smudged(text)

    def update(self) -> str:
        draw = self.draw
        sections = draw.random.sample(("SET", "REMOVE", "ADD", "DELETE"), draw.of(1, 1, 1, 2, 3))
        targets = self.paths(len(sections), len(sections) + 3)
        clauses = []
        for number, section in enumerate(sections):
            actions = [self._action(section, target) for target in targets[number :: len(sections)]]
            clauses.append(f"{draw.of(section, section.lower())} {', '.join(actions)}")
        if draw.errs():
            clauses.append(draw.of("SET a = a", "FOO a", "REMOVE", ""))
        return self.smudged(" ".join(clauses))

    def _action(self, section: str, path: str) -> str:
        draw = self.draw
        match section:
            case "SET":
                return f"{path} = {self._right_side()}"
            case "REMOVE":
                return path
            case "ADD":
                value = {"N": draw.number()} if draw.often(0.6) else draw.set_of(draw.of("SS", "NS", "BS"))
            case _:
                value = draw.set_of(draw.of("SS", "NS", "BS"))
        if draw.errs():
            value = draw.value()
        return f"{path} {self.placeholders.value(value)}"

    def _right_side(self) -> str:
        draw = self.draw
        if draw.often(0.3):
            return f"{self._update_operand(number=True)} {draw.of('+', '-')} {self._update_operand(number=True)}"
        return self._update_operand(number=False)

    def _update_operand(self, *, number: bool, depth: int = 0) -> str:
        draw = self.draw
        chance = draw.random.random()
        if chance < 0.25:
            return self.path()
        if chance < 0.75 or depth > 1:
            return self.placeholders.value({"N": draw.number()} if number and draw.often(0.9) else None)
        if chance < 0.9:
            return f"if_not_exists({self.path()}, {self._update_operand(number=number, depth=depth + 1)})"
        lists = [
            self.path() if draw.often(0.4) else self.placeholders.value({"L": draw.some(0, 2, draw.value)})
            for _ in range(2)
        ]
        return f"list_append({', '.join(lists)})"

    def projection(self) -> str:
        return self.smudged(", ".join(self.paths(1, 4)))

    def smudged(self, text: str) -> str:
        """The text, or if it errs, the text with a character too many or too few."""
        draw = self.draw
        if not draw.errs() or not text:
            return text
        at = draw.random.randrange(len(text))
        match draw.random.randrange(3):
            case 0:
                return text[:at] + text[at + 1 :]
            case 1:
                return text[:at] + draw.any("()=,.[]:#+-<>!?a1_ '\"") + text[at:]
            case _:
                return text[:at] + text[at + draw.random.randint(1, 5) :]


def nested(levels: int) -> Value:
    value: Value = {"S": "leaf"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


def _distinct(members: list[str], kind: str) -> list[str]:
    if kind != "NS":
        return list(dict.fromkeys(members))
    found: dict[float | str, str] = {}
    for member in members:
        try:
            found.setdefault(float(member), member)
        except ValueError:
            found.setdefault(member, member)
    return list(found.values())
