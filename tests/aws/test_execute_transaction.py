# Why: PartiQL's transactions are the native ones in other words. What differs is how a statement can be wrong by
# itself, that EXISTS stands for a check, and that reads and writes do not mix.

import re
import uuid
from typing import Any

import pytest

from .refusals import NO_TABLE, constraint_on, invalid, refused
from .table import Item, Table, unique
from .transactions import CONDITION, NONE, TWICE, canceled


def run(table: Table, *statements: Any, **parameters: Any) -> dict[str, Any]:
    """A statement is a text, or a text and its parameters."""
    listed = []
    for each in statements:
        text, *values = (each,) if isinstance(each, str) else each
        listed.append({"Statement": text, **({"Parameters": values} if values else {})})
    answer: dict[str, Any] = table.client.execute_transaction(TransactStatements=listed, **parameters)
    return answer


def insert(table: Table, item: Item) -> tuple[Any, ...]:
    members = ", ".join(f"'{name}': ?" for name in item)
    return (f'INSERT INTO "{table.name}" VALUE {{{members}}}', *item.values())


def where(table: Table, verb: str, key: Item, more: str = "") -> tuple[Any, ...]:
    return (f'{verb.format(table=table.name)} WHERE pk = ?{more}', key["pk"])


UPDATE = 'UPDATE "{table}" SET n = 2'
DELETE = 'DELETE FROM "{table}"'
SELECT = 'SELECT * FROM "{table}"'


def exists(table: Table, key: Item, more: str) -> tuple[Any, ...]:
    return (f'EXISTS(SELECT * FROM "{table.name}" WHERE pk = ?{more})', key["pk"])


def keys(count: int) -> list[Item]:
    prefix = unique()
    return [{"pk": {"S": f"{prefix}-{number:03}"}} for number in range(count)]


def test_writes_of_all_kinds(table: Table) -> None:
    new, old, gone, seen = keys(4)
    for key in (old, gone, seen):
        table.put({**key, "n": {"N": "1"}})
    answer = run(
        table,
        insert(table, {**new, "n": {"N": "5"}}),
        where(table, UPDATE, old),
        where(table, DELETE, gone),
        exists(table, seen, " AND n = 1"),
        ReturnConsumedCapacity="TOTAL",
    )
    assert answer["Responses"] == []
    assert answer["ConsumedCapacity"] == [{"TableName": table.name, "CapacityUnits": 8.0, "WriteCapacityUnits": 8.0}]
    assert [table.item(key) for key in (new, old, gone)] == [{**new, "n": {"N": "5"}}, {**old, "n": {"N": "2"}}, None]


def test_reads(table: Table) -> None:
    one, two = keys(2)
    table.put({**two, "n": {"N": "1"}, "m": {"N": "2"}})
    answer = run(
        table,
        where(table, SELECT, one),
        where(table, 'SELECT n FROM "{table}"', two),
        ReturnConsumedCapacity="TOTAL",
    )
    assert answer["Responses"] == [{}, {"Item": {"n": {"N": "1"}}}]
    assert answer["ConsumedCapacity"] == [{"TableName": table.name, "CapacityUnits": 4.0, "ReadCapacityUnits": 4.0}]


