# Why: the nearest of a set of vectors can be computed on a napkin, so any endpoint can be held to it; and a search that
# leaves out a part of the index must not do so silently.

import math
import random
from typing import Any

import pytest

from .refusals import constraint_on, invalid, refused
from .table import Table, schema, unique

INVALID = "One or more parameter values were invalid: "
DISTANCES = ("COSINE", "EUCLIDEAN", "DOT_PRODUCT")


def numbers(vector: list[float]) -> list[dict[str, str]]:
    return [{"N": repr(each)} for each in vector]


def vector_index(name: str = "by-vector", distance: str = "COSINE", **members: Any) -> dict[str, Any]:
    return {
        "IndexName": name,
        "VectorAttribute": {"AttributeName": "v"},
        "Dimensions": 3,
        "DistanceFunction": distance,
        "Projection": {"ProjectionType": "ALL"},
        **members,
    }


def with_vectors(*indexes: dict[str, Any], **definitions: str) -> dict[str, Any]:
    """CreateTable parameters; `definitions`: kinds of attributes that searches ask for."""
    parameters = schema("S")
    parameters["AttributeDefinitions"] += [
        {"AttributeName": name, "AttributeType": kind} for name, kind in definitions.items()
    ]
    return {**parameters, "VectorIndexes": list(indexes)}


SEARCHED = [
    {"AttributeName": "tenant", "SearchSchemaElementType": "HASH"},
    {"AttributeName": "colour", "SearchSchemaElementType": "INLINE_FILTER"},
]


@pytest.fixture(scope="module")
def vectors() -> dict[str, list[float]]:
    chance = random.Random(7)
    return {f"n{number}": [chance.randrange(-50, 50) / 4 for _ in range(3)] for number in range(120)}


@pytest.fixture(scope="module")
def filled(make_table: Any, vectors: dict[str, list[float]]) -> Table:
    """One index for each distance, and items that are in none."""
    table: Table = make_table(**with_vectors(*(vector_index(distance.lower(), distance) for distance in DISTANCES)))
    items = [{"pk": {"S": name}, "v": {"L": numbers(vector)}} for name, vector in vectors.items()]
    table.fill([*items, {"pk": {"S": "without"}}])
    return table


@pytest.fixture(scope="module")
def tenants(make_table: Any) -> Table:
    index = vector_index(SearchSchema=SEARCHED, Projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["kept"]})
    table: Table = make_table(**with_vectors(index, tenant="S", colour="N"))
    table.fill(
        [
            {
                "pk": {"S": f"{tenant}-{number}"},
                "tenant": {"S": tenant},
                "colour": {"N": str(number % 2)},
                "v": {"L": numbers([1.0, float(number), 0.0])},
                "kept": {"S": "yes"},
                "left-out": {"S": "yes"},
            }
            for tenant in "ab"
            for number in range(6)
        ]
    )
    table.put({"pk": {"S": "no tenant"}, "v": {"L": numbers([1.0, 0.0, 0.0])}})
    return table


def search(dynamodb: Any, table: Table, vector: list[float], count: int = 3, **more: Any) -> dict[str, Any]:
    request = {"IndexName": "by-vector", "SearchVector": numbers(vector), "TopK": count, **more}
    answer: dict[str, Any] = dynamodb.search_vectors(TableName=table.name, **request)
    return answer


def names(answer: dict[str, Any]) -> list[str]:
    return [result["Item"]["pk"]["S"] for result in answer["SearchResults"]]


