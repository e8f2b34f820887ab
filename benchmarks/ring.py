"""A ring of processes in trouble: `python -m benchmarks.ring --seconds 40`.

Five nodes on this machine, each a process with its own folder. Writers put as fast as they are answered while two nodes
at a time are killed (-9) and started again, and a node is cut off from the others, though not from clients. Counted
is which share of the puts was accepted. Then everything is healed, and it is measured how long the replicas take to
agree: no hint, no row on its way, and every pair of replicas compared since. Last, every cart is read and judged: an
item whose put was acknowledged must be in it.

A put adds an item to one of CARTS carts: get, unite the siblings, put with the context, as the paper's cart does.
Puts that were not done, or of which nobody knows, are tried again at another node, by the client; what is counted is
what the writer is told.

With --merkle instead: how many bytes it takes to find and bring back what a node lacks of ROWS rows, against a full
copy.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import os
import random
import signal
import tempfile
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any

import uvloop

from benchmarks.machine import describe
from varley.ring import AsyncClient
from varley.ring_client.outcomes import OutcomeUnknown, RingClientError, RingUnavailable
from varley.ring_node.engines.lmdb import LmdbEngine
from varley.ring_node.engines.sqlite import SqliteEngine
from varley.ring_server import RingServer
from varley.settings import NodeSettings, RingFlags

NODES = 5
WRITERS = 24
CARTS = 60
ROWS = 20_000
ROW_BYTES = 1000
LACKING = (0.001, 0.01, 0.1)    # shares of the rows that a node is made to lack
SECONDS_DOWN = 4.0
AGREE_SECONDS_MAX = 60.0


def node(flags: RingFlags, settings: NodeSettings, commands: Connection) -> None:
    """One process: a node that answers commands as well."""

    logging.disable(logging.WARNING)    # that nodes are away is what this is about

    async def serve() -> None:
        server = RingServer(settings, flags)
        loop = asyncio.get_running_loop()
        await server.start()
        commands.send((server.port, server.link_port))

        def obey() -> None:
            try:
                what, *names = commands.recv()
            except EOFError:
                os._exit(1)     # who measured is gone
            match what:
                case "cut":
                    for name in names:
                        server._links_made.cut(name)
                case "mend":
                    for name in names:
                        server._links_made.mend(name)
                case "tell":
                    assert server._node is not None
                    status = server._node.status()
                    commands.send((status, server._node.counters().values))

        loop.add_reader(commands.fileno(), obey)
        await server.wait_stopped()

    uvloop.run(serve())


class Ring:
    def __init__(self, folder: str, **flags: Any) -> None:
        self._folder = folder
        self._flags = flags
        self._processes: dict[str, Any] = {}
        self._commands: dict[str, Connection] = {}
        self._ports: dict[str, tuple[int, int]] = {}
        self.names = [f"n{index}" for index in range(1, NODES + 1)]

    def start(self, name: str) -> None:
        port, link_port = self._ports.get(name, (0, 0))
        first = self.names[0]
        seeds = "" if name == first or first not in self._ports else f"{first}=127.0.0.1:{self._ports[first][1]}"
        flags = RingFlags(name=name, link_port=link_port, seeds=seeds, **self._flags)
        settings = NodeSettings(port=port, data_dir=self.folder(name), log_level="error")
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=node, args=(flags, settings, there), daemon=True)
        process.start()
        there.close()
        self._processes[name], self._commands[name] = process, here

    def wait(self, name: str) -> None:
        """Until it has started."""
        self._ports[name] = self._commands[name].recv()

    def kill(self, name: str) -> None:
        os.kill(self._processes[name].pid, signal.SIGKILL)
        self._processes[name].join()

    def stop(self, name: str) -> None:
        self._processes[name].terminate()
        self._processes[name].join()

    def cut_off(self, name: str, *, is_cut: bool) -> None:
        what = "cut" if is_cut else "mend"
        others = [other for other in self.names if other != name]
        self._commands[name].send((what, *others))
        for other in others:
            self._commands[other].send((what, name))

    def tell(self, name: str) -> tuple[Any, dict[str, int]]:
        self._commands[name].send(("tell",))
        found: tuple[Any, dict[str, int]] = self._commands[name].recv()
        return found

    def folder(self, name: str) -> str:
        return os.path.join(self._folder, name)

    @property
    def endpoints(self) -> list[str]:
        return [f"http://127.0.0.1:{self._ports[name][0]}" for name in self.names]

    def close(self) -> None:
        for name in self._processes:
            self.stop(name)

    async def start_all(self) -> None:
        for name in self.names:
            self.start(name)
            await asyncio.to_thread(self.wait, name)
        while any(len(self.tell(name)[0].members) < NODES for name in self.names):  # noqa: ASYNC110 other processes
            await asyncio.sleep(0.2)

    async def agreement(self) -> float:
        """Seconds until nothing is on its way and every pair of replicas was found equal since now."""
        began = monotonic()
        while True:
            seconds = monotonic() - began
            told = [self.tell(name)[0] for name in self.names]
            if all(
                not (status.hints or status.strays or status.transfers)
                and status.compared_seconds is not None and status.compared_seconds < seconds
                for status in told
            ):
                return seconds
            if seconds > AGREE_SECONDS_MAX:
                raise SystemExit(f"no agreement: {told}")
            await asyncio.sleep(0.1)


class Writers:
    def __init__(self, client: AsyncClient, r: int, w: int) -> None:
        self.told: Counter[str] = Counter()
        self.slowest: list[float] = []
        self.acknowledged: dict[str, set[bytes]] = {}
        self._client = client
        self._r = r
        self._w = w
        self._is_over = False
        self._tasks = [asyncio.create_task(self._write(index)) for index in range(WRITERS)]

    async def stop(self) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def _write(self, writer: int) -> None:
        number = 0
        while not self._is_over:
            number += 1
            cart, item = f"cart {random.randrange(CARTS)}", b"%d.%d" % (writer, number)
            try:
                found = await self._client.get("carts", cart, r=self._r)
            except RingClientError as error:
                self.told[f"get {type(error).__name__}"] += 1
                continue
            items = {item}.union(*(value.split(b",") for value in found.values))
            began = monotonic()
            try:
                await self._client.put("carts", cart, b",".join(sorted(items)), found.context, w=self._w)
            except OutcomeUnknown:
                self.told["unknown"] += 1
            except RingUnavailable:
                self.told["refused"] += 1
            else:
                self.told["accepted"] += 1
                self.acknowledged.setdefault(cart, set()).add(item)
            self.slowest.append(monotonic() - began)

    async def lost(self) -> list[str]:
        gone = []
        for cart, items in self.acknowledged.items():
            found = await self._client.get("carts", cart, r=2)
            there = set[bytes]().union(*(value.split(b",") for value in found.values))
            gone += [f"{cart}: {item.decode()}" for item in items - there]
        return gone


async def trouble(ring: Ring, seconds: float) -> None:
    """Two at a time are killed and come back; then one is cut off from the others, and mended."""
    until = monotonic() + seconds
    while monotonic() < until:
        for name in (dead := random.sample(ring.names, 2)):
            ring.kill(name)
        await asyncio.sleep(SECONDS_DOWN)
        for name in dead:
            ring.start(name)
        for name in dead:
            await asyncio.to_thread(ring.wait, name)
        await asyncio.sleep(SECONDS_DOWN / 2)
        alone = random.choice(ring.names)
        ring.cut_off(alone, is_cut=True)
        await asyncio.sleep(SECONDS_DOWN)
        ring.cut_off(alone, is_cut=False)
        await asyncio.sleep(SECONDS_DOWN / 2)


async def accepted(engine: str, w: int, seconds: float, **flags: Any) -> None:
    with tempfile.TemporaryDirectory(prefix="varley-ring-") as folder:
        ring = Ring(folder, engine=engine, **flags)
        try:
            await ring.start_all()
            async with AsyncClient(ring.endpoints) as client:
                writers = Writers(client, r=w, w=w)
                await trouble(ring, seconds)
                await writers.stop()
                agreed = await ring.agreement()
                gone = await writers.lost()
            told, slowest = writers.told, sorted(writers.slowest)
            whole = told["accepted"] + told["unknown"] + told["refused"]
            items = sum(len(some) for some in writers.acknowledged.values())
            print(
                f"{engine}, R=W={w}: {whole} puts, {100 * told['accepted'] / whole:.3f} % accepted, "
                f"{told['unknown']} unknown, {told['refused']} refused; "
                f"p50 {1000 * slowest[whole // 2]:.0f} ms, p99 {1000 * slowest[whole * 99 // 100]:.0f} ms; "
                f"agreed {agreed:.1f} s after the last trouble; {items} acknowledged items, {len(gone)} lost; "
                f"{dict(told)}"
            )
            if gone:
                raise SystemExit("\n".join(gone[:20]))
        finally:
            ring.close()


async def merkle(engine: str) -> None:
    with tempfile.TemporaryDirectory(prefix="varley-ring-") as folder:
        ring = Ring(folder, engine=engine)
        try:
            await ring.start_all()
            async with AsyncClient(ring.endpoints) as client:
                keys = iter(range(ROWS))

                async def load() -> None:
                    for key in keys:
                        await client.put("rows", b"%d" % key, random.randbytes(ROW_BYTES), w=3)

                await asyncio.gather(*(load() for _ in range(WRITERS)))
                await ring.agreement()
                for share in LACKING:
                    await lack(ring, ring.names[-1], engine, share)
        finally:
            ring.close()


async def lack(ring: Ring, name: str, engine: str, share: float) -> None:
    ring.stop(name)
    rows = os.path.join(ring.folder(name), "rows")
    store = SqliteEngine(rows) if engine == "sqlite" else LmdbEngine(rows)
    keys = [key for key, _ in store.scan(b"r", b"s")]
    whole = sum(len(entry.body) for key in keys if (entry := store.get(key)) is not None)
    lacking = random.sample(keys, int(len(keys) * share))
    store.write(dict.fromkeys(lacking))
    store.close()
    before = [ring.tell(other)[1] for other in ring.names if other != name]
    ring.start(name)
    await asyncio.to_thread(ring.wait, name)
    seconds = await ring.agreement()
    after = [ring.tell(other)[1] for other in ring.names]
    exchanged = {
        what: sum(told[what] for told in after) - sum(told[what] for told in before)
        for what in ("comparison_bytes", "row_bytes_exchanged", "rows_exchanged", "repairs")
    }
    hashes, sent = exchanged["comparison_bytes"] / 1e3, exchanged["row_bytes_exchanged"] / 1e3
    print(
        f"{engine}: {len(lacking)} of {len(keys)} rows lacking ({100 * share:g} %): {hashes:.0f} kB of hashes and "
        f"{sent:.0f} kB of rows ({exchanged['rows_exchanged']}) within {seconds:.1f} s; a full copy has "
        f"{whole / 1e3:.0f} kB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40, help="of trouble for each W")
    parser.add_argument("--engine", default="lmdb", choices=("lmdb", "sqlite"))
    parser.add_argument("--w", type=int, action="append", help="R and W; may be repeated")
    parser.add_argument("--write-buffer-bytes", type=int, default=0)
    parser.add_argument("--strategy", type=int, default=3, choices=(1, 3))
    parser.add_argument("--merkle", action="store_true", help="bytes of comparisons against a full copy")
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    print(describe(Path(tempfile.gettempdir())))
    if arguments.merkle:
        uvloop.run(merkle(arguments.engine))
        return
    for w in arguments.w or (1, 2):
        flags = {"write_buffer_bytes": arguments.write_buffer_bytes, "strategy": arguments.strategy}
        uvloop.run(accepted(arguments.engine, w, arguments.seconds, **flags))


if __name__ == "__main__":
    main()
