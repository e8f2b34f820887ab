# Why: PartiQL is a second way to say what the native operations say. Whatever chance puts together, a statement about
# one item collection and the native request about another, equal one must have the same effect, the same answer, and
# the same price.

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .table import Item, Table, unique

pytestmark = pytest.mark.slow

# A value as a literal and as itself.
Both = tuple[str, Item]
NUMBERS: st.SearchStrategy[Both] = st.sampled_from([(text, {"N": text}) for text in ("-1", "0", "1", "2", "2.5", "10")])
TEXTS: st.SearchStrategy[Both] = st.sampled_from([("''", {"S": ""}), ("'a'", {"S": "a"}), ("'it''s'", {"S": "it's"})])
OTHERS: st.SearchStrategy[Both] = st.sampled_from(
    [
        ("true", {"BOOL": True}),
        ("null", {"NULL": True}),
        ("[1, 'a']", {"L": [{"N": "1"}, {"S": "a"}]}),
        ("{'x': 1}", {"M": {"x": {"N": "1"}}}),
        ("<<'a', 'b'>>", {"SS": ["a", "b"]}),
        ("<<1, 2>>", {"NS": ["1", "2"]}),
    ]
)
VALUES = st.one_of(NUMBERS, TEXTS, OTHERS)
NAMES = st.sampled_from(["a", "b", "c"])
MEMBERS = st.dictionaries(NAMES, VALUES, max_size=3)
COMPARISONS = st.sampled_from(["=", "<", "<=", ">", ">="])
TERMS = st.one_of(
    st.tuples(NAMES, st.sampled_from(["=", "<>"]), VALUES),
    st.tuples(NAMES, COMPARISONS, NUMBERS),
    st.tuples(NAMES, st.sampled_from(["IS MISSING", "IS NOT MISSING"]), st.just(("", {}))),
)
Term = tuple[str, str, Both]

run = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Twins:
    """Two item collections of one table with the same items: one for statements, one for native requests."""

    def __init__(self, table: Table, items: list[tuple[str, dict[str, Both]]]) -> None:
        self.table = table
        self.client = table.client
        name = unique()
        self.pk = {"statement": f"{name}-s", "native": f"{name}-n"}
        for sort_key, members in items:
            for side in self.pk:
                table.put({**self.key(side, sort_key), **given_values(members)})

    def key(self, side: str, sort_key: str) -> Item:
        return {"pk": {"S": self.pk[side]}, "sk": {"N": sort_key}}

    def where(self, sort_key: str) -> str:
        return f"pk = '{self.pk['statement']}' AND sk = {sort_key}"

    def say(self, text: str) -> tuple[str, Any, Any]:
        """(error or "", items, capacity) of a statement."""
        return self._outcome(self.client.execute_statement, "Items", Statement=text)

    def do(self, operation: str, member: str, **parameters: Any) -> tuple[str, Any, Any]:
        """The same of a native request."""
        call = getattr(self.client, operation)
        return self._outcome(call, member, TableName=self.table.name, **parameters)

    def _outcome(self, call: Any, member: str, **parameters: Any) -> tuple[str, Any, Any]:
        try:
            answer = call(ReturnConsumedCapacity="TOTAL", **parameters)
        except ClientError as error:
            return error.response["Error"]["Code"], None, None
        found = answer.get(member, [])
        found = [found] if isinstance(found, dict) else found
        return "", [self.without_pk(item) for item in found], answer["ConsumedCapacity"]["CapacityUnits"]

    def without_pk(self, item: Item) -> Item:
        return {name: value for name, value in item.items() if name != "pk"}

    def assert_alike(self) -> None:
        found = [
            self.table.query(
                "pk = :pk", ExpressionAttributeValues={":pk": {"S": pk}}, ConsistentRead=True
            )["Items"]
            for pk in self.pk.values()
        ]
        assert [self.without_pk(item) for item in found[0]] == [self.without_pk(item) for item in found[1]]


def given_values(members: dict[str, Both]) -> Item:
    return {name: value for name, (_, value) in members.items()}


def in_both(term: Term) -> tuple[str, str, Item]:
    """A term of a WHERE clause, the same as an expression, and its value."""
    name, operator, (literal, value) = term
    if operator == "IS MISSING":
        return f"{name} {operator}", f"attribute_not_exists({name})", {}
    if operator == "IS NOT MISSING":
        return f"{name} {operator}", f"attribute_exists({name})", {}
    return f"{name} {operator} {literal}", f"{name} {operator} :t", {":t": value}


SORT_KEYS = st.sampled_from(["-1", "0", "1", "2", "2.5", "10"])
ITEMS = st.lists(st.tuples(SORT_KEYS, MEMBERS), max_size=5, unique_by=lambda item: item[0])


