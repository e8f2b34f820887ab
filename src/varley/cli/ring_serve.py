"""`varley ring serve`: one node of a ring. Its flags are made from the settings, as those of `varley serve` are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import click

from varley import __version__
from varley.cli.flags import ServeCommand, destination
from varley.settings import SHARED_WITH_RINGS, NodeSettings, RingFlags, all_settings, load_ring, ring_settings

if TYPE_CHECKING:
    from varley.ring_server import RingServer

HELP: Final = """Start one node of a ring, and serve until SIGTERM or Ctrl-C.

\b
Examples, three nodes on one machine:
  varley ring serve --name a --port 8101
  varley ring serve --name b --port 8102 --seeds a=127.0.0.1:18101
  varley ring serve --name c --port 8103 --seeds a=127.0.0.1:18101

A node has two ports: one for clients, and one for the other nodes (the link port), which is 10000 above
it. The first node, without seeds, founds the ring. A node joins at its first start and remembers the ring:
later it needs no seeds, only its data folder.

\b
Settings are taken from the first place that has them: flags, environment, file.
  --port 8101      VARLEY_PORT=8101          port = 8101
  --n 3            VARLEY_RING__N=3          [ring]
                                             n = 3
All nodes of a ring must agree on its name, N, R, W, modes, buckets, strategy and partitions.
"""

_SECTIONS: Final = {
    "config": "Where settings come from",
    "ring.name": "Who this node is",
    "ring.seeds": "How it finds the others",
    "host": "Where it listens",
    "data_dir": "Where data is",
    "ring.ring_name": "What all nodes of the ring must agree on",
    "ring.replica_timeout_seconds": "How long it waits",
    "max_connections": "Limits of the front door",
    "log_level": "What the operator sees",
    "help": "Help",
}


def known_settings() -> dict[str, Any]:
    """In the order of `--help`."""
    ring, shared = ring_settings(), {name: all_settings()[name] for name in SHARED_WITH_RINGS}
    order = [
        *_between(ring, "ring.name", "ring.ring_name"),
        *_between(shared, "host", "data_dir"),
        "data_dir",
        *_between(ring, "ring.engine", "ring.replica_timeout_seconds"),
        *_between(ring, "ring.ring_name", "ring.engine"),
        *_between(ring, "ring.replica_timeout_seconds", None),
        *_between(shared, "max_connections", None),
    ]
    known = ring | shared
    assert set(order) == set(known)
    return {name: known[name] for name in order}


def _between(settings: dict[str, Any], first: str, end: str | None) -> list[str]:
    names = list(settings)
    return names[names.index(first) : None if end is None else names.index(end)]


def run(config: str | None, as_json: bool, stop_with_stdin: bool, **values: Any) -> None:
    """Serve until told to stop. Raises WorldError when it cannot start or cannot go on."""
    flags = {name: values[destination(name)] for name in known_settings()}
    node, ring = load_ring(flags, config_path=config)
    from varley.ring_server import agreed_settings, own_settings  # here: a wrong flag is answered before the rest

    own_settings(node, ring)
    agreed_settings(ring)
    import uvloop

    from varley.cli.serving import log_to_stderr

    log_to_stderr(node.log_level)
    uvloop.run(_serve(node, ring, as_json=as_json, stop_with_stdin=stop_with_stdin))


async def _serve(node: NodeSettings, ring: RingFlags, *, as_json: bool, stop_with_stdin: bool) -> None:
    from varley.cli import serving
    from varley.ring_server import RingServer

    server = RingServer(node, ring)
    say = announcement_json if as_json else announcement
    await serving.serve(server, lambda: say(server, node, ring), stop_with_stdin=stop_with_stdin)


def announcement(server: RingServer, node: NodeSettings, ring: RingFlags) -> str:
    from varley.cli.serving import stop_lines  # here, for the same reason

    data = "in memory: gone when the node stops" if ring.engine == "memory" else os.path.abspath(node.data_dir)
    lines = [
        click.style(f"Node {server.name} of the ring {ring.ring_name} is ready on {server.endpoint}", bold=True),
        "",
        f"  varley ring put carts 7 milk --endpoint {server.endpoint}",
        f"  varley ring get carts 7 --endpoint {server.endpoint}",
        f"  varley ring status --endpoint {server.endpoint}",
        f"  varley ring serve --name ANOTHER --port 0 --seeds {server.name}={server.link_address}",
        "",
        f"Data    {data}",
        f"Links   {server.link_address}",
    ]
    if server.admin_port is not None:
        lines.append(f"Admin   http://{node.admin_host}:{server.admin_port}/metrics")
    return "\n".join([*lines, *stop_lines(insecure=node.insecure)])


def announcement_json(server: RingServer, node: NodeSettings, ring: RingFlags) -> str:
    import json

    return json.dumps(
        {
            "name": server.name,
            "endpoint": server.endpoint,
            "port": server.port,
            "link_port": server.link_port,
            "admin_port": server.admin_port,
            "data_dir": None if ring.engine == "memory" else os.path.abspath(node.data_dir),
            "pid": os.getpid(),
            "version": __version__,
        }
    )


serve = ServeCommand("serve", callback=run, settings=known_settings(), sections=_SECTIONS, help=HELP)
