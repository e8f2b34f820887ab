"""Expression text -> tokens; and the words in which AWS reports a syntax error.

A syntax error names the token that cannot stand where it stands, and shows it `near` its neighbours: the text
from the beginning of the token before to the end of the token after, white space and all.

    a X b        Syntax error; token: "X", near: "a X b"
    a = :v )     Syntax error; token: ")", near: ":v )"
    a =          Syntax error; token: "<EOF>", near: "= "     (the end reaches over trailing space)

A character that begins no token is a token of its own, of kind UNKNOWN: it is reported only when parsing
arrives there, so an earlier mistake is reported first.

Lexical rules as AWS's own grammar has them (probed against DynamoDB Local 2.x, 2025):
- a name begins with an ASCII letter and goes on with letters, digits and underscore; any other attribute name
  needs a # placeholder;
- white space is space, tab, carriage return and line feed, and nothing else of Unicode's;
- a number has no leading zero: `01` is two tokens;
- keywords are of any case, function names only of lower case (so they are NAMEs, told apart by the parser).
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from varley.errors import ValidationError

NAME = "name"
NAME_PLACEHOLDER = "#"
VALUE_PLACEHOLDER = ":"
NUMBER = "number"
UNKNOWN = "unknown"
END = "<EOF>"

KEYWORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"})

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<name>[A-Za-z][A-Za-z0-9_]*)
      | (?P<hash>\#[A-Za-z0-9_]+)
      | (?P<colon>:[A-Za-z0-9_]+)
      | (?P<number>0|[1-9][0-9]*)
      | (?P<sign><>|<=|>=|[=<>()\[\],.+-])
      | (?P<unknown>[^ \t\r\n])
    )""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """`kind` is NAME, NAME_PLACEHOLDER, ..., END; or a keyword in upper case; or a sign such as "<=".
    `text` is what was written, at [start, end) of the expression."""

    kind: str
    text: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """All tokens of `text`, an END after them. Never fails."""
    tokens = []
    position = 0
    while match := _TOKEN.match(text, position):
        group = match.lastgroup
        assert group is not None
        written = match[group]
        if group == "name":
            upper = written.upper()
            kind = upper if upper in KEYWORDS else NAME
        elif group == "sign":
            kind = written
        else:
            kind = _KINDS[group]
        start, position = match.span(group)
        tokens.append(Token(kind, written, start, position))
    tokens.append(Token(END, END, len(text), len(text)))
    return tokens


_KINDS = {"hash": NAME_PLACEHOLDER, "colon": VALUE_PLACEHOLDER, "number": NUMBER, "unknown": UNKNOWN}


class Cursor:
    """A place in the tokens of one expression. `expression` is the parameter's name, for error texts."""

    __slots__ = ("_text", "_tokens", "expression", "kind", "position")

    def __init__(self, expression: str, text: str) -> None:
        self.expression = expression
        self._text = text
        self._tokens = tokenize(text)
        self.position = 0
        self.kind = self._tokens[0].kind  # always that of the token at `position`

    def advance(self) -> str:
        """Step over the current token and return its text."""
        text = self._tokens[self.position].text
        assert self.kind != END
        self.position += 1
        self.kind = self._tokens[self.position].kind
        return text

    def take(self, kind: str) -> str:
        """Step over a token of this kind and return its text. Raises ValidationError if it is of another."""
        if self.kind != kind:
            self.fail()
        return self.advance()

    def text(self) -> str:
        return self._tokens[self.position].text

    def next_kind(self) -> str:
        """Kind of the token after the current one."""
        return END if self.kind == END else self._tokens[self.position + 1].kind

    def fail(self) -> NoReturn:
        """Raise the syntax error that blames the current token."""
        here = self._tokens[self.position]
        start = self._tokens[self.position - 1].start if self.position else 0
        after = here if here.kind == END else self._tokens[self.position + 1]
        near = self._text[start : after.end]
        raise ValidationError(
            f'Invalid {self.expression}: Syntax error; token: "{here.text}", near: "{near}"'
        )