@run
@given(ITEMS, SORT_KEYS, MEMBERS)
def test_insert_is_a_put_of_what_is_not_there(
    number_sorted_table: Table, items: list[Any], sort_key: str, members: dict[str, Both]
) -> None:
    twins = Twins(number_sorted_table, items)
    literals = {"pk": f"'{twins.pk['statement']}'", "sk": sort_key, **{name: each[0] for name, each in members.items()}}
    text = ", ".join(f"'{name}': {literal}" for name, literal in literals.items())
    said = twins.say(f'INSERT INTO "{number_sorted_table.name}" VALUE {{{text}}}')
    done = twins.do(
        "put_item",
        "Attributes",
        Item={**twins.key("native", sort_key), **given_values(members)},
        ConditionExpression="attribute_not_exists(pk)",
    )
    names = {"DuplicateItemException": "ConditionalCheckFailedException"}
    assert (names.get(said[0], said[0]), *said[1:]) == done
    twins.assert_alike()


@run
@given(
    ITEMS,
    SORT_KEYS,
    NAMES,
    VALUES,
    st.none() | TERMS,
    st.sampled_from(["ALL OLD", "ALL NEW", "MODIFIED OLD", "MODIFIED NEW"]),
)
def test_update_is_an_update_of_what_is_there(
    number_sorted_table: Table,
    items: list[Any],
    sort_key: str,
    name: str,
    value: Both,
    term: Term | None,
    returned: str,
) -> None:
    twins = Twins(number_sorted_table, items)
    more, condition, values = ("", "", {}) if term is None else in_both(term)
    said = twins.say(
        f'UPDATE "{number_sorted_table.name}" SET {name} = {value[0]} WHERE {twins.where(sort_key)}'
        f"{' AND ' if more else ''}{more} RETURNING {returned} *"
    )
    done = twins.do(
        "update_item",
        "Attributes",
        Key=twins.key("native", sort_key),
        UpdateExpression=f"SET {name} = :v",
        ConditionExpression=" AND ".join(["attribute_exists(pk)", *([condition] if condition else [])]),
        ExpressionAttributeValues={":v": value[1], **values},
        ReturnValues=returned.replace("MODIFIED", "UPDATED").replace(" ", "_"),
    )
    assert said == done
    twins.assert_alike()


@run
@given(ITEMS, SORT_KEYS, st.none() | TERMS)
def test_delete_is_a_delete(
    number_sorted_table: Table, items: list[Any], sort_key: str, term: Term | None
) -> None:
    twins = Twins(number_sorted_table, items)
    more, condition, values = ("", "", {}) if term is None else in_both(term)
    said = twins.say(
        f'DELETE FROM "{number_sorted_table.name}" WHERE {twins.where(sort_key)}'
        f"{' AND ' if more else ''}{more} RETURNING ALL OLD *"
    )
    done = twins.do(
        "delete_item",
        "Attributes",
        Key=twins.key("native", sort_key),
        ReturnValues="ALL_OLD",
        **({"ConditionExpression": condition} if condition else {}),
        **({"ExpressionAttributeValues": values} if values else {}),
    )
    assert said == done
    twins.assert_alike()


@run
@given(
    ITEMS,
    st.none() | st.tuples(COMPARISONS, SORT_KEYS) | st.tuples(st.just("BETWEEN"), SORT_KEYS, SORT_KEYS),
    st.none() | TERMS,
    st.none() | st.lists(st.sampled_from(["sk", "a", "b"]), min_size=1, unique=True),
    st.sampled_from(["", "ASC", "DESC"]),
)
def test_select_of_one_partition_key_is_a_query(
    number_sorted_table: Table,
    items: list[Any],
    on_sort_key: tuple[str, ...] | None,
    term: Term | None,
    columns: list[str] | None,
    order: str,
) -> None:
    if on_sort_key is not None and on_sort_key[0] == "BETWEEN":
        on_sort_key = ("BETWEEN", *sorted(on_sort_key[1:], key=float))
    twins = Twins(number_sorted_table, items)
    more, filter_expression, values = ("", "", {}) if term is None else in_both(term)
    conditions = [f"pk = '{twins.pk['statement']}'"]
    native = ["pk = :pk"]
    match on_sort_key:
        case (operator, number):
            conditions.append(f"sk {operator} {number}")
            native.append(f"sk {operator} :x")
            values[":x"] = {"N": number}
        case (_, low, high):
            conditions.append(f"sk BETWEEN {low} AND {high}")
            native.append("sk BETWEEN :x AND :y")
            values |= {":x": {"N": low}, ":y": {"N": high}}
    if more:
        conditions.append(more)
    said = twins.say(
        f'SELECT {"*" if columns is None else ", ".join(columns)} FROM "{number_sorted_table.name}" '
        f"WHERE {' AND '.join(conditions)}{' ORDER BY sk ' + order if order else ''}"
    )
    done = twins.do(
        "query",
        "Items",
        KeyConditionExpression=" AND ".join(native),
        ExpressionAttributeValues={":pk": {"S": twins.pk["native"]}, **values},
        ScanIndexForward=order != "DESC",
        **({"FilterExpression": filter_expression} if filter_expression else {}),
        **({"ProjectionExpression": ", ".join(columns)} if columns is not None else {}),
    )
    assert said == done
