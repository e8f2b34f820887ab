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
from typing import Any

from tests.aws.known_differences import WORDS

from . import words
from .comparison import Difference
from .talk import Answer

ANY = r".*"
_INVALID = r"400 ValidationException: "
_UNFIT = (
    r"(The document path provided in the update expression is invalid for update"
    r"|An operand in the update expression has an incorrect data type"
    r"|The provided expression refers to an attribute that does not exist in the item"
    r"|Attempting to store more than 38 significant digits in a Number"
    r"|DynamoDB only supports precision up to 38 digits"
    r"|Type mismatch for attribute to update)"
)
_TABLE_OPERATIONS = r"(Create|Update|Describe|Delete|List)Tables?"
_TRANSACTIONS = r"Transact(Write|Get)Items"
_NOT_DESCRIBED = (
    r"Table\.(GlobalSecondaryIndexes\[\]\.)?ProvisionedThroughput\.NumberOfDecreasesToday.*"
    r"|Table\.GlobalSecondaryIndexes\[\]\.(IndexSizeBytes|ItemCount) here only"
    r"|Table\.GlobalSecondaryIndexes\[\]\.IndexSizeBytes"
    r"|Table\.GlobalSecondaryIndexes\[\]\.ProvisionedThroughput\.(Read|Write)CapacityUnits"
    r"|Table\.DeletionProtectionEnabled|Table\.AttributeDefinitions"
)
_CONDITION_FAILED = r"400 ConditionalCheckFailedException: .*"

_OLD_STYLE = frozenset(
    ("Expected", "AttributeUpdates", "ConditionalOperator", "KeyConditions", "QueryFilter", "ScanFilter",
     "AttributesToGet", "ExclusiveStartKey")
)  # fmt: skip
_OLD_STYLE_MISTAKE = (
    r"(One or more parameter values were invalid: .*"
    r"|ConditionalOperator can .*"
    r"|The BETWEEN condition was provided a range .*"
    r"|The provided starting key .*"
    r"|Updates on index keys must be .*"
    r"|Type mismatch for attribute to update"
    r"|Query key condition not supported"
    r"|Query condition missed key schema element"
    r"|Conditions can be of length 1 or 2 only"
    r"|Only scalar types can be used as Range Key values"
    r"|One or more parameter values are not valid\. .*"
    r"|Invalid attribute value type"
    r"|The number of conditions on the keys is invalid"
    r"|Supplied AttributeValue .*"
    r"|A value provided cannot be converted into a number)"
)


@dataclass(frozen=True)
class Accepted:
    """One point in which the two differ. `local` and `dynamodb` are the two columns of the page's table."""

    local: str       # what DynamoDB Local does
    dynamodb: str    # what DynamoDB does, and Varley
    why: str         # how we know
    operations: str = ANY
    ours: str = ANY
    theirs: str = ANY
    texts: tuple[tuple[str, str], ...] = ()    # in place of these two: patterns that go together
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
        texts = self.texts or ((self.ours, self.theirs),)
        return self.when(difference) and any(
            _matches(one, line(ours)) and _matches(other, line(theirs)) for one, other in texts
        )


def _messages(answer: Answer) -> list[str]:
    """Of a cancelled transaction, by action."""
    return [str(reason.get("Message", "")) for reason in answer.body["CancellationReasons"]]


_CHECK_FAILED = "The conditional request failed"


def _is_a_unit_more(found: Difference) -> bool:
    """Whether DynamoDB Local counts at most one unit more than Varley for each write of the request."""
    pairs = list(zip(_units(found.ours.body), _units(found.theirs.body), strict=True))
    return all(0 <= theirs - ours <= max(1, str(found.body).count("Request")) for ours, theirs in pairs)


def _has_read_nothing(found: Difference) -> bool:
    """Whether DynamoDB Local counts nothing where Varley counts the least there is."""
    pairs = list(zip(_units(found.ours.body), _units(found.theirs.body), strict=False))
    return all(a == b or (b == 0 and a <= 1) for a, b in pairs)


