# Why: aiodynamo owes nothing to botocore: it signs, encodes and reads answers by itself, sends null for parameters that
# are not given, and knows errors by their type alone. What boto3 forgives, it does not.

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiodynamo.client import Client, Table
from aiodynamo.credentials import Credentials
from aiodynamo.errors import (
    ConditionalCheckFailed,
    ItemNotFound,
    TableNotFound,
    TransactionCanceled,
    ValidationException,
)
from aiodynamo.expressions import F, HashKey, RangeKey
from aiodynamo.http.aiohttp import AIOHTTP
from aiodynamo.models import (
    BatchGetRequest,
    BatchWriteRequest,
    GlobalSecondaryIndex,
    KeySchema,
    KeySpec,
    KeyType,
    PayPerRequest,
    Projection,
    ProjectionType,
    ReturnValues,
    StaticDelayRetry,
    TimeToLiveStatus,
)
from aiodynamo.operations import ConditionCheck, Delete, Get, Put, Update
from yarl import URL

from .conftest import REGION

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_environment")]

AT_ONCE = StaticDelayRetry(delay=0.05, time_limit_secs=120)
Work = Callable[[Table], Awaitable[None]]


@pytest.fixture
def run(environment: dict[str, str]) -> Callable[[Work], None]:
    """run(work): calls it with a table whose key is `player` and `game`, and which has a global index `by-score`."""
    endpoint = URL(environment["AWS_ENDPOINT_URL_DYNAMODB"])

    @asynccontextmanager
    async def a_table() -> AsyncIterator[Table]:
        async with aiohttp.ClientSession() as session:
            client = Client(AIOHTTP(session), Credentials.auto(), REGION, endpoint, numeric_type=int)
            table = client.table(f"varley-aiodynamo-{uuid.uuid4().hex[:12]}")
            keys = KeySchema(KeySpec("player", KeyType.string), KeySpec("game", KeyType.string))
            scores = KeySchema(KeySpec("game", KeyType.string), KeySpec("score", KeyType.number))
            by_score = GlobalSecondaryIndex("by-score", scores, Projection(ProjectionType.all), None)
            await table.create(PayPerRequest(), keys, gsis=[by_score], wait_for_active=AT_ONCE)
            try:
                yield table
            finally:
                await table.delete(wait_for_disabled=AT_ONCE)

    def run_with_table(work: Work) -> None:
        async def with_table() -> None:
            async with a_table() as table:
                await work(table)

        asyncio.run(with_table())

    return run_with_table


def score(player: str, points: int, game: str = "chess") -> dict[str, Any]:
    return {"player": player, "game": game, "score": points}


def test_items_and_their_conditions(run: Callable[[Work], None]) -> None:
    async def play(table: Table) -> None:
        things = [1, None, {"x": True}]
        item = {**score("ada", 1), "note": "é", "bytes": b"\x00\xff", "tags": {"a", "b"}, "things": things}
        await table.put_item(item, condition=F("player").does_not_exist())
        with pytest.raises(ConditionalCheckFailed):
            await table.put_item(item, condition=F("player").does_not_exist())
        key = {"player": "ada", "game": "chess"}
        assert await table.get_item(key, consistent_read=True) == item
        some = await table.get_item(key, projection=F("note") & F("things", 2, "x"))
        assert some == {"note": "é", "things": [{"x": True}]}
        changed = await table.update_item(
            key,
            F("score").change(2) & F("things").append(["new"]) & F("tags").delete({"a"}) & F("note").remove(),
            condition=F("score").between(1, 1) & F("note").begins_with("é") & ~F("tags").contains("z"),
            return_values=ReturnValues.all_new,
        )
        assert changed == {**key, "score": 3, "bytes": b"\x00\xff", "tags": {"b"}, "things": [*things, "new"]}
        assert await table.delete_item(key, return_values=ReturnValues.all_old) == changed
        with pytest.raises(ItemNotFound):
            await table.get_item(key)
        with pytest.raises(ValidationException):
            await table.get_item({"player": "ada"})
        with pytest.raises(TableNotFound):
            await table.client.table("varley-aiodynamo-none").get_item(key)

    run(play)


def test_pages_batches_and_the_index(run: Callable[[Work], None]) -> None:
    async def play(table: Table) -> None:
        games = [score("ada", n, f"game-{n:02}") for n in range(20)]
        await table.client.batch_write({table.name: BatchWriteRequest(items_to_put=games)})
        condition = HashKey("player", "ada") & RangeKey("game").gte("game-05")
        found = [item["score"] async for item in table.query(condition, scan_forward=False, consistent_read=True)]
        assert found == list(range(19, 4, -1))
        page = await table.query_single_page(HashKey("player", "ada"), limit=7)
        assert [item["score"] for item in page.items] == list(range(7))
        assert page.last_evaluated_key == {"player": "ada", "game": "game-06"}
        assert await table.count(HashKey("player", "ada"), filter_expression=F("score").lt(5)) == 5
        assert len([item async for item in table.scan(consistent_read=True)]) == 20
        keys = [{"player": "ada", "game": f"game-{n:02}"} for n in (1, 2, 99)]
        got = await table.client.batch_get({table.name: BatchGetRequest(keys, consistent_read=True)})
        assert sorted(item["score"] for item in got.items[table.name]) == [1, 2]
        assert got.unprocessed_keys == {}

        await asyncio.gather(*(table.put_item(score(player, n)) for n, player in enumerate(["bob", "eve", "dan"])))
        best: list[str] = []
        while len(best) < 3:
            found_best = table.query(HashKey("game", "chess"), index="by-score", scan_forward=False)
            best = [item["player"] async for item in found_best]
        assert best == ["dan", "eve", "bob"]

    run(play)


def test_transactions(run: Callable[[Work], None]) -> None:
    async def play(table: Table) -> None:
        client, name = table.client, table.name
        bob, eve = {"player": "bob", "game": "go"}, {"player": "eve", "game": "go"}
        await table.put_item(score("bob", 1, "go"))
        await client.transact_write_items(
            [
                Update(name, bob, F("score").add(1), condition=F("score").equals(1)),
                Put(name, score("eve", 5, "go"), condition=F("player").does_not_exist()),
            ]
        )
        with pytest.raises(TransactionCanceled) as refused:
            await client.transact_write_items(
                [Delete(name, bob), ConditionCheck(name, eve, condition=F("score").gt(5))], request_token="one"
            )
        assert [reason and reason.code for reason in refused.value.cancellation_reasons] == [
            None,
            "ConditionalCheckFailed",
        ]
        both = await client.transact_get_items([Get(name, bob), Get(name, eve)])
        assert [item["score"] for item in both] == [2, 5]

    run(play)


def test_time_to_live(run: Callable[[Work], None]) -> None:
    async def play(table: Table) -> None:
        await table.time_to_live.enable("expires", wait_for_enabled=AT_ONCE)
        description = await table.time_to_live.describe()
        assert (description.attribute, description.status) == ("expires", TimeToLiveStatus.enabled)

    run(play)
