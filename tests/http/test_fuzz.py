"""Random bytes and damaged requests: whatever comes in, the server answers in HTTP and goes on serving."""

from __future__ import annotations

import logging
import random

import pytest
from house import House, Wire, request

SEEDS = range(8)
TRIES = 25


def damage(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, cut out, repeated or put in."""
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(damaged) + 1)
        length = chance.choice((1, 1, 2, 10, 100))
        kind = chance.randrange(5)
        if kind == 0:
            damaged[at : at + length] = chance.randbytes(length)
        elif kind == 1:
            del damaged[at : at + length]
        elif kind == 2:
            damaged[at:at] = damaged[at : at + length]
        elif kind == 3:
            damaged[at:at] = chance.choice((b"\r\n", b"\r\n\r\n", b"\0", b":", b"0\r\n\r\n", b"\xff", b" "))
        elif damaged:
            damaged[at % len(damaged)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def samples() -> list[bytes]:
    chunked = request(drop=("Content-Length",), Transfer_Encoding="chunked", body=b"3\r\nabc\r\n0\r\nX: y\r\n\r\n")
    return [
        request(body=b'{"TableName":"t"}'),
        request("Query"),
        request("DeleteItem", Connection="close") + request(),
        chunked,
        request(Expect="100-continue", Accept_Encoding="gzip", Origin="http://o", Content_Encoding="gzip"),
        b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n" + request("PutItem"),
    ]


def drop_after(wire: Wire, house: House, data: bytes) -> None:
    """Send, say that this is all, and read to the end: each answer must be a whole one."""
    try:
        wire.send(data)
        house.run(lambda: [call.reply(b"late") for call in house.waiting if call.answer is None])
        wire.socket.shutdown(1)
        house.run(lambda: [call.reply(b"late") for call in house.waiting if call.answer is None])
    except (BrokenPipeError, ConnectionResetError, OSError):
        pass
    try:
        while True:
            # Half of a request has no answer; a HEAD made by damage would have no body, and none is made.
            answer = wire.receive()
            assert answer.status in (100, 200, 400, 404, 408, 413, 431), answer
    except (EOFError, ConnectionResetError):
        pass
    house.wires.remove(wire)
    wire.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_requests(house: House, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(seed)
    for _ in range(TRIES):
        data = damage(b"".join(chance.choices(samples(), k=chance.randint(1, 3))), chance)
        drop_after(house.connect(), house, data)
    house.assert_alive()
    house.pass_seconds(1000)
    house.wait_for_connections(0)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_random_bytes(house: House, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(seed)
    for _ in range(TRIES):
        drop_after(house.connect(), house, chance.randbytes(chance.choice((1, 10, 100, 5000))))
    house.assert_alive()
    assert caplog.records == []


@pytest.mark.parametrize("seed", SEEDS)
def test_requests_in_random_pieces_give_the_same_answers(house: House, seed: int) -> None:
    chance = random.Random(seed)
    bodies = [b"%d" % chance.randrange(10**chance.randint(1, 2000)) for _ in range(20)]
    data = b"".join(request(body=body) for body in bodies)
    wire = house.connect()
    at = 0
    while at < len(data):
        length = chance.choice((1, 3, 50, 500, 40_000))
        wire.send(data[at : at + length])
        at += length
        if chance.random() < 0.2:
            house.run(lambda: None)
    assert [wire.receive().body for _ in bodies] == bodies
