# Why: people who think in SQL reach DynamoDB this way, and the console does too. A statement must do exactly what the
# native request does that it stands for; where it can do more than one request (several partition keys, an order over
# them, pages of all that), nothing may be lost or come twice.

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .refusals import EMPTY_VALUE, NO_TABLE, constraint_on, empty_key, invalid, refused
from .table import Item, Table, unique

MALFORMED = "Statement wasn't well formed, can't be processed: "
NO_ITEM = "Where clause does not contain a mandatory equality on all key attributes"
WRONG_KEY = "Key attribute's data type should match its data type in table's schema: Key "


def run(table: Table, statement: str, *values: Item, **parameters: Any) -> dict[str, Any]:
    """`statement` with T for the table's name."""
    if values:
        parameters["Parameters"] = list(values)
    text = re.sub(r"\bT\b", f'"{table.name}"', statement)
    answer: dict[str, Any] = table.client.execute_statement(Statement=text, **parameters)
    return answer


def items(table: Table, statement: str, *values: Item, **parameters: Any) -> list[Item]:
    """All pages."""
    found: list[Item] = []
    while True:
        answer = run(table, statement, *values, ConsistentRead=True, **parameters)
        found += answer["Items"]
        if "NextToken" not in answer:
            return found
        parameters["NextToken"] = answer["NextToken"]


def sorts(found: list[Item]) -> list[str]:
    return [item["sk"]["N"] for item in found]


# ---- INSERT ------------------------------------------------------------------------------------------


def test_insert_puts_an_item(table: Table, key: Item) -> None:
    statement = (
        "INSERT INTO T VALUE {'pk': ?, 's': 'it''s', 'n': -1.50, 'yes': TRUE, 'no': false, 'nil': Null, "
        "'l': [1, 'x', []], 'm': {'a': {'b': 1e2}}, 'ns': <<1, 2>>, 'ss': <<'x'>>, 'b': ?}"
    )
    assert run(table, statement, key["pk"], {"B": b"\x00"})["Items"] == []
    stored = table.item(key)
    assert stored is not None
    assert sorted(stored.pop("ns")["NS"]) == ["1", "2"]
    assert stored == {
        **key,
        "s": {"S": "it's"},
        "n": {"N": "-1.5"},
        "yes": {"BOOL": True},
        "no": {"BOOL": False},
        "nil": {"NULL": True},
        "l": {"L": [{"N": "1"}, {"S": "x"}, {"L": []}]},
        "m": {"M": {"a": {"M": {"b": {"N": "100"}}}}},
        "ss": {"SS": ["x"]},
        "b": {"B": b"\x00"},
    }


def test_insert_never_replaces(table: Table, key: Item) -> None:
    table.put({**key, "n": {"N": "1"}})
    with refused("DuplicateItemException", "Duplicate primary key exists in table"):
        run(table, "INSERT INTO T VALUE {'pk': ?, 'n': 2}", key["pk"])
    assert table.item(key) == {**key, "n": {"N": "1"}}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("{'n': 1}", "Key attribute should be present in the item: Key pk"),
        ("{'pk': 1}", WRONG_KEY + "pk"),
        ("{'pk': ''}", empty_key("pk")),
        ("{'pk': 'a', 'n': 1E126}", re.compile("Number overflow.*")),
    ],
)
def test_insert_refuses_what_cannot_be_an_item(table: Table, item: str, text: Any) -> None:
    with invalid(text):
        run(table, f"INSERT INTO T VALUE {item}")


def test_insert_refuses_an_item_that_is_too_large(table: Table, key: Item) -> None:
    with invalid("Item size has exceeded the maximum allowed size"):
        run(table, "INSERT INTO T VALUE {'pk': ?, 's': ?}", key["pk"], {"S": "x" * 409_600})


# ---- UPDATE ------------------------------------------------------------------------------------------


