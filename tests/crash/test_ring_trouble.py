"""A ring's node in trouble: garbage on both of its ports, and a disk that is full."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import msgspec
import pytest

from tests.crash.server_process import resident_bytes
from tests.crash.small_disk import Filling, small_disk
from tests.crash.test_garbage import throw
from varley.net.channels import RING, RING_CALL
from varley.net.frame import (
    MESSAGE,
    PARCEL,
    REQUEST,
    VERSION_HIGHEST,
    VERSION_LOWEST,
    Hello,
    encode_frame,
    encode_hello,
    encode_part_head,
)
from varley.ring import Client
from varley.ring_client import RingClientError
from varley.ring_node.settings import BucketSettings, RingSettings

SECONDS = float(os.environ.get("GARBAGE_SECONDS", "4"))
SEED = int(os.environ.get("TEST_SEED", "0")) or SystemRandom().randrange(2**32)
SETTINGS = RingSettings(partitions=8, default=BucketSettings(n=1, r=1, w=1))
GROWTH_BYTES_MAX = 48 * 1024 * 1024
SECONDS_MAX = 30


class Node:
    def __init__(self, folder: Path, *words: str) -> None:
        self.log = folder.parent / "node.log"
        command = [
            sys.executable, "-m", "varley", "ring", "serve", "--name", "a", "--port", "0", "--link-port", "0",
            "--n", "1", "--r", "1", "--w", "1", "--partitions", "8", "--data-dir", str(folder), "--json",
            "--idle-timeout-seconds", "5", *words,
        ]  # fmt: skip
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        self.said: dict[str, Any] = json.loads(self.process.stdout.readline())

    def client(self) -> Client:
        return Client([self.said["endpoint"]], repeats=0, answer_seconds=10)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(SECONDS_MAX)


# ---- Garbage


class Garbage:
    """Bytes that are nearly what clients and nodes send."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def request(self) -> bytes:
        random = self.random
        method = random.choice((b"GET", b"PUT", b"DELETE", b"POST", b"PATCH", b"GET /"))
        path = random.choice((b"/ring/v1/nobody/", b"/ring/v1/", b"/ring/v1/placement", b"/ring/v1/join", b"/%", b"//"))
        path += random.choice((b"", b"k%2", b"%ff%00", b"k?r=x", b"k?w=-1", b"k?replica", b"k?r=1&r=2", b"x" * 3000))
        body = random.choice((b"", b"{", b'{"zone": 7}', b'{"context": "AAAA"}', random.randbytes(300)))
        heads = b"".join(
            random.choice((
                b"Content-Type: application/json\r\n", b"X-Varley-Context: nonsense\r\n", b"Accept: x/y\r\n",
                b"Origin: http://x\r\n", b"Transfer-Encoding: chunked\r\n", b"X-Varley-Context: \xff\xfe\r\n",
            )) for _ in range(random.randrange(4))
        )  # fmt: skip
        whole = b"%b %b HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (method, path, heads, len(body), body)
        return self._spoilt(whole)

    def link(self) -> bytes:
        """What a stranger says to the link port: no hello, or a good one and frames behind it."""
        if self.random.random() < 0.2:
            return self.random.randbytes(self.random.randrange(1, 2000))
        cluster = self.random.choice(("ring ring", "ring ring", "ring ring", "other"))
        hello = encode_hello(Hello(VERSION_LOWEST, VERSION_HIGHEST, cluster, f"x{self.random.randrange(3)}", "a"))
        frames = b"".join(self._frame() for _ in range(self.random.randrange(1, 6)))
        return self._spoilt(hello + frames)

    def _frame(self) -> bytes:
        payload = self._payload()
        kind, to = self.random.choice(((MESSAGE, RING), (REQUEST, RING_CALL), (REQUEST, 99), (MESSAGE, 99)))
        number = 0 if kind == MESSAGE else self.random.randrange(1, 1000)
        return encode_frame(PARCEL, [encode_part_head(kind, to, number, len(payload)), payload])

    def _payload(self) -> bytes:
        fingerprint = self.random.choice((SETTINGS.fingerprint, SETTINGS.fingerprint, bytes(8), b"12345678"))
        if self.random.random() < 0.3:
            return fingerprint + self.random.randbytes(self.random.randrange(50))
        fields = [self._field() for _ in range(self.random.randrange(7))]
        return fingerprint + msgspec.msgpack.encode([self.random.randrange(50), *fields])

    def _field(self) -> Any:
        return self.random.choice((None, True, -1, 2**60, "", "text", b"", b"bytes", [], {}, [b"x"], {1: b"x"}, 0.5))

    def _spoilt(self, whole: bytes) -> bytes:
        choice = self.random.random()
        if choice < 0.15:
            return whole[: self.random.randrange(len(whole))]
        if choice < 0.3:
            changed = bytearray(whole)
            changed[self.random.randrange(len(changed))] = self.random.randrange(256)
            return bytes(changed)
        return whole


