"""Searches against sorting everything; the memory for vectors stays within its bound, and is never out of date."""

from __future__ import annotations

import math
import random
from array import array
from typing import Any

import pytest

from tests.expiry.swept_server import SweptServer
from varley.errors import ResourceNotFound, ValidationError
from varley.table.schema import DistanceFunction, Projection, VectorIndex
from varley.table.vector_index import Distance, VectorIndexCodec, check_vector, length_of
from varley.vectors.search import VectorSearch

DIMENSIONS = 8
INDEX = VectorIndex(
    name="by-vector", id="5f0c9d4e-0000-4000-8000-000000000000", attribute="v", dimensions=DIMENSIONS,
    distance="EUCLIDEAN", projection=Projection(kind="ALL"),
)  # fmt: skip


def numbers(vector: list[float]) -> dict[str, Any]:
    return {"L": [{"N": f"{each:f}"} for each in vector]}


def some_vector(chance: random.Random) -> list[float]:
    return [chance.randrange(-64, 64) / 8 for _ in range(DIMENSIONS)]


@pytest.fixture
def server() -> SweptServer:
    return SweptServer(partitions=3, vector_indexes=(INDEX,))


def nearest(server: SweptServer, search: VectorSearch, query: list[float], count: int) -> list[tuple[str, float]]:
    index = server.route.vector_index("by-vector")
    finding = server.loop.run(search.nearest(server.route, index, array("f", query), count, {}))
    return [(item["pk"]["S"], score) for item, score in finding.found]


@pytest.mark.parametrize("bytes_max", [1 << 20, 4096], ids=["all are kept", "few are kept"])
def test_searches_between_writes_find_what_sorting_finds(server: SweptServer, bytes_max: int) -> None:
    chance = random.Random(5)
    search = VectorSearch(bytes_max=bytes_max)
    model: dict[str, list[float]] = {}
    for _ in range(25):
        for _ in range(40):
            name = f"n{chance.randrange(200)}"
            if chance.random() < 0.2:
                server.delete(name)
                model.pop(name, None)
            else:
                model[name] = some_vector(chance)
                server.put(name, v=numbers(model[name]))
        server.put("without")
        server.loop.turns()
        query = some_vector(chance)
        expected = sorted(math.dist(query, vector) for vector in model.values())[:7]
        found = nearest(server, search, query, 7)
        assert [score for _, score in found] == expected
        assert all(math.dist(query, model[name]) == score for name, score in found)
        assert search.bytes_kept <= bytes_max


def test_what_was_decoded_once_is_not_decoded_again(server: SweptServer, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    vector_of = VectorIndexCodec.vector_of

    def counting(codec: VectorIndexCodec, item: Any) -> Any:
        decoded.append(item["pk"]["S"])
        return vector_of(codec, item)

    search = VectorSearch(bytes_max=1 << 20)
    for name in "abc":
        server.put(name, v=numbers([1.0] * DIMENSIONS))
    server.loop.turns()
    monkeypatch.setattr(VectorIndexCodec, "vector_of", counting)
    for _ in range(3):
        nearest(server, search, [0.0] * DIMENSIONS, 2)
    assert sorted(decoded) == ["a", "b", "c"]
    server.put("b", v=numbers([2.0] * DIMENSIONS))
    server.loop.turns()
    nearest(server, search, [0.0] * DIMENSIONS, 2)
    assert sorted(decoded) == ["a", "b", "b", "b", "b", "c"], "twice by the write, for what it replicates"


def test_of_equals_the_same_ones_are_found_every_time(server: SweptServer) -> None:
    for number in range(50):
        server.put(f"n{number}", v=numbers([1.0] * DIMENSIONS))
    server.loop.turns()
    search = VectorSearch(bytes_max=1 << 20)
    first = nearest(server, search, [0.0] * DIMENSIONS, 5)
    assert nearest(server, search, [0.0] * DIMENSIONS, 5) == first
    assert len({name for name, _ in first}) == 5


def test_a_table_that_is_deleted_ends_the_search(server: SweptServer) -> None:
    route = server.route
    index = route.vector_index("by-vector")
    server.loop.run(server.router.close_partitions(server.described))
    search = VectorSearch(bytes_max=1 << 20)
    with pytest.raises(ResourceNotFound):
        server.loop.run(search.nearest(route, index, array("f", [0.0] * DIMENSIONS), 1, {}))


@pytest.mark.parametrize(
    ("function", "other", "expected"),
    [
        ("COSINE", [2.0, 0.0], 0.0),
        ("COSINE", [0.0, 3.0], 1.0),
        ("COSINE", [-1.0, 0.0], 2.0),
        ("COSINE", [0.0, 0.0], 1.0),
        ("EUCLIDEAN", [4.0, 4.0], 5.0),
        ("DOT_PRODUCT", [4.0, 4.0], 4.0),
        ("DOT_PRODUCT", [-4.0, 4.0], -4.0),
    ],
)
def test_scores(function: DistanceFunction, other: list[float], expected: float) -> None:
    distance = Distance(function, array("f", [1.0, 0.0]))
    vector = array("f", other)
    assert distance.score(distance.rank(vector, length_of(vector))) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"S": "x"}, "Invalid type for parameter v Expected: L Actual: S"),
        ({"L": []}, "Invalid number of dimensions for parameter v Expected: 2 Actual: 0"),
        ({"L": [{"N": "1"}, {"S": "x"}]}, "Invalid type for parameter v[1] Expected: N Actual: S"),
        ({"L": [{"N": "1"}, {"N": "-4" + "0" * 38}]},
         "Value of parameter v[1] is out of the range of a 32-bit float"),
    ],
)  # fmt: skip
def test_what_is_no_vector_is_refused(value: Any, text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        check_vector(value, 2, "v")
    assert refusal.value.message == f"One or more parameter values were invalid: {text}"
    check_vector({"L": [{"N": "3.4028234663852886E+38"}, {"N": "1E-130"}]}, 2, "v")