def start(table: Table, key: Item) -> Item:
    item = {
        **key,
        "n": {"N": "1"},
        "s": {"S": "x"},
        "l": {"L": [{"N": "1"}, {"N": "2"}]},
        "m": {"M": {"a": {"N": "1"}, "b": {"S": "q"}}},
        "ss": {"SS": ["a", "b"]},
    }
    table.put(item)
    return item


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ("SET n = 2", {"n": {"N": "2"}}),
        ("SET n = n + 1, s = 'y'", {"n": {"N": "2"}, "s": {"S": "y"}}),
        ("SET n = n - 1 SET s = 'y' REMOVE l", {"n": {"N": "0"}, "s": {"S": "y"}, "l": None}),
        ("SET n = n + 1 - 5 + n", {"n": {"N": "-2"}}),
        ("SET n = s, s = n", {"n": {"S": "x"}, "s": {"N": "1"}}),
        ("REMOVE n REMOVE s", {"n": None, "s": None}),
        ("REMOVE l[0] REMOVE m.a", {"l": {"L": [{"N": "2"}]}, "m": {"M": {"b": {"S": "q"}}}}),
        ("SET m['c'] = 2", {"m": {"M": {"a": {"N": "1"}, "b": {"S": "q"}, "c": {"N": "2"}}}}),
        ("SET l[9] = 3", {"l": {"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}]}}),
        ("SET l = list_append(l, [3])", {"l": {"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}]}}),
        ("SET l = LIST_APPEND([0], l)", {"l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}]}}),
        ("SET ss = set_add(ss, <<'b', 'c'>>)", {"ss": {"SS": ["a", "b", "c"]}}),
        ("SET k = SET_ADD(k, <<7>>)", {"k": {"NS": ["7"]}}),
        ("SET ss = set_delete(ss, <<'a'>>)", {"ss": {"SS": ["b"]}}),
        ("SET ss = set_delete(ss, <<'a', 'b'>>)", {"ss": None}),
        ("SET n = if_not_exists(n, 5) SET k = if_not_exists(k, 7)", {"k": {"N": "7"}}),
        ("SET hits = if_not_exists(hits, 0) + 1", {"hits": {"N": "1"}}),
    ],
)
def test_update_changes_an_item(table: Table, key: Item, changes: str, changed: Item) -> None:
    expected = {**start(table, key), **changed}
    assert run(table, f"UPDATE T {changes} WHERE pk = ?", key["pk"])["Items"] == []
    stored = table.item(key)
    assert stored is not None
    if "ss" in stored:
        stored["ss"]["SS"].sort()
    assert stored == {name: value for name, value in expected.items() if value is not None}


@pytest.mark.parametrize(
    ("returning", "shown"),
    [
        ("ALL OLD", {"pk", "n", "s", "l", "m", "ss"}),
        ("ALL NEW", {"pk", "n", "s", "l", "m", "ss", "k"}),
        ("MODIFIED OLD", {"n"}),
        ("MODIFIED NEW", {"n", "k"}),
    ],
)
def test_update_returns_what_is_asked_for(table: Table, key: Item, returning: str, shown: set[str]) -> None:
    start(table, key)
    statement = f"UPDATE T SET n = 2 SET k = 1 WHERE pk = ? RETURNING {returning} *"
    (item,) = run(table, statement, key["pk"])["Items"]
    assert set(item) == shown
    assert item["n"] == {"N": "1" if "OLD" in returning else "2"}


def test_update_makes_no_item(table: Table, key: Item) -> None:
    for condition in ("", " AND n IS MISSING"):
        with refused("ConditionalCheckFailedException", "The conditional request failed"):
            run(table, f"UPDATE T SET n = 1 WHERE pk = ?{condition}", key["pk"])
    assert table.item(key) is None


def test_update_has_a_condition(table: Table, key: Item) -> None:
    before = start(table, key)
    with refused("ConditionalCheckFailedException") as refusal:
        run(
            table,
            "UPDATE T SET n = 5 WHERE pk = ? AND (n = 2 OR s = 'z')",
            key["pk"],
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert {**refusal.response["Item"], "ss": None} == {**before, "ss": None}
    run(table, "UPDATE T SET n = 5 WHERE (n = 1 OR s = 'z') AND pk = ?", key["pk"])
    stored = table.item(key)
    assert stored is not None
    assert stored["n"] == {"N": "5"}


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("UPDATE T SET n = 1", NO_ITEM),
        ("UPDATE T SET n = 1 WHERE n = 1", NO_ITEM),
        ("UPDATE T SET n = 1 WHERE pk > 'a'", NO_ITEM),
        ("UPDATE T SET n = 1 WHERE pk = 'a' OR pk = 'b'", NO_ITEM),
        ("UPDATE T SET n = 1 WHERE pk IN ['a']", NO_ITEM),
        ("DELETE FROM T", NO_ITEM),
        ("UPDATE T SET n = 1 WHERE pk = 1", WRONG_KEY + "pk"),
        (
            "UPDATE T SET n = 1 WHERE pk = 'a' AND pk = 'b'",
            "Multiple conditions on same key pk. Only single item Update/Insert/Delete are supported",
        ),
        (
            "UPDATE T SET pk = 'b' WHERE pk = 'a'",
            "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key",
        ),
        (
            "UPDATE T SET n = 1 WHERE pk = 'a' AND pk.x = 1",
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
        ),
    ],
)
def test_writes_are_about_one_item(table: Table, statement: str, text: str) -> None:
    with invalid(text):
        run(table, statement)


@pytest.mark.parametrize("statement", ["UPDATE T SET n = 1 WHERE pk = 'a'", "DELETE FROM T WHERE pk = 'a' AND sk > 1"])
def test_writes_need_the_sort_key_too(number_sorted_table: Table, statement: str) -> None:
    with invalid(NO_ITEM):
        run(number_sorted_table, statement)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ("SET n = gone", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET n = s + 1", "An operand in the update expression has an incorrect data type"),
        ("SET gone.a = 1", "The document path provided in the update expression is invalid for update"),
    ],
)
def test_an_update_must_fit_the_item(table: Table, key: Item, changes: str, text: str) -> None:
    start(table, key)
    with invalid(text):
        run(table, f"UPDATE T {changes} WHERE pk = ?", key["pk"])


# ---- DELETE ------------------------------------------------------------------------------------------


def test_delete_deletes_and_shows_what_it_deleted(table: Table, key: Item) -> None:
    item = {**key, "n": {"N": "1"}}
    table.put(item)
    assert run(table, "DELETE FROM T WHERE pk = ? RETURNING ALL OLD *", key["pk"])["Items"] == [item]
    assert table.item(key) is None
    assert run(table, "DELETE FROM T WHERE pk = ? RETURNING ALL OLD *", key["pk"])["Items"] == []


def test_delete_has_a_condition(table: Table, key: Item) -> None:
    item = {**key, "n": {"N": "1"}}
    table.put(item)
    with refused("ConditionalCheckFailedException", "The conditional request failed"):
        run(table, "DELETE FROM T WHERE pk = ? AND n = 2", key["pk"])
    assert table.item(key) == item
    assert run(table, "DELETE FROM T WHERE pk = ? AND n = 1", key["pk"])["Items"] == []
    assert table.item(key) is None


def test_delete_with_a_condition_needs_the_item(table: Table, key: Item) -> None:
    with refused("ConditionalCheckFailedException", "The conditional request failed"):
        run(table, "DELETE FROM T WHERE pk = ? AND n = 2", key["pk"])


# ---- SELECT ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def music(make_table: Any) -> Table:
    """Partitions h0, h1 and h2, each with some of the sort keys 0 to 29; nothing else is in the table."""
    table: Table = make_table("S", "N")
    table.fill(
        [
            {"pk": {"S": f"h{n % 3}"}, "sk": {"N": str(n)}, "v": {"N": str(n % 5)}, "s": {"S": f"s{n}"}}
            for n in range(30)
        ]
    )
    return table


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("pk = 'h1' AND sk = 4", [4]),
        ("pk = 'h1' AND sk = 5", []),
        ("pk = 'h1' AND sk = 4 AND v = 4", [4]),
        ("pk = 'h1' AND sk = 4 AND v = 0", []),
        ("'h1' = pk AND sk < 10", [1, 4, 7]),
        ("pk = 'h1' AND sk > 10 AND sk <= 16", [13, 16]),
        ("pk = 'h1' AND 22 <= sk", [22, 25, 28]),
        ("pk = 'h1' AND sk BETWEEN 4 AND 10", [4, 7, 10]),
        ("pk = 'h1' AND sk NOT BETWEEN 4 AND 25", [1, 28]),
        ("pk = 'h1' AND sk <> 1 AND sk < 8", [4, 7]),
        ("pk = 'h1' AND NOT sk > 5", [1, 4]),
        ("pk = 'h1' AND sk IN [7, 1, 2]", [1, 7]),
        ("pk = 'h1' AND (sk = 7 OR sk = 1)", [1, 7]),
        ("pk = 'h1' AND begins_with(s, 's1')", [1, 10, 13, 16, 19]),
        ("pk = 'h1' AND contains(s, '8')", [28]),
        ("pk = 'h1' AND size(s) = 2", [1, 4, 7]),
        ("pk = 'h1' AND v IN (0, 1) AND sk < 20", [1, 10, 16]),
        ("pk = 'h1' AND v IS MISSING", []),
        ("pk = 'h1' AND v IS NOT NULL AND sk < 3", [1]),
        ("pk = 'h1' AND pk = 'h2'", []),
        ("pk = 'h1' AND sk > 5 AND sk < 3", []),
        ("pk = 'h9'", []),
        ("pk = 'h1' AND PK = 'h1'", []),
        ('"pk" = \'h1\' AND "sk" < 3', [1]),
    ],
)
def test_select_from_one_partition(music: Table, clause: str, expected: list[int]) -> None:
    found = items(music, f"SELECT * FROM T WHERE {clause}")
    assert sorts(found) == [str(n) for n in expected]
    assert all(item["s"] == {"S": f"s{item['sk']['N']}"} for item in found)


def test_a_select_may_be_ordered(music: Table) -> None:
    statement = "SELECT sk, pk FROM T WHERE pk = 'h1' AND sk < 8 ORDER BY "
    assert sorts(items(music, statement + "sk")) == ["1", "4", "7"]
    assert sorts(items(music, statement + "sk ASC")) == ["1", "4", "7"]
    assert sorts(items(music, statement + "sk DESC")) == ["7", "4", "1"]
    assert sorts(items(music, statement + "pk, sk DESC")) == ["7", "4", "1"]


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("pk IN ['h1', 'h0'] AND sk < 5", {0, 1, 3, 4}),
        ("(pk = 'h2' OR pk = 'h0') AND sk < 5", {0, 2, 3}),
        ("(pk = 'h2' AND sk = 2) OR (pk = 'h0' AND sk = 3)", {2, 3}),
        ("pk IN ['h2', 'h2', 'h9', 'h1'] AND sk IN [1, 2, 3]", {1, 2}),
        ("v = 4 AND sk < 20", {4, 9, 14, 19}),
        ("pk > 'h0' AND sk < 5", {1, 2, 4}),
        ("pk = 'h0' AND sk = 0 OR v = 3 AND sk < 10", {0, 3, 8}),
        ("1 = 1 AND sk < 3", {0, 1, 2}),
    ],
)
def test_select_from_several_partitions(music: Table, clause: str, expected: set[int]) -> None:
    found = sorts(items(music, f"SELECT sk FROM T WHERE {clause}"))
    assert sorted(map(int, found)) == sorted(expected)


