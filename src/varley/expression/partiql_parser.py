"""A PartiQL statement's text -> its tree (partiql_tree.py).

    statement = select | insert | update | delete | EXISTS "(" select ")"                           [ ";" ]
    select    = SELECT ( "*" | expression { "," expression } ) FROM source
                [ WHERE expression ] [ ORDER BY expression [ ASC | DESC ] { "," ... } ]
    insert    = INSERT INTO source VALUE expression
    update    = UPDATE source change { change } [ WHERE expression ] [ RETURNING returning ]
    change    = SET path "=" expression { "," path "=" expression } | REMOVE path
    delete    = DELETE FROM source [ WHERE expression ] [ RETURNING returning ]
    returning = ( ALL | MODIFIED ) ( OLD | NEW ) "*"
    source    = name [ "." name ]

Expressions are read by operator precedence, loosest first: OR, AND, NOT, comparisons with IS, IN, LIKE and BETWEEN, ||
with + and -, then * / %.

PartiQL can say far more than DynamoDB does, and AWS refuses the rest by name ("Unsupported clause: LIMIT"), but only
once the whole text is known to be PartiQL. So the parser notes the first such refusal, reads on, and raises it at the
end: an error of syntax anywhere goes first.

The client chooses how deep its parentheses go. Here they end at DEPTH_MAX [own]: DynamoDB's own documents end at 32
levels, and Python's stack holds some hundreds.
"""

from __future__ import annotations

from varley.errors import ValidationError
from varley.expression.operands import too_many_operators
from varley.expression.partiql_tokens import (
    END,
    ION,
    KEYWORDS,
    NAME,
    NUMBER,
    QUOTED_NAME,
    TEXT,
    Token,
    malformed,
    place,
    tokenize,
)
from varley.expression.partiql_tree import (
    Apply,
    Constant,
    Delete,
    Exists,
    Expression,
    Insert,
    Missing,
    Operation,
    Ordering,
    Parameter,
    Reference,
    RemoveAt,
    Select,
    Sequence,
    SetTo,
    Statement,
    Struct,
    TypeTest,
    Update,
)
from varley.limits import EXPRESSION_OPERATORS_MAX

DEPTH_MAX = 100

# How tightly operators bind. Comparisons may be chained, as far as the grammar goes.
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN = range(1, 8)
_BINDING = {
    **dict.fromkeys(("=", "<>", "<", "<=", ">", ">=", "IS", "IN", "LIKE", "BETWEEN", "NOT"), _COMPARISON),
    **dict.fromkeys(("+", "-", "||"), _SUM),
    **dict.fromkeys(("*", "/", "%"), _PRODUCT),
    "AND": _AND,
    "OR": _OR,
}
_LITERALS: dict[str, tuple[str, bool]] = {"TRUE": ("BOOL", True), "FALSE": ("BOOL", False), "NULL": ("NULL", True)}

# Keywords that are functions too, in PartiQL if not in DynamoDB.
_FUNCTION_KEYWORDS = frozenset(
    {
        "AVG", "BIT_LENGTH", "CHARACTER_LENGTH", "CHAR_LENGTH", "COALESCE", "CONVERT", "COUNT", "DATE_ADD", "DATE_DIFF",
        "EXISTS", "EXTRACT", "LOWER", "MAX", "MIN", "NULLIF", "OCTET_LENGTH", "POSITION", "SIZE", "SUBSTRING", "SUM",
        "TRANSLATE", "TRIM", "UPPER",
    }
)  # fmt: skip
_INDEX_MAX = 2**31 - 1  # AWS holds a list index in a Java int


def parse(text: str) -> tuple[Statement, int]:
    """The statement, and how many parameters it has. Raises ValidationError, the client's fault."""
    reader = _Reader(text)
    statement = reader.statement()
    if reader.kind == ";":
        reader.advance()
    if reader.kind != END:
        raise malformed("Unexpected token after expression")
    if reader.refusal is not None:
        raise ValidationError(reader.refusal)
    return statement, reader.parameter_count


