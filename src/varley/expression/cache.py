"""A bounded memory of parsed expressions.

Applications send the same few expression texts over and over, with different values. Parsing costs a hundred
times what evaluating does, so each distinct (text, names) is parsed once. The bound matters as much as the
memory: a client that builds texts by pasting values into them sends a new text with every request.

The oldest entry goes first. Least-recently-used would keep a hot text through such a flood, but costs a
reordering per hit; first-in-first-out parses a hot text again once per `ENTRIES_MAX` misses: nothing.
Failures are not kept: whoever sends wrong expressions pays for them each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

# [own] Each bound keeps the worst case in the tens of megabytes: a parsed expression is of the order of
# twenty times its text, and texts end at 4 KB.
ENTRIES_MAX = 1024
NAMES_MAX = 64
NAMES_CHARS_MAX = 4096

Parsed = TypeVar("Parsed")


class Cache(Generic[Parsed]):
    """Parses through `parse(text, names)`; remembers what it returned."""

    __slots__ = ("_entries", "_parse")

    def __init__(self, parse: Callable[[str, Mapping[str, str]], Parsed]) -> None:
        self._parse = parse
        self._entries: dict[str | tuple[str, ...], Parsed] = {}  # len <= ENTRIES_MAX

    def get(self, text: str, names: Mapping[str, str] | None) -> Parsed:
        """The parsed expression. Whatever `parse` raises passes through."""
        # A flat key: the text, all placeholders, all names. A tuple of tuples would cost twice as much.
        key = (text, *names, *names.values()) if names else text
        found = self._entries.get(key)
        if found is not None:
            return found
        parsed = self._parse(text, names or {})
        if names and (len(names) > NAMES_MAX or sum(map(len, names.values())) > NAMES_CHARS_MAX):
            return parsed
        if len(self._entries) >= ENTRIES_MAX:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = parsed
        return parsed

    def __len__(self) -> int:
        return len(self._entries)