@pytest.mark.parametrize("order", ["pk", "pk DESC", "pk, sk DESC", "pk DESC, sk DESC", "sk", "sk DESC", "sk, pk"])
@pytest.mark.parametrize("limit", [None, 1, 2, 7])
def test_an_order_holds_over_several_partitions_and_pages(music: Table, order: str, limit: int | None) -> None:
    statement = f"SELECT pk, sk FROM T WHERE pk IN ['h1', 'h0', 'h2'] AND sk < 12 ORDER BY {order}"
    found = items(music, statement, **({} if limit is None else {"Limit": limit}))
    places = [(item["pk"]["S"], int(item["sk"]["N"])) for item in found]
    expected = [(f"h{n % 3}", n) for n in range(12)]
    for part in reversed(order.split(", ")):
        name, _, direction = part.partition(" ")
        expected.sort(key=lambda place: place[0] if name == "pk" else place[1], reverse=direction == "DESC")
    assert places == expected


def test_equal_sort_keys_of_several_partitions_all_come(make_table: Any) -> None:
    table = make_table("S", "N")
    table.fill([{"pk": {"S": pk}, "sk": {"N": str(sk)}} for pk in "abcd" for sk in range(4)])
    for direction in ("ASC", "DESC"):
        for limit in (1, 3, 5):
            found = items(
                table, f"SELECT pk, sk FROM T WHERE pk IN ['c', 'a', 'd', 'b'] ORDER BY sk {direction}", Limit=limit
            )
            places = [(item["sk"]["N"], item["pk"]["S"]) for item in found]
            assert len(set(places)) == len(places) == 16
            assert [sk for sk, _ in places] == sorted((sk for sk, _ in places), reverse=direction == "DESC")


