"""Programs on aiobotocore, run one after the other. Why in a process of their own: test_aiobotocore.py."""

# Why: programs on an event loop (FastAPI services, most of them) use aiobotocore, itself or below aioboto3. It speaks
# HTTP through aiohttp, keeps many connections open, and has hundreds of requests under way at once.

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

Client = Any
serialize = TypeSerializer().serialize
deserialize = TypeDeserializer().deserialize


def item(**values: Any) -> dict[str, Any]:
    return {name: serialize(value) for name, value in values.items()}


def run(work: Callable[[Client], Awaitable[None]]) -> None:
    async def with_client() -> None:
        config = AioConfig(max_pool_connections=50, retries={"mode": "standard"})
        async with get_session().create_client("dynamodb", config=config) as client:
            await work(client)

    asyncio.run(with_client())


@asynccontextmanager
async def a_table(client: Client) -> AsyncIterator[str]:
    """A table with key `pk` (S) and `sk` (N), active; dropped at the end."""
    name = f"varley-aio-{uuid.uuid4().hex[:12]}"
    await client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        await client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
        yield name
    finally:
        await client.delete_table(TableName=name)
        await client.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def hundreds_of_requests_at_once_lose_no_count() -> None:
    async def count(client: Client) -> None:
        async with a_table(client) as name:
            answers = await asyncio.gather(
                *(
                    client.update_item(
                        TableName=name,
                        Key=item(pk="counter", sk=n % 3),
                        UpdateExpression="ADD hits :one",
                        ExpressionAttributeValues={":one": {"N": "1"}},
                        ReturnValues="UPDATED_NEW",
                    )
                    for n in range(300)
                )
            )
            seen = [(n % 3, int(answer["Attributes"]["hits"]["N"])) for n, answer in enumerate(answers)]
            assert sorted(seen) == [(sk, hits) for sk in range(3) for hits in range(1, 101)]

    run(count)


def only_one_of_many_takes_a_lock() -> None:
    async def race(client: Client) -> None:
        async with a_table(client) as name:

            async def take(owner: str) -> bool:
                try:
                    await client.put_item(
                        TableName=name,
                        Item=item(pk="lock", sk=0, owner=owner),
                        ConditionExpression="attribute_not_exists(pk)",
                    )
                except client.exceptions.ConditionalCheckFailedException:
                    return False
                return True

            taken = await asyncio.gather(*(take(f"worker-{n}") for n in range(40)))
            assert sum(taken) == 1
            holder = await client.get_item(TableName=name, Key=item(pk="lock", sk=0), ConsistentRead=True)
            assert holder["Item"]["owner"]["S"] == f"worker-{taken.index(True)}"

    run(race)


def batches_and_paginators() -> None:
    async def fill_and_read(client: Client) -> None:
        async with a_table(client) as name:
            rows = [item(pk=f"p{n % 4}", sk=n, blob=b"\x00" * 300) for n in range(200)]

            async def write(chunk: list[dict[str, Any]]) -> None:
                waiting = {name: [{"PutRequest": {"Item": row}} for row in chunk]}
                while waiting:
                    waiting = (await client.batch_write_item(RequestItems=waiting))["UnprocessedItems"]

            await asyncio.gather(*(write(rows[start : start + 25]) for start in range(0, 200, 25)))
            pages = client.get_paginator("query").paginate(
                TableName=name,
                ConsistentRead=True,
                ScanIndexForward=False,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": "p1"}},
                PaginationConfig={"PageSize": 8},
            )
            found = [int(row["sk"]["N"]) async for page in pages for row in page["Items"]]
            assert found == list(range(197, 0, -4))
            scan = client.get_paginator("scan").paginate(TableName=name, ConsistentRead=True, Limit=33)
            scanned = [deserialize(row["sk"]) async for page in scan for row in page["Items"]]
            assert sorted(scanned) == list(range(200))
            keys = [{"pk": row["pk"], "sk": row["sk"]} for row in rows[:100]]
            got = await client.batch_get_item(RequestItems={name: {"Keys": keys, "ConsistentRead": True}})
            assert len(got["Responses"][name]) + len(got["UnprocessedKeys"].get(name, {}).get("Keys", [])) == 100

    run(fill_and_read)


def an_answer_of_a_megabyte_arrives_whole() -> None:
    async def read(client: Client) -> None:
        async with a_table(client) as name:
            text = "é" * 150_000
            await asyncio.gather(
                *(client.put_item(TableName=name, Item=item(pk="big", sk=n, text=text)) for n in range(5))
            )
            page = await client.query(
                TableName=name,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": "big"}},
                ConsistentRead=True,
                ReturnConsumedCapacity="TOTAL",
            )
            assert [row["text"]["S"] for row in page["Items"]] == [text] * page["Count"]
            assert page["Count"] == 4       # the one that crosses a megabyte is the last of the page
            assert int(page["LastEvaluatedKey"]["sk"]["N"]) == 3

    run(read)


PROGRAMS = (
    hundreds_of_requests_at_once_lose_no_count,
    only_one_of_many_takes_a_lock,
    batches_and_paginators,
    an_answer_of_a_megabyte_arrives_whole,
)

if __name__ == "__main__":
    for program in PROGRAMS:
        program()
        print(program.__name__)
