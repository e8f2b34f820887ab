"""PartiQL text -> tokens; where a token stands, in AWS's way of saying it; and the words for text that does not parse.

    SELECT "a", b.c[0] FROM Music WHERE pk = 'it''s' AND n >= ? -- a comment

What is what (probed on DynamoDB Local 1.25, whose parser is the one that AWS publishes, 2026):
- a name is ASCII letters, digits, _ and $, not beginning with a digit, and no keyword of any case; between double
  quotes it may be anything, with "" for one double quote. Names keep their case: PK and pk are two attributes.
- a text stands between single quotes, with '' for one of them
- a number may begin or end with its point, and have an exponent; its sign is an operator
- comments reach from -- to the end of the line, or from /* to */
- <<1>> is a set, so << and >> are tokens

AWS looks at all characters before it parses, so a character that begins no token is told first. Positions are told
as line:column:length, counted from 1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from varley.errors import ValidationError

NAME = "name"
QUOTED_NAME = '"name"'
TEXT = "text"
NUMBER = "number"
ION = "ion"
END = "end"

# As found by trying each reserved word of SQL and of DynamoDB as an attribute's name.
KEYWORDS = frozenset(
    """
    ABSOLUTE ACTION ADD ALL ALLOCATE ALTER AND ANY ARE AS ASC ASSERTION AT AUTHORIZATION AVG BAG BEGIN BETWEEN BIT
    BIT_LENGTH BLOB BOOL BOOLEAN BY CASCADE CASCADED CASE CAST CATALOG CHAR CHARACTER CHARACTER_LENGTH CHAR_LENGTH
    CHECK CLOB CLOSE COALESCE COLLATE COLLATION COLUMN COMMIT CONFLICT CONNECT CONNECTION CONSTRAINT CONSTRAINTS
    CONTINUE CONVERT CORRESPONDING COUNT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER
    CURSOR DATE DATE_ADD DATE_DIFF DEALLOCATE DEC DECIMAL DECLARE DEFAULT DEFERRABLE DEFERRED DELETE DESC DESCRIBE
    DESCRIPTOR DIAGNOSTICS DISCONNECT DISTINCT DO DOMAIN DOUBLE DROP ELSE END ESCAPE EXCEPT EXCEPTION EXEC EXECUTE
    EXISTS EXTERNAL EXTRACT FALSE FETCH FIRST FLOAT FOR FOREIGN FOUND FROM FULL GET GLOBAL GO GOTO GRANT GROUP HAVING
    IDENTITY IMMEDIATE IN INDEX INDICATOR INITIALLY INNER INPUT INSENSITIVE INSERT INT INTEGER INTERSECT INTERVAL INTO
    IS ISOLATION JOIN KEY LANGUAGE LAST LEFT LET LEVEL LIKE LIMIT LIST LOCAL LOWER MATCH MAX MIN MISSING MODIFIED
    MODULE NAMES NATIONAL NATURAL NCHAR NEW NEXT NO NOT NOTHING NULL NULLIF NUMERIC OCTET_LENGTH OF OLD ON ONLY OPEN
    OPTION OR ORDER OUTER OUTPUT OVERLAPS PAD PARTIAL PIVOT POSITION PRECISION PREPARE PRESERVE PRIMARY PRIOR
    PRIVILEGES PROCEDURE PUBLIC READ REAL REFERENCES RELATIVE REMOVE RESTRICT RETURNING REVOKE RIGHT ROLLBACK ROWS
    SCHEMA SCROLL SECTION SELECT SESSION SESSION_USER SET SEXP SIZE SMALLINT SOME SPACE SQL SQLCODE SQLERROR SQLSTATE
    STRING STRUCT SUBSTRING SUM SYMBOL SYSTEM_USER TABLE TEMPORARY THEN TIME TIMESTAMP TO TRANSACTION TRANSLATE
    TRANSLATION TRIM TRUE TUPLE UNION UNIQUE UNKNOWN UNPIVOT UPDATE UPPER USAGE USER USING VALUE VALUES VARCHAR VARYING
    VIEW WHEN WHENEVER WHERE WITH WORK WRITE ZONE
    """.split()  # noqa: SIM905  a list of 240 strings is no easier to read
)

_TOKEN = re.compile(
    r"""(?:[ \t\r\n\f\v]|--[^\n]*|/\*.*?\*/)*+(?:
        (?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
      | "(?P<quoted>(?:[^"]|"")*)"
      | '(?P<text>(?:[^']|'')*)'
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<ion>`[^`]*`)
      | (?P<sign><<|>>|<>|!=|<=|>=|\|\||[=<>()\[\]{},.:;?*/%+@-])
      | (?P<unknown>.)
    )""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """`kind` is NAME, QUOTED_NAME, TEXT, NUMBER, ION or END; or a keyword in upper case; or a sign, != as <>.
    `text` is what it says: of quoted names and texts without the quotes. Written at [start, end) of the statement."""

    kind: str
    text: str
    start: int
    end: int


def tokenize(statement: str) -> list[Token]:
    """All tokens, an END after them. Raises ValidationError for a character that begins none."""
    tokens = []
    position = 0
    while match := _TOKEN.match(statement, position):
        group = match.lastgroup
        assert group is not None
        start, position = match.end() - _written_length(group, match[group]), match.end()
        text = match[group]
        kind = _KINDS.get(group, text)
        if group == "word" and text.upper() in KEYWORDS:
            kind = text.upper()
        elif group == "quoted":
            text = text.replace('""', '"')
        elif group == "text":
            text = text.replace("''", "'")
        elif text == "!=":
            kind = "<>"
        elif group == "unknown":
            line, column = _line_and_column(statement, start)
            raise malformed(
                f"Lexer Error: at line {line}, column {column}: invalid character at, '{text}' [U+{ord(text):x}]"
            )
        tokens.append(Token(kind, text, start, position))
    tokens.append(Token(END, "", len(statement), len(statement)))
    return tokens


_KINDS = {"word": NAME, "quoted": QUOTED_NAME, "text": TEXT, "number": NUMBER, "ion": ION}


def _written_length(group: str, text: str) -> int:
    return len(text) + 2 if group in ("quoted", "text") else len(text)


def place(statement: str, token: Token) -> str:
    """` at 1:8:5`, as AWS ends the texts of errors that have a place."""
    line, column = _line_and_column(statement, token.start)
    return f" at {line}:{column}:{token.end - token.start}"


def malformed(detail: str) -> ValidationError:
    """The error of a statement that does not parse."""
    return ValidationError(f"Statement wasn't well formed, can't be processed: {detail}")


def _line_and_column(statement: str, position: int) -> tuple[int, int]:
    before = statement[:position]
    return before.count("\n") + 1, position - before.rfind("\n")
