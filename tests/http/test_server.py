"""Slow clients, too many clients, clients that do not read, and the way out. The clock is moved by hand."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from house import SOCKET_SECONDS, House, request

from varley.http.call import Call
from varley.http.reception import FrontDoorSettings, connections_allowed
from varley.http.server import FrontDoor

# ---- time


def test_an_idle_connection_is_closed_in_time(hasty_house: House) -> None:
    house = hasty_house
    fresh, used = house.connect(), house.connect()
    used.ask(request())
    house.pass_seconds(59)
    used.ask(request())
    house.pass_seconds(2)
    assert fresh.is_closed()
    assert used.ask(request()).status == 200
    house.pass_seconds(61)
    assert used.is_closed()


def test_empty_lines_do_not_keep_a_connection(hasty_house: House) -> None:
    wire = hasty_house.connect()
    for _ in range(7):
        wire.send(b"\r\n")
        hasty_house.pass_seconds(10)
    assert wire.is_closed()


def test_a_head_must_arrive_in_time(hasty_house: House) -> None:
    """A byte now and then does not help: the time counts from the first."""
    house = hasty_house
    wire = house.connect().send(b"POST / HTTP/1.1\r\n")
    for _ in range(3):
        wire.send(b"X-Drip: 1\r\n")
        house.pass_seconds(2)
    answer = wire.receive()
    assert (answer.status, answer.code) == (408, "com.amazon.coral.service#RequestTimeoutException")
    assert wire.is_closed()
    house.assert_alive()


def test_a_body_must_arrive_in_time(hasty_house: House) -> None:
    house = hasty_house
    wire = house.connect().send(request(body=bytes(5000))[:-4999])
    house.pass_seconds(9)
    wire.send(b"x")
    house.pass_seconds(2)
    assert wire.receive().status == 408


def test_a_body_that_keeps_coming_has_more_time(hasty_house: House) -> None:
    """Ten seconds, and one more for each thousand bytes."""
    house = hasty_house
    data = request(body=bytes(20_000))
    wire = house.connect().send(data[:-19_000])
    for start in range(len(data) - 19_000, len(data), 1000):
        house.pass_seconds(1.5)
        wire.send(data[start : start + 1000])
    assert wire.receive().status == 200


def test_a_call_that_waits_for_its_answer_has_all_the_time(hasty_house: House) -> None:
    house = hasty_house
    wire = house.connect().send(request("Query"))
    house.wait_for_calls(1)
    house.pass_seconds(1000)
    house.run(lambda: house.waiting[0].reply(b"late"))
    assert wire.receive().body == b"late"
    house.pass_seconds(50)
    assert wire.ask(request()).status == 200


def test_who_does_not_read_is_cut_off(hasty_house: House) -> None:
    house = hasty_house
    wire = house.connect().send(request("Query"))
    house.wait_for_calls(1)
    house.run(lambda: house.waiting[0].reply(bytes(32 * 1024**2)))
    house.pass_seconds(15)
    wire.stream.read(8 * 1024**2)
    house.pass_seconds(15)      # it has read since the last look
    house.pass_seconds(15)
    assert house.door.connections == 1
    house.pass_seconds(10)
    house.wait_for_connections(0)


def test_the_sweep_runs_by_itself(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again and again. (All other tests would pass without its timer.)"""
    monkeypatch.setattr("varley.http.server._SWEEP_SECONDS", 0.001)

    class Swept(FrontDoor):
        def tick(self) -> None:
            sweeps.append(1)
            if len(sweeps) == 3:
                swept.set()

    async def wait_for_sweep() -> None:
        door = Swept(lambda call: b"", operations=[])
        await door.start("127.0.0.1", 0)
        await asyncio.wait_for(swept.wait(), SOCKET_SECONDS)
        door.close_now()

    sweeps: list[int] = []
    swept = asyncio.Event()
    asyncio.run_coroutine_threadsafe(wait_for_sweep(), loop).result(SOCKET_SECONDS)


# ---- numbers


def test_one_connection_too_many_is_refused_politely(hasty_house: House) -> None:
    house = hasty_house
    wires = [house.connect() for _ in range(3)]
    for wire in wires:
        assert wire.ask(request()).status == 200
    late = house.connect()
    answer = late.ask(request())
    assert (answer.status, answer.code) == (503, "com.amazonaws.dynamodb.v20120810#ServiceUnavailable")
    assert answer.headers["connection"] == "close"
    assert late.is_closed()
    for wire in wires:
        assert wire.ask(request()).status == 200
    house.wires.remove(wires[0])
    wires[0].close()
    house.wait_for_connections(2)
    house.assert_alive()


