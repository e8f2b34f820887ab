"""A consumer sees every change once, whatever happens: shards end, the log refuses, the clock jumps, the server starts
anew. The operations are the server's own, on a node whose loop turns when it is told to."""

from __future__ import annotations

import os
import random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.streams.consumer import Consumer, Expired
from tests.streams.running_streams import DAY, HOUR, RunningStreams
from varley.api.get_records import ExpiredIterator
from varley.api.operations import OPERATIONS
from varley.http.call import Call
from varley.http.identity import Identity
from varley.streams.partition_stream import TrimmedDataAccess

SEED = int(os.environ.get("TEST_SEED", "0")) or random.randrange(2**32)
STEPS = 400


class Request(Call):
    """One that nobody sent."""

    def __init__(self, operation: str, body: bytes) -> None:
        self.operation = operation
        self.body = body

    def identity(self) -> Identity:
        return Identity("AKIDEXAMPLE", "123456789012", "eu-west-1")


class Trouble:
    """What happens, at random, while somebody reads."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.running = RunningStreams("NEW_AND_OLD_IMAGES", partitions=3, shard_seconds=4 * HOUR)
        self.time = self.running.clock.time()    # the latest that it was: how often it was set back does not matter
        self.written: list[str] = []    # the x of each change that was acknowledged, in order

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        services: Any = SimpleNamespace(
            streams=self.running.streams, clock=self.running.clock, settings=SimpleNamespace(region="us-east-1")
        )
        try:
            answer = OPERATIONS[operation][1](services, Request(operation, msgspec.json.encode(request)))
        except ExpiredIterator as error:
            raise Expired from error
        assert answer is not None
        decoded: dict[str, Any] = msgspec.json.decode(answer)
        return decoded

    def step(self) -> None:
        running, chance = self.running, self.chance
        match chance.choices(("write", "rotate", "refuse", "clock", "restart", "look"), (60, 5, 5, 5, 5, 5))[0]:
            case "write":
                for _ in range(chance.randrange(1, 20)):
                    self.write()
                running.loop.turns()
            case "rotate":
                self.write()
                running.streams.rotate("Music")
                self.write()
                running.loop.turns()
            case "refuse":
                running.log.is_full = True
                waiter = running.put(f"k{chance.randrange(9)}", chance.randrange(10**6))
                running.streams.rotate("Music")
                running.loop.turns()
                assert isinstance(waiter.answer, Exception)
                running.log.is_full = False
            case "clock":
                running.clock.set(self.time - chance.choice((0, 0, 1, HOUR)))
                running.clock.advance(chance.choice((0, 0.001, 1, HOUR)))
                self.time = max(self.time, running.clock.time())
            case "restart":
                running.restart()
            case "look":
                running.look()

    def write(self) -> None:
        number = len(self.written)
        self.running.put(f"k{self.chance.randrange(9)}", number, wait=False)
        self.written.append(str(number))


@pytest.mark.slow
@pytest.mark.parametrize("round", range(5))
def test_every_change_is_seen_once_and_in_order(round: int) -> None:
    seed = SEED + round
    print(f"TEST_SEED={seed}")
    trouble = Trouble(seed)
    arn = f"arn:aws:dynamodb:eu-west-1:123456789012:table/Music/stream/{trouble.running.stream.stream.label}"
    consumer = Consumer(trouble.call, arn)
    for _ in range(STEPS):
        trouble.step()
        match trouble.chance.randrange(8):
            case 0:
                consumer.restart()
            case 1 | 2 | 3:
                consumer.step(trouble.chance.choice((1, 7, 1000)))
        if trouble.chance.randrange(20) == 0:
            consumer.catch_up()    # a few hours are never a day behind
    consumer.catch_up()
    images = [record["dynamodb"]["NewImage"] for record in consumer.records]
    assert sorted(int(image["x"]["N"]) for image in images) == list(range(len(trouble.written)))
    of_item: dict[str, list[int]] = {}
    for image in images:
        of_item.setdefault(image["pk"]["S"], []).append(int(image["x"]["N"]))
    assert all(numbers == sorted(numbers) for numbers in of_item.values())
    assert len(trouble.call("DescribeStream", {"StreamArn": arn})["StreamDescription"]["Shards"]) > 10
    follow(consumer.records)
    trouble.running.stop()


def follow(records: list[dict[str, Any]]) -> None:
    """Each record takes up what the one before it of this item has left."""
    items: dict[str, Any] = {}
    for record in records:
        change = record["dynamodb"]
        key = change["Keys"]["pk"]["S"]
        assert change.get("OldImage") == items.get(key)
        items[key] = change.get("NewImage")


def test_a_consumer_that_is_late_is_told() -> None:
    """What it has missed it does not know, but that it has."""
    trouble = Trouble(1)
    running = trouble.running
    running.put("k0", 1)
    arn = f"arn:aws:dynamodb:eu-west-1:123456789012:table/Music/stream/{running.stream.stream.label}"
    consumer = Consumer(trouble.call, arn)
    consumer.catch_up()
    running.put("k0", 2)
    running.clock.advance(DAY + HOUR)
    for _ in range(2):
        consumer.restart()
        with pytest.raises(TrimmedDataAccess):
            consumer.catch_up()
        running.look()    # shards end, rows go
    assert len(consumer.records) == 1
    running.stop()