def score(distance: str, one: list[float], other: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    if distance == "DOT_PRODUCT":
        return dot
    if distance == "EUCLIDEAN":
        return math.dist(one, other)
    return 1 - dot / math.dist(one, [0, 0, 0]) / math.dist(other, [0, 0, 0])


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("query", [[1.0, 2.0, -3.0], [0.5, 0.0, 0.0]])
def test_the_nearest_come_first_with_their_scores(
    dynamodb: Any, filled: Table, vectors: dict[str, list[float]], distance: str, query: list[float]
) -> None:
    answer = search(dynamodb, filled, query, 10, IndexName=distance.lower())
    found = [(result["Item"]["pk"]["S"], result["Score"]) for result in answer["SearchResults"]]
    expected = sorted(
        (score(distance, query, vector) for vector in vectors.values()), reverse=distance == "DOT_PRODUCT"
    )
    assert [each for _, each in found] == pytest.approx(expected[:10], abs=1e-5)
    for name, each in found:
        assert each == pytest.approx(score(distance, query, vectors[name]), abs=1e-5)


def test_there_may_be_fewer_than_asked_for(dynamodb: Any, filled: Table, vectors: dict[str, list[float]]) -> None:
    answer = search(dynamodb, filled, [1.0, 0.0, 0.0], 100, IndexName="cosine")
    assert len(answer["SearchResults"]) == min(100, len(vectors))
    assert "ConsumedCapacity" not in answer


@pytest.mark.parametrize("mode", ["TOTAL", "INDEXES"])
def test_capacity_is_counted_in_bytes(dynamodb: Any, filled: Table, mode: str) -> None:
    answer = search(dynamodb, filled, [1.0, 0.0, 0.0], IndexName="cosine", ReturnConsumedCapacity=mode)
    assert answer["ConsumedCapacity"]["VectorSearchRequestBytes"] > 0


def test_what_is_written_and_deleted_is_found_and_not_found_any_more(make_table: Any, dynamodb: Any) -> None:
    table = make_table(**with_vectors(vector_index()))
    table.put({"pk": {"S": "a"}, "v": {"L": numbers([1.0, 0.0, 0.0])}})
    table.put({"pk": {"S": "b"}, "v": {"L": numbers([0.0, 1.0, 0.0])}})
    assert names(search(dynamodb, table, [1.0, 0.1, 0.0])) == ["a", "b"]
    table.update(
        {"pk": {"S": "b"}},
        UpdateExpression="SET v = :v",
        ExpressionAttributeValues={":v": {"L": numbers([1.0, 0.1, 0.0])}},
    )
    assert names(search(dynamodb, table, [1.0, 0.1, 0.0])) == ["b", "a"]
    table.delete({"pk": {"S": "b"}})
    table.update({"pk": {"S": "a"}}, UpdateExpression="REMOVE v")
    assert names(search(dynamodb, table, [1.0, 0.1, 0.0])) == []


def test_a_partitioned_index_is_searched_by_partition(dynamodb: Any, tenants: Table) -> None:
    values = {":t": {"S": "a"}, ":c": {"N": "1"}}
    answer = search(
        dynamodb, tenants, [1.0, 0.0, 0.0], 10, SearchConditionExpression="tenant = :t",
        ExpressionAttributeValues={":t": values[":t"]},
    )  # fmt: skip
    assert names(answer) == [f"a-{number}" for number in range(6)]
    answer = search(
        dynamodb, tenants, [1.0, 0.0, 0.0], 10, SearchConditionExpression="#t = :t AND colour = :c",
        ExpressionAttributeNames={"#t": "tenant"}, ExpressionAttributeValues=values,
    )  # fmt: skip
    assert names(answer) == ["a-1", "a-3", "a-5"]


def test_an_index_gives_what_is_projected(dynamodb: Any, tenants: Table) -> None:
    condition = {"SearchConditionExpression": "tenant = :t", "ExpressionAttributeValues": {":t": {"S": "a"}}}
    [result] = search(dynamodb, tenants, [1.0, 0.0, 0.0], 1, **condition)["SearchResults"]
    assert set(result["Item"]) == {"pk", "tenant", "colour", "v", "kept"}
    answer = search(dynamodb, tenants, [1.0, 0.0, 0.0], 1, **condition, ProjectionExpression="pk, kept, #l",
                    ExpressionAttributeNames={"#l": "left-out"})  # fmt: skip
    assert answer["SearchResults"][0]["Item"] == {"pk": {"S": "a-0"}, "kept": {"S": "yes"}}


@pytest.mark.parametrize(
    ("condition", "values", "text"),
    [
        (None, {}, "SearchConditionExpression must be provided when SearchSchema has a HASH key"),
        ("colour = :c", {":c": {"N": "1"}},
         "SearchConditionExpression must be provided when SearchSchema has a HASH key"),
        ("tenant < :t", {":t": {"S": "a"}}, "Invalid comparator used in SearchConditionExpression"),
        ("tenant = :t OR colour = :c", {":t": {"S": "a"}, ":c": {"N": "1"}},
         "Invalid comparator used in SearchConditionExpression"),
        ("attribute_exists(tenant)", {}, "Invalid comparator used in SearchConditionExpression"),
    ],
)  # fmt: skip
def test_a_condition_is_of_equalities(
    dynamodb: Any, tenants: Table, condition: str | None, values: dict[str, Any], text: str
) -> None:
    more: dict[str, Any] = {} if condition is None else {"SearchConditionExpression": condition}
    if values:
        more["ExpressionAttributeValues"] = values
    with invalid(text):
        search(dynamodb, tenants, [1.0, 0.0, 0.0], **more)


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("tenant = :t AND kept = :k", {":t": {"S": "a"}, ":k": {"S": "yes"}}),
        ("tenant = :t AND colour = tenant", {":t": {"S": "a"}}),
        ("tenant = :t", {":t": {"N": "1"}}),
        ("tenant.x = :t", {":t": {"S": "a"}}),
    ],
)
def test_only_what_the_search_schema_has_may_be_asked_for(
    dynamodb: Any, tenants: Table, condition: str, values: dict[str, Any]
) -> None:
    with invalid():
        search(
            dynamodb, tenants, [1.0, 0.0, 0.0], SearchConditionExpression=condition, ExpressionAttributeValues=values
        )