@pytest.mark.slow
@pytest.mark.parametrize("order", ["", " ORDER BY sk", " ORDER BY sk DESC", " ORDER BY pk DESC"])
def test_a_page_may_be_long(make_table: Any, order: str) -> None:
    """Long pages are read in slices, and each slice has to begin where the one before it ended."""
    table = make_table("S", "N")
    table.fill([{"pk": {"S": pk}, "sk": {"N": str(sk)}} for pk in "abc" for sk in range(350)])
    found = run(table, f"SELECT pk, sk FROM T WHERE pk IN ['b', 'a', 'c']{order}", ConsistentRead=True)["Items"]
    places = [(item["pk"]["S"], int(item["sk"]["N"])) for item in found]
    expected = [(pk, sk) for pk in "bac" for sk in range(350)]
    if "sk" in order:
        expected.sort(key=lambda place: place[1], reverse="DESC" in order)
        assert [sk for _, sk in places] == [sk for _, sk in expected]
        assert sorted(places) == sorted(expected)
    else:
        if order:
            expected.sort(key=lambda place: place[0], reverse=True)
        assert places == expected


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT sk FROM T",
        "SELECT sk FROM T WHERE v = 1",
        "SELECT sk FROM T WHERE pk IN ['h0', 'h1']",
        "SELECT sk FROM T WHERE pk IN ['h0', 'h2'] AND sk IN [0, 2, 3, 5, 8, 9]",
        "SELECT sk FROM T WHERE pk = 'h1' ORDER BY sk DESC",
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 7])
def test_pages_lose_nothing_and_repeat_nothing(music: Table, statement: str, limit: int) -> None:
    assert items(music, statement, Limit=limit) == items(music, statement)