def test_health_is_told_even_to_one_connection_too_many(hasty_house: House) -> None:
    """Else whoever watches would restart a busy server."""
    for _ in range(3):
        hasty_house.connect().ask(request())
    answer = hasty_house.ask(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_far_too_many_connections_are_cut_off(hasty_house: House) -> None:
    wires = [hasty_house.connect() for _ in range(7)]
    assert wires[-1].is_closed()
    assert wires[0].ask(request()).status == 200


def test_who_sends_more_than_waits_for_answers_is_not_read(hasty_house: House) -> None:
    """What it sends is left in the kernel until half are answered."""
    house = hasty_house
    wire = house.connect()
    for _ in range(4):
        wire.send(request("Query"))
        house.run(lambda: None)
    wire.send(request("Query"))
    for _ in range(20):
        house.run(lambda: None)
    assert len(house.calls) == 4
    house.run(lambda: house.waiting[0].reply(b"0"))
    assert len(house.calls) == 4
    house.run(lambda: house.waiting[1].reply(b"1"))
    house.wait_for_calls(5)
    for number in (2, 3, 4):
        house.run(lambda number=number: house.waiting[number].reply(b"%d" % number))
    assert [wire.receive().body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_who_does_not_read_answers_is_not_read(house: House) -> None:
    wire = house.connect()
    wire.socket.setblocking(False)
    data = request(body=bytes(100_000))
    sent = 0
    try:
        while sent < 200 * 1024**2:
            sent += wire.socket.send(data[sent % len(data) :])
            house.run(lambda: None)
    except BlockingIOError:
        pass
    assert sent < 64 * 1024**2
    wire.socket.settimeout(SOCKET_SECONDS)
    for _ in range(sent // len(data)):
        assert len(wire.receive().body) == 100_000
    rest = sent % len(data)
    if rest:
        assert wire.ask(data[rest:]).status == 200


class Greed:
    """Gives each request the same answer, and counts how many were begun: in all, and in each turn of the loop."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
        self.begun = 0
        self.turns: list[int] = []
        monkeypatch.setattr("conftest.handle", self.handle)
        self.answer = answer
        self._house = house
        self._is_counting = False

    def handle(self, house: House, call: Call) -> bytes | None:
        if not self._is_counting:
            self._is_counting = True
            self.turns.append(0)
            house.loop.call_soon(self.end_turn)
        self.turns[-1] += 1
        self.begun += 1
        if call.operation == "Query":
            house.waiting.append(call)
            return None
        return self.answer + call.body

    def end_turn(self) -> None:
        self._is_counting = False


SMALL = [request(body=b"%d" % number) for number in range(200)]


def test_small_requests_for_large_answers_are_begun_as_answers_are_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of them come in one read; the answers have 200 MB."""
    greed = Greed(house, monkeypatch, bytes(1024**2))
    wire = house.connect().send(b"".join(SMALL))
    for _ in range(50):
        house.run(lambda: None)
    assert 0 < greed.begun < 20     # the kernel takes some
    for number in range(len(SMALL)):
        assert wire.receive().body == greed.answer + b"%d" % number
    assert max(greed.turns) <= 2
    assert wire.ask(request(body=b"next")).body.endswith(b"next")


def test_small_answers_to_many_requests_take_turns_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    greed = Greed(house, monkeypatch, b"")
    wire = house.connect().send(b"".join(SMALL) * 5)
    for number in range(len(SMALL) * 5):
        assert wire.receive().body == b"%d" % (number % len(SMALL))
    assert max(greed.turns) <= 512     # the end of one read and the beginning of the next fall into one turn


@pytest.mark.parametrize(
    ("end", "statuses"),
    [
        (b"garbage\r\n\r\n", [400]),
        (request(Host="a").replace(b"X-Amz-Date", b"Host: b\r\nX-Amz-Date") + request(), [400]),
        (request(Connection="close") + request(), [200]),
        (b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", [200]),
        (request(line="POST / HTTP/1.0") + b"garbage", [200]),
        (b"GET /health HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nbad\r\n\r\n", [200, 400]),
    ],
)
def test_what_ends_a_connection_keeps_its_place_behind_held_requests(
    house: House, monkeypatch: pytest.MonkeyPatch, end: bytes, statuses: list[int]
) -> None:
    greed = Greed(house, monkeypatch, bytes(300_000))
    wire = house.connect().send(b"".join(SMALL[:10]) + end)
    for number in range(10):
        assert wire.receive().body == greed.answer + b"%d" % number
    assert [wire.receive().status for _ in statuses] == statuses
    assert wire.is_closed()


def test_continue_waits_for_held_requests(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    greed = Greed(house, monkeypatch, bytes(300_000))
    last = request(body=b"last", Expect="100-continue")
    wire = house.connect().send(b"".join(SMALL[:5]) + last[:-4])
    for number in range(5):
        assert wire.receive().body == greed.answer + b"%d" % number
    assert wire.receive().status == 100
    assert wire.ask(last[-4:]).body.endswith(b"last")


def test_large_answers_behind_a_call_that_waits_are_limited(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    greed = Greed(house, monkeypatch, bytes(200_000))
    wire = house.connect().send(request("Query") + b"".join(SMALL[:20]))
    house.run(lambda: None)
    assert greed.begun == 3
    house.run(lambda: house.waiting[0].reply(b"first"))
    assert wire.receive().body == b"first"
    for number in range(20):
        assert wire.receive().body == greed.answer + b"%d" % number


def test_no_more_calls_wait_than_may_even_if_they_come_in_one_read(hasty_house: House) -> None:
    house = hasty_house
    wire = house.connect().send(request("Query") * 10)
    house.wait_for_calls(4)
    for number in range(10):
        house.wait_for_calls(number + 1)
        assert len(house.calls) <= number + 4
        house.run(lambda number=number: house.waiting[number].reply(b"%d" % number))
    assert [wire.receive().body for _ in range(10)] == [b"%d" % number for number in range(10)]


def test_a_client_that_is_not_read_is_not_too_slow(hasty_house: House) -> None:
    """Half of its next request is here, and the other half waits in the kernel because of us."""
    house = hasty_house
    data = request(body=b"next")
    wire = house.connect().send(request("Query") * 4 + data[:-2])
    house.wait_for_calls(4)
    wire.send(data[-2:-1])
    house.pass_seconds(1000)
    for call in house.waiting:
        house.run(lambda call=call: call.reply(b""))
    house.pass_seconds(1)
    for _ in range(4):
        wire.receive()
    assert wire.ask(data[-1:]).body == b"next"


def test_a_client_that_goes_with_requests_held_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    greed = Greed(house, monkeypatch, bytes(1024**2))
    wire = house.connect().send(b"".join(SMALL))
    house.run(lambda: None)
    house.wires.remove(wire)
    wire.close()
    house.wait_for_connections(0)
    assert greed.begun < len(SMALL)


@pytest.mark.parametrize(
    ("files", "served", "open_at_most"),
    [
        (resource.RLIM_INFINITY, 1000, 2000),
        (100_000, 1000, 2000),
        (1256, 1000, 1032),
        (1024, 768, 800),
        (260, 16, 32),
        (20, 16, 32),
    ],
)
def test_connections_leave_files_for_storage(
    monkeypatch: pytest.MonkeyPatch, files: int, served: int, open_at_most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (files, files))
    assert connections_allowed(FrontDoorSettings(connections_max=1000)) == (served, open_at_most)


def test_fewer_connections_than_asked_for_are_told_of(
    open_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 256))
    house = open_house()
    assert "16 connections can be served, not 10000" in caplog.text
    wires = [house.connect() for _ in range(16)]
    assert all(wire.ask(request()).status == 200 for wire in wires)
    assert house.ask(request()).status == 503


# ---- the end


def start_drain(house: House, seconds: float = 60) -> asyncio.Future[bool]:
    future = asyncio.run_coroutine_threadsafe(house.door.drain(seconds), house.loop)
    house.run(lambda: None)
    return future  # type: ignore[return-value]


def test_drain_closes_idle_connections_and_returns(house: House) -> None:
    wire = house.connect()
    wire.ask(request())
    fresh = house.connect()
    house.wait_for_connections(2)
    assert start_drain(house).result() is True
    assert wire.is_closed()
    assert fresh.is_closed()


def test_drain_lets_calls_end(house: House) -> None:
    wire = house.connect().send(request("Query") + request("Query"))
    house.wait_for_calls(2)
    drained = start_drain(house)
    assert not drained.done()
    house.run(lambda: house.waiting[0].reply(b"first"))
    house.run(lambda: house.waiting[1].reply(b"second"))
    assert wire.receive().body == b"first"
    answer = wire.receive()
    assert (answer.body, answer.headers["connection"]) == (b"second", "close")
    assert wire.is_closed()
    assert drained.result() is True


def test_drain_answers_a_request_that_has_begun_to_arrive(house: House) -> None:
    data = request(body=b"whole")
    wire = house.connect().send(data[:-3])
    house.run(lambda: None)
    drained = start_drain(house)
    answer = wire.ask(data[-3:])
    assert (answer.body, answer.headers["connection"]) == (b"whole", "close")
    assert wire.is_closed()
    assert drained.result() is True


def test_drain_does_not_wait_long_for_the_rest_of_a_request(house: House) -> None:
    """Nor for one whose client sends a byte now and then."""
    data = request(body=b"whole")
    half = house.connect().send(data[:-3])
    head = house.connect().send(data[:20])
    house.run(lambda: None)
    house.clock.seconds += 5        # it has been on its way for a while
    drained = start_drain(house)
    house.pass_seconds(0.9)
    assert not drained.done()
    head.send(data[20:40])
    house.pass_seconds(0.2)
    assert half.is_closed()
    assert head.is_closed()
    assert drained.result() is True


def test_drain_does_not_begin_held_requests(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    greed = Greed(house, monkeypatch, bytes(1024**2))
    wire = house.connect().send(b"".join(SMALL))
    for _ in range(50):
        house.run(lambda: None)
    begun = greed.begun
    drained = start_drain(house)
    for number in range(begun):
        assert wire.receive().body == greed.answer + b"%d" % number
    assert wire.is_closed()
    assert drained.result() is True
    assert greed.begun == begun


def test_drain_stops_listening(house: House) -> None:
    house.connect().send(request("Query"))
    house.wait_for_calls(1)
    start_drain(house)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", house.port), SOCKET_SECONDS)


def test_a_draining_server_is_not_ready(house: House) -> None:
    data = b"GET /ready HTTP/1.1\r\nHost: h\r\n\r\n"
    wire = house.connect().send(data[:-2])
    house.run(lambda: None)
    start_drain(house)
    assert wire.ask(data[-2:]).status == 503


def test_drain_cuts_off_what_is_not_done_in_time(house: House) -> None:
    wire = house.connect().send(request("Query"))
    house.wait_for_calls(1)
    assert start_drain(house, 0.01).result(SOCKET_SECONDS) is False
    assert wire.is_closed()
    house.wait_for_connections(0)
    house.run(lambda: house.waiting[0].reply(b"into nowhere"))


def test_two_doors_may_share_a_port(open_house: Callable[..., House]) -> None:
    """One process each, as `--processes` will have it."""
    first, second = open_house(), open_house()

    async def share() -> None:
        port = await first.door.start("127.0.0.1", 0, reuse_port=True)
        assert await second.door.start("127.0.0.1", port, reuse_port=True) == port

    asyncio.run_coroutine_threadsafe(share(), first.loop).result(SOCKET_SECONDS)


def test_a_port_in_use_is_an_error(house: House) -> None:
    with pytest.raises(OSError):
        asyncio.run_coroutine_threadsafe(house.door.start("127.0.0.1", house.port), house.loop).result()


def test_it_runs_on_the_loop_of_asyncio_too() -> None:
    async def serve_one() -> bytes:
        door = FrontDoor(lambda call: call.body, operations=["GetItem"])
        port = await door.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(body=b"whole") * 3)
        await reader.readuntil(b"whole")
        await reader.readuntil(b"whole")
        answer = await reader.readuntil(b"whole")
        assert await door.drain(SOCKET_SECONDS)
        writer.close()
        return answer

    assert asyncio.run(serve_one()).startswith(b"HTTP/1.1 200 OK\r\n")


# ---- TLS, and a client of AWS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    subprocess.run(
        [*make.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_tls(open_house: Callable[..., House], certificate: tuple[Path, Path]) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(*certificate)
    house = open_house(
        settings=FrontDoorSettings(tls=server),
        client_tls=ssl.create_default_context(cafile=str(certificate[0])),
    )
    wire = house.connect()
    body = bytes(300_000)
    assert wire.ask(request(body=body)).body == body
    assert wire.send(request() * 3).receive().status == 200
    wire.receive()
    wire.receive()
    wire.send(request("Query"))
    house.wait_for_calls(3)
    house.run(lambda: house.waiting[0].reply(b"late"))
    assert wire.receive().body == b"late"
    assert wire.ask(b"garbage\r\n\r\n").status == 400
    house.pass_seconds(4)
    assert wire.is_closed()


def test_boto3(house: House) -> None:
    client = boto3.client(
        "dynamodb",
        endpoint_url=f"http://127.0.0.1:{house.port}",
        region_name="eu-west-1",
        aws_access_key_id="123456789012",
        aws_secret_access_key="any / + key",
        config=Config(retries={"total_max_attempts": 1}),
    )
    client.get_item(TableName="a", Key={"k": {"S": "1"}})
    (call,) = house.calls
    assert call.operation == "GetItem"
    assert call.body == b'{"TableName": "a", "Key": {"k": {"S": "1"}}}'
    identity = call.identity()
    assert (identity.account, identity.region) == ("123456789012", "eu-west-1")
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="Requested resource not found"):
        client.delete_item(TableName="a", Key={"k": {"S": "1"}})
    with pytest.raises(client.exceptions.InternalServerError):
        client.scan(TableName="a")
    with pytest.raises(ClientError) as refusal:
        client.describe_limits()
    assert refusal.value.response["Error"]["Code"] == "UnknownOperationException"
    assert house.door.connections == 1