@pytest.mark.slow
def test_garbage_on_both_ports_harms_nobody(tmp_path: Path) -> None:
    print(f"TEST_SEED={SEED} GARBAGE_SECONDS={SECONDS:g}")
    random = Random(SEED)
    garbage = Garbage(random)
    node = Node(tmp_path / "data")
    pid = node.process.pid
    thrown = answered = settled = 0
    values: dict[str, bytes] = {}
    contexts: dict[str, str | None] = {}
    start = time.monotonic()
    try:
        with node.client() as ring:
            while time.monotonic() < start + SECONDS:
                for _ in range(10):
                    throw(node.said["port"], garbage.request())
                    tell(node.said["link_port"], garbage.link())
                    thrown += 2
                key = f"key {random.randrange(20)}"
                values[key] = random.randbytes(500)
                contexts[key] = ring.put("good", key, values[key], contexts.get(key))
                assert ring.get("good", key).values == (values[key],)
                answered += 1
                if not settled and time.monotonic() > start + SECONDS / 3:
                    settled = resident_bytes(pid)
            for key, value in values.items():
                assert ring.get("good", key).values == (value,)
        growth = resident_bytes(pid) - settled
    finally:
        assert node.stop() == 0
    said = node.log.read_text()
    assert "Traceback" not in said, said[-3000:]
    assert growth < GROWTH_BYTES_MAX
    assert answered > SECONDS
    print(f"{thrown} pieces of garbage, {answered} good puts, memory grew by {growth / 1e6:.1f} MB")


def tell(port: int, garbage: bytes) -> None:
    """A link is kept open by who accepts it, for as long as it hears something: so no answer is waited for."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        try:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
        except (ConnectionResetError, BrokenPipeError):
            pass    # the node had heard enough


# ---- A full disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["lmdb", "sqlite"])
def test_a_full_disk_refuses_and_recovers(engine: str, disk: Path) -> None:
    filling = Filling(disk)
    node = Node(disk / "data", "--engine", engine)
    acknowledged: dict[str, bytes] = {}
    try:
        with node.client() as ring:
            def put(number: int) -> RingClientError | None:
                key = f"{number}"
                try:
                    ring.put("b", key, key.encode() * 500)
                except RingClientError as error:
                    return error
                acknowledged[key] = key.encode() * 500
                return None

            for number in range(50):
                assert put(number) is None
            filling.take()
            refusals = [error for number in range(50, 300) if (error := put(number)) is not None][:3]
            assert refusals, "the disk does not get full"
            # The put that met it may have been written; the next is refused, surely without effect, and says why.
            later = put(1000)
            assert later is not None
            assert later.type == "Unavailable"
            assert "space" in str(later)
            for key, value in list(acknowledged.items())[:20]:
                assert ring.get("b", key).values == (value,)
            filling.give_back()
            deadline = time.monotonic() + SECONDS_MAX
            while put(1001) is not None:
                assert time.monotonic() < deadline, "it does not notice that there is space again"
            for key, value in acknowledged.items():
                assert ring.get("b", key).values == (value,)
    finally:
        node.process.kill()
        node.process.wait()
    again = Node(disk / "data", "--engine", engine)
    try:
        with again.client() as ring:
            for key, value in acknowledged.items():
                assert ring.get("b", key).values == (value,)
    finally:
        assert again.stop() == 0
