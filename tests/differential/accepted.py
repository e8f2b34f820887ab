"""What DynamoDB Local is known to answer otherwise than Varley, and why Varley is not changed for it.

DynamoDB Local is AWS's, and shares the service's parser of expressions, but not the service's front door: about many
points it is known to be wrong. A difference is accepted only with the reason why DynamoDB itself does what Varley does.
Each entry is a row of docs/differences_from_dynamodb.md; a test keeps the two the same.

An entry accepts a difference by its operation, Varley's answer and DynamoDB Local's, each written as
"400 ValidationException: text" or "200", as regular expressions of the whole line; or, of two answers with status 200,
by the members that differ (comparison.unlike). Refusals that differ in words only come from the tests of the API
(tests/aws/known_differences.py), which know the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.aws.known_differences import WORDS

from .comparison import Difference
from .talk import Answer

ANY = r".*"
_INVALID = r"400 ValidationException: "
_CONDITION_FAILED = r"400 ConditionalCheckFailedException: .*"


@dataclass(frozen=True)
class Accepted:
    """One point in which the two differ. `local` and `dynamodb` are the two columns of the page's table."""

    local: str       # what DynamoDB Local does
    dynamodb: str    # what DynamoDB does, and Varley
    why: str         # how we know
    operations: str = ANY
    ours: str = ANY
    theirs: str = ANY
    members: str | None = None    # of answers with status 200: a pattern for each member that differs
    when: Callable[[Difference], bool] = field(default=lambda _: True)

    def covers(self, difference: Difference) -> bool:
        if not _matches(self.operations, difference.operation):
            return False
        ours, theirs = difference.ours, difference.theirs
        if self.members is not None:
            if ours.status != theirs.status or (ours.code, ours.message) != (theirs.code, theirs.message):
                return False
            return all(_matches(self.members, member) for member in difference.members) and self.when(difference)
        return _matches(self.ours, line(ours)) and _matches(self.theirs, line(theirs)) and self.when(difference)


def line(answer: Answer) -> str:
    return f"{answer.status} {answer.code}: {answer.message}" if answer.is_refusal else "200"


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.DOTALL) is not None


ACCEPTED = (
    Accepted(
        local="checks what the service's model demands last, or not at all",
        dynamodb="first, and tells all that is wrong, up to ten complaints",
        why="texts of the service's framework, as its clients report them",
        ours=_INVALID + r"\d+ validation errors? detected: .*",
    ),
    Accepted(
        local="looks for the table first",
        dynamodb="after values, expressions and parameters",
        why="tests/aws/test_order_of_checks.py, and what users report",
        ours=_INVALID + ANY,
        theirs="400 ResourceNotFoundException: .*",
    ),
    Accepted(
        local="tells nothing of item collections",
        dynamodb="ItemCollectionMetrics of a table with local indexes",
        why="service model, ReturnItemCollectionMetrics",
        members=r"ItemCollectionMetrics here only",
    ),
    Accepted(
        local="answers 500 to what it did not expect",
        dynamodb="a refusal that says what is wrong",
        why="an internal error is nobody's intention",
        theirs="500 InternalFailure: .*",
    ),
    Accepted(
        local="tells the capacity of a DeleteItem that finds nothing, asked or not",
        dynamodb="only if ReturnConsumedCapacity asks for it, as large as it asks",
        why="service model, ReturnConsumedCapacity: NONE is what it is without it",
        operations="DeleteItem",
        members=r"ConsumedCapacity there only|ConsumedCapacity\.(Table|LocalSecondaryIndexes) here only"
        r"|ItemCollectionMetrics here only",
    ),
    Accepted(
        local="ends the text about duplicates in a set earlier",
        dynamodb="with the members and a full stop",
        why="as clients report it",
        ours=_INVALID + r".*Input collection (\[.*\])? ?(of type BS )?contains duplicates\..*",
        theirs=_INVALID + r".*Input collection (\[.*\])? ?(of type BS )?contains duplicates.*",
    ),
    Accepted(
        local="checks each value of an old-style condition for its operator before whether their types are the same",
        dynamodb="the types against each other first",
        why="as clients report it",
        ours=_INVALID + r".*AttributeValues inside AttributeValueList must be of same type",
        theirs=_INVALID + r".*ComparisonOperator \w+ is not valid for \w+ AttributeValue type",
    ),
    Accepted(
        local="refuses table names of one and two characters as malformed",
        dynamodb="finds no such table, in operations on items",
        why="decision 0012",
        ours="400 ResourceNotFoundException: .*",
        theirs=_INVALID + r"Invalid table/index name\..*",
        when=lambda found: 0 < len(found.body.get("TableName", "")) < 3,
    ),
    Accepted(
        local="names another of the index keys that a path leads into",
        dynamodb="not known; Varley names the first along the text",
        why="there is no order of indexes",
        ours=_INVALID + r"Key attributes must be scalars; .* IndexKey: .*",
        theirs=_INVALID + r"Key attributes must be scalars; .* IndexKey: .*",
    ),
    Accepted(
        local="names a path that does not overlap in its refusal of paths that do",
        dynamodb="the two that overlap",
        why="API Reference and users' reports name the two",
        ours=_INVALID + r"Invalid \w+: Two document paths (overlap|conflict) with each other; .*",
        theirs=_INVALID + r"Invalid \w+: Two document paths (overlap|conflict) with each other; .*",
    ),
    Accepted(
        local="says 'Cannot have two attributes with the same name'",
        dynamodb="'Duplicate value in attribute name' with the name",
        why="as clients report it",
        ours=_INVALID + r"One or more parameter values were invalid: Duplicate value in attribute name: .*",
        theirs=_INVALID + r"Cannot have two attributes with the same name",
    ),
    Accepted(
        local="looks how an Expected is put together before it looks at its values, and at values before names",
        dynamodb="the other way round, as far as is known",
        why="two mistakes; the order of the service is not documented",
        ours=_INVALID + r"(Supplied AttributeValue .*|.*Null attribute value types .*|The parameter cannot be converted .*"
        r"|Empty attribute name|.*contains duplicates.*|.* set  may not be empty|Binary sets should not be empty"
        r"|Nesting Levels have exceeded .*|Attempting to store more than 38 .*|Number (over|under)flow.*)",
        theirs=_INVALID + r"(One or more parameter values were invalid: Value .* for Attribute: .*"
        r"|A value provided cannot be converted .*|Supplied AttributeValue .*|.*contains duplicates.*)",
    ),
    Accepted(
        local="writes numbers in a text about an expression as the client wrote them",
        dynamodb="not known; Varley writes their normal form",
        why="only the text of a refusal",
        ours=_INVALID + r"Invalid \w+: The BETWEEN operator requires .*\{N:.*",
        theirs=_INVALID + r"Invalid \w+: The BETWEEN operator requires .*\{N:.*",
    ),
)


def is_accepted(difference: Difference) -> bool:
    return reason(difference) is not None


def reason(difference: Difference) -> Accepted | str | None:
    """Why a difference is accepted; None if it is not."""
    for accepted in ACCEPTED:
        if accepted.covers(difference):
            return accepted
    return "words" if is_said_otherwise(difference) else None


def is_said_otherwise(difference: Difference) -> bool:
    """Whether both refuse for the same reason, in words that are known to differ."""
    return (
        difference.ours.is_refusal
        and difference.theirs.is_refusal
        and any(
            _matches(aws, difference.ours.message) and _matches(local, difference.theirs.message)
            for aws, local in WORDS["dynamodb-local"]
        )
    )