class _Reader:
    """A place in the tokens of one statement."""

    __slots__ = ("_depth", "_operator_count", "_position", "_text", "_tokens", "kind", "parameter_count", "refusal")

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._position = 0
        self._depth = 0
        self._operator_count = 0  # in the clause being read
        self.kind = self._tokens[0].kind  # always that of the token at `_position`
        self.parameter_count = 0
        self.refusal: str | None = None  # the first thing that is PartiQL but not DynamoDB's

    def advance(self) -> Token:
        """Step over the current token and return it."""
        token = self._tokens[self._position]
        assert token.kind != END
        self._position += 1
        self.kind = self._tokens[self._position].kind
        return token

    # ---- Statements ----------------------------------------------------------------------------------

    def statement(self) -> Statement:
        match self.kind:
            case "SELECT":
                return self._select()
            case "INSERT":
                return self._insert()
            case "UPDATE":
                return self._update()
            case "DELETE":
                return self._delete()
            case "EXISTS":
                self.advance()
                self._take("(", "Expected left parenthesis")
                select = self._select()
                self._take(")", "Expected right parenthesis")
                return Exists(select)
        raise malformed("Expected data manipulation")

    def _select(self) -> Select:
        self._take("SELECT", "Expected SELECT")
        if self.kind == "ALL":
            self.advance()
        elif self.kind == "DISTINCT":
            self.advance()
            self._refuse("Unsupported token in expression: DISTINCT")
        elif self.kind in ("VALUE", "PIVOT"):
            self.advance()
            self._refuse("Select projection doesn't support value or pivot keywords")
        projection = None
        if self.kind == "*":
            self.advance()
        else:
            projection = self._projection()
        self._take("FROM", "Expected FROM after select list")
        if self.kind in (TEXT, NUMBER, "(", "[", "{", "<<", "?"):
            raise ValidationError("Unexpected from source")
        table, index = self._source()
        if _BINDING.get(self.kind, 0) >= _SUM:  # FROM my-table: a difference
            raise ValidationError("Unexpected from source")
        if self.kind in (",", "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS"):
            # What is joined, and how, is not looked at: there is no join to be had.
            raise ValidationError("Only select from a single table or index is supported.")
        where = self._where()
        order: list[Ordering] = []
        while self.kind in ("GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET"):
            clause = self.advance().kind
            if clause in ("GROUP", "ORDER"):
                self._take("BY", "Expected BY")
            if clause == "ORDER":
                order = self._ordering()
            elif clause == "GROUP":
                self._expressions()
                self._refuse("Unsupported clause: GROUP BY")
            else:
                self._refuse(f"Unsupported clause: {clause}", self._clause().at)
        return Select(projection, table, index, where, tuple(order))

    def _projection(self) -> tuple[Expression, ...]:
        found = []
        while True:
            found.append(self._clause())
            if self.kind in (NAME, QUOTED_NAME, "AS"):
                self._alias()
            if self.kind != ",":
                return tuple(found)
            self.advance()

    def _ordering(self) -> list[Ordering]:
        found = []
        while True:
            key = self._clause()
            descending = self.kind == "DESC"
            if self.kind in ("ASC", "DESC"):
                self.advance()
            found.append(Ordering(key, descending))
            if self.kind != ",":
                return found
            self.advance()

    def _insert(self) -> Insert:
        self.advance()
        self._take("INTO", "Expected INTO")
        table, index = self._source()
        if index is not None:
            self._refuse("FROM clause may only contain a single table name in data manipulation statements")
        if self.kind in ("{", "<<", "["):
            raise ValidationError("Unsupported operation: InsertOp")
        self._take("VALUE", "Expected VALUE")
        item = self._clause()
        if self.kind == "RETURNING":
            self.advance()
            self._returning()
            self._refuse("RETURNING is not supported in INSERT")
        if not isinstance(item, Struct):
            self._refuse(
                "Unsupported format in item expression. "
                "Please use struct format {...} to express item values for insert statement.",
                item.at,
            )
            item = Struct(item.at, ())
        return Insert(table, item)

    def _update(self) -> Update:
        self.advance()
        table = self._written_table()
        changes: list[SetTo | RemoveAt] = []
        while self.kind in ("SET", "REMOVE"):
            if self.advance().kind == "REMOVE":
                changes.append(RemoveAt(self._target()))
                continue
            changes.append(self._set_to())
            while self.kind == ",":
                self.advance()
                changes.append(self._set_to())
        if not changes:
            raise malformed("Expected data manipulation")
        return Update(table, tuple(changes), self._where(), self._returning_clause())

    def _set_to(self) -> SetTo:
        target = self._target()
        self._take("=", "Expected '=' in SET assignment")
        return SetTo(target, self._clause())

    def _target(self) -> Reference:
        if self.kind not in (NAME, QUOTED_NAME):
            raise malformed("Expected identifier for simple path")
        return self._path()

    def _delete(self) -> Delete:
        self.advance()
        self._take("FROM", "Expected FROM")
        table = self._written_table()
        where, returning = self._where(), self._returning_clause()
        if returning is not None and returning != "ALL_OLD":
            self._refuse(
                f"Invalid returning clause: RETURNING {returning.replace('_', ' ')} *. "
                "Only RETURNING ALL OLD * is allowed in DELETE statements."
            )
        return Delete(table, where, returning)

    def _written_table(self) -> str:
        table, index = self._source()
        if index is not None:
            self._refuse("This operation is not supported on an index")
        return table

    def _source(self) -> tuple[str, str | None]:
        """A table and the index of it, if one is named."""
        if self.kind not in (NAME, QUOTED_NAME):
            raise malformed("Expected identifier for simple path")
        parts = [self.advance().text]
        while self.kind == ".":
            self.advance()
            if self.kind not in (NAME, QUOTED_NAME):
                raise malformed("Expected identifier for simple path")
            parts.append(self.advance().text)
        if len(parts) > 2:
            self._refuse("A path may contain at most 2 components in the FROM clause")
        if self.kind in (NAME, QUOTED_NAME, "AS", "AT"):
            self._alias()
        return parts[0], parts[1] if len(parts) > 1 else None

    def _alias(self) -> None:
        if self.kind in ("AS", "AT"):
            self.advance()
        if self.kind not in (NAME, QUOTED_NAME):
            raise malformed("Expected identifier for alias")
        self.advance()
        self._refuse("Aliasing is not supported")

    def _where(self) -> Expression | None:
        if self.kind != "WHERE":
            return None
        self.advance()
        return self._clause()

    def _returning_clause(self) -> str | None:
        if self.kind != "RETURNING":
            return None
        self.advance()
        return self._returning()

    def _returning(self) -> str:
        returning = self._one_returning()
        while self.kind == ",":
            self.advance()
            self._one_returning()
            self._refuse("Invalid syntax with multiple returning elements in RETURNING clause")
        return returning

    def _one_returning(self) -> str:
        words = []
        for choice in (("ALL", "MODIFIED"), ("OLD", "NEW")):
            if self.kind not in choice:
                raise malformed("Expected ( MODIFIED | ALL ) ( NEW | OLD ) in each returning element.")
            words.append(self.advance().kind)
        if self.kind == "*":
            self.advance()
        else:
            self.expression(_OR)
            self._refuse("Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) in RETURNING clause")
        return "_".join(words)

    # ---- Expressions ---------------------------------------------------------------------------------

    def _clause(self) -> Expression:
        """An expression that has a count of operators of its own."""
        self._operator_count = 0
        return self.expression(_OR)

    def expression(self, binding: int) -> Expression:
        """An expression of operators that bind at least as tightly as `binding`."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise malformed("Expressions are nested too deeply")
        left = self._prefix()
        while _BINDING.get(self.kind, 0) >= binding:
            left = self._infix(left)
        self._depth -= 1
        return left

    def _infix(self, left: Expression) -> Expression:
        at = self._operator()
        operator = at.kind
        if operator in ("AND", "OR"):
            # One node for a whole chain: a tree as deep as the chain is long could not be walked.
            binding = _BINDING[operator]
            operands = [left, self.expression(binding + 1)]
            while self.kind == operator:
                self._operator()
                operands.append(self.expression(binding + 1))
            return Operation(at, operator, tuple(operands))
        if operator == "IS":
            negation = self._operator() if self.kind == "NOT" else None
            if self.kind not in KEYWORDS:
                raise malformed("Expected type name")
            return _negated(negation, TypeTest(at, left, self.advance()))
        if operator == "NOT":  # NOT IN, NOT BETWEEN, NOT LIKE
            if self.kind not in ("IN", "BETWEEN", "LIKE"):
                raise malformed("Unexpected keyword")
            return _negated(at, self._infix(left))
        if operator == "BETWEEN":
            low = self.expression(_COMPARISON + 1)
            self._take("AND", "Expected AND after BETWEEN")
            return Operation(at, operator, (left, low, self.expression(_COMPARISON + 1)))
        if operator == "IN" and self.kind == "(":
            return Operation(at, operator, (left, self._sequence(always=True)))
        return Operation(at, operator, (left, self.expression(_BINDING[operator] + 1)))

    def _operator(self) -> Token:
        self._operator_count += 1
        if self._operator_count > EXPRESSION_OPERATORS_MAX:
            raise ValidationError(too_many_operators())
        return self.advance()

    def _prefix(self) -> Expression:
        kind = self.kind
        if kind in (NAME, QUOTED_NAME):
            if kind == NAME and self._tokens[self._position + 1].kind == "(":
                return self._apply()
            return self._path()
        if kind == TEXT:
            at = self.advance()
            return Constant(at, "S", at.text)
        if kind == NUMBER:
            at = self.advance()
            return Constant(at, "N", at.text)
        if kind == "?":
            self.parameter_count += 1
            return Parameter(self.advance(), self.parameter_count - 1)
        if kind in _LITERALS:
            return Constant(self.advance(), *_LITERALS[kind])
        if kind == "MISSING":
            return Missing(self.advance())
        if kind == "NOT":
            return self._not()
        if kind in ("+", "-"):
            return self._signed()
        if kind in ("[", "<<", "("):
            return self._sequence()
        if kind == "{":
            return self._struct()
        if kind == "@":  # a name of the innermost scope: there is but one
            self.advance()
            return self._target()
        if kind == ION:
            at = self.advance()
            self._refuse("Ion Literals are not supported", at)
            return Missing(at)
        if kind in ("SELECT", "CASE", "CAST"):
            raise ValidationError(f"Unsupported token in expression: {kind}{place(self._text, self.advance())}")
        if kind in _FUNCTION_KEYWORDS and self._tokens[self._position + 1].kind == "(":
            return self._apply()
        raise malformed("Unexpected keyword" if kind in KEYWORDS else "Unexpected term")

    def _not(self) -> Expression:
        """Any number of NOTs, of which pairs undo each other."""
        at = self._operator()
        count = 1
        while self.kind == "NOT":
            self._operator()
            count += 1
        operand = self.expression(_NOT)
        # Two stay two: the operand is none the more a condition for being negated twice.
        return _negated(at, operand) if count % 2 else Operation(at, "NOT", (_negated(at, operand),))

    def _signed(self) -> Expression:
        sign = self.advance()
        if self.kind == NUMBER:
            at = self.advance()
            return Constant(at, "N", sign.kind + at.text)
        operand = self.expression(_SIGN)
        if isinstance(operand, Constant) and operand.kind == "N" and str(operand.content)[0] not in "+-":
            return Constant(operand.at, "N", sign.kind + str(operand.content))  # -(5)
        return Operation(sign, sign.kind, (operand,))

    def _apply(self) -> Apply:
        at = self._operator()
        self.advance()
        operands: list[Expression] = []
        if self.kind == "*" and at.kind == "COUNT":
            self.advance()
        elif self.kind != ")":
            operands = self._expressions()
        self._take(")", "Expected right parenthesis")
        return Apply(at, at.text.lower(), tuple(operands))

    def _sequence(self, *, always: bool = False) -> Expression:
        """A list or bag. One expression in parentheses is only that, unless `always`."""
        at = self.advance()
        close = {"[": "]", "<<": ">>", "(": ")"}[at.kind]
        elements = [] if self.kind == close else self._expressions()
        self._take(close, f"Expected {close}")
        if at.kind == "(" and len(elements) == 1 and not always:
            return elements[0]
        return Sequence(at, at.kind == "<<", tuple(elements))

    def _struct(self) -> Struct:
        at = self.advance()
        members: list[tuple[Expression, Expression]] = []
        while self.kind != "}":
            if members:
                self._take(",", "Expected comma in struct")
            name = self.expression(_OR)
            self._take(":", "Expected : to separate pairs in struct")
            members.append((name, self.expression(_OR)))
        self.advance()
        return Struct(at, tuple(members))

    def _expressions(self) -> list[Expression]:
        found = [self.expression(_OR)]
        while self.kind == ",":
            self.advance()
            found.append(self.expression(_OR))
        return found

    def _path(self) -> Reference:
        at = self.advance()
        parts: list[str | int] = [at.text]
        while self.kind in (".", "["):
            if self.advance().kind == ".":
                if self.kind == "*":
                    self.advance()
                    self._refuse("Changing item's hierarchy while reading isn't supported")
                    continue
                if self.kind not in (NAME, QUOTED_NAME):
                    raise malformed("Invalid path dot component")
                parts.append(self.advance().text)
            else:
                parts.append(self._step())
                self._take("]", "Expected ]")
        if "" in parts:
            self._refuse("Path component cannot be an empty string")
        return Reference(at, tuple(parts))

    def _step(self) -> str | int:
        """What stands between brackets: an index, or a name as a text."""
        step = self.expression(_OR)
        if isinstance(step, Constant) and step.kind == "S":
            return str(step.content)
        if isinstance(step, Reference) and step.at.kind == QUOTED_NAME and len(step.parts) == 1:
            return step.parts[0]
        if isinstance(step, Constant) and step.kind == "N" and str(step.content).lstrip("+-").isdigit():
            digits = str(step.content)
            # A length first: int() refuses texts of thousands of digits.
            if len(digits) <= 10 and 0 <= int(digits) <= _INDEX_MAX:
                return int(digits)
            self._refuse(f"List index is not within the allowable range; index: [{digits}]", step.at)
        else:
            self._refuse("Unexpected path component", step.at)
        return 0

    def _take(self, kind: str, otherwise: str) -> None:
        if self.kind != kind:
            raise malformed(otherwise)
        self.advance()

    def _refuse(self, text: str, at: Token | None = None) -> None:
        if self.refusal is None:
            self.refusal = text if at is None else text + place(self._text, at)


def _negated(negation: Token | None, operand: Expression) -> Expression:
    return operand if negation is None else Operation(negation, "NOT", (operand,))
