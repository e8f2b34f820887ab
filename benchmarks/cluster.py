"""A cluster on this machine: beside one node, beside etcd, while its leaders die, and while it does nothing.

    python benchmarks/run.py --only cluster         6 minutes
    python benchmarks/cluster.py --only throughput  one part

Clusters are local: `varley cluster up` on a folder of the disk that is measured, three nodes and an etcd for their
metadata. On a machine with fewer cores than there are processes these compete with each other and with the load; so
what counts is how two ways compare, and the processor time of one request, which depends little on what others do.

    throughput  PutItem and GetItem of 1 KB against one node, against the node of the leader, against another node
    etcd        durable puts of 1 KB: PutItem on the leader's node beside Put on the leader of three etcds
    recovery    kill -9 of the node that leads: from then to the first write that another node has answered
    hand-over   a planned one, under load: the longest time without an answer, and what was answered otherwise
    healing     kill -9 of a node that follows, for good: until a log replica votes in its place, until a full one does
    idle        processor time and memory for groups in which nothing happens
    processes   PutItem and GetItem of 1 KB against `varley serve`, and against two processes of it on one port

The load on etcd comes from h2load over gRPC, which is its fastest way in: the requests are ready-made bytes, and there
is no client library in between. All of them put the same key, which is what etcd does with least work; PutItem draws
its keys.

Healing is measured with 10 and 100 MB: `--healing-bytes 10000000 100000000 1000000000` adds a GB, which takes some
minutes and 10 GB of disk.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import load
import machine
import peers
import wrk
from session import Session, median

PARTS = ("throughput", "etcd", "recovery", "hand-over", "healing", "idle", "processes")
ITEMS = 10_000
MANY_CONNECTIONS = 256      # against etcd, and several processes: all do better with more requests under way
KILLS = 20
HAND_OVERS = 10
HEALING_BYTES = (10_000_000, 100_000_000)
HEALING_FILLER_BYTES = 10_000
REPLACE_SECONDS = 10        # a minute by default: from the loss of a node until its replicas are built anew
CALM_SECONDS = 5.0          # of the same load, before the node is lost
HEALED_SECONDS_MAX = 1800.0
IDLE_GROUPS = (0, 500, 1000, 2000)
IDLE_SECONDS = 5.0
_TABLE = "bench_simple"
_ASK_SECONDS = 1.0          # after which a client gives up on a request and asks again
_PATIENCE_SECONDS = 60.0
_NAMES = {"put_item": "PutItem", "get_item": "GetItem"}


# ---- What is measured


@dataclass
class Running:
    """A server with its children, as Session wants it."""

    endpoint: str
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid


class Cluster:
    """`varley cluster up`, while it runs."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, nodes: list[dict[str, Any]]) -> None:
        self.process = process
        self._folder = folder
        self.nodes = {node["name"]: node for node in nodes}

    @property
    def pid(self) -> int:
        return self.process.pid

    def endpoint(self, node: str) -> str:
        return str(self.nodes[node]["endpoint"])

    def status(self, *, asked: str | None = None) -> dict[str, Any]:
        """As the node `asked` sees it."""
        node = self.nodes[asked] if asked else next(iter(self.nodes.values()))
        return _get(f"http://127.0.0.1:{node['admin_port']}/cluster")

    def group(self, table: str, *, asked: str | None = None) -> dict[str, Any]:
        """The first one of a table that has a leader and whose members all have everything."""
        deadline = time.perf_counter() + _PATIENCE_SECONDS
        while time.perf_counter() < deadline:
            group = next(group for group in self.status(asked=asked)["groups"] if group["table"] == table)
            if group["leader"] is not None and _is_level(group):
                return dict(group)
            time.sleep(0.05)
        raise RuntimeError(f"{table} has no leader, or somebody stays behind: {group}")

    def hand_over(self, group: int, to: str) -> None:
        node = next(iter(self.nodes.values()))
        _get(f"http://127.0.0.1:{node['admin_port']}/hand-over", {"group": group, "to": to})

    def kill(self, node: str) -> None:
        os.kill(self.nodes[node]["pid"], signal.SIGKILL)

    def start(self, node: str) -> None:
        words = ["start", node, "--data-dir", str(self._folder), "--json"]
        done = subprocess.run(_varley("cluster", *words), stdout=subprocess.PIPE, env=_environment(), check=True)
        self.nodes[node].update(json.loads(done.stdout))