def test_a_limit_counts_what_is_looked_at(music: Table) -> None:
    answer = run(music, "SELECT sk FROM T WHERE pk = 'h0' AND v = 9", Limit=2)
    assert answer["Items"] == []
    assert "NextToken" in answer
    assert answer["LastEvaluatedKey"] == {"pk": {"S": "h0"}, "sk": {"N": "3"}}


def test_one_item_has_no_next_page(music: Table) -> None:
    answer = run(music, "SELECT sk FROM T WHERE pk = 'h0' AND sk = 3", Limit=1)
    assert answer["Items"] == [{"sk": {"N": "3"}}]
    assert "NextToken" not in answer
    assert "LastEvaluatedKey" not in answer


def test_a_long_list_of_partition_keys_comes_in_pages_of_ten(table: Table) -> None:
    names = [unique() for _ in range(25)]
    table.fill([{"pk": {"S": name}} for name in names])
    statement = f"SELECT pk FROM T WHERE pk IN [{', '.join(f'{name!r}' for name in names)}]"
    pages = []
    parameters: dict[str, Any] = {}
    while True:
        answer = run(table, statement, ConsistentRead=True, **parameters)
        pages.append([item["pk"]["S"] for item in answer["Items"]])
        if "NextToken" not in answer:
            break
        parameters["NextToken"] = answer["NextToken"]
    assert pages == [names[:10], names[10:20], names[20:]]


