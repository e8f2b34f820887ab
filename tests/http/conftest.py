"""Front doors for the tests of this folder. See house.py for what stands behind them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop
from house import OPERATIONS, SOCKET_SECONDS, HandClock, House, handle

from varley.http.reception import FrontDoorSettings
from varley.http.server import FrontDoor


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loop of the front door", daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(SOCKET_SECONDS)
    loop.close()


@pytest.fixture
def open_house(loop: asyncio.AbstractEventLoop) -> Iterator[Callable[..., House]]:
    """Opens front doors; keyword arguments are FrontDoor's."""
    houses: list[House] = []

    def open_one(**arguments: Any) -> House:
        clock = HandClock()
        arguments.setdefault("operations", OPERATIONS)
        client_tls = arguments.pop("client_tls", None)

        async def start() -> House:
            door = FrontDoor(lambda call: handle(house, call), clock=clock, **arguments)
            house = House(loop, door, clock, tls=client_tls)
            house.port = await door.start("127.0.0.1", 0)
            return house

        house = asyncio.run_coroutine_threadsafe(start(), loop).result(SOCKET_SECONDS)
        houses.append(house)
        return house

    yield open_one
    for house in houses:
        house.run(house.door.close_now)
        for wire in house.wires:
            wire.close()


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    return open_house()


@pytest.fixture
def hasty_house(open_house: Callable[..., House]) -> House:
    """Every limit is small."""
    return open_house(
        settings=FrontDoorSettings(
            connections_max=3,
            pipelined_max=4,
            head_seconds=5,
            body_seconds=10,
            body_bytes_per_second_min=1000,
            idle_seconds=60,
            write_seconds=20,
            linger_seconds=2,
        )
    )
