# Why: a batch answers 200 whatever becomes of its statements, so each answer must stand in its statement's place, say
# plainly what went wrong there, and have no influence on the others.

import re
from typing import Any

import pytest

from .refusals import NO_TABLE, constraint_on, invalid
from .table import Item, Table, unique

KEY_ONLY = "Select statements within BatchExecuteStatement must specify the primary key in the where clause."


def run(table: Table, *statements: Any, **parameters: Any) -> dict[str, Any]:
    """Statements, or their requests, with T for the table's name; a statement may come as (text, values)."""
    requests = []
    for each in statements:
        request = dict(each) if isinstance(each, dict) else {"Statement": each[0], "Parameters": list(each[1:])}
        request["Statement"] = re.sub(r"\bT\b", f'"{table.name}"', request["Statement"])
        requests.append(request)
    answer: dict[str, Any] = table.client.batch_execute_statement(Statements=requests, **parameters)
    return answer


def responses(table: Table, *statements: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run(table, *statements)["Responses"]
    assert len(found) == len(statements)
    return found


def error(response: dict[str, Any]) -> tuple[str, str]:
    return response["Error"]["Code"], response["Error"]["Message"]


def get(key: Item, what: str = "*") -> dict[str, Any]:
    return {"Statement": f"SELECT {what} FROM T WHERE pk = ?", "Parameters": [key["pk"]], "ConsistentRead": True}


def test_reads_come_in_the_order_of_their_statements(table: Table) -> None:
    keys = [{"pk": {"S": unique()}} for _ in range(25)]
    table.fill([{**key, "n": {"N": str(n)}} for n, key in enumerate(keys) if n != 7])
    found = responses(table, *(get(key, "n") for key in keys))
    for n, response in enumerate(found):
        assert response["TableName"] == table.name
        assert response.get("Item") == (None if n == 7 else {"n": {"N": str(n)}})


def test_writes_of_all_kinds(table: Table) -> None:
    one, two, three = ({"pk": {"S": unique()}} for _ in range(3))
    table.fill([{**two, "n": {"N": "1"}}, {**three, "n": {"N": "1"}}])
    found = responses(
        table,
        ("INSERT INTO T VALUE {'pk': ?, 'n': 1}", one["pk"]),
        ("UPDATE T SET n = n + 1 WHERE pk = ? RETURNING ALL NEW *", two["pk"]),
        ("DELETE FROM T WHERE pk = ? RETURNING ALL OLD *", three["pk"]),
    )
    assert found == [
        {"TableName": table.name},
        {"TableName": table.name, "Item": {**two, "n": {"N": "2"}}},
        {"TableName": table.name, "Item": {**three, "n": {"N": "1"}}},
    ]
    assert table.item(one) == {**one, "n": {"N": "1"}}
    assert table.item(three) is None


def test_what_fails_is_told_in_its_place_and_the_rest_is_done(table: Table) -> None:
    there, absent, new = ({"pk": {"S": unique()}} for _ in range(3))
    table.put({**there, "s": {"S": "x"}})
    found = responses(
        table,
        ("INSERT INTO T VALUE {'pk': ?}", there["pk"]),
        ("UPDATE T SET n = 1 WHERE pk = ?", absent["pk"]),
        ("INSERT INTO T VALUE {'pk': ?, 'n': 1}", new["pk"]),
        {"Statement": "INSERT INTO T VALUE {'n': 1}"},
        {"Statement": "UPDATE T SET n = 1 WHERE n = 2"},
        {"Statement": "UPDATE T SET n = "},
        {"Statement": f"DELETE FROM \"{unique('nobody')}\" WHERE pk = 'a'"},
    )
    assert error(found[0]) == ("DuplicateItem", "Duplicate primary key exists in table")
    assert error(found[1]) == ("ConditionalCheckFailed", "The conditional request failed")
    assert found[2] == {"TableName": table.name}
    assert error(found[3]) == ("ValidationError", "Key attribute should be present in the item: Key pk")
    assert error(found[4]) == (
        "ValidationError",
        "Where clause does not contain a mandatory equality on all key attributes",
    )
    assert error(found[5])[0] == "ValidationError"
    assert error(found[5])[1].startswith("Statement wasn't well formed, can't be processed: ")
    assert error(found[6]) == ("ResourceNotFound", NO_TABLE)
    assert table.item(new) == {**new, "n": {"N": "1"}}
    assert table.item(there) == {**there, "s": {"S": "x"}}


def test_an_item_that_is_in_the_way_can_be_shown(table: Table) -> None:
    one, two = ({"pk": {"S": unique()}, "n": {"N": "1"}} for _ in range(2))
    table.fill([one, two])
    requests = [
        {"Statement": "INSERT INTO T VALUE {'pk': ?}", "Parameters": [one["pk"]]},
        {"Statement": "DELETE FROM T WHERE pk = ? AND n = 2", "Parameters": [two["pk"]]},
    ]
    for shown in (False, True):
        asked = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if shown else {}
        found = responses(table, *({**request, **asked} for request in requests))
        assert [response["Error"].get("Item") for response in found] == ([one, two] if shown else [None, None])


def test_an_update_that_does_not_fit_the_item_is_told_in_its_place(table: Table, key: Item) -> None:
    table.put({**key, "s": {"S": "x"}})
    (found,) = responses(table, ("UPDATE T SET n = s + 1 WHERE pk = ?", key["pk"]))
    assert error(found) == ("ValidationError", "An operand in the update expression has an incorrect data type")
    assert found["TableName"] == table.name


@pytest.mark.parametrize(
    "clause", ["", " WHERE pk = 'a'", " WHERE pk = 'a' AND sk > 'a'", " WHERE pk = 'a' AND sk = 'a' AND v = 1",
               " WHERE pk = 'a' AND sk IN ['a']", " WHERE pk IN ['a', 'b'] AND sk = 'a'"]
)  # fmt: skip
def test_a_read_is_of_one_item_by_its_key_and_nothing_else(sorted_table: Table, clause: str) -> None:
    (found,) = responses(sorted_table, {"Statement": f"SELECT * FROM T{clause}"})
    assert error(found) == ("ValidationError", KEY_ONLY)


def test_reads_and_writes_do_not_mix(table: Table, key: Item) -> None:
    with invalid("Read and write requests together in the same batch is not supported."):
        run(table, get(key), ("INSERT INTO T VALUE {'pk': ?}", key["pk"]))
    assert table.item(key) is None


@pytest.mark.parametrize(
    "statement", ["SELECT n FROM T WHERE pk = ?", "INSERT INTO T VALUE {'pk': ?}", "DELETE FROM T WHERE pk = ?"]
)
def test_an_item_is_in_a_batch_once(table: Table, key: Item, statement: str) -> None:
    with invalid("Provided list of item keys contains duplicates"):
        run(table, (statement, key["pk"]), (statement, key["pk"]))
    assert table.item(key) is None


def test_each_statement_has_its_own_parameters(table: Table, key: Item) -> None:
    other = {"pk": {"S": unique()}}
    found = responses(
        table, {"Statement": "SELECT * FROM T WHERE pk = ?"}, ("SELECT * FROM T WHERE pk = ?", other["pk"])
    )
    assert error(found[0]) == ("ValidationError", "Number of parameters in request and statement don't match.")
    assert found[1] == {"TableName": table.name}


def test_exists_is_for_transactions(table: Table, key: Item) -> None:
    (found,) = responses(table, ("EXISTS(SELECT * FROM T WHERE pk = ?)", key["pk"]))
    assert error(found) == ("ValidationError", "EXISTS can only be used in ExecuteTransaction write requests.")


@pytest.mark.parametrize(
    ("statements", "member"),
    [
        (None, "statements"),
        ([], "statements"),
        ([{"Statement": f"SELECT * FROM abc WHERE pk = {n}"} for n in range(26)], "statements"),
        ([{}], "statements.1.member.statement"),
        ([{"Statement": ""}], "statements.1.member.statement"),
        ([{"Statement": "x", "Parameters": []}], "statements.1.member.parameters"),
        (
            [{"Statement": "x", "ReturnValuesOnConditionCheckFailure": "x"}],
            "statements.1.member.returnValuesOnConditionCheckFailure",
        ),
    ],
    ids=["none", "empty", "too many", "no statement", "empty statement", "no parameters", "on failure"],
)
def test_these_parameters_break_the_service_model(dynamodb: Any, statements: Any, member: str) -> None:
    with invalid(constraint_on(member)):
        dynamodb.batch_execute_statement(**({} if statements is None else {"Statements": statements}))


def test_consumed_capacity_is_told_by_table(table: Table, sorted_table: Table) -> None:
    one, two = ({"pk": {"S": unique()}} for _ in range(2))
    three = {"pk": {"S": unique()}, "sk": {"S": "a"}}
    text = {"S": "x" * 1500}
    answer = run(
        table,
        ("INSERT INTO T VALUE {'pk': ?, 's': ?}", one["pk"], text),
        ("INSERT INTO T VALUE {'pk': ?}", two["pk"]),
        (f'INSERT INTO "{sorted_table.name}" VALUE {{\'pk\': ?, \'sk\': ?}}', three["pk"], three["sk"]),
        ReturnConsumedCapacity="TOTAL",
    )
    units = {each["TableName"]: each["CapacityUnits"] for each in answer["ConsumedCapacity"]}
    assert units == {table.name: 3.0, sorted_table.name: 1.0}
    answer = run(table, get(one), {**get(two), "ConsistentRead": False}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == [{"TableName": table.name, "CapacityUnits": 1.5}]
