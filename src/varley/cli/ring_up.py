"""`varley ring up`: a ring of several nodes on this machine; `varley ring start`: one of them again after it has died.

Each node is a process of its own, `varley ring serve`, as it would be on a machine of its own: local_nodes.py. What has
been chosen for them is in FOLDER/up.json, so that the ring comes back as it was. If no `up` is running, `start` runs
the node in the foreground.

TLS: the same files for all nodes, or {name} in a path for one each; links want the node's name in its certificate.
Admin ports: the first node's is named, the others have the next ones.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import click

from varley.cli.flags import option_of
from varley.cli.local_nodes import LocalNodes, SavedPlan, asked_to_start, serve
from varley.cli.ring_endpoint import ask
from varley.errors import BadSettings, WorldError
from varley.ring_server import LINK_PORT_ABOVE
from varley.settings import all_settings, flag_of, ring_settings

FIRST_PORT: Final = 8101
_FREE_PORTS: Final = range(20_000, 32_000)
_NODES_MAX: Final = 50
_AGREE_SECONDS: Final = 15.0
_SHOWN: Final = ("name", "endpoint", "pid")

# What is said once for all nodes; the rest of `varley ring serve` is for one.
_EACH_ITS_OWN: Final = {
    "ring.name", "ring.zone", "ring.capacity", "ring.seeds", "ring.link_port", "ring.advertise", "ring.join",
}  # fmt: skip
_FILES: Final = ("tls_cert", "tls_key", "ring.link_cert", "ring.link_key", "ring.link_ca")
_ADMIN_PORT: Final = "admin_port"
_SETTINGS: Final = {**ring_settings(), **{name: all_settings()[name] for name in ("tls_cert", "tls_key")}}
PASSED_ON: Final = tuple(name for name in _SETTINGS if name not in _EACH_ITS_OWN)


@dataclass(frozen=True)
class Place:
    """One node, as it is started again each time."""

    name: str
    port: int
    link_port: int
    zone: str = ""


@dataclass
class Plan(SavedPlan[Place]):
    """What FOLDER/up.json says."""

    folder: str
    places: list[Place]
    flags: dict[str, str] = field(default_factory=dict)     # "ring.n" -> "3", as given to `up`
    control_port: int = 0
    secret: str = ""

    kind = "ring"
    file = "up.json"
    place_type = Place
    without_it = "Without it `varley ring up` makes a new one; the nodes' data is in the folders beside it"

    def flags_of(self, place: Place) -> dict[str, str]:
        flags = self._for_few() | self.flags
        for name in _FILES:
            if name in flags:
                flags[name] = flags[name].replace("{name}", place.name)
        if int(flags.get(_ADMIN_PORT, "0")):
            flags[_ADMIN_PORT] = str(int(flags[_ADMIN_PORT]) + self.places.index(place))
        return flags

    def command(self, place: Place, *, founds: bool = False) -> list[str]:
        """`founds`: the first node of a new ring looks for nobody."""
        seeds = "" if founds else ",".join(
            f"{each.name}=127.0.0.1:{each.link_port}" for each in self.places if each != place
        )  # fmt: skip
        words = [sys.executable, "-m", "varley", "ring", "serve", "--name", place.name, "--port", str(place.port)]
        words += ["--link-port", str(place.link_port), "--zone", place.zone, "--seeds", seeds]
        words += ["--data-dir", os.path.join(self.folder, place.name)]
        for name, value in self.flags_of(place).items():
            words += [flag_of(name), value]
        return words

    def _for_few(self) -> dict[str, str]:
        """One or two nodes cannot have three copies, nor do without each other. When the ring grows, N does."""
        count = str(len(self.places))
        is_usual = len(self.places) >= 3 or "ring.n" in self.flags
        return {} if is_usual else {"ring.n": count, "ring.r": "1", "ring.w": "1"}

    @property
    def is_new(self) -> bool:
        """None of the nodes has anything that it could remember the ring by."""
        return self.flags.get("ring.engine") == "memory" or not any(
            os.path.isdir(os.path.join(self.folder, place.name)) for place in self.places
        )


# ---- Running it


class LocalRing:
    """Its processes. Used from one event loop."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._nodes = LocalNodes(plan, "the others stand in for it")

    async def start(self) -> None:
        """Return when all nodes are members that know of each other. Raises WorldError, and leaves nothing running."""
        plan, nodes = self.plan, self._nodes
        first, *others = plan.places
        try:
            is_new = plan.is_new
            await nodes.spawn(first.name, plan.command(first, founds=is_new))
            if is_new:
                await nodes.wait_ready(first.name)
            for place in others:
                await nodes.spawn(place.name, plan.command(place))
            for place in others if is_new else plan.places:
                await nodes.wait_ready(place.name)
            await self._wait_agreement()
            await nodes.open_control()
        except BaseException:
            await self.stop()
            raise

    def nodes(self) -> list[dict[str, Any]]:
        shown = (*_SHOWN, _ADMIN_PORT) if _ADMIN_PORT in self.plan.flags else _SHOWN
        return [{name: self._nodes.said[place.name][name] for name in shown} for place in self.plan.places]

    async def stop(self) -> None:
        await self._nodes.stop()

    async def _wait_agreement(self) -> None:
        """Gossip takes a second or three; then any node can be asked for anything."""
        wanted = {place.name for place in self.plan.places}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _AGREE_SECONDS
        for node in list(self._nodes.said.values()):
            while not await loop.run_in_executor(None, _sees_all, node["endpoint"], wanted):
                if loop.time() > deadline:
                    return
                await asyncio.sleep(0.05)