@pytest.mark.parametrize("count", [101, 10**6])
def test_at_most_a_hundred(dynamodb: Any, filled: Table, count: int) -> None:
    with invalid("Provided TopK value is out of valid range"):
        search(dynamodb, filled, [1.0, 0.0, 0.0], count, IndexName="cosine")


@pytest.mark.parametrize(
    ("more", "member"),
    [({"TopK": 0}, "topK"), ({"SearchVector": []}, "searchVector"), ({"IndexName": "x"}, "indexName")],
)
def test_constraints_of_the_model(dynamodb: Any, filled: Table, more: dict[str, Any], member: str) -> None:
    request = {"IndexName": "cosine", "SearchVector": numbers([1.0, 0.0, 0.0]), "TopK": 3, **more}
    with invalid(constraint_on(member)):
        dynamodb.search_vectors(TableName=filled.name, **request)


@pytest.mark.parametrize(
    "vector", [[{"N": "1"}], [{"N": "1"}] * 4, [{"N": "1"}, {"N": "1"}, {"S": "1"}], [{"N": "1e39"}] * 3]
)
def test_what_is_searched_for_is_a_vector_of_the_index(dynamodb: Any, filled: Table, vector: Any) -> None:
    with invalid():
        dynamodb.search_vectors(TableName=filled.name, IndexName="cosine", SearchVector=vector, TopK=1)


def test_an_index_that_is_not_there(dynamodb: Any, filled: Table) -> None:
    with invalid("The table does not have the specified index: nothing"):
        search(dynamodb, filled, [1.0, 0.0, 0.0], IndexName="nothing")
    with refused("ResourceNotFoundException", "Requested resource not found"):
        dynamodb.search_vectors(
            TableName=unique("missing"), IndexName="cosine", SearchVector=numbers([1.0, 0.0, 0.0]), TopK=1
        )


# What may be written


@pytest.mark.parametrize(
    "wrong",
    [
        {"v": {"S": "1"}},
        {"v": {"NS": ["1", "2", "3"]}},
        {"v": {"L": numbers([1.0, 2.0])}},
        {"v": {"L": numbers([1.0, 2.0, 3.0, 4.0])}},
        {"v": {"L": [{"N": "1"}, {"N": "2"}, {"S": "3"}]}},
        {"v": {"L": [{"N": "1"}, {"N": "2"}, {"N": "1E+39"}]}},
        {"tenant": {"N": "1"}},
        {"colour": {"S": "red"}},
    ],
)
def test_what_does_not_fit_the_index_is_not_written(
    dynamodb: Any, tenants: Table, key: dict[str, Any], wrong: dict[str, Any]
) -> None:
    with invalid():
        tenants.put({**key, **wrong})
    [(name, value)] = wrong.items()
    with invalid():
        tenants.update(key, UpdateExpression=f"SET {name} = :x", ExpressionAttributeValues={":x": value})
    with invalid():
        dynamodb.batch_write_item(RequestItems={tenants.name: [{"PutRequest": {"Item": {**key, **wrong}}}]})
    assert tenants.item(key) is None