def _units(body: Any) -> list[float]:
    """Every CapacityUnits of an answer, in one order."""
    if isinstance(body, dict):
        return [
            each
            for name in sorted(body)
            for each in ([body[name]] if name == "CapacityUnits" else _units(body[name]))
        ]
    return [each for element in body for each in _units(element)] if isinstance(body, list) else []


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
        theirs="500 Internal(Failure|ServerError): .*",
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
        local="looks at the names of tables first, and refuses those of one and two characters as malformed",
        dynamodb="at the latest that it can; finds no such table, in operations on items",
        why="decision 0012",
        ours=r"400 (ValidationException|ResourceNotFoundException): .*",
        theirs=_INVALID + r"Invalid table/index name\..*",
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
        ours=_INVALID + r"(Supplied AttributeValue .*|.*Null attribute value types .*|The parameter cannot be .*"
        r"|Empty attribute name|.*contains duplicates.*|.* set  may not be empty|Binary sets should not be empty"
        r"|Nesting Levels have exceeded .*|Attempting to store more than 38 .*|Number (over|under)flow.*)",
        theirs=_INVALID + r"(One or more parameter values were invalid: Value .* for Attribute: .*"
        r"|A value provided cannot be converted .*|Supplied AttributeValue .*|.*contains duplicates.*)",
    ),
    Accepted(
        local="meets the actions of an update in the order of a hash table",
        dynamodb="not known which of several unfit actions is told; Varley looks at paths first, then along the text",
        why="two mistakes",
        operations="UpdateItem",
        ours=_INVALID + _UNFIT,
        theirs=_INVALID + _UNFIT + r"|400 ConditionalCheckFailedException: .*",
    ),
    Accepted(
        local="computes the second operand of if_not_exists even if it is not needed",
        dynamodb="'otherwise, it evaluates to path'",
        why="Developer Guide, \"Using update expressions in DynamoDB\"",
        operations="UpdateItem",
        ours="200",
        theirs=_INVALID + r"The provided expression refers to an attribute that does not exist in the item",
        when=lambda found: "if_not_exists" in found.body.get("UpdateExpression", ""),
    ),
    Accepted(
        local="judges the condition before it looks whether the update could be",
        dynamodb="looks first at everything that needs no item",
        why="as for all operations",
        operations="UpdateItem",
        ours=_INVALID + ANY,
        theirs=_CONDITION_FAILED,
        when=lambda found: (
            "AttributeUpdates" in found.body
            or found.ours.message.startswith("Key attributes must be scalars; ")
            or "Cannot update attribute" in found.ours.message
        ),
    ),
    Accepted(
        local="lets an update give an index key a type that the index cannot hold, or refuses what leaves none",
        dynamodb="judges the item as it would be",
        why="tests/aws/test_local_indexes.py",
        operations="UpdateItem",
        ours=r"200|" + _INVALID + r".*(secondary index key to unsupported type|Type mismatch for Index Key).*",
        theirs=r"200|" + _INVALID + r"(Updates on index keys must .*|Invalid attribute value type|.*Type mismatch.*"
        r"|.* secondary index key (to a value that )?is not supported.*)",
        when=lambda found: found.body["TableName"] in ("world.indexed", "world.global"),
    ),
    Accepted(
        local="answers nothing read with no capacity",
        dynamodb="with the least there is",
        why="tests/aws/test_consumed_capacity.py, and what users see",
        operations="Query|Scan|BatchGetItem|ExecuteStatement|BatchExecuteStatement",
        members=r"ConsumedCapacity(\[\])?\.((Table|\w+SecondaryIndexes\.[\w-]+)\.)?CapacityUnits",
        when=lambda found: _has_read_nothing(found),
    ),
    Accepted(
        local="looks for the first of several mistakes in old-style parameters elsewhere",
        dynamodb="not documented; Varley looks at values first, then at updates or keys, then at conditions",
        why="two mistakes",
        ours=_INVALID + ANY,
        theirs=_INVALID + _OLD_STYLE_MISTAKE,
        when=lambda found: bool(_OLD_STYLE & set(found.body)),
    ),
    Accepted(
        local="says 'Query key condition not supported' of a comparison that no key can serve",
        dynamodb="'Attempted conditional constraint is not an indexable operation'",
        why="as clients report it",
        operations="Query",
        ours=_INVALID + r"Attempted conditional constraint is not an indexable operation",
        theirs=_INVALID + r"Query key condition not supported",
    ),
    Accepted(
        local="looks at ExclusiveStartKey before the filter",
        dynamodb="not known; Varley the other way round",
        why="two mistakes",
        operations="Query|Scan",
        ours=_INVALID + r".*Secondary index .* does not project one or more filter attributes.*",
        theirs=_INVALID + r"(The provided starting key .*|Exclusive Start Key must have .*)",
    ),
    Accepted(
        local="looks for the index before it looks at values and expressions",
        dynamodb="after them, as for the table",
        why="tests/aws/test_order_of_checks.py",
        operations="Query|Scan",
        ours=_INVALID + ANY,
        theirs=_INVALID + r"The table does not have the specified index: .*",
    ),
    Accepted(
        local="names another of several key attributes that are wrong, or looks at types before it misses one",
        dynamodb="not known; Varley misses first, then looks at the partition key, or goes along the text",
        why="several mistakes",
        ours=_INVALID + r"(.*Missing the key .* in the item|Filter Expression can only contain non-primary key .*)",
        theirs=_INVALID + r"(Invalid attribute value type|.*Type mismatch for .*|.* cannot contain an empty .*"
        r"|Filter Expression can only contain non-primary key .*|Hash primary key values must .*)",
    ),
    Accepted(
        local="looks at what an index projects before it looks at the size of keys",
        dynamodb="not known; Varley the other way round",
        why="two mistakes",
        operations="Query",
        ours=_INVALID + r".*(Size of hashkey|Aggregated size of all range keys) .*",
        theirs=_INVALID + r".* index .* does not project .*",
    ),
    Accepted(
        local="looks at expressions before it misses the key condition",
        dynamodb="not known; Varley the other way round",
        why="two mistakes",
        operations="Query",
        ours=_INVALID + r"Either the KeyConditions or KeyConditionExpression parameter must be specified .*",
        theirs=_INVALID + ANY,
    ),
    Accepted(
        local="takes keys of any length in ExclusiveStartKey",
        dynamodb="2048 and 1024 bytes",
        why="Developer Guide, \"Quotas\"",
        operations="Query|Scan",
        ours=_INVALID + r"The provided starting key is invalid: .* exceeded the .*size limit.*",
        theirs="200",
    ),
    Accepted(
        local="takes the end of a range of a global index for the end of its rows",
        dynamodb="any number of rows may have the same key there",
        why="Developer Guide, \"Global secondary indexes\": keys need not be unique",
        operations="Query",
        members=r"LastEvaluatedKey here only",
        when=lambda found: found.body.get("IndexName") is not None,
    ),
    Accepted(
        local="counts a write of an item for global indexes that have a part of their key in its old or new image",
        dynamodb="for those in which a row changes",
        why="Developer Guide, \"Provisioned throughput considerations for global secondary indexes\"",
        operations="PutItem|UpdateItem|DeleteItem|BatchWriteItem",
        members=r"ConsumedCapacity(\[\])?\..*",
        when=lambda found: "world.global" in str(found.body),
    ),
    Accepted(
        local="looks at what a global index projects before it looks at paths into keys",
        dynamodb="not known; Varley the other way round",
        why="two mistakes",
        operations="Query|Scan",
        ours=_INVALID + r"Key attributes must be scalars; .*",
        theirs=_INVALID + r".*Global secondary index .* does not project .*",
    ),
    Accepted(
        local="filters a Scan of a global index by attributes that the index does not have",
        dynamodb="not known; Varley takes what the index does not have for missing, as its rows do",
        why="a global index is read without its table",
        operations="Scan",
        members=r"Count|Items",
        when=lambda found: found.body["TableName"] == "world.global" and "IndexName" in found.body,
    ),
    Accepted(
        local="looks at expressions and keys before Select and segments",
        dynamodb="not known; Varley the other way round",
        why="two mistakes",
        operations="Query|Scan",
        ours=_INVALID + r"(Cannot specify the .*|Must specify the .*|ALL_PROJECTED_.*|The (Total)?Segments? .*)",
        theirs=_INVALID + ANY,
    ),
    Accepted(
        local="counts a Scan's look at the table, for what an index does not project, as nothing",
        dynamodb="as for Query: each item read is counted",
        why="Developer Guide, \"Local secondary indexes\": attribute fetches",
        operations="Query|Scan",
        members=r"ConsumedCapacity\.((Table|LocalSecondaryIndexes\.[\w-]+)\.)?CapacityUnits",
        when=lambda found: "IndexName" in found.body,
    ),
    Accepted(
        local="counts nothing for keys of a batch that are not there",
        dynamodb="each like a GetItem that finds nothing",
        why="Developer Guide, \"Capacity unit consumption for reads\": each item is rounded up",
        operations="BatchGetItem",
        members=r"ConsumedCapacity\[\]\.(Table\.)?CapacityUnits",
        when=lambda found: str(found.body).count("'pk'") > sum(map(len, found.ours.body["Responses"].values())),
    ),
    Accepted(
        local="counts two units for a DeleteRequest",
        dynamodb="one for each kilobyte",
        why="Developer Guide, \"Capacity unit consumption for writes\"",
        operations="BatchWriteItem",
        members=r"ConsumedCapacity\[\]\.(Table\.)?CapacityUnits|ItemCollectionMetrics here only",
        when=lambda found: "DeleteRequest" in str(found.body),
    ),
    Accepted(
        local="refuses a batch in which one table has AttributesToGet and another a ProjectionExpression",
        dynamodb="not known; Varley looks at each table by itself",
        why="each table's KeysAndAttributes is a structure of its own",
        operations="BatchGetItem",
        theirs=_INVALID + r"Can not use both expression and non-expression parameters .*",
        when=lambda found: len(found.body["RequestItems"]) > 1,
    ),
    Accepted(
        local="judges the size of a value that is not of the key's type",
        dynamodb="its type",
        why="two mistakes in one value",
        ours=_INVALID + r"(.*Condition parameter type does not match schema type|.*Type mismatch for key .*)",
        theirs=_INVALID + r".*(Size of hashkey|Aggregated size of all range keys) .*",
    ),
    Accepted(
        local="takes partition keys of any length in old-style key conditions",
        dynamodb="2048 bytes",
        why="Developer Guide, \"Quotas\"",
        operations="Query",
        ours=_INVALID + r".*Size of hashkey has exceeded.*",
        theirs="200",
    ),
    Accepted(
        local="looks for keys that come twice before it looks for the table",
        dynamodb="not known; Varley the other way round",
        why="two mistakes",
        operations="BatchGetItem|BatchWriteItem",
        ours="400 ResourceNotFoundException: .*",
        theirs=_INVALID + r"Provided list of item keys contains duplicates",
    ),
    Accepted(
        local="tells no capacity of PartiQL statements that read, and none of those that fail",
        dynamodb="as of other operations",
        why="service model, ReturnConsumedCapacity of ExecuteStatement and BatchExecuteStatement",
        operations="ExecuteStatement|BatchExecuteStatement",
        members=r"ConsumedCapacity here only|Responses\[\]\.(TableName here only|Error\.Message)",
    ),
    Accepted(
        local="calls the refusal DuplicateItem",
        dynamodb="DuplicateItemException",
        why="service model",
        operations="ExecuteStatement",
        ours="400 DuplicateItemException: .*",
        theirs="400 DuplicateItem: .*",
    ),
    Accepted(
        local="refuses PartiQL statements in words of its own",
        dynamodb="in those that its clients report",
        why="tests/aws/test_execute_statement.py",
        operations="ExecuteStatement|BatchExecuteStatement",
        texts=words.STATEMENTS,
    ),
    Accepted(
        local="words refusals about tables and indexes in its own way, and looks for their mistakes in another order",
        dynamodb="in the service's",
        why="tests/aws/test_create_table.py and test_update_table.py",
        operations=_TABLE_OPERATIONS,
        texts=words.TABLES,
    ),
    Accepted(
        local="takes throughput for on-demand tables and indexes, and billing modes without throughput",
        dynamodb="refuses them",
        why="as clients report it",
        operations=_TABLE_OPERATIONS,
        ours=_INVALID + r".*(Neither ReadCapacityUnits|ProvisionedThroughput should not be"
        r"|must be specified when BillingMode is PROVISIONED|ProvisionedThroughput must be specified for index"
        r"|when TableThroughputMode is PAY_PER_REQUEST).*",
        theirs="200",
    ),
    Accepted(
        local="takes an empty list of local indexes",
        dynamodb="'List of LocalSecondaryIndexes is empty'",
        why="as for global indexes, where both refuse it",
        operations="CreateTable",
        ours=_INVALID + r".*List of LocalSecondaryIndexes is empty",
        theirs="200",
    ),
    Accepted(
        local="counts no decreases of throughput",
        dynamodb="counts them",
        why="service model, NumberOfDecreasesToday",
        operations="DescribeTable",
        members=_NOT_DESCRIBED,
    ),
    Accepted(
        local="keeps definitions of attributes that no key needs, and refuses an UpdateTable that changes one",
        dynamodb="not known; Varley keeps what keys need, and what is not to be changed stays as it is",
        why="'AttributeDefinitions: an array of attributes that describe the key schema for the table and indexes'",
        operations="UpdateTable",
        ours="200",
        theirs=_INVALID + r"invalid attribute, SchemaElement redefined .*",
    ),
    Accepted(
        local="takes values that are nested too deep in AttributeUpdates, and looks elsewhere how deep they are",
        dynamodb="32 levels, wherever a value is stored",
        why="Developer Guide, \"Quotas\"",
        ours=_INVALID + r".*Nesting Levels have exceeded .*",
    ),
    Accepted(
        local="looks at ReturnValues before it looks at the item",
        dynamodb="not known; Varley the other way round",
        why="two mistakes",
        operations="PutItem|DeleteItem",
        ours=_INVALID + ANY,
        theirs=_INVALID + r"Return values set to invalid value",
    ),
    Accepted(
        local="forgets deletion protection when throughput changes, and then deletes the table",
        dynamodb="protection stays until it is taken off",
        why="service model, DeletionProtectionEnabled",
        operations="DeleteTable",
        ours=_INVALID + r"Resource cannot be deleted as it is currently protected .*",
        theirs="200",
    ),
    Accepted(
        local="refuses a transaction with an action's mistake itself, or with its text and no reasons",
        dynamodb="cancels it, with the reason ValidationError",
        why="service model, TransactionCanceledException: the list of ValidationError's messages",
        operations=_TRANSACTIONS,
        ours=r"400 TransactionCanceledException: .*\[.*ValidationError.*\]",
        theirs=r"400 (ValidationException|TransactionCanceledException): .*",
    ),
    Accepted(
        local="looks at the actions of a transaction one after the other, conditions included",
        dynamodb="not known; Varley looks at all that needs no item first, then whether two are about one item",
        why="several mistakes",
        operations=_TRANSACTIONS,
        ours=_INVALID + ANY,
        theirs=r"400 (ValidationException|TransactionCanceledException): .*",
        when=lambda found: (
            len(found.body["TransactItems"]) > 1
            or "ConditionalCheckFailed" in found.theirs.message
            or "can only be specified when using expressions" in found.ours.message
        ),
    ),
    Accepted(
        local="takes an update of a transaction that gives an index key a type that the index cannot hold",
        dynamodb="cancels the transaction",
        why="service model, TransactionCanceledException: 'to unsupported type'",
        operations="TransactWriteItems",
        ours=r"400 TransactionCanceledException: .*\[.*ValidationError.*\]",
        theirs="200",
    ),
    Accepted(
        local="counts an action of a transaction four times, and its index rows too",
        dynamodb="twice: to prepare and to commit",
        why="Developer Guide, \"Capacity management for transactions\"",
        operations=_TRANSACTIONS,
        members=r"ConsumedCapacity\[\]\..*",
    ),
    Accepted(
        local="ends the message of a ConditionCheck that fails with a full stop",
        dynamodb="as those of other actions",
        why="service model, TransactionCanceledException: one message for the code",
        operations="TransactWriteItems",
        members=r"CancellationReasons\[\]\.Message",
        when=lambda found: _messages(found.theirs) == [
            f"{message}." if message == _CHECK_FAILED and "ConditionCheck" in action else message
            for action, message in zip(found.body["TransactItems"], _messages(found.ours), strict=True)
        ],
    ),
    Accepted(
        local="takes a path into an index key in a ConditionCheck",
        dynamodb="refuses it, as in every condition",
        why="key attributes must be scalars",
        operations="TransactWriteItems",
        ours=_INVALID + r"Key attributes must be scalars; .* IndexKey: .*",
        theirs="200",
        when=lambda found: "ConditionCheck" in str(found.body),
    ),
    Accepted(
        local="looks at expressions before it looks whether an item's values have a type",
        dynamodb="not known; Varley the other way round",
        why="two mistakes",
        operations="TransactWriteItems",
        ours=_INVALID + r"Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        theirs=_INVALID + r"Invalid \w+Expression: .*",
    ),
    Accepted(
        local="counts some bytes more for a row of a local index that has all of its item",
        dynamodb="the size of the item",
        why="Developer Guide, \"Local secondary indexes\": the size of what is projected",
        operations="PutItem|UpdateItem|DeleteItem|BatchWriteItem|ExecuteStatement",
        members=r"ConsumedCapacity(\[\])?\.(LocalSecondaryIndexes\.by-n\.)?CapacityUnits"
        r"|ItemCollectionMetrics here only",
        when=lambda found: _is_a_unit_more(found),
    ),
    Accepted(
        local="counts the size of whole items in a Scan of a global index",
        dynamodb="of what is projected",
        why="Developer Guide, \"Global secondary indexes\": the size of the index entries",
        operations="Scan",
        members=r"ConsumedCapacity\.(GlobalSecondaryIndexes\.[\w-]+\.)?CapacityUnits",
    ),
    Accepted(
        local="lets nobody change a table while an index of it is made",
        dynamodb="changes are done, and the index goes on being filled",
        why="service model, UpdateTable: other operations are possible while an index is filled",
        operations="UpdateTable",
        ours=r"200|" + _INVALID + r".*(Neither ReadCapacityUnits nor WriteCapacityUnits|will not change\.).*",
        theirs=r"400 ResourceInUseException: Can't update table while indexes are in CREATING, .*",
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