def _sees_all(endpoint: str, wanted: set[str]) -> bool:
    members = ask([endpoint], "/ring/v1", tls=_OWN_CHILD)["members"]
    return wanted <= {member["name"] for member in members if member["state"] == "up"}


def _no_questions() -> ssl.SSLContext:
    """Who answers is the child that has just said so through its pipe: no certificate says more."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_OWN_CHILD: Final = _no_questions()


# ---- Ports


def choose_ports(count: int, first: int | None) -> list[tuple[int, int]]:
    """(port of clients, port of links) of each node. `first`: the first one's; 0: any; None: FIRST_PORT if all are
    free, else any. Raises WorldError if one that was asked for is taken."""
    if first != 0:
        wanted = [(port, port + LINK_PORT_ABOVE) for port in range(first or FIRST_PORT, (first or FIRST_PORT) + count)]
        taken = [port for pair in wanted for port in pair if not _is_free(port)]
        if not taken:
            return wanted
        if first is not None:
            raise WorldError(
                f"Port {taken[0]} is in use", operation="listen on", path=f"127.0.0.1:{taken[0]}",
                hint="Choose others with --port; --port 0 takes free ones",
            )  # fmt: skip
    # Below those that systems give to outgoing connections: one of these might take a port before its node does.
    chance = random.Random()
    drawn = (port for port in chance.sample(_FREE_PORTS, len(_FREE_PORTS)) if _is_free(port))
    ports = list(itertools.islice(drawn, 2 * count))
    return list(zip(ports[::2], ports[1::2], strict=True))


def _is_free(port: int) -> bool:
    if not 0 < port <= 65535:
        return False
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


# ---- Commands


def run_up(
    nodes: int | None,
    data_dir: str,
    port: int | None,
    zones: int,
    as_json: bool,
    stop_with_stdin: bool,
    admin_port: int | None,
    **values: str | None,
) -> None:
    flags = {name: value for name in PASSED_ON if (value := values[name.replace(".", "__")]) is not None}
    flags |= {name: os.path.abspath(flags[name]) for name in _FILES if name in flags}
    if admin_port is not None:
        flags[_ADMIN_PORT] = str(admin_port)
    plan = _plan(os.path.abspath(data_dir), nodes, port, zones, flags)
    plan.save()
    ring = LocalRing(plan)

    def said() -> str:
        return json.dumps({"nodes": ring.nodes()}) if as_json else announcement(ring)

    asyncio.run(serve(ring, said, stop_with_stdin=stop_with_stdin))


def _plan(folder: str, nodes: int | None, port: int | None, zones: int, flags: dict[str, str]) -> Plan:
    """Of the ring that is there, or of a new one."""
    saved = Plan.read(folder)
    if saved is None:
        count = nodes or 5
        names = [f"n{number}" for number in range(1, count + 1)]
        ports = choose_ports(count, port)
        return Plan(folder, _places(names, ports, zones), flags)
    if nodes is not None and nodes < len(saved.places):
        raise BadSettings(
            f"The ring in this folder has {len(saved.places)} nodes", path=folder,
            hint="Take some out with `varley ring leave`, or choose another folder with --data-dir",
        )  # fmt: skip
    if saved.control_port and not _is_free(saved.control_port):
        raise WorldError(
            "The ring in this folder is running", path=folder, operation="start",
            hint="Stop the `varley ring up` that runs it, or choose another folder with --data-dir",
        )  # fmt: skip
    return _grown(saved, nodes or len(saved.places), port, zones, flags)


def _grown(saved: Plan, count: int, port: int | None, zones: int, flags: dict[str, str]) -> Plan:
    """The ports that it had, if they can be had again; and perhaps more nodes."""
    places = saved.places + [Place(f"n{number}", 0, 0) for number in range(len(saved.places) + 1, count + 1)]
    ports = [(place.port, place.link_port) for place in places]
    if port or not all(_is_free(each) for pair in ports for each in pair):
        ports = choose_ports(count, port or 0)
    names = [place.name for place in places]
    had = {place.name: place.zone for place in saved.places}
    placed = [Place(each.name, each.port, each.link_port, had.get(each.name, each.zone))
              for each in _places(names, ports, zones)]  # fmt: skip
    return Plan(saved.folder, placed, saved.flags | flags)


def _places(names: Sequence[str], ports: Sequence[tuple[int, int]], zones: int) -> list[Place]:
    return [
        Place(name, *pair, zone=f"z{index % zones + 1}" if zones > 1 else "")
        for index, (name, pair) in enumerate(zip(names, ports, strict=True))
    ]


def announcement(ring: LocalRing) -> str:
    nodes = ring.nodes()
    width = max(len(node["endpoint"]) for node in nodes)
    first = nodes[0]["endpoint"]
    endpoint = "" if first == f"http://127.0.0.1:{FIRST_PORT}" else f" --endpoint {first}"
    lines = [
        click.style(f"A ring of {len(nodes)} nodes is ready", bold=True),
        "",
        f"  {'node':6}{'endpoint':{width + 2}}process",
        *(f"  {node['name']:6}{node['endpoint']:{width + 2}}{node['pid']}" for node in nodes),
        "",
        f"  varley ring put carts 7 milk{endpoint}",
        f"  varley ring get carts 7{endpoint}",
        f"  kill -9 {nodes[-1]['pid']}",
        f"  varley ring start {nodes[-1]['name']} --data-dir {ring.plan.folder}",
        "",
        f"Data    {ring.plan.folder}",
    ]
    if _ADMIN_PORT in ring.plan.flags:
        lines += [f"Admin   http://127.0.0.1:{node[_ADMIN_PORT]}/metrics    {node['name']}" for node in nodes]
    if first.startswith("https:"):
        lines.append("TLS     for commands, name the authority of the certificates: SSL_CERT_FILE=ca.pem")
    lines.append("Stop    Ctrl-C")
    return "\n".join(lines)


def run_start(name: str, data_dir: str, as_json: bool) -> None:
    plan = Plan.read(os.path.abspath(data_dir))
    if plan is None:
        raise BadSettings("There is no ring here", path=os.path.abspath(data_dir), hint="varley ring up makes one")
    place = plan.place(name)
    if place is None:
        names = ", ".join(each.name for each in plan.places)
        raise BadSettings(f"There is no node {name} in this ring", path=plan.folder, hint=f"There are {names}")
    answer = asked_to_start(plan, name)
    if answer is None:
        words = [*plan.command(place), *(["--json"] if as_json else [])]
        sys.stdout.flush()
        os.execv(words[0], words)
    shown = {each: answer[each] for each in _SHOWN}
    click.echo(json.dumps(shown) if as_json else f"Node {name} is back on {shown['endpoint']}, process {shown['pid']}.")


_data_dir_option = click.Option(
    ["--data-dir"], default="varley-ring", metavar="FOLDER", help="Folder of the ring. [varley-ring]"
)
_width: Final = {"max_content_width": 110}

up = click.Command(
    "up",
    callback=run_up,
    params=[
        click.Option(["--nodes"], type=click.IntRange(1, _NODES_MAX), help="How many. [5, or as many as there were]"),
        _data_dir_option,
        click.Option(
            ["--port"],
            type=click.IntRange(0, 65535 - LINK_PORT_ABOVE),
            help=f"Of the first node; 0 takes free ones. [{FIRST_PORT}, or free ones if that is taken]",
        ),
        click.Option(
            ["--zones"], type=click.IntRange(1, _NODES_MAX), default=1, help="Spread the nodes over so many zones. [1]"
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Say where the nodes are as one line of JSON."),
        click.Option(["--stop-with-stdin"], is_flag=True, hidden=True),
        click.Option(
            ["--admin-port"],
            type=click.IntRange(0, 65535 - _NODES_MAX),
            help="Of the first node: metrics and health. The others have the next ones; 0 takes free ones. [none]",
        ),
        *(option_of(name, _SETTINGS[name]) for name in PASSED_ON),
    ],
    help="""Start a ring of several nodes on this machine, each a process of its own, and serve until Ctrl-C.

\b
Examples:
  varley ring up                                      five nodes from port 8101, data in ./varley-ring
  varley ring up --nodes 3 --data-dir /tmp/ring --json
  varley ring up --nodes 6 --zones 3 --n 3 --r 1 --w 1
  varley ring up --engine memory --admin-port 9101
  varley ring up --tls-cert {name}.pem --tls-key {name}.key \\
                 --link-cert {name}.pem --link-key {name}.key --link-ca ca.pem

Data stays: the same command starts the same ring again. Kill a node to see what becomes of it, and bring
it back with `varley ring start NAME`.
""",
    context_settings=_width,
)
start = click.Command(
    "start",
    callback=run_start,
    params=[click.Argument(["name"]), _data_dir_option, click.Option(["--json", "as_json"], is_flag=True)],
    help="""Bring a node of a local ring back after it has died.

While `varley ring up` runs, the node becomes a child of that again. Otherwise it runs here, in the foreground.
""",
    context_settings=_width,
)
