"""The ring under load: throughput and latency of gets and puts, and the service level that the paper promises.

    python benchmarks/ring_load.py                  1, 3 and 5 nodes; four minutes
    python benchmarks/ring_load.py --nodes 3 --seconds 2 --rounds 5
    python benchmarks/ring_load.py --only sla --sla-seconds 60

Rings are local: `varley ring up` on a folder of the disk that is measured, a process a node. The load comes from
processes with `varley.ring.AsyncClient`, as an application's would. On a machine with fewer cores than nodes and load
together have processes, everything competes for them; what is told is how the ways compare, not how fast rings are.

    throughput   each worker asks when it has its answer; latency at full load
    sla          500 requests a second come when they come, half of them puts, whether others are answered or not;
                 latency counts from when a request was due. The paper: 300 ms for 99.9 % of requests

Of each size there are two rings, without and with a write buffer, and each way has its turn in each round, so that a
noisy second hits all. Rates and ratios are medians over rounds; percentiles are of all requests of all rounds.

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
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
KEYS_PER_WORKER = 30
SLA_RATE = 500.0
SLA_SECONDS = 0.3       # for 99.9 % of requests
BUFFER_BYTES = 64 * 1024**2
PERCENTILES = (0.5, 0.99, 0.999)
WAYS = ("server", "client")
_SETTLE_SECONDS = 3.0   # after turns at full load
_WARM_SECONDS = 0.3     # of each turn at full load, not counted
_FIRST_SECONDS = 1.0    # of a turn of each way before the rounds, not counted


@dataclass
class Load:
    """What one process of the load is; sent to it."""

    endpoints: list[str]
    coordination: str
    workers: int
    prefix: str         # of its keys
    seed: int


@dataclass
class Turn:
    kind: str           # "get", "put" or "sla"
    seconds: float
    rate: float = 0     # of this process, for "sla"


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


def work(load: Load, pipe: Connection) -> None:
    uvloop.run(_obey(load, pipe))


async def _obey(load: Load, pipe: Connection) -> None:
    async with AsyncClient(load.endpoints, coordination=load.coordination) as client:  # type: ignore[arg-type]
        workers = [_Worker(client, f"{load.prefix}-{number}", load.seed + number) for number in range(load.workers)]
        await asyncio.gather(*(worker.fill() for worker in workers))
        pipe.send(None)
        while (turn := await asyncio.to_thread(pipe.recv)) is not None:
            pipe.send(await _drive(workers, turn))


async def _drive(workers: Sequence[_Worker], turn: Turn) -> Outcome:
    for worker in workers:
        worker.forget()
    if turn.kind == "sla":
        return await _open_loop(workers, turn.rate, turn.seconds)
    await asyncio.gather(*(worker.go_on(turn.kind, time.perf_counter() + _WARM_SECONDS) for worker in workers))
    for worker in workers:
        worker.forget()
    began = time.perf_counter()
    await asyncio.gather(*(worker.go_on(turn.kind, began + turn.seconds) for worker in workers))
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
            with suppress(RingClientError):
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


class Loader:
    """The processes of one way of asking one ring. They wait between their turns."""

    def __init__(self, endpoints: list[str], coordination: str, *, processes: int, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._children = []
        for number in range(processes):
            prefix = f"{coordination}-{time.time_ns()}-{number}"
            load = Load(endpoints, coordination, workers // processes, prefix, 1000 * number)
            here, there = context.Pipe()
            child = context.Process(target=work, args=(load, there), daemon=True)
            child.start()
            self._pipes.append(here)
            self._children.append(child)
        for number in range(processes):
            self._receive(number)

    def turn(self, kind: str, seconds: float, rate: float = 0) -> Outcome:
        for pipe in self._pipes:
            pipe.send(Turn(kind, seconds, rate / len(self._pipes)))
        return pooled([self._receive(number) for number in range(len(self._pipes))], is_at_once=True)

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for child in self._children:
            child.join()

    def _receive(self, number: int) -> Any:
        while not self._pipes[number].poll(0.2):
            if not self._children[number].is_alive():
                raise RuntimeError("a process of the load ended before it was done")
        return self._pipes[number].recv()


def pooled(outcomes: Sequence[Outcome], *, is_at_once: bool = False) -> Outcome:
    """All requests of several runs, one after the other or at once."""
    seconds = [each.seconds for each in outcomes]
    latencies = [latency for each in outcomes for latency in each.latencies]
    return Outcome(max(seconds) if is_at_once else sum(seconds), latencies, sum(each.errors for each in outcomes))


# ---- What is measured


Way = tuple[int, str, bool, str]        # nodes, who coordinates, write buffer, kind
Rounds = dict[Way, list[Outcome]]
Said = tuple[str, list[str], list[list[str]]]   # title, heads of the columns, rows

_FIGURES = ("a second", "p50 ms", "p99 ms", "p99.9 ms")


def samples(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> Rounds:
    """Every way in turn, round after round."""
    found: Rounds = {}
    for nodes in options.nodes:
        with ExitStack() as stack:
            rings = {
                is_buffered: stack.enter_context(
                    ring(nodes, folder, buffer_bytes=BUFFER_BYTES * is_buffered, engine=options.engine)
                )
                for is_buffered in (False, True)
            }
            loaders = {
                (way, is_buffered): Loader(
                    endpoints, way, processes=options.processes, workers=options.workers
                )
                for way in WAYS for is_buffered, endpoints in rings.items()
            }  # fmt: skip
            # What filling and starting the other loaders leave behind (pages to be written, code never met) stalls
            # whoever comes first for a third of a second, whichever way that is. At full load no turn shows it, being
            # warmed up; one whose requests come when they come has nothing else in its slowest thousandth.
            for kind, _, rate in _turns(options, nodes):
                for loader in loaders.values():
                    loader.turn(kind, _FIRST_SECONDS, rate)
            for number in range(options.rounds):
                say(f"{nodes} nodes, round {number + 1} of {options.rounds}")
                for kind, seconds, rate in _turns(options, nodes):
                    if kind == "sla":
                        time.sleep(_SETTLE_SECONDS)     # or the first shares the disk with what is left to write
                    for (way, is_buffered), loader in loaders.items():
                        found.setdefault((nodes, way, is_buffered, kind), []).append(loader.turn(kind, seconds, rate))
            for loader in loaders.values():
                loader.close()
    return found


def _turns(options: argparse.Namespace, nodes: int) -> Iterator[tuple[str, float, float]]:
    """(kind, seconds, rate). The promise is for a ring that has a quorum; the smallest of them will do."""
    if "throughput" in options.only:
        yield "get", options.seconds / options.rounds, 0
        yield "put", options.seconds / options.rounds, 0
    if "sla" in options.only and nodes == min((count for count in options.nodes if count >= 3), default=0):
        yield "sla", options.sla_seconds / options.rounds, SLA_RATE


def tables(found: Rounds) -> Iterator[Said]:
    full = {way: outcomes for way, outcomes in found.items() if way[3] != "sla"}
    sla = {way: outcomes for way, outcomes in found.items() if way[3] == "sla"}
    if full:
        head = ["nodes", "coordinated by", "write buffer", "request", *_FIGURES, "errors"]
        yield "Ring: throughput", head, [_row(way, outcomes, way[3]) for way, outcomes in full.items()]
    if sla:
        head = ["nodes", "coordinated by", "write buffer", "requests", *_FIGURES, "errors", "within 300 ms"]
        yield "Ring: 500 requests a second", head, [_sla_row(way, outcomes) for way, outcomes in sla.items()]
    head = ["nodes", "coordinated by", "request", *_FIGURES]
    yield "Ring: with a write buffer, as a multiple of without", head, list(_ratios(found))


def _row(way: Way, outcomes: list[Outcome], request: str) -> list[str]:
    nodes, coordination, is_buffered, _ = way
    whole = pooled(outcomes)
    return [
        f"{nodes}", f"the {coordination}", "on" if is_buffered else "off", request,
        f"{statistics.median(each.rate for each in outcomes):,.0f}",
        *(f"{whole.percentile_ms(share):,.2f}" for share in PERCENTILES), f"{whole.errors}",
    ]  # fmt: skip


def _sla_row(way: Way, outcomes: list[Outcome]) -> list[str]:
    whole = pooled(outcomes)
    within = sum(latency <= SLA_SECONDS for latency in whole.latencies)
    share = within / max(1, len(whole.latencies) + whole.errors)
    return [*_row(way, outcomes, f"{len(whole.latencies):,}"), f"{share:.3%}"]


def _ratios(found: Rounds) -> Iterator[list[str]]:
    for (nodes, way, is_buffered, kind), outcomes in found.items():
        if is_buffered:
            pairs = list(zip(outcomes, found[nodes, way, False, kind], strict=True))
            rate = statistics.median(on.rate / off.rate for on, off in pairs)
            times = [
                statistics.median(on.percentile_ms(share) / off.percentile_ms(share) for on, off in pairs)
                for share in PERCENTILES
            ]
            name = "500/s, both" if kind == "sla" else kind
            yield [f"{nodes}", f"the {way}", name, *(f"{each:.2f}" for each in (rate, *times))]


def measure(session: Any) -> None:
    """As a section of `make bench`."""
    import peers

    options = _options([])
    peers.DATA.mkdir(exist_ok=True)
    found = samples(options, peers.DATA, session.say)
    for title, head, rows in tables(found):
        session.write(f"## {title}")
        session.write()
        session.write_table(head, rows)
        session.write()
        for row in rows:
            session.record(workload=title, **dict(zip(head, row, strict=True)))


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 3, 5], help="sizes of rings (1 3 5)")
    parser.add_argument("--seconds", type=float, default=3.2, help="of each way at full load, all rounds (3.2)")
    parser.add_argument("--sla-seconds", type=float, default=10, help="of each way at 500 requests a second (10)")
    parser.add_argument("--rounds", type=int, default=4, help="in each of which each way has its turn (4)")
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
    for title, head, rows in tables(samples(options, folder, progress.print)):
        table = Table(*head, box=None, title=title)
        for column in table.columns[3:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        Console(width=140).print(table)


if __name__ == "__main__":
    main()
