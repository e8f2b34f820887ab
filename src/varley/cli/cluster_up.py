"""`varley cluster up`: a cluster of several nodes on this machine, with an etcd of its own; `varley cluster start`: one
of its nodes again after it has died.

Each node is a process of its own, `varley serve --cluster …`, as it would be on a machine of its own. What was chosen
for them is in FOLDER/cluster.json (cluster_plan.py), so that the same command starts the same cluster again.

No child outlives its parent, as in ring_up.py: the standard input of each node is a pipe whose other end only the
parent has, and a node stops when that is closed; etcd gets a signal when its parent ends (cluster/local_etcd.py). Nodes
are sessions of their own, or Ctrl-C would reach them twice; etcd is stopped last, since nodes say goodbye to it.

`start` asks the running `up` for the node, over loopback and with a secret out of cluster.json, so that the node is a
child like the others. If no `up` is running there is no etcd either, and nothing to come back to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import urllib.request
from collections.abc import Sequence
from typing import Any, Final

import click

from varley.cli.cluster_plan import Place, Plan
from varley.cli.flags import destination, option_of
from varley.cli.serving import stop_when_stdin_ends
from varley.cluster.local_etcd import LocalEtcd, free_ports
from varley.errors import BadSettings, WorldError
from varley.settings import all_settings

FIRST_PORT: Final = 8000
_LINKS_ABOVE: Final = 10_000        # above the port of clients
_ADMIN_ABOVE: Final = 20_000
_NODES_MAX: Final = 50
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0

# What is said once for all nodes; the rest of `varley serve` is for one.
PASSED_ON: Final = (
    "region", "ttl_delay", "index_delay_seconds", "checkpoint_log_bytes", "segment_bytes", "drain_seconds", "log_level",
    "cluster.initial_partitions", "cluster.replicas", "cluster.split_keep_seconds",
    "cluster.stream_shard_seconds", "cluster.suspect_seconds",
    "cluster.replace_seconds", "cluster.balance", "cluster.strong_reads",
)  # fmt: skip


class LocalCluster:
    """Its processes. Used from one event loop."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._etcd: LocalEtcd | None = None
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._ready: dict[str, dict[str, Any]] = {}     # what each said of itself
        self._watches: set[asyncio.Future[None]] = set()
        self._control: asyncio.Server | None = None
        self._is_stopping = False

    async def start(self) -> None:
        """Return when all nodes serve. Raises WorldError, and leaves nothing running."""
        try:
            self._etcd = await LocalEtcd.start(os.path.join(self.plan.folder, "etcd"), port=self.plan.etcd_port)
            for place in self.plan.places:
                await self._spawn(place)
            for place in self.plan.places:
                await self._wait_ready(place)
            for place in self.plan.places:
                await self._wait_serving(place)
            await self._open_control()
        except BaseException:
            await self.stop()
            raise

    def nodes(self) -> list[dict[str, Any]]:
        shown = ("name", "zone", "endpoint", "pid", "admin_port")
        return [{name: self._ready[place.name][name] for name in shown} for place in self.plan.places]

    async def stop(self) -> None:
        self._is_stopping = True
        if self._control is not None:
            self._control.close()
            self.plan.control_port = 0
            self.plan.save()
        running = [child for child in self._children.values() if child.returncode is None]
        for child in running:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                for child in running:
                    await child.wait()
        except TimeoutError:
            for child in running:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
        if self._etcd is not None:
            await self._etcd.stop()

    # Nodes

    async def _spawn(self, place: Place) -> None:
        log = os.open(self.plan.log(place.name), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._children[place.name] = await asyncio.create_subprocess_exec(
                *self.plan.command(place), "--json", "--stop-with-stdin",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(log)

    async def _wait_ready(self, place: Place) -> None:
        """Raises WorldError if it ends, or says nothing."""
        child = self._children[place.name]
        assert child.stdout is not None
        try:
            async with asyncio.timeout(_START_SECONDS):
                line = await child.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            raise WorldError(
                f"Node {place.name} did not start: {self._last_words(place.name)}",
                path=self.plan.log(place.name), operation="start", hint="The file says why",
            )  # fmt: skip
        self._ready[place.name] = json.loads(line)
        watch = asyncio.get_running_loop().create_task(self._watch(place.name, child))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _wait_serving(self, place: Place) -> None:
        """Until the node says so on its admin port; raises WorldError if that takes too long."""
        url = f"http://127.0.0.1:{place.admin_port}/ready"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while not await loop.run_in_executor(None, _is_ok, url):
            if loop.time() > deadline or self._children[place.name].returncode is not None:
                raise WorldError(
                    f"Node {place.name} does not serve: {self._last_words(place.name)}",
                    path=self.plan.log(place.name), operation="start",
                )  # fmt: skip
            await asyncio.sleep(0.05)

    async def _watch(self, name: str, child: asyncio.subprocess.Process) -> None:
        code = await child.wait()
        if self._is_stopping or self._children[name] is not child:
            return
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        click.echo(
            f"Node {name} has ended ({how}); the others go on. Bring it back with\n"
            f"  varley cluster start {name} --data-dir {self.plan.folder}",
            err=True,
        )

    def _last_words(self, name: str) -> str:
        try:
            with open(self.plan.log(name), encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file.read()[-2000:].splitlines() if line.strip()]
        except OSError:
            lines = []
        return " ".join(lines[-2:]) or "it has said nothing"

    # For `varley cluster start`

    async def _open_control(self) -> None:
        self._control = await asyncio.start_server(self._take_call, "127.0.0.1", 0)
        self.plan.control_port = self._control.sockets[0].getsockname()[1]
        self.plan.secret = secrets.token_hex(16)
        self.plan.save()

    async def _take_call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                wanted = json.loads(await asyncio.wait_for(reader.readline(), 5))
                if not secrets.compare_digest(str(wanted["secret"]), self.plan.secret):
                    return
                name = str(wanted["start"])
            except (OSError, ValueError, KeyError, TypeError, TimeoutError):
                return
            answer = await self._start_again(name)
            with contextlib.suppress(OSError):
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()

    async def _start_again(self, name: str) -> dict[str, Any]:
        place = self.plan.place(name)
        if place is None:
            return {"error": f"There is no node {name}"}
        if self._children[name].returncode is None:
            return {"error": f"Node {name} is running"}
        try:
            await self._spawn(place)
            await self._wait_ready(place)
        except WorldError as error:
            return {"error": str(error)}
        return self._ready[name]


def _is_ok(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:    # that includes all that is not 200
        return False


# ---- The commands


def run_up(
    nodes: int | None,
    zones: int | None,
    data_dir: str,
    port: int | None,
    as_json: bool,
    stop_with_stdin: bool,
    **values: Any,
) -> None:
    known = all_settings()
    flags = {name: values[destination(name)] for name in PASSED_ON}
    given = {name: str(value) for name, value in flags.items() if value is not None}
    assert given.keys() <= known.keys()
    plan = plan_of(os.path.abspath(data_dir), nodes, zones, port, given)
    asyncio.run(_up(plan, as_json=as_json, stop_with_stdin=stop_with_stdin))


async def _up(plan: Plan, *, as_json: bool, stop_with_stdin: bool) -> None:
    plan.save()
    cluster = LocalCluster(plan)
    stopping = asyncio.Event()
    starting = asyncio.ensure_future(cluster.start())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    if stop_with_stdin:
        stop_when_stdin_ends(stopping.set)
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        raise click.Abort
    await starting    # raises what has failed
    click.echo(json.dumps({"nodes": cluster.nodes()}) if as_json else announcement(cluster))
    await stopped
    await cluster.stop()


def plan_of(folder: str, nodes: int | None, zones: int | None, port: int | None, flags: dict[str, str]) -> Plan:
    """That of the cluster that is in `folder`, or a new one. Raises BadSettings."""
    saved = Plan.read(folder)
    if saved is None:
        count = nodes or 3
        # Fewer nodes than replicas would wait for more, which do not come.
        flags = {"cluster.replicas": str(min(3, count))} | flags
        return Plan(folder, free_ports(1)[0], _places(count, zones or count, choose_ports(count, port)), flags)
    if nodes is not None and nodes < len(saved.places):
        raise BadSettings(
            f"The cluster in {folder} has {len(saved.places)} nodes", hint="Its nodes do not become fewer this way"
        )
    wanted = nodes or len(saved.places)
    more = _places(wanted, zones or len({each.zone for each in saved.places}), choose_ports(wanted, 0))
    return Plan(folder, saved.etcd_port, [*saved.places, *more[len(saved.places):]], saved.flags | flags)


def _places(count: int, zones: int, ports: Sequence[tuple[int, int, int]]) -> list[Place]:
    return [
        Place(f"n{index + 1}", f"z{index % zones + 1}", *each) for index, each in enumerate(ports[:count])
    ]


def choose_ports(count: int, first: int | None) -> list[tuple[int, int, int]]:
    """(of clients, of links, of the admin port) of each node. `first`: the first one's; 0: any; None: FIRST_PORT if all
    are free, else any. Raises BadSettings if one that was asked for is taken."""
    if first != 0:
        begin = first or FIRST_PORT
        wanted = [(port, port + _LINKS_ABOVE, port + _ADMIN_ABOVE) for port in range(begin, begin + count)]
        taken = next((port for ports in wanted for port in ports if not _is_free(port)), None)
        if taken is None:
            return wanted
        if first is not None:
            raise BadSettings(f"Port {taken} is in use", hint="Choose another with --port; --port 0 takes free ones")
    free = free_ports(3 * count)
    return [(free[3 * index], free[3 * index + 1], free[3 * index + 2]) for index in range(count)]


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except (OSError, OverflowError):
        return False


def announcement(cluster: LocalCluster) -> str:
    nodes = cluster.nodes()
    width = max(len(node["endpoint"]) for node in nodes)
    folder = cluster.plan.folder
    where = "" if folder == os.path.abspath("varley-cluster") else f" --data-dir {folder}"
    lines = [
        click.style(f"A cluster of {len(nodes)} nodes is ready", bold=True),
        "",
        f"  {'node':6}{'zone':6}{'endpoint':{width + 2}}process",
        *(f"  {node['name']:6}{node['zone']:6}{node['endpoint']:{width + 2}}{node['pid']}" for node in nodes),
        "",
        f"  export AWS_ENDPOINT_URL_DYNAMODB={nodes[0]['endpoint']}    # or any other of them",
        f"  varley cluster status{where}",
        f"  kill -9 {nodes[-1]['pid']}",
        f"  varley cluster start {nodes[-1]['name']}{where}",
        "",
        f"Data    {folder}",
        "Stop    Ctrl-C",
    ]
    return "\n".join(lines)


def run_start(name: str, data_dir: str, as_json: bool) -> None:
    plan = Plan.read(os.path.abspath(data_dir))
    if plan is None:
        raise BadSettings(
            "There is no cluster here", path=os.path.abspath(data_dir), hint="`varley cluster up` makes one"
        )
    answer = _asked_to_start(plan, name)
    if "error" in answer:
        raise WorldError(answer["error"], operation="start", path=plan.folder)
    shown = {each: answer[each] for each in ("name", "zone", "endpoint", "pid")}
    click.echo(json.dumps(shown) if as_json else f"Node {name} is back on {shown['endpoint']}, process {shown['pid']}.")


def _asked_to_start(plan: Plan, name: str) -> dict[str, Any]:
    """What the running `up` answers. Raises WorldError if none is running."""
    try:
        if not plan.control_port:
            raise ConnectionRefusedError("nothing listens")
        with socket.create_connection(("127.0.0.1", plan.control_port), timeout=_START_SECONDS) as connection:
            connection.sendall(json.dumps({"secret": plan.secret, "start": name}).encode() + b"\n")
            line = connection.makefile("rb").readline()
    except OSError as error:
        raise WorldError(
            f"`varley cluster up` does not run for this folder: {error}", path=plan.folder, operation="ask",
            hint="Start it: it starts all nodes, and etcd",
        ) from None  # fmt: skip
    answer: dict[str, Any] = json.loads(line) if line else {"error": "the running `varley cluster up` said nothing"}
    return answer


_data_dir_option = click.Option(
    ["--data-dir"], default="varley-cluster", metavar="FOLDER", help="Folder of the cluster. [varley-cluster]"
)

up = click.Command(
    "up",
    callback=run_up,
    params=[
        click.Option(["--nodes"], type=click.IntRange(1, _NODES_MAX), help="How many. [3, or as many as there were]"),
        click.Option(
            ["--zones"], type=click.IntRange(1, _NODES_MAX), help="Spread them over so many zones. [each its own]"
        ),
        _data_dir_option,
        click.Option(
            ["--port"],
            type=click.IntRange(0, 65535 - _ADMIN_ABOVE),
            help=f"Of the first node; 0 takes free ones. [{FIRST_PORT}, or free ones if that is taken]",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Say where the nodes are as one line of JSON."),
        click.Option(["--stop-with-stdin"], is_flag=True, hidden=True),
        *(option_of(name, all_settings()[name]) for name in PASSED_ON),
    ],
    help="""Start a cluster of several nodes on this machine, each a process of its own, with an etcd of its own, and
serve until Ctrl-C.

\b
Examples:
  varley cluster up                                three nodes in three zones, data in ./varley-cluster
  varley cluster up --nodes 6 --zones 3 --data-dir /tmp/cluster --json

Data stays: the same command starts the same cluster again. etcd must be installed: `apt install etcd-server`.
""",
    context_settings={"max_content_width": 110},
)
start = click.Command(
    "start",
    callback=run_start,
    params=[click.Argument(["name"]), _data_dir_option, click.Option(["--json", "as_json"], is_flag=True)],
    help="Bring a node of the local cluster back after it has died. `varley cluster up` still runs.",
    context_settings={"max_content_width": 110},
)
