"""Nobody waits for ever: requests that come before the placement is known, or are under way when a client is closed."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.ring_api.doors import Street, street
from tests.ring_api.pretended_ring import PretendedRing
from varley.ring_client import AsyncClient, Client, OutcomeUnknown, RingClientError, RingRefused, RingUnavailable

SECONDS = 5


@pytest.fixture
def deaf_endpoint() -> Iterator[str]:
    """The kernel takes connections, and that is all."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def doors() -> Iterator[Street]:
    with street(PretendedRing("abc")) as made:
        yield made


def test_who_waits_for_the_placement_is_told_when_the_client_is_closed(deaf_endpoint: str) -> None:
    async def work() -> None:
        client = AsyncClient([deaf_endpoint], coordination="client")
        getting = asyncio.ensure_future(client.get("carts", "7"))
        putting = asyncio.ensure_future(client.put("carts", "7", b"1"))
        await asyncio.sleep(0)
        await client.close()
        async with asyncio.timeout(SECONDS):
            for request in getting, putting:
                with pytest.raises((RingUnavailable, OutcomeUnknown)):
                    await request

    asyncio.run(work())


def test_one_that_is_refused_before_the_placement_is_known_keeps_nobody_else_waiting(doors: Street) -> None:
    async def work() -> None:
        async with AsyncClient(doors.endpoints, coordination="client") as client, asyncio.timeout(SECONDS):
            refused = asyncio.ensure_future(client.put("carts", "7", b"1", "no context: ä"))
            unnamed = asyncio.ensure_future(client.get("\udc00", "7"))
            getting = asyncio.ensure_future(client.get("carts", "7"))
            with pytest.raises(RingRefused):
                await refused
            with pytest.raises(ValueError, match="surrogates"):
                await unnamed
            assert (await getting).values == ()

    asyncio.run(work())


@pytest.mark.parametrize("coordination", ["server", "client"])
def test_threads_that_wait_are_told_when_another_one_closes_the_client(coordination: str, deaf_endpoint: str) -> None:
    client = Client([deaf_endpoint] * 3, coordination=coordination)
    begun = threading.Barrier(9)
    told: list[RingClientError] = []

    def get() -> None:
        begun.wait(SECONDS)
        try:
            client.get("carts", "7")
        except RingClientError as error:
            told.append(error)

    threads = [threading.Thread(target=get, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.wait(SECONDS)
    while client._loop is None or len(asyncio.all_tasks(client._loop)) < 8:
        pass
    client.close()
    for thread in threads:
        thread.join(SECONDS)
    assert len(told) == 8


@pytest.mark.parametrize("count", [1, 3])
def test_a_copy_that_does_not_read_as_one_is_none(doors: Street, count: int) -> None:
    """A proxy's page, perhaps. Then others are asked, or a node coordinates."""
    for name in "abc"[:count]:
        doors.ring.nodes[name].fetch = lambda bucket, key, then: then(b"<html>")  # type: ignore[method-assign]

    async def work() -> None:
        async with AsyncClient(doors.endpoints, coordination="client") as client, asyncio.timeout(SECONDS):
            await client.put("carts", "7", b"1")
            assert (await client.get("carts", "7")).values == (b"1",)

    asyncio.run(work())


def test_an_address_that_cannot_be_one_is_an_address_where_nobody_is() -> None:
    async def work() -> None:
        async with AsyncClient([f"http://{'a' * 70}:1"]) as client, asyncio.timeout(SECONDS):
            with pytest.raises(RingUnavailable):
                await client.get("carts", "7")

    asyncio.run(work())


def test_a_get_that_the_client_coordinates_takes_no_longer_than_another(doors: Street, deaf_endpoint: str) -> None:
    """The homes say nothing; then any node is asked, which says nothing either."""

    async def work() -> None:
        async with AsyncClient(doors.endpoints, coordination="client", answer_seconds=0.5) as client:
            await client.get("carts", "7")
            client._directing._placement.endpoints.update(dict.fromkeys("abc", deaf_endpoint))  # type: ignore
            client._directing._given._endpoints = (deaf_endpoint,)  # type: ignore
            with pytest.raises(RingUnavailable) as raised:
                await client.get("carts", "7")
            assert "within 0.5 s" not in str(raised.value), "what is left of the time, not all of it once more"

    asyncio.run(work())