def _is_level(group: dict[str, Any]) -> bool:
    others = len(group["members"]) - 1
    return len(group["lag"]) >= others and not any(group["lag"].values()) and bool(group["is_healthy"])


@contextmanager
def cluster(*flags: str) -> Iterator[Cluster]:
    peers.DATA.mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="cluster-", dir=peers.DATA))
    folder = place / "cluster"
    words = ["up", "--nodes", "3", "--port", "0", "--json", "--data-dir", str(folder), *flags]
    with open(place / "log", "wb") as log:
        up = subprocess.Popen(_varley("cluster", *words), stdout=subprocess.PIPE, stderr=log, env=_environment())
    try:
        assert up.stdout is not None
        line = up.stdout.readline()
        if not line:
            raise RuntimeError(f"the cluster did not start: {(place / 'log').read_text()[-2000:]}")
        yield Cluster(up, folder, json.loads(line)["nodes"])
    finally:
        up.terminate()
        up.wait()
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def one_node() -> Iterator[Running]:
    target = peers.varley()
    target.start()
    try:
        assert target.process is not None
        yield Running(target.endpoint, target.process)
    finally:
        target.remove()


@contextmanager
def processes(count: int) -> Iterator[Running]:
    """`varley serve --processes`, its supervisor."""
    peers.DATA.mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="processes-", dir=peers.DATA))
    words = ["serve", "--processes", str(count), "--port", "0", "--json", "--data-dir", str(place / "data")]
    with open(place / "log", "wb") as log:
        process = subprocess.Popen(_varley(*words), stdout=subprocess.PIPE, stderr=log, env=_environment())
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{count} processes did not start: {(place / 'log').read_text()[-2000:]}")
        yield Running(json.loads(line)["endpoint"], process)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def three_etcds() -> Iterator[list[Running]]:
    """The leader first. As etcd is by default: its log is synced before a put is answered."""
    peers.DATA.mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="etcd-", dir=peers.DATA))
    ports = [(peers.free_port(), peers.free_port()) for _ in range(3)]
    members = ",".join(f"e{index}=http://127.0.0.1:{port}" for index, (_, port) in enumerate(ports))
    running = []
    try:
        for index, (client, peer) in enumerate(ports):
            client_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
            words = ["etcd", f"--name=e{index}", f"--data-dir={place / str(index)}", f"--initial-cluster={members}"]
            words += [f"--listen-client-urls={client_url}", f"--advertise-client-urls={client_url}"]
            words += [f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}"]
            with open(place / f"{index}.log", "wb") as log:
                running.append(Running(client_url, subprocess.Popen(words, stdout=log, stderr=log)))
        deadline = time.perf_counter() + _PATIENCE_SECONDS
        while (leader := _leader_of(running)) is None:
            if time.perf_counter() > deadline:
                raise RuntimeError("the etcds have no leader")
            time.sleep(0.1)
        yield [leader, *(each for each in running if each is not leader)]
    finally:
        for each in running:
            each.process.terminate()
        for each in running:
            each.process.wait()
        shutil.rmtree(place, ignore_errors=True)


def _leader_of(etcds: Sequence[Running]) -> Running | None:
    for etcd in etcds:
        try:
            status = _get(f"{etcd.endpoint}/v3/maintenance/status", {})
        except OSError:
            return None
        if status.get("leader") == status["header"]["member_id"]:
            return etcd
    return None


def _varley(*words: str) -> list[str]:
    return [sys.executable, "-m", "varley", *words]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("VARLEY_")}