def test_columns_lie_side_by_side(table: Table, key: Item) -> None:
    table.put({**key, "m": {"M": {"a": {"N": "1"}, "l": {"L": [{"N": "2"}, {"M": {"z": {"N": "3"}}}]}}}})
    statement = "SELECT m.a, m.l[0], m.l[1].z, gone FROM T WHERE pk = ?"
    assert items(table, statement, key["pk"]) == [{"a": {"N": "1"}, "l[0]": {"N": "2"}, "z": {"N": "3"}}]
    assert items(table, "SELECT gone FROM T WHERE pk = ?", key["pk"]) == [{}]


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("SELECT * FROM T WHERE pk = 1", WRONG_KEY + "pk"),
        ("SELECT * FROM T WHERE pk = 'a' AND sk = '3'", WRONG_KEY + "sk"),
        ("SELECT * FROM T WHERE pk = ''", empty_key("pk")),
        ("SELECT * FROM T.idx WHERE pk = 'a'", "The table does not have the specified index: idx"),
        ("SELECT * FROM T ORDER BY sk", "Must have WHERE clause in the statement when using ORDER BY clause."),
        (
            "SELECT * FROM T WHERE v > 2 ORDER BY sk",
            "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.",
        ),
        (
            "SELECT * FROM T WHERE pk = 'a' ORDER BY v",
            "Variable reference v in ORDER BY clause must be part of the primary key",
        ),
        ("SELECT * FROM T LIMIT 1", re.compile(r"Unsupported clause: LIMIT at 1:\d+:1")),
        ("SELECT * FROM T t", "Aliasing is not supported"),
        ("SELECT * FROM T WHERE pk = ?", "Number of parameters in request and statement don't match."),
        ("SELECT * FROM T WHERE", re.compile(re.escape(MALFORMED) + ".*")),
        ("EXISTS(SELECT * FROM T WHERE pk = 'a')", "EXISTS can only be used in ExecuteTransaction write requests."),
    ],
)
def test_these_selects_are_refused(music: Table, statement: str, text: Any) -> None:
    with invalid(text):
        run(music, statement)


# ---- The request -------------------------------------------------------------------------------------


def test_a_missing_table_is_told(dynamodb: Any) -> None:
    name = unique("nobody")
    for statement in ("SELECT * FROM {}", "INSERT INTO {} VALUE {{'pk': 'a'}}", "DELETE FROM {} WHERE pk = 'a'"):
        with refused("ResourceNotFoundException", NO_TABLE):
            dynamodb.execute_statement(Statement=statement.format(f'"{name}"'))


@pytest.mark.parametrize("name", ["no", "no pe"])
def test_what_cannot_be_a_table_is_told(dynamodb: Any, name: str) -> None:
    with invalid(
        "Table name should be within the length [3, 255] and only contain 'a-z', 'A-Z', '0-9', '-', '_', '.'."
    ):
        dynamodb.execute_statement(Statement=f'SELECT * FROM "{name}"')


