"""`varley cluster up`: a cluster of several nodes on this machine, with an etcd of its own; `varley cluster start`: one
of its nodes again after it has died.

Each node is a process of its own, `varley serve --cluster …`, as it would be on a machine of its own: local_nodes.py.
What was chosen for them is in FOLDER/cluster.json (cluster_plan.py), so that the same command starts the same cluster
again. etcd gets a signal when its parent ends (cluster/local_etcd.py). If no `up` is running there is no etcd either,
and nothing that `start` could bring a node back to.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
from collections.abc import Sequence
from typing import Any, Final

import click

from varley.cli.cluster_plan import Place, Plan
from varley.cli.flags import destination, option_of
from varley.cli.local_nodes import LocalNodes, asked_to_start, serve
from varley.cli.readiness import is_ready
from varley.cluster.local_etcd import LocalEtcd, find_etcd, free_ports
from varley.errors import BadSettings, WorldError
from varley.settings import ClusterSettings, NodeSettings, all_settings, load
from varley.storage.data_folder import held, refuse_data_folder

_chance: Final = random.SystemRandom()

FIRST_PORT: Final = 8000
_LINKS_ABOVE: Final = 10_000        # above the port of clients
_ADMIN_ABOVE: Final = 20_000
_NODES_MAX: Final = 50
_START_SECONDS: Final = 60.0
_ROWS_TRIED: Final = 1000
# Below those that systems give to outgoing connections (Linux 32768 and up, macOS 49152): one of these could take the
# port of a node that is down.
_ROWS: Final = range(10_000, 32_000)
_SHOWN: Final = ("name", "zone", "endpoint", "pid")

# What is said once for all nodes; the rest of `varley serve` is for one.
PASSED_ON: Final = (
    "processes", "region", "s3_dir", "ttl_delay", "index_delay_seconds", "checkpoint_log_bytes", "segment_bytes",
    "drain_seconds", "log_level", "cluster.initial_partitions", "cluster.replicas", "cluster.split_keep_seconds",
    "cluster.stream_shard_seconds", "cluster.suspect_seconds", "cluster.replace_seconds", "cluster.balance",
    "cluster.strong_reads",
)  # fmt: skip


class LocalCluster:
    """Its processes. Used from one event loop."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._nodes = LocalNodes(plan, "the others go on")
        self._etcd: LocalEtcd | None = None

    async def start(self) -> None:
        """Return when all nodes serve. Raises WorldError, and leaves nothing running."""
        try:
            self._etcd = await LocalEtcd.start(os.path.join(self.plan.folder, "etcd"), port=self.plan.etcd_port)
            for place in self.plan.places:
                await self._nodes.spawn(place.name, self.plan.command(place))
            for place in self.plan.places:
                await self._nodes.wait_ready(place.name)
            for place in self.plan.places:
                await self._wait_serving(place)
            await self._nodes.open_control()
        except BaseException:
            await self.stop()
            raise

    def nodes(self) -> list[dict[str, Any]]:
        said = self._nodes.said
        return [{name: said[place.name][name] for name in (*_SHOWN, "admin_port")} for place in self.plan.places]

    async def stop(self) -> None:
        """etcd last, since nodes say goodbye to it."""
        await self._nodes.stop()
        if self._etcd is not None:
            await self._etcd.stop()

    async def _wait_serving(self, place: Place) -> None:
        """Until the node says so on its admin port; raises WorldError if that takes too long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while not await loop.run_in_executor(None, is_ready, "127.0.0.1", place.admin_port):
            if loop.time() > deadline or not self._nodes.is_running(place.name):
                raise self._nodes.failed(place.name, "does not serve")
            await asyncio.sleep(0.05)


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
    folder = os.path.abspath(data_dir)
    find_etcd()     # before there is a folder
    with held(folder, refuse_data_folder):    # by one `up`: another would write over its plan
        plan = plan_of(folder, nodes, zones, port, given)
        asyncio.run(_up(plan, as_json=as_json, stop_with_stdin=stop_with_stdin))


async def _up(plan: Plan, *, as_json: bool, stop_with_stdin: bool) -> None:
    plan.save()
    cluster = LocalCluster(plan)

    def said() -> str:
        return json.dumps({"nodes": cluster.nodes()}) if as_json else announcement(cluster)

    await serve(cluster, said, stop_with_stdin=stop_with_stdin)


def plan_of(folder: str, nodes: int | None, zones: int | None, port: int | None, flags: dict[str, str]) -> Plan:
    """That of the cluster that is in `folder`, or a new one. Raises BadSettings."""
    saved = Plan.read(folder)
    processes = _checked((saved.flags if saved else {}) | flags)[0].processes
    if saved is None:
        count = nodes or 3
        if zones is not None and zones > count:
            raise BadSettings(f"{count} nodes cannot stand in {zones} zones", hint="More --nodes, or fewer --zones")
        # Fewer nodes than replicas would wait for more, which do not come.
        chosen = {"cluster.replicas": str(min(3, count))}
        if processes > 1:
            chosen["cluster.initial_partitions"] = str(count * processes)    # one for each process to lead
        flags = chosen | flags
        places = _places(count, zones or count, choose_ports(count, port, processes))
        return Plan(folder, free_ports(1)[0], places, flags)
    before = _checked(saved.flags)[0].processes
    if processes != before:
        raise BadSettings(
            f"Each node of the cluster in {folder} has processes: {before}, not {processes}",
            hint="That stays as it is: leave out --processes, or choose another folder with --data-dir",
        )
    if nodes is not None and nodes < len(saved.places):
        raise BadSettings(
            f"The cluster in {folder} has {len(saved.places)} nodes", hint="Its nodes do not become fewer this way"
        )
    wanted = nodes or len(saved.places)
    more = _places(wanted, zones or len({each.zone for each in saved.places}), choose_ports(wanted, 0, processes))
    return Plan(folder, saved.etcd_port, [*saved.places, *more[len(saved.places):]], saved.flags | flags)


def _checked(flags: dict[str, str]) -> tuple[NodeSettings, ClusterSettings]:
    """What all nodes are given. Raises BadSettings here rather than in each of them."""
    return load(flags, environment={})


def _places(count: int, zones: int, ports: Sequence[tuple[int, int, int]]) -> list[Place]:
    return [
        Place(f"n{index + 1}", f"z{index % zones + 1}", *each) for index, each in enumerate(ports[:count])
    ]


def choose_ports(count: int, first: int | None, processes: int = 1) -> list[tuple[int, int, int]]:
    """(of clients, of links, of the admin port) of each node; of the last two each of its processes has one, from there
    on. `first`: the first one's; 0: any; None: FIRST_PORT if all are free, else any. Raises BadSettings if one that was
    asked for is taken."""
    if first != 0:
        begin = first or FIRST_PORT
        wanted = [
            (begin + index, begin + _LINKS_ABOVE + index * processes, begin + _ADMIN_ABOVE + index * processes)
            for index in range(count)
        ]
        taken = next((port for ports in wanted for port in _all_of(ports, processes) if not _is_free(port)), None)
        if taken is None:
            return wanted
        if first is not None:
            raise BadSettings(f"Port {taken} is in use", hint="Choose another with --port; --port 0 takes free ones")
    found: set[int] = set()
    return [(_free_row(1, found), _free_row(processes, found), _free_row(processes, found)) for _ in range(count)]


def _all_of(ports: tuple[int, int, int], processes: int) -> list[int]:
    client, link, admin = ports
    return [client, *range(link, link + processes), *range(admin, admin + processes)]


def _free_row(count: int, found: set[int]) -> int:
    """The first of so many free ports side by side, none of which is in `found`; they are put there."""
    for _ in range(_ROWS_TRIED):
        first = _chance.choice(_ROWS)
        row = range(first, first + count)
        if found.isdisjoint(row) and all(_is_free(port) for port in row):
            found.update(row)
            return first
    raise WorldError(f"There are no {count} free ports side by side", hint="Choose the first one with --port")


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
    answer = asked_to_start(plan, name)
    if answer is None:
        raise WorldError(
            "`varley cluster up` does not run for this folder", path=plan.folder, operation="ask",
            hint="Start it: it starts all nodes, and etcd",
        )  # fmt: skip
    shown = {each: answer[each] for each in _SHOWN}
    click.echo(json.dumps(shown) if as_json else f"Node {name} is back on {shown['endpoint']}, process {shown['pid']}.")


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
  varley cluster up --nodes 3 --processes 2        six processes: two for each of three machines, as it were

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