def test_one_failure_undoes_all(table: Table) -> None:
    there, new, absent = keys(3)
    table.put({**there, "n": {"N": "1"}})
    with canceled({"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}, NONE):
        run(table, insert(table, there), insert(table, new))
    with canceled(NONE, CONDITION):
        run(table, insert(table, new), where(table, UPDATE, absent))
    with canceled(NONE, CONDITION):
        run(table, insert(table, new), where(table, DELETE, there, " AND n = 7"))
    with canceled(NONE, CONDITION):
        run(table, insert(table, new), exists(table, there, " AND n = 7"))
    with canceled(NONE, CONDITION):
        run(table, insert(table, new), exists(table, absent, " AND n IS MISSING"))
    assert table.item(new) is None
    assert table.item(there) == {**there, "n": {"N": "1"}}


def test_deleting_what_is_not_there_is_no_mistake(table: Table) -> None:
    one, two = keys(2)
    run(table, where(table, DELETE, one), insert(table, two))
    assert table.item(two) == two


def test_reads_and_writes_do_not_mix(table: Table) -> None:
    one, two = keys(2)
    text = "ExecuteTransaction API does not support both read and write operations in the same request."
    with invalid(text):
        run(table, where(table, SELECT, one), insert(table, two))
    with invalid(text):
        run(table, where(table, SELECT, one), exists(table, two, " AND n = 1"))


def failed(number: int, problem: str) -> str:
    return f"Validation failed in TransactStatements[{number}]: {problem}"


def test_statements_that_cannot_be_in_a_transaction(table: Table) -> None:
    one, two = keys(2)
    with invalid(
        failed(0, "Select statements within ExecuteTransaction must specify the primary key in the where clause.")
    ):
        run(table, f'SELECT * FROM "{table.name}"')
    with invalid(failed(1, "EXISTS() must contain a single item read with additional condition")):
        run(table, insert(table, one), exists(table, two, ""))
    with invalid(failed(0, "RETURNING clause is not supported in ExecuteTransaction.")):
        run(table, where(table, UPDATE, one, " RETURNING ALL NEW *"))
    with invalid(failed(0, "Number of parameters in request and statement don't match.")):
        run(table, f'UPDATE "{table.name}" SET n = ? WHERE pk = \'x\'')
    with invalid(re.compile(r"Statement wasn't well formed, can't be processed: .*")):
        run(table, insert(table, one), "DELTE FROM somewhere")
    assert table.item(one) is None


def test_what_does_not_fit_the_table_cancels(table: Table, key: Item) -> None:
    text = "Key attribute's data type should match its data type in table's schema: Key pk"
    with canceled({"Code": "ValidationError", "Message": text}, NONE):
        run(table, f'UPDATE "{table.name}" SET n = 1 WHERE pk = 1', insert(table, key))
    assert table.item(key) is None


def test_two_statements_about_one_item_are_refused(table: Table, key: Item) -> None:
    with invalid(TWICE):
        run(table, where(table, UPDATE, key), where(table, DELETE, key))
    with invalid(TWICE):
        run(table, where(table, SELECT, key), where(table, SELECT, key))


def test_a_table_that_is_not_there_refuses_all(table: Table, key: Item) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        run(table, insert(table, key), insert(Table(table.client, unique("no-such-table")), key))
    assert table.item(key) is None


def test_a_request_that_comes_again_is_done_once(table: Table, key: Item) -> None:
    token = str(uuid.uuid4())
    statement = insert(table, key)
    run(table, statement, ClientRequestToken=token)
    table.delete(key)
    assert run(table, statement, ClientRequestToken=token)["Responses"] == []
    assert table.item(key) is None
    with refused("IdempotentParameterMismatchException"):
        run(table, insert(table, {**key, "a": {"S": "x"}}), ClientRequestToken=token)


@pytest.mark.parametrize(
    ("parameters", "member"),
    [
        ({"TransactStatements": []}, "transactStatements"),
        ({"TransactStatements": [{"Statement": ""}]}, "transactStatements.1.member.statement"),
        ({"TransactStatements": [{"Statement": "x"}], "ClientRequestToken": "x" * 37}, "clientRequestToken"),
    ],
    ids=["no statements", "an empty statement", "a long token"],
)
def test_constraints(table: Table, parameters: dict[str, Any], member: str) -> None:
    with invalid(constraint_on(member)):
        table.client.execute_transaction(**parameters)


def test_four_megabytes_in_all(table: Table) -> None:
    items = [{**key, "filler": {"B": bytes(390_000)}} for key in keys(11)]
    with invalid(re.compile(r"Transaction payload size cannot exceed 4 ?MB.*")):
        run(table, *(insert(table, item) for item in items))
    run(table, *(insert(table, item) for item in items[:10]))