def test_a_table_can_be_named_by_its_arn(table: Table, key: Item) -> None:
    table.put(key)
    arn = table.client.describe_table(TableName=table.name)["Table"]["TableArn"]
    answer = table.client.execute_statement(
        Statement=f'SELECT * FROM "{arn}" WHERE pk = ?', Parameters=[key["pk"]], ConsistentRead=True
    )
    assert answer["Items"] == [key]


@pytest.mark.parametrize(
    ("parameters", "member"),
    [
        ({}, "statement"),
        ({"Statement": ""}, "statement"),
        ({"Statement": "SELECT * FROM abc" + " " * 8192}, "statement"),
        ({"Statement": "SELECT * FROM abc", "Parameters": []}, "parameters"),
        ({"Statement": "SELECT * FROM abc", "Limit": 0}, "limit"),
        ({"Statement": "SELECT * FROM abc", "NextToken": ""}, "nextToken"),
        ({"Statement": "SELECT * FROM abc", "ReturnConsumedCapacity": "ALL"}, "returnConsumedCapacity"),
        (
            {"Statement": "SELECT * FROM abc", "ReturnValuesOnConditionCheckFailure": "ALL_NEW"},
            "returnValuesOnConditionCheckFailure",
        ),
    ],
    ids=["no statement", "empty", "too long", "no parameters", "limit", "token", "capacity", "on failure"],
)
def test_these_parameters_break_the_service_model(dynamodb: Any, parameters: dict[str, Any], member: str) -> None:
    with invalid(constraint_on(member)):
        dynamodb.execute_statement(**parameters)


def test_parameters_are_attribute_values(table: Table) -> None:
    with invalid(EMPTY_VALUE):
        run(table, "SELECT * FROM T WHERE n = ?", {})


def test_a_token_is_good_for_one_statement_only(music: Table) -> None:
    token = run(music, "SELECT sk FROM T", Limit=2)["NextToken"]
    assert token == run(music, "SELECT sk FROM T", Limit=2)["NextToken"]
    with invalid("NextToken does not match request"):
        run(music, "SELECT pk FROM T", Limit=2, NextToken=token)
    token = run(music, "SELECT sk FROM T WHERE pk = ?", {"S": "h0"}, Limit=2)["NextToken"]
    with invalid("NextToken does not match request"):
        run(music, "SELECT sk FROM T WHERE pk = ?", {"S": "h1"}, Limit=2, NextToken=token)


@pytest.mark.parametrize("token", ["abc", "é", "e30=", base64.b64encode(b"[1]").decode(), "x" * 32768])
def test_any_other_text_is_no_token(music: Table, token: str) -> None:
    with invalid("Invalid NextToken"):
        run(music, "SELECT sk FROM T", NextToken=token)


@pytest.mark.varley_only
@pytest.mark.parametrize("clause", ["pk = 'h0'", "pk IN ['h0', 'h1']", "pk IN ['h0', 'h1'] ORDER BY sk"])
@pytest.mark.parametrize(
    "changed",
    [
        {"n": 99},
        {"n": -1},
        {"n": 1},
        {"v": 2},
        {"k": {}},
        {"k": {"pk": {"S": "h0"}}},
        {"k": {"pk": {"S": "h2"}, "sk": {"N": "2"}}},
        {"k": {"pk": {"N": "1"}, "sk": {"N": "2"}}},
        {"k": 1},
        {"more": 1},
    ],
    ids=str,
)
def test_a_token_that_was_tampered_with_is_refused(music: Table, clause: str, changed: dict[str, Any]) -> None:
    statement = f"SELECT sk FROM T WHERE {clause}"
    token = json.loads(base64.urlsafe_b64decode(run(music, statement, Limit=2)["NextToken"]))
    assert token["n"] == 0
    forged = base64.urlsafe_b64encode(json.dumps({**token, **changed}).encode()).decode()
    with invalid("Invalid NextToken"):
        run(music, statement, NextToken=forged)


