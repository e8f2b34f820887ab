# Why: the other files ask about one request each. This one lets chance put many together, through the real client and
# the whole server, and compares with a model that fits on a napkin: a dict from key to item.

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from .refusals import invalid, refused
from .table import Item, Table, unique

pytestmark = pytest.mark.slow

PARTITIONS = ["p", "q", "é"]
SORT_KEYS = [Decimal(text) for text in ("-10", "-1.5", "-1", "0", "0.5", "1", "2", "10", "1E+20")]

scalars = st.one_of(
    st.text(max_size=5).map(lambda text: {"S": text}),
    st.integers(-(10**9), 10**9).map(lambda number: {"N": str(number)}),
    st.binary(max_size=5).map(lambda data: {"B": data}),
    st.booleans().map(lambda truth: {"BOOL": truth}),
    st.just({"NULL": True}),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda elements: {"L": elements}),
        st.dictionaries(st.sampled_from(["x", "y", "z"]), inner, max_size=3).map(lambda members: {"M": members}),
    ),
    max_leaves=6,
)
attributes = st.dictionaries(st.sampled_from(["a", "b", "n"]), values, max_size=3)
places = st.tuples(st.sampled_from(PARTITIONS), st.sampled_from(SORT_KEYS))
Place = tuple[str, Decimal]