# Tables and their indexes


def test_an_index_is_described(make_table: Any, dynamodb: Any) -> None:
    index = vector_index(SearchSchema=SEARCHED)
    table = make_table(**with_vectors(index, tenant="S", colour="N"))
    [shown] = dynamodb.describe_table(TableName=table.name)["Table"]["VectorIndexes"]
    assert shown["IndexArn"].endswith(f":table/{table.name}/index/by-vector")
    assert {name: shown[name] for name in index} == index
    assert shown["IndexStatus"] == "ACTIVE"


def test_the_size_of_an_index_is_described(make_table: Any, dynamodb: Any) -> None:
    """It has the vectors as 32-bit floats: 1 + 12 bytes of v; and of pk 2 + 1, of kept 4 + 3."""
    kept = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["kept"]}
    table = make_table(**with_vectors(vector_index(Projection=kept)))

    def size() -> tuple[int, int]:
        [shown] = dynamodb.describe_table(TableName=table.name)["Table"]["VectorIndexes"]
        return shown["ItemCount"], shown["IndexSizeBytes"]

    assert size() == (0, 0)
    for name in "abc":
        table.put({"pk": {"S": name}, "v": {"L": numbers([1.0, 0.5, 0.0])}, "kept": {"S": "yes"}, "no": {"S": "no"}})
    table.put({"pk": {"S": "without"}, "kept": {"S": "yes"}})
    assert size() == (3, 3 * (3 + 13 + 7))
    table.client.delete_item(TableName=table.name, Key={"pk": {"S": "b"}})
    assert size() == (2, 2 * (3 + 13 + 7))