def test_consumed_capacity(table: Table, key: Item) -> None:
    def units(statement: str, *values: Item, mode: str = "TOTAL", **parameters: Any) -> Any:
        answer = run(table, statement, *values, ReturnConsumedCapacity=mode, **parameters)
        return answer.get("ConsumedCapacity")

    text = {"S": "x" * 5000}
    assert units("INSERT INTO T VALUE {'pk': ?, 's': ?}", key["pk"], text) == {
        "TableName": table.name,
        "CapacityUnits": 5.0,
    }
    select = "SELECT * FROM T WHERE pk = ?"
    assert units(select, key["pk"]) == {"TableName": table.name, "CapacityUnits": 1.0}
    assert units(select, key["pk"], ConsistentRead=True) == {"TableName": table.name, "CapacityUnits": 2.0}
    assert units(select, key["pk"], mode="INDEXES") == {
        "TableName": table.name,
        "CapacityUnits": 1.0,
        "Table": {"CapacityUnits": 1.0},
    }
    assert units(select, key["pk"], mode="NONE") is None
    assert units("UPDATE T SET s = 'x' WHERE pk = ?", key["pk"]) == {"TableName": table.name, "CapacityUnits": 5.0}
    assert units("DELETE FROM T WHERE pk = ?", key["pk"]) == {"TableName": table.name, "CapacityUnits": 1.0}


# ---- Against native requests -------------------------------------------------------------------------

VALUES = {":a": ("'h1'", {"S": "h1"}), ":n": ("7", {"N": "7"}), ":v": ("2", {"N": "2"}), ":s": ("'s1'", {"S": "s1"})}
NATIVE_VALUES = {name: value for name, (_, value) in VALUES.items()}
TERMS = [
    ("pk = {:a}", "pk = :a"),
    ("pk <> {:a}", "pk <> :a"),
    ("pk IN [{:a}, 'h2']", "pk IN (:a, :h2)"),
    ("sk >= {:n}", "sk >= :n"),
    ("{:n} > sk", ":n > sk"),
    ("sk IN [{:n}, {:v}]", "sk IN (:n, :v)"),
    ("sk BETWEEN {:v} AND {:n}", "sk BETWEEN :v AND :n"),
    ("v = {:v}", "v = :v"),
    ("begins_with(s, {:s})", "begins_with(s, :s)"),
    ("v IS MISSING", "attribute_not_exists(v)"),
]
CLAUSES = st.recursive(
    st.sampled_from(TERMS),
    lambda inner: st.one_of(
        inner.map(lambda term: (f"NOT ({term[0]})", f"NOT ({term[1]})")),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
            lambda t: (f"({t[0][0]}) {t[1]} ({t[2][0]})", f"({t[0][1]}) {t[1]} ({t[2][1]})")
        ),
    ),
    max_leaves=5,
)


@given(CLAUSES, st.sampled_from([1, 4, 100]), st.booleans())
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_a_select_finds_what_a_scan_with_the_same_filter_finds(
    music: Table, clause: tuple[str, str], limit: int, as_parameters: bool
) -> None:
    text, native = clause
    given: list[Item] = []

    def value(match: re.Match[str]) -> str:
        literal, attribute_value = VALUES[match[1]]
        if as_parameters:
            given.append(attribute_value)
            return "?"
        return literal

    text = re.sub(r"\{(:\w)\}", value, text)
    native_values = {**NATIVE_VALUES, ":h2": {"S": "h2"}}
    used = {name: each for name, each in native_values.items() if re.search(rf"{name}\b", native)}
    scanned = music.scan(
        FilterExpression=native,
        ConsistentRead=True,
        **({"ExpressionAttributeValues": used} if used else {}),
    )["Items"]
    found = items(music, f"SELECT * FROM T WHERE {text}", *given, Limit=limit)
    assert sorted(found, key=lambda item: int(item["sk"]["N"])) == sorted(
        scanned, key=lambda item: int(item["sk"]["N"])
    )
