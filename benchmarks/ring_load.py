"""The ring under load: throughput and latency of gets and puts, and the service level that the paper promises.

    python benchmarks/ring_load.py                  1, 3 and 5 nodes; 7 minutes
    python benchmarks/ring_load.py --nodes 3 --seconds 2
    python benchmarks/ring_load.py --only sla --sla-seconds 300

Rings are local: `varley ring up` on a folder of the disk that is measured, a process a node. The load comes from
processes with `varley.ring.AsyncClient`, as an application's would. On a machine with fewer cores than nodes and load
together have processes, everything competes for them; what is told is how the ways compare, not how fast rings are.

    throughput   each worker asks when it has its answer; latency at full load
    sla          500 requests a second come when they come, half of them puts, whether others are answered or not;
                 latency counts from when a request was due. The paper: 300 ms for 99.9 % of requests

Each worker has keys of its own and puts with the context of its last put, so there are no siblings. Values have 1 KB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import uvloop
from rich.console import Console
from rich.table import Table

from varley.ring import AsyncClient, RingClientError

VALUE = b"x" * 1024
KEYS_PER_WORKER = 100
SLA_RATE = 500.0
SLA_SECONDS = 0.3       # for 99.9 % of requests
BUFFER_BYTES = 64 * 1024**2
PERCENTILES = (0.5, 0.99, 0.999)
WAYS = ("server", "client")
_WARM_SECONDS = 1.0


@dataclass
class Load:
    """What one process of the load does; sent to it."""

    endpoints: list[str]
    coordination: str
    kind: str           # "get", "put" or "sla"
    workers: int
    seconds: float
    rate: float         # of this process, for "sla"
    prefix: str         # of its keys
    seed: int


@dataclass
class Outcome:
    seconds: float
    latencies: list[float]      # seconds, of those that were answered well
    errors: int

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile_ms(self, share: float) -> float:
        if not self.latencies:
            return float("nan")
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


# ---- A ring


@contextmanager
def ring(nodes: int, folder: Path, *, buffer_bytes: int = 0, engine: str = "lmdb") -> Iterator[list[str]]:
    """Endpoints. With fewer than three nodes, as many copies as there are nodes, and one is enough."""
    quorum = ["--n", "3", "--r", "2", "--w", "2"] if nodes >= 3 else ["--n", str(nodes), "--r", "1", "--w", "1"]
    place = Path(tempfile.mkdtemp(prefix="ring-", dir=folder))
    words = [sys.executable, "-m", "varley", "ring", "up", "--nodes", str(nodes), "--port", "0", "--json"]
    words += ["--data-dir", str(place / "ring"), "--engine", engine, "--write-buffer-bytes", str(buffer_bytes), *quorum]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VARLEY_")}
    words.append("--stop-with-stdin")
    up = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    try:
        assert up.stdout is not None
        line = up.stdout.readline()
        if not line:
            raise RuntimeError("the ring did not start")
        yield [node["endpoint"] for node in json.loads(line)["nodes"]]
    finally:
        up.terminate()
        up.wait()
        shutil.rmtree(place, ignore_errors=True)


# ---- Load: in a process of its own


def work(load: Load, tell: Connection) -> None:
    tell.send(uvloop.run(_drive(load)))


async def _drive(load: Load) -> Outcome:
    async with AsyncClient(load.endpoints, coordination=load.coordination) as client:  # type: ignore[arg-type]
        workers = [_Worker(client, f"{load.prefix}-{number}", load.seed + number) for number in range(load.workers)]
        await asyncio.gather(*(worker.fill() for worker in workers))
        if load.kind == "sla":
            return await _open_loop(workers, load.rate, load.seconds)
        await asyncio.gather(*(worker.go_on(load.kind, time.perf_counter() + _WARM_SECONDS) for worker in workers))
        for worker in workers:
            worker.forget()
        began = time.perf_counter()
        await asyncio.gather(*(worker.go_on(load.kind, began + load.seconds) for worker in workers))
        return _gathered(workers, time.perf_counter() - began)


class _Worker:
    def __init__(self, client: AsyncClient, prefix: str, seed: int) -> None:
        self._client = client
        self._contexts: dict[str, str | None] = {f"{prefix}-{number}": None for number in range(KEYS_PER_WORKER)}
        self._keys = list(self._contexts)
        self._random = random.Random(seed)
        self._busy: set[str] = set()
        self.latencies: list[float] = []
        self.errors = 0

    async def fill(self) -> None:
        for key in self._keys:
            self._contexts[key] = await self._client.put("bench", key, VALUE)

    def forget(self) -> None:
        self.latencies.clear()
        self.errors = 0

    async def go_on(self, kind: str, until: float) -> None:
        while time.perf_counter() < until:
            await self.one(kind, time.perf_counter())

    async def one(self, kind: str, since: float) -> None:
        """A request whose time counts from `since`."""
        key = self._random.choice(self._keys)
        while key in self._busy:        # in an open loop an earlier put of the key may be under way
            key = self._random.choice(self._keys)
        self._busy.add(key)
        try:
            if kind == "put":
                self._contexts[key] = await self._client.put("bench", key, VALUE, self._contexts[key])
            else:
                found = await self._client.get("bench", key)
                assert found.values, "what was put is there"
            self.latencies.append(time.perf_counter() - since)
        except RingClientError:
            self.errors += 1
            self._contexts[key] = (await self._client.get("bench", key)).context
        finally:
            self._busy.discard(key)


async def _open_loop(workers: Sequence[_Worker], rate: float, seconds: float) -> Outcome:
    """Requests at times drawn by lot, as those of many clients come."""
    chance = random.Random(1)
    began = time.perf_counter()
    due = began
    running: set[asyncio.Task[None]] = set()
    while due < began + seconds:
        due += chance.expovariate(rate)
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        kind = "put" if chance.random() < 0.5 else "get"
        task = asyncio.ensure_future(chance.choice(workers).one(kind, due))
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running)
    return _gathered(workers, time.perf_counter() - began)


def _gathered(workers: Sequence[_Worker], seconds: float) -> Outcome:
    latencies = [each for worker in workers for each in worker.latencies]
    return Outcome(seconds, latencies, sum(worker.errors for worker in workers))


def run(
    endpoints: list[str], coordination: str, kind: str, *, processes: int, workers: int, seconds: float, rate: float = 0
) -> Outcome:
    """One measurement, its load spread over processes."""
    context = multiprocessing.get_context("spawn")
    pipes, children = [], []
    for number in range(processes):
        load = Load(
            endpoints, coordination, kind, workers // processes, seconds, rate / processes,
            f"{coordination}-{kind}-{time.time_ns()}-{number}", 1000 * number,
        )  # fmt: skip
        receive, send = context.Pipe(duplex=False)
        child = context.Process(target=work, args=(load, send))
        child.start()
        pipes.append(receive)
        children.append(child)
    outcomes: list[Outcome] = []
    for pipe, child in zip(pipes, children, strict=True):
        while not pipe.poll(0.2):
            if not child.is_alive():
                raise RuntimeError("a process of the load ended before it was done")
        outcomes.append(pipe.recv())
    for child in children:
        child.join()
    latencies = [latency for outcome in outcomes for latency in outcome.latencies]
    return Outcome(max(each.seconds for each in outcomes), latencies, sum(each.errors for each in outcomes))


# ---- What is measured


def throughput(
    options: argparse.Namespace, folder: Path, say: Callable[[str], None]
) -> tuple[list[str], list[list[str]]]:
    head = ["nodes", "coordinated by", "write buffer", "request", "a second", "p50 ms", "p99 ms", "p99.9 ms", "errors"]
    rows = []
    for nodes in options.nodes:
        for buffer_bytes in (0, BUFFER_BYTES):
            with ring(nodes, folder, buffer_bytes=buffer_bytes, engine=options.engine) as endpoints:
                for coordination in WAYS:
                    for kind in ("get", "put"):
                        say(f"{nodes} nodes, {coordination}-driven, buffer {'on' if buffer_bytes else 'off'}, {kind}")
                        outcome = run(
                            endpoints, coordination, kind, processes=options.processes, workers=options.workers,
                            seconds=options.seconds,
                        )  # fmt: skip
                        buffer = "on" if buffer_bytes else "off"
                        rows.append([f"{nodes}", f"the {coordination}", buffer, kind, *_figures(outcome)])
    return head, rows


def sla(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> tuple[list[str], list[list[str]]]:
    head = ["nodes", "coordinated by", "write buffer", "requests", "a second", "p50 ms", "p99 ms", "p99.9 ms", "errors"]
    head.append("within 300 ms")
    rows = []
    for nodes in [count for count in options.nodes if count >= 3] or [3]:
        for buffer_bytes in (0, BUFFER_BYTES):
            with ring(nodes, folder, buffer_bytes=buffer_bytes, engine=options.engine) as endpoints:
                for coordination in WAYS:
                    buffer = "on" if buffer_bytes else "off"
                    say(f"{nodes} nodes, {coordination}-driven, buffer {buffer}, {SLA_RATE:.0f} requests/s")
                    outcome = run(
                        endpoints, coordination, "sla", processes=options.processes, workers=options.workers,
                        seconds=options.sla_seconds, rate=SLA_RATE,
                    )  # fmt: skip
                    within = sum(latency <= SLA_SECONDS for latency in outcome.latencies)
                    share = within / max(1, len(outcome.latencies) + outcome.errors)
                    rows.append(
                        [f"{nodes}", f"the {coordination}", buffer, f"{len(outcome.latencies):,}", *_figures(outcome),
                         f"{share:.4%}"]
                    )  # fmt: skip
    return head, rows


def _figures(outcome: Outcome) -> list[str]:
    return [
        f"{outcome.rate:,.0f}",
        *(f"{outcome.percentile_ms(share):,.2f}" for share in PERCENTILES),
        f"{outcome.errors}",
    ]


def measure(session: Any) -> None:
    """As a section of `make bench`."""
    import peers

    options = _options([])
    options.seconds = session.seconds
    for title, what in (("Ring: throughput", throughput), ("Ring: 500 requests a second", sla)):
        session.say(title)
        head, rows = what(options, peers.DATA, session.say)
        session.write(f"## {title}")
        session.write()
        session.write_table(head, rows)
        session.write()
        for row in rows:
            session.record(workload=title, **dict(zip(head, row, strict=True)))


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 3, 5], help="sizes of rings (1 3 5)")
    parser.add_argument("--seconds", type=float, default=5, help="of each run of full load (5)")
    parser.add_argument("--sla-seconds", type=float, default=30, help="of each run of 500 requests a second (30)")
    parser.add_argument("--workers", type=int, default=32, help="requests at a time (32)")
    parser.add_argument("--processes", type=int, default=1, help="that the load comes from (1)")
    parser.add_argument("--engine", default="lmdb", help="of the nodes (lmdb)")
    parser.add_argument("--only", choices=("throughput", "sla"), nargs="+", default=("throughput", "sla"))
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured")
    return parser.parse_args(words)


def main() -> None:
    import peers

    options = _options(None)
    folder = options.folder or peers.DATA
    folder.mkdir(parents=True, exist_ok=True)
    progress = Console(stderr=True, highlight=False)
    for name, what in (("throughput", throughput), ("sla", sla)):
        if name in options.only:
            head, rows = what(options, folder, progress.print)
            table = Table(*head, box=None, title=name)
            for column in table.columns[3:]:
                column.justify = "right"
            for row in rows:
                table.add_row(*row)
            Console(width=140).print(table)


if __name__ == "__main__":
    main()