def test_writes_tell_what_they_replicate(make_table: Any, dynamodb: Any) -> None:
    """Developer Guide, "Monitoring vector index capacity": with INDEXES; nothing if no indexed attribute changes."""
    kept = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["kept"]}
    table = make_table(**with_vectors(vector_index(Projection=kept), vector_index("all", "EUCLIDEAN")))
    key = {"pk": {"S": "a"}}
    item = {**key, "v": {"L": numbers([1.0, 0.5, 0.0])}, "kept": {"S": "yes"}, "no": {"S": "no"}}
    whole = {"by-vector": 3 + 13 + 7, "all": 3 + 13 + 7 + 4}

    def told(answer: dict[str, Any]) -> dict[str, float]:
        consumed = answer["ConsumedCapacity"]
        if isinstance(consumed, list):
            [consumed] = consumed
        assert consumed["CapacityUnits"] == consumed["Table"]["CapacityUnits"]
        return {name: each["VectorWriteRequestBytes"] for name, each in consumed.get("VectorIndexes", {}).items()}

    asked = {"ReturnConsumedCapacity": "INDEXES"}
    assert told(dynamodb.put_item(TableName=table.name, Item=item, **asked)) == whole
    assert told(dynamodb.put_item(TableName=table.name, Item=item, **asked)) == {}
    change = {"UpdateExpression": "SET #no = :x", "ExpressionAttributeNames": {"#no": "no"}}
    values = {"ExpressionAttributeValues": {":x": {"S": "xx"}}}
    answer = dynamodb.update_item(TableName=table.name, Key=key, **change, **values, **asked)
    assert told(answer) == {"all": whole["all"]}
    answer = dynamodb.delete_item(TableName=table.name, Key=key, **asked)
    assert told(answer) == whole
    put = {"PutRequest": {"Item": item}}
    assert told(dynamodb.batch_write_item(RequestItems={table.name: [put]}, **asked)) == whole
    delete = {"Delete": {"TableName": table.name, "Key": key}}
    assert told(dynamodb.transact_write_items(TransactItems=[delete], **asked)) == whole
    answer = dynamodb.put_item(TableName=table.name, Item=item, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": table.name, "CapacityUnits": 1.0}


def test_an_index_comes_and_goes(make_table: Any, dynamodb: Any) -> None:
    table = make_table()
    table.put({"pk": {"S": "a"}, "v": {"L": numbers([1.0, 0.0, 0.0])}, "tenant": {"S": "t"}})
    table.put({"pk": {"S": "not a vector"}, "v": {"S": "x"}})
    create = {"Create": vector_index(SearchSchema=SEARCHED[:1])}
    with invalid("One element in SearchSchema is not defined in attribute definitions"):
        dynamodb.update_table(TableName=table.name, VectorIndexUpdates=[create])
    dynamodb.update_table(
        TableName=table.name,
        AttributeDefinitions=[{"AttributeName": "tenant", "AttributeType": "S"}],
        VectorIndexUpdates=[create],
    )
    condition = {"SearchConditionExpression": "tenant = :t", "ExpressionAttributeValues": {":t": {"S": "t"}}}
    assert names(search(dynamodb, table, [1.0, 0.0, 0.0], **condition)) == ["a"]
    with invalid(f"{INVALID}Duplicate index name: by-vector"):
        dynamodb.update_table(
            TableName=table.name,
            AttributeDefinitions=[{"AttributeName": "tenant", "AttributeType": "S"}],
            VectorIndexUpdates=[create],
        )
    dynamodb.update_table(TableName=table.name, VectorIndexUpdates=[{"Delete": {"IndexName": "by-vector"}}])
    shown = dynamodb.describe_table(TableName=table.name)["Table"]
    assert "VectorIndexes" not in shown
    assert [each["AttributeName"] for each in shown["AttributeDefinitions"]] == ["pk"]
    table.put({"pk": {"S": "b"}, "v": {"S": "no vector any more"}})
    with invalid("The table does not have the specified index: by-vector"):
        search(dynamodb, table, [1.0, 0.0, 0.0], **condition)
    with refused("ResourceNotFoundException"):
        dynamodb.update_table(TableName=table.name, VectorIndexUpdates=[{"Delete": {"IndexName": "by-vector"}}])


def test_a_global_index_takes_neither_the_name_nor_the_attribute_of_a_vector_index(
    make_table: Any, dynamodb: Any
) -> None:
    table = make_table(**with_vectors(vector_index()))
    for name, attribute in (("by-vector", "g"), ("by-v", "v")):
        created = {
            "IndexName": name,
            "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        with invalid():
            dynamodb.update_table(
                TableName=table.name,
                AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": "S"}],
                GlobalSecondaryIndexUpdates=[{"Create": created}],
            )
    assert "GlobalSecondaryIndexes" not in dynamodb.describe_table(TableName=table.name)["Table"]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (with_vectors(vector_index(SearchSchema=SEARCHED), tenant="S"),
         "One element in SearchSchema is not defined in attribute definitions"),
        (with_vectors(vector_index(), vector_index()), f"{INVALID}Duplicate index name: by-vector"),
        (with_vectors(vector_index(), vector_index("other", Dimensions=4)), None),
        (with_vectors(vector_index(Dimensions=4097)), None),
        (with_vectors(vector_index(Projection={"ProjectionType": "INCLUDE"})),
         f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified"),
        (with_vectors(vector_index(SearchSchema=[SEARCHED[0], {**SEARCHED[1], "SearchSchemaElementType": "HASH"}]),
                      tenant="S", colour="S"), None),
        ({**with_vectors(vector_index()), "BillingMode": "PROVISIONED",
          "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}, None),
    ],
)  # fmt: skip
def test_indexes_that_cannot_be(dynamodb: Any, parameters: dict[str, Any], text: str | None) -> None:
    with invalid(text):
        dynamodb.create_table(TableName=unique("varley-test"), **parameters)


def test_a_table_with_vectors_stays_on_demand(make_table: Any, dynamodb: Any) -> None:
    table = make_table(**with_vectors(vector_index()))
    with invalid():
        dynamodb.update_table(
            TableName=table.name,
            BillingMode="PROVISIONED",
            ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        )