def _get(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


# ---- Throughput


@dataclass
class _Way:
    """A way to send requests, and the samples that it gave."""

    name: str
    endpoint: str
    servers: list[Any]      # whose processor time counts
    samples: list[tuple[wrk.Sample, float]]     # with µs of the processor for each request


def throughput(session: Session) -> None:
    with one_node() as alone, cluster() as many:
        load.fill(alone.endpoint, ITEMS)
        load.fill(many.endpoint("n1"), ITEMS)
        leader = many.group(_TABLE)["leader"]
        other = next(name for name in many.nodes if name != leader)
        session.begin("Cluster: throughput", session.rounds * len(_NAMES) * 3)
        rows = []
        for workload, name in _NAMES.items():
            ways = [
                _Way("one node", alone.endpoint, [alone], []),
                _Way("3 nodes, the leader's", many.endpoint(leader), [many], []),
                _Way("3 nodes, another", many.endpoint(other), [many], []),
            ]
            for _ in range(session.rounds):
                for way in ways:
                    _sample(session, way, [alone, many], workload, wrk.CONNECTIONS)
            rows += [[name, *_figures(way, ways[0])] for way in ways]
    session.write("## Cluster: throughput")
    session.write()
    session.write(
        f"{wrk.CONNECTIONS} connections; {ITEMS:,} items of 1 KB; medians of {session.rounds} rounds of "
        f"{session.seconds:g} s. Processor: of all three nodes and their etcd together."
    )
    session.write()
    session.write_table(
        ["Request", "sent to", "Requests/s", "p50 ms", "p99 ms", "µs of processor each", "to one node"], rows
    )


def beside_one_process(session: Session) -> None:
    """Nothing is replicated in either: the same work, on one core and on two. Half of the requests arrive at the
    process that does not have the item, and are passed on. With few connections each log would have few writes to
    make durable at once, and what is compared would be that."""
    with one_node() as alone, processes(2) as two:
        load.fill(alone.endpoint, ITEMS)
        load.fill(two.endpoint, ITEMS)
        session.begin("Processes", session.rounds * len(_NAMES) * 2)
        rows = []
        for workload, name in _NAMES.items():
            ways = [_Way("1 process", alone.endpoint, [alone], []), _Way("2 processes", two.endpoint, [two], [])]
            for _ in range(session.rounds):
                for way in ways:
                    _sample(session, way, [alone, two], workload, MANY_CONNECTIONS)
            rows += [[name, *_figures(way, ways[0])] for way in ways]
    session.write("## One process and two")
    session.write()
    session.write(
        f"`varley serve` and `varley serve --processes 2`; {MANY_CONNECTIONS} connections; {ITEMS:,} items of 1 KB; "
        f"medians of {session.rounds} rounds of {session.seconds:g} s; {os.cpu_count()} cores, on which the load runs "
        "too. Processor: of all processes of the server together, with the supervisor and etcd."
    )
    session.write()
    session.write_table(
        ["Request", "sent to", "Requests/s", "p50 ms", "p99 ms", "µs of processor each", "to one process"], rows
    )


def _sample(session: Session, way: _Way, servers: Sequence[Any], workload: str, connections: int) -> None:
    spent = 0.0

    def take() -> wrk.Sample:
        nonlocal spent
        before = sum(machine.processor_seconds(server.pid) for server in way.servers)
        sample = wrk.run(
            way.endpoint, workload, session.seconds, items=ITEMS, filler_bytes=load.FILLER_BYTES,
            connections=connections,
        )  # fmt: skip
        seconds = sum(machine.processor_seconds(server.pid) for server in way.servers) - before
        spent = seconds / sample.requests * 1e6
        return sample

    sample = session.undisturbed(servers, take, workload=workload, server=way.name, connections=connections)
    way.samples.append((sample, spent))


def _figures(way: _Way, beside: _Way) -> list[str]:
    def of(each: _Way, figure: str) -> float:
        return median(getattr(sample, figure) for sample, _ in each.samples)

    ratio = of(way, "per_second") / of(beside, "per_second")
    return [
        way.name, f"{of(way, 'per_second'):,.0f}", f"{of(way, 'p50_ms'):.2f}", f"{of(way, 'p99_ms'):.2f}",
        f"{median(spent for _, spent in way.samples):.0f}", f"{ratio:.2f}",
    ]  # fmt: skip


# ---- Beside etcd


def beside_etcd(session: Session) -> None:
    if shutil.which("h2load") is None or shutil.which("etcd") is None:
        missing = "etcd was left out: it needs etcd and h2load (apt install etcd-server nghttp2-client)"
        session.say(f"NOTE: {missing}")
        session.write(f"{missing}.\n")
        return
    with cluster() as ours, three_etcds() as etcds:
        load.create_table(load.Client(ours.endpoint("n1")), _TABLE)
        varley = _Way("Varley, PutItem", ours.endpoint(ours.group(_TABLE)["leader"]), [ours], [])
        etcd = _Way("etcd, Put", etcds[0].endpoint, list(etcds), [])
        session.begin("Cluster: beside etcd", session.rounds * 2)
        for _ in range(session.rounds):
            _sample(session, varley, [ours, *etcds], "put_item", MANY_CONNECTIONS)
            _sample_of_etcd(session, etcd, [ours, *etcds])
    session.write("## Cluster: durable writes of 1 KB beside etcd")
    session.write()
    session.write(
        f"Three replicas each, {MANY_CONNECTIONS} connections to the leader; medians of {session.rounds} rounds of "
        f"{session.seconds:g} s. PutItem by wrk over HTTP/1.1, Put by h2load over gRPC."
    )
    session.write()
    head = ["Server", "Writes/s", "p50 ms", "p99 ms", "µs of processor each", "to etcd"]
    session.write_table(head, [_figures(varley, etcd), _figures(etcd, etcd)])


def _sample_of_etcd(session: Session, way: _Way, servers: Sequence[Any]) -> None:
    spent = 0.0

    def take() -> wrk.Sample:
        nonlocal spent
        before = sum(machine.processor_seconds(server.pid) for server in way.servers)
        sample = _load_etcd(way.endpoint, session.seconds)
        seconds = sum(machine.processor_seconds(server.pid) for server in way.servers) - before
        spent = seconds / sample.requests * 1e6
        return sample

    sample = session.undisturbed(servers, take, workload="put", server=way.name, connections=MANY_CONNECTIONS)
    way.samples.append((sample, spent))


def _load_etcd(endpoint: str, seconds: float) -> wrk.Sample:
    """h2load tells nothing of gRPC's own status: that each put was done is seen in how often the key was."""
    key, value = b"key-00000000", b"x" * 1024
    put = b"\x0a" + _sized(key) + b"\x12" + _sized(value)
    before = _version(endpoint, key)
    with tempfile.TemporaryDirectory() as place:
        body, log = Path(place, "body"), Path(place, "log")
        body.write_bytes(b"\0" + len(put).to_bytes(4, "big") + put)
        done = subprocess.run(
            ["h2load", "-t1", f"-c{MANY_CONNECTIONS}", "-m1", f"-D{seconds:g}", f"--log-file={log}", f"-d{body}",
             "-Hcontent-type: application/grpc", "-Hte: trailers", f"{endpoint}/etcdserverpb.KV/Put"],
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        answers = [line.split("\t") for line in log.read_text().splitlines()]
    requests = int(re.search(r"(\d+) succeeded", done.stdout).group(1))  # type: ignore[union-attr]
    if not requests or _version(endpoint, key) - before < requests:
        raise RuntimeError(f"etcd has not done what it was asked to: {done.stdout}")
    times = sorted(int(answer[2]) / 1e3 for answer in answers if answer[1] == "200")
    p50, p99, p999 = (times[int(share * (len(times) - 1))] for share in (0.5, 0.99, 0.999))
    return wrk.Sample(
        requests=requests, seconds=seconds, bytes=0, p50_ms=p50, p99_ms=p99, p999_ms=p999, max_ms=times[-1], errors=0
    )


def _sized(data: bytes) -> bytes:
    """With its length before it, as protobuf has it."""
    size, number = b"", len(data)
    while number > 127:
        size += bytes((number & 127 | 128,))
        number >>= 7
    return size + bytes((number,)) + data


def _version(endpoint: str, key: bytes) -> int:
    """How often the key was put."""
    found = _get(f"{endpoint}/v3/kv/range", {"key": base64.b64encode(key).decode()}).get("kvs", [])
    return int(found[0]["version"]) if found else 0


# ---- When a leader goes


def recovery(session: Session) -> None:
    with cluster() as ours:
        load.create_table(load.Client(ours.endpoint("n1")), _TABLE)
        session.begin("Cluster: kill -9 of the leader", KILLS)
        times = []
        for number in range(KILLS):
            leader = ours.group(_TABLE)["leader"]
            session.step(leader)
            survivor = next(name for name in ours.nodes if name != leader)
            _put(ours.endpoint(survivor), number)
            ours.kill(leader)
            began = time.perf_counter()
            while not _put(ours.endpoint(survivor), number):
                if time.perf_counter() - began > _PATIENCE_SECONDS:
                    raise RuntimeError("nobody writes any more")
            times.append(time.perf_counter() - began)
            session.record(workload="kill -9 of the leader", seconds=times[-1])
            ours.start(leader)
            session.stepped()
    session.write("## Cluster: kill -9 of the leader")
    session.write()
    session.write(
        f"{KILLS} times; until a write through another node is answered. A client asks again at once when it is told "
        f"no, and after {_ASK_SECONDS:g} s without an answer."
    )
    session.write()
    session.write_table(
        ["median s", "worst s", "goal"], [[f"{median(times):.2f}", f"{max(times):.2f}", "under 3"]]
    )


def _put(endpoint: str, number: int) -> bool:
    """Whether it was answered as done."""
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=_ASK_SECONDS)
    item = {"pk": {"S": f"key-{number:08d}"}, "filler": {"S": "x" * load.FILLER_BYTES}}
    try:
        headers = {**load.HEADERS, "X-Amz-Target": "DynamoDB_20120810.PutItem"}
        connection.request("POST", "/", json.dumps({"TableName": _TABLE, "Item": item}), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    except OSError:
        return False
    finally:
        connection.close()


def hand_over(session: Session) -> None:
    with cluster() as ours:
        load.create_table(load.Client(ours.endpoint("n1")), _TABLE)
        session.begin("Cluster: hand-over", HAND_OVERS)
        gaps, before_it, refused = [], [], 0
        for _ in range(HAND_OVERS):
            group = ours.group(_TABLE)
            to = next(name for name in group["members"] if name != group["leader"])
            session.step(f"{group['leader']} to {to}")
            with _Writers([ours.endpoint(name) for name in ours.nodes]) as writers:
                time.sleep(1.0)
                asked = time.perf_counter()
                ours.hand_over(group["group"], to)
                time.sleep(1.0)
            before_it.append(writers.longest(0.0, asked))
            gaps.append(writers.longest(asked, float("inf")))
            refused += writers.refused
            session.record(workload="hand-over", seconds=gaps[-1], before=before_it[-1], refused=writers.refused)
            session.stepped()
    session.write("## Cluster: planned hand-over under load")
    session.write()
    session.write(
        f"{HAND_OVERS} times, while {_Writers.EACH} clients write through each node; the longest that one of them "
        "waited for an answer in the second before, and in the second from the hand-over on."
    )
    session.write()
    before_them = [f"{each(before_it) * 1e3:.0f}" for each in (median, max)]
    row = [*before_them, f"{median(gaps) * 1e3:.0f}", f"{max(gaps) * 1e3:.0f}", str(refused)]
    heads = ["before: median ms", "before: worst ms", "median ms", "worst ms", "not answered with success", "goal"]
    session.write_table(heads, [[*row, "under 200, none"]])


class _Writers:
    """Clients that write one thing after the other, each on a connection of its own."""

    EACH = 2

    def __init__(self, endpoints: Sequence[str]) -> None:
        self.refused = 0
        self._answered: list[tuple[float, float]] = []     # (when it was asked, how long it took)
        self._is_over = False
        self._threads = [
            threading.Thread(target=self._write, args=(endpoint, index))
            for index, endpoint in enumerate([each for each in endpoints for _ in range(self.EACH)])
        ]

    def __enter__(self) -> _Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join()

    def _write(self, endpoint: str, index: int) -> None:
        client = load.Client(endpoint)
        body = b'{"TableName":"%s","Item":{"pk":{"S":"writer-%d"}}}' % (_TABLE.encode(), index)
        while not self._is_over:
            asked = time.perf_counter()
            try:
                client.call_raw("PutItem", body)
            except (RuntimeError, OSError):
                self.refused += 1
            self._answered.append((asked, time.perf_counter() - asked))
        client.close()

    def slowest(self, share: float, since: float, until: float) -> float:
        """What this share of the requests that were asked and answered between the two took longer than."""
        times = sorted(took for asked, took in self._answered if asked >= since and asked + took <= until)
        return times[int((1 - share) * (len(times) - 1))] if times else float("nan")

    def longest(self, since: float, until: float) -> float:
        """Of the requests that had no answer yet at `since`, and were asked before `until`."""
        return max(took for asked, took in self._answered if asked + took > since and asked < until)


# ---- Healing


@dataclass
class _Healed:
    """Seconds from the loss of a node."""

    votes: float        # three members vote that are there
    begun: float        # a full replica is being built
    whole: float        # three full ones vote


def healing(session: Session, sizes: Sequence[int] = HEALING_BYTES) -> None:
    rows = []
    session.begin("Cluster: healing", len(sizes))
    for size in sizes:
        session.step(f"{size / 1e6:,.0f} MB")
        with cluster("--nodes", "5", "--replace-seconds", str(REPLACE_SECONDS), "--no-balance") as ours:
            load.create_table(load.Client(ours.endpoint("n1")), _TABLE)
            load.write_simple(
                ours.endpoint(ours.group(_TABLE)["leader"]), 0, size // HEALING_FILLER_BYTES, HEALING_FILLER_BYTES
            )
            group = ours.group(_TABLE)
            lost = next(name for name in group["members"] if name != group["leader"])
            with _Writers([ours.endpoint(group["leader"])]) as writers:
                time.sleep(CALM_SECONDS)
                began = time.perf_counter()
                ours.kill(lost)
                healed = _wait_until_healed(ours, lost, group["leader"], began)
        slow = [
            writers.slowest(0.01, since, until) * 1e3
            for since, until in ((began - CALM_SECONDS, began), (began + healed.begun, began + healed.whole))
        ]
        worst = writers.longest(began + healed.begun, began + healed.whole) * 1e3
        copying = healed.whole - healed.begun
        session.record(
            workload="healing", bytes=size, votes=healed.votes, begun=healed.begun, whole=healed.whole,
            p99_ms_before=slow[0], p99_ms_copying=slow[1], max_ms_copying=worst, refused=writers.refused,
        )  # fmt: skip
        rows.append([
            f"{size / 1e6:,.0f}", f"{healed.votes:.1f}", f"{copying:.1f}", f"{size / 1e6 / copying:.0f}",
            f"{slow[0]:.0f}", f"{slow[1]:.0f}", f"{worst:.0f}",
        ])  # fmt: skip
        session.stepped()
    session.write("## Cluster: healing")
    session.write()
    session.write(
        f"Five nodes, items of {HEALING_FILLER_BYTES / 1e3:g} KB; kill -9 of a node that follows, which stays away. "
        f"Until three vote again: one of them has the log and no state. A full replica is built from {REPLACE_SECONDS} "
        f"s after the loss on (a minute by default); {_Writers.EACH} clients write all the while."
    )
    session.write()
    session.write_table(
        ["MB", "until three vote, s", "building a full one, s", "MB/s", "p99 before, ms", "p99 while it is built, ms",
         "worst, ms"],
        rows,
    )  # fmt: skip


def _wait_until_healed(ours: Cluster, lost: str, asked: str, began: float) -> _Healed:
    votes = begun = float("nan")
    while (now := time.perf_counter() - began) < HEALED_SECONDS_MAX:
        group = next(each for each in ours.status(asked=asked)["groups"] if each["table"] == _TABLE)
        roles = {name: role for name, role in group["members"].items() if name.partition("#")[0] != lost}
        if votes != votes and sum(role != "learner" for role in roles.values()) == 3 and len(roles) >= 3:
            votes = now
        if begun != begun and "learner" in roles.values() and now > REPLACE_SECONDS:
            begun = now
        if list(group["members"].values()) == ["voter"] * 3 and len(roles) == 3:
            return _Healed(votes, begun, now)
        time.sleep(0.05)
    raise RuntimeError(f"it is not healed: {group}")


# ---- Doing nothing


def idle(session: Session) -> None:
    step = IDLE_GROUPS[1]
    with cluster("--initial-partitions", str(step)) as ours:
        client = load.Client(ours.endpoint("n1"))
        session.begin("Cluster: idle groups", len(IDLE_GROUPS))
        rows = []
        tables = 0
        first: tuple[float, float] | None = None
        for groups in IDLE_GROUPS:
            session.step(str(groups))
            while tables * step < groups:
                load.create_table(client, f"idle_{tables}")
                tables += 1
            try:
                _wait_until_all_are_led(ours)
            except RuntimeError as error:
                # More groups than this machine, as busy as it is, answers the beats of: what is known stays.
                session.say(f"{groups} groups: {error}")
                rows.append([f"{groups:,}", "did not come to rest", "-", "-", "-"])
                break
            processor, memory = _at_rest(ours)
            first = first or (processor, memory)
            session.record(workload="idle", groups=groups, processor=processor, memory=memory)
            each = ["-", "-"]
            if groups:
                each = [f"{(processor - first[0]) / groups * 1e6:.0f}", f"{(memory - first[1]) / groups / 1e3:.0f}"]
            rows.append([f"{groups:,}", f"{processor:.3f}", f"{memory / 1e6:.0f}", *each])
            session.stepped()
    session.write("## Cluster: groups in which nothing happens")
    session.write()
    session.write(
        f"Three replicas each; means over the three nodes, each of which has one of every group; {IDLE_SECONDS:g} s."
    )
    session.write()
    session.write_table(
        ["Groups", "cores of one node", "MB of one node", "µs each second for a group", "KB for a group"], rows
    )


def _wait_until_all_are_led(ours: Cluster) -> None:
    deadline = time.perf_counter() + _PATIENCE_SECONDS
    while waiting := [group for group in ours.status()["groups"] if group["leader"] is None or not _is_level(group)]:
        if time.perf_counter() > deadline:
            raise RuntimeError(f"{len(waiting)} groups have no leader, or somebody is behind: {waiting[0]}")
        time.sleep(0.5)
    time.sleep(2.0)


def _at_rest(ours: Cluster) -> tuple[float, float]:
    """Of one node: cores, bytes."""
    pids = [node["pid"] for node in ours.nodes.values()]
    before, began = sum(map(machine.processor_seconds, pids)), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    spent = (sum(map(machine.processor_seconds, pids)) - before) / (time.perf_counter() - began)
    return spent / len(pids), sum(map(machine.memory_bytes, pids)) / len(pids)


_MEASURES: dict[str, Callable[[Session], None]] = {
    "throughput": throughput, "etcd": beside_etcd, "recovery": recovery, "hand-over": hand_over, "idle": idle,
    "processes": beside_one_process,
}  # fmt: skip


def measure(session: Session, parts: Sequence[str] = PARTS, healing_bytes: Sequence[int] = HEALING_BYTES) -> None:
    """As a section of `make bench`."""
    for part in parts:
        if part == "healing":
            healing(session, healing_bytes)
        else:
            _MEASURES[part](session)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement of throughput (3)")
    parser.add_argument("--seconds", type=int, default=3, help="of one of them (3)")
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for other programs in all (30)")
    sizes = "of data, in the part healing (10 and 100 MB)"
    parser.add_argument("--healing-bytes", nargs="+", type=int, default=HEALING_BYTES, help=sizes)
    options = parser.parse_args()
    session = Session(options.rounds, options.seconds, options.patience)
    try:
        with session.running():
            measure(session, options.only, options.healing_bytes)
    finally:
        print(session.results())


if __name__ == "__main__":
    main()