class Sequences(RuleBasedStateMachine):
    """Puts, updates and deletes of 27 keys; gets, queries and scans must agree with `model` after each."""

    table: Table  # set on a subclass by the test: number-sorted, shared with other tests

    @initialize()
    def start(self) -> None:
        self.prefix = unique("model")
        self.model: dict[Place, Item] = {}

    def key(self, place: Place) -> Item:
        return {"pk": {"S": self.prefix + place[0]}, "sk": {"N": f"{place[1]:f}"}}

    @rule(place=places, item=attributes)
    def put(self, place: Place, item: Item) -> None:
        old = self.table.put({**self.key(place), **item}, ReturnValues="ALL_OLD").get("Attributes")
        assert old == self.model.get(place)
        self.model[place] = {**self.key(place), **item}

    @rule(place=places, item=attributes)
    def put_if_absent(self, place: Place, item: Item) -> None:
        new = {**self.key(place), **item}
        if place in self.model:
            with refused("ConditionalCheckFailedException"):
                self.table.put(new, ConditionExpression="attribute_not_exists(pk)")
        else:
            self.table.put(new, ConditionExpression="attribute_not_exists(pk)")
            self.model[place] = new

    @rule(place=places)
    def delete(self, place: Place) -> None:
        old = self.table.delete(self.key(place), ReturnValues="ALL_OLD").get("Attributes")
        assert old == self.model.pop(place, None)

    @rule(place=places, name=st.sampled_from(["a", "b"]), value=values)
    def set(self, place: Place, name: str, value: Item) -> None:
        new = self.table.update(
            self.key(place),
            UpdateExpression="SET #n = :v",
            ExpressionAttributeNames={"#n": name},
            ExpressionAttributeValues={":v": value},
            ReturnValues="ALL_NEW",
        )["Attributes"]
        self.model[place] = {**self.model.get(place, self.key(place)), name: value}
        assert new == self.model[place]

    @rule(place=places, name=st.sampled_from(["a", "b", "n"]))
    def remove(self, place: Place, name: str) -> None:
        self.table.update(self.key(place), UpdateExpression="REMOVE #n", ExpressionAttributeNames={"#n": name})
        self.model[place] = {one: value for one, value in self.model.get(place, self.key(place)).items() if one != name}

    @rule(place=places, delta=st.integers(-1000, 1000))
    def count(self, place: Place, delta: int) -> None:
        before = self.model.get(place, self.key(place))
        request: dict[str, Any] = {
            "UpdateExpression": "ADD n :d",
            "ExpressionAttributeValues": {":d": {"N": str(delta)}},
        }
        if "N" not in before.get("n", {"N": "0"}):
            with invalid("An operand in the update expression has an incorrect data type"):
                self.table.update(self.key(place), **request)
            return
        self.table.update(self.key(place), **request)
        total = int(before.get("n", {"N": "0"})["N"]) + delta
        self.model[place] = {**before, "n": {"N": str(total)}}

    @rule(
        places=st.lists(places, min_size=1, max_size=8, unique=True),
        item=attributes,
        deletes=st.integers(0, 3),
    )
    def write_batch(self, places: list[Place], item: Item, deletes: int) -> None:
        requests: list[dict[str, Any]] = []
        for number, place in enumerate(places):
            if number < deletes:
                requests.append({"DeleteRequest": {"Key": self.key(place)}})
                self.model.pop(place, None)
            else:
                requests.append({"PutRequest": {"Item": {**self.key(place), **item}}})
                self.model[place] = {**self.key(place), **item}
        answer = self.table.client.batch_write_item(RequestItems={self.table.name: requests})
        assert answer["UnprocessedItems"] == {}

    @rule(place=places)
    def get(self, place: Place) -> None:
        assert self.table.item(self.key(place)) == self.model.get(place)

    @rule(places=st.lists(places, min_size=1, max_size=8, unique=True))
    def get_batch(self, places: list[Place]) -> None:
        answer = self.table.client.batch_get_item(
            RequestItems={self.table.name: {"Keys": [self.key(place) for place in places], "ConsistentRead": True}}
        )
        found = {str(item["pk"]) + str(item["sk"]): item for item in answer["Responses"][self.table.name]}
        expected = [self.model[place] for place in places if place in self.model]
        assert found == {str(item["pk"]) + str(item["sk"]): item for item in expected}

    def ordered(self, partition: str) -> list[Item]:
        places = sorted(place for place in self.model if place[0] == partition)
        return [self.model[place] for place in places]

    @rule(
        partition=st.sampled_from(PARTITIONS),
        low=st.sampled_from(SORT_KEYS),
        high=st.sampled_from(SORT_KEYS),
        forward=st.booleans(),
        limit=st.sampled_from([1, 2, 3, 100]),
    )
    def query_a_range(self, partition: str, low: Decimal, high: Decimal, forward: bool, limit: int) -> None:
        low, high = min(low, high), max(low, high)
        pages = self.table.pages(
            "query",
            KeyConditionExpression="pk = :p AND sk BETWEEN :l AND :h",
            ExpressionAttributeValues={
                ":p": {"S": self.prefix + partition},
                ":l": {"N": f"{low:f}"},
                ":h": {"N": f"{high:f}"},
            },
            ScanIndexForward=forward,
            Limit=limit,
            ConsistentRead=True,
        )
        expected = [item for item in self.ordered(partition) if low <= Decimal(item["sk"]["N"]) <= high]
        assert [item for page in pages for item in page["Items"]] == (expected if forward else expected[::-1])

    @rule(partition=st.sampled_from(PARTITIONS))
    def query_with_a_filter(self, partition: str) -> None:
        answer = self.table.query(
            "pk = :p",
            FilterExpression="attribute_type(n, :number)",
            ExpressionAttributeValues={":p": {"S": self.prefix + partition}, ":number": {"S": "N"}},
            ConsistentRead=True,
        )
        assert answer["ScannedCount"] == len(self.ordered(partition))
        assert answer["Items"] == [item for item in self.ordered(partition) if "N" in item.get("n", {})]

    @rule(segments=st.sampled_from([1, 2, 5]))
    def scan(self, segments: int) -> None:
        found = []
        for segment in range(segments):
            pages = self.table.pages(
                "scan",
                FilterExpression="begins_with(pk, :prefix)",
                ExpressionAttributeValues={":prefix": {"S": self.prefix}},
                Segment=segment,
                TotalSegments=segments,
                ConsistentRead=True,
            )
            found += [item for page in pages for item in page["Items"]]

        def where(item: Item) -> tuple[str, Decimal]:
            return item["pk"]["S"], Decimal(item["sk"]["N"])

        assert sorted(found, key=where) == sorted(self.model.values(), key=where)

    @invariant()
    def every_partition_is_as_the_model_says(self) -> None:
        partition = PARTITIONS[len(self.model) % len(PARTITIONS)]
        answer = self.table.query(
            "pk = :p", ExpressionAttributeValues={":p": {"S": self.prefix + partition}}, ConsistentRead=True
        )
        assert answer["Items"] == self.ordered(partition)


def test_random_sequences_agree_with_a_dict(make_table: Any) -> None:
    class OnThisTable(Sequences):
        table = make_table("S", "N")

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        OnThisTable,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
