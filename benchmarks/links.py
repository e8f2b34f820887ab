"""How many requests and messages two nodes exchange in a second: `python -m benchmarks.links`.

Two processes on this machine, one connection on loopback. Requests of 200 bytes, some of them under way at once, are
answered with 200 bytes; messages of 200 bytes are sent in groups, and counted where they arrive.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
from collections.abc import Coroutine
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import uvloop

from varley.net.links import Links
from varley.net.outcome import Answer

CHANNEL = 1
ECHO = 1
COUNT = 2
PAYLOAD = bytes(200)
UNDER_WAY = (1, 16, 256)
GROUP = 50    # messages that are sent in one turn of the loop


def peer(port_to: Connection) -> None:
    """n2: echoes, and counts messages."""
    received = 0

    def count(sender: str, payload: bytes) -> None:
        nonlocal received
        received += 1

    def echo(sender: str, payload: bytes, answer: Answer) -> None:
        answer(payload)

    def tell(sender: str, payload: bytes, answer: Answer) -> None:
        answer(received.to_bytes(8, "little"))

    async def serve() -> None:
        links = Links(asyncio.get_running_loop(), "n2", cluster="benchmark")
        links.serve_messages(CHANNEL, count)
        links.serve_requests(ECHO, echo)
        links.serve_requests(COUNT, tell)
        port_to.send(await links.listen("127.0.0.1", 0))
        await asyncio.get_running_loop().create_future()

    run(serve())


async def measure(port: int, seconds: float) -> None:
    links = Links(asyncio.get_running_loop(), "n1", cluster="benchmark")
    up = asyncio.Event()
    links.watch(lambda name, is_up: up.set())
    links.set_address("n2", "127.0.0.1", port)
    await up.wait()
    for under_way in UNDER_WAY:
        done, took = await requests(links, under_way, seconds)
        each = f"{took / done * under_way * 1e6:.0f} µs each"
        print(f"requests, {under_way:3d} under way    {done / took:10,.0f} /s    {each}")
    received, took = await messages(links, seconds)
    print(f"messages, groups of {GROUP}    {received / took:10,.0f} /s")
    await links.close()


async def requests(links: Links, under_way: int, seconds: float) -> tuple[int, float]:
    """(how many were answered, seconds)"""
    begin = perf_counter()
    end = begin + seconds
    done = left = 0
    over = asyncio.get_running_loop().create_future()

    def then(outcome: object) -> None:
        nonlocal done, left
        assert outcome == PAYLOAD
        done += 1
        if perf_counter() < end:
            links.request("n2", ECHO, PAYLOAD, then, timeout_seconds=5.0)
            return
        left -= 1
        if not left:
            over.set_result(None)

    left = under_way
    for _ in range(under_way):
        links.request("n2", ECHO, PAYLOAD, then, timeout_seconds=5.0)
    await over
    return done, perf_counter() - begin


async def messages(links: Links, seconds: float) -> tuple[int, float]:
    """(how many arrived, seconds)"""
    begin = perf_counter()
    while perf_counter() < begin + seconds:
        for _ in range(GROUP):
            links.send("n2", CHANNEL, PAYLOAD)
        await asyncio.sleep(0)
    answer = asyncio.get_running_loop().create_future()
    links.request("n2", COUNT, b"", answer.set_result, timeout_seconds=60.0)
    return int.from_bytes(await answer, "little"), perf_counter() - begin


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    seconds = parser.parse_args().seconds
    here, there = multiprocessing.Pipe()
    other = multiprocessing.get_context("spawn").Process(target=peer, args=(there,), daemon=True)
    other.start()
    try:
        run(measure(here.recv(), seconds))
    finally:
        other.terminate()
        other.join()


if __name__ == "__main__":
    main()
