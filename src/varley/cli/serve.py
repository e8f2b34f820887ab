"""`varley serve`: start a server, say how to reach it, and serve until told to stop.

Nothing dear is imported before the settings are known to be right: a mistyped flag is answered at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from varley import __version__
from varley.cli.flags import ServeCommand, destination
from varley.errors import BadSettings
from varley.settings import (
    MEMBER_PREFIX,
    ClusterSettings,
    MemberSettings,
    NodeSettings,
    all_settings,
    flag_of,
    given,
    load,
    load_member,
)

if TYPE_CHECKING:
    from varley.cluster_server import ClusterServer
    from varley.server import Server

HELP: Final = """Start a server, and serve until SIGTERM or Ctrl-C.

\b
Examples:
  varley serve                                   http://127.0.0.1:8000, data in ./varley-data
  varley serve --in-memory --port 0              a free port, nothing written to disk
  varley serve --data-dir /var/lib/varley --admin-port 8001
  varley serve --config varley.toml
  varley serve -port 8001 -inMemory -sharedDb    DynamoDB Local's flags
  varley serve --processes 2                     two processes on one port, for two cores (needs etcd installed)
  varley serve --cluster etcd://h1,h2,h3 --name n1 --zone a    one node of a cluster

\b
Settings are taken from the first place that has them: flags, environment, file.
  --port 8001               VARLEY_PORT=8001                        port = 8001
  --initial-partitions 4    VARLEY_CLUSTER__INITIAL_PARTITIONS=4    [cluster]
                                                                    initial_partitions = 4
Every flag has such a variable. VARLEY_CONFIG names the file as --config does.

Any non-empty access key and secret key work. A server that is told to stop lets running requests end first.
"""

# Sections of --help: the first setting of each.
_SECTIONS: Final = {
    "config": "Where settings come from",
    "host": "Where it listens",
    "processes": "How many processes",
    "data_dir": "Where data is",
    "region": "What clients see",
    "segment_bytes": "Log and checkpoints",
    "max_connections": "Limits of the front door",
    "log_level": "What the operator sees",
    "cluster.initial_partitions": "What all nodes of a cluster must agree on",
    "member.cluster": "How it takes part in a cluster",
    "help": "Help",
}


def run(config: str | None, as_json: bool, stop_with_stdin: bool, **values: Any) -> None:
    """Serve until the server is told to stop. Raises WorldError when it cannot start or cannot go on."""
    flags = {name: values[destination(name)] for name in all_settings()}
    if flags["in_memory"] and flags["data_dir"] is not None:
        raise BadSettings(
            "--in-memory and --data-dir are both given, and data is kept in one of the two",
            hint="Leave out --in-memory to keep data in the folder",
        )
    node, cluster = load(flags, config_path=config)
    member = load_member(flags, config_path=config)
    _refuse_idle_flags(flags, member)
    if node.processes > 1:
        from varley.cli import processes  # here: one process needs none of it

        settings = processes.settings_of(node, cluster, member, given(flags, config_path=config))
        processes.run(settings, as_json=as_json, stop_with_stdin=stop_with_stdin)
        return
    import uvloop  # here, with the event loop: a wrong flag is answered before they are loaded

    from varley.cli.serving import log_to_stderr

    log_to_stderr(node.log_level, member.name)
    uvloop.run(_serve(node, cluster, member, as_json=as_json, stop_with_stdin=stop_with_stdin))


def _refuse_idle_flags(flags: Mapping[str, Any], member: MemberSettings) -> None:
    """Whoever says which node this is and not of which cluster gets a server that is alone, and would not notice."""
    idle = [flag_of(name) for name, value in flags.items() if name.startswith(MEMBER_PREFIX) and value is not None]
    if idle and member.cluster is None:
        raise BadSettings(
            f"{idle[0]} is for a node of a cluster, and no cluster is named",
            hint="Add --cluster etcd://HOST/NAME, or leave it out; `varley cluster up` starts a whole cluster here",
        )


async def _serve(
    node: NodeSettings, cluster: ClusterSettings, member: MemberSettings, *, as_json: bool, stop_with_stdin: bool
) -> None:
    from varley.cli import serving  # here, for the same reason
    from varley.clock import MovableClock, SystemClock

    clock = MovableClock() if node.clock_is_movable else SystemClock()
    server: Server | ClusterServer
    if member.cluster is None:
        from varley.server import Server  # one of the two, and not what the other needs

        server = Server(node, cluster, clock)
    else:
        from varley.cluster_server import ClusterServer

        server = ClusterServer(node, cluster, member, clock)
    say = announcement_json if as_json else announcement
    await serving.serve(
        server, lambda: say(node, member, server.port, server.admin_port), stop_with_stdin=stop_with_stdin
    )


def announcement(
    node: NodeSettings, member: MemberSettings, port: int, admin_port: int | None, *, more: Sequence[str] = ()
) -> str:
    """What is printed when the server is ready: lines to paste, where the data is, and how to stop. The ports are those
    that it got."""
    from varley.cli.serving import stop_lines  # here, for the same reason

    endpoint = endpoint_url(node, port)
    data = "in memory: gone when the server stops" if node.in_memory else os.path.abspath(node.data_dir)
    lines = [
        click.style(f"Varley {__version__} is ready on {endpoint}", bold=True),
        "",
        f"  export AWS_ENDPOINT_URL_DYNAMODB={endpoint}",
        "  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any "
        f"AWS_DEFAULT_REGION={node.region}    # if you have none",
        f"  aws dynamodb list-tables --endpoint-url {endpoint}",
        f'  boto3.resource("dynamodb", endpoint_url="{endpoint}")',
        "",
        f"Data    {data}",
    ]
    if member.cluster is not None:
        zone = f", zone {member.zone}" if member.zone else ""
        lines.append(f"Node    {member.name}{zone}, of the cluster in {_without_password(member.cluster)}")
    if admin_port is not None:
        lines.append(f"Admin   http://{address_of(node.admin_host)}:{admin_port}/metrics")
    return "\n".join([*lines, *more, *stop_lines(insecure=node.insecure)])


def _without_password(url: str) -> str:
    from varley.metadata import etcd_address

    return str(etcd_address.parse(url))


def announcement_json(
    node: NodeSettings, member: MemberSettings, port: int, admin_port: int | None, **more: Any
) -> str:
    """The same for programs, on one line."""
    import json  # here: people do not ask for it

    return json.dumps(
        {
            "endpoint": endpoint_url(node, port),
            "host": node.host,
            "port": port,
            "admin_port": admin_port,
            "data_dir": None if node.in_memory else os.path.abspath(node.data_dir),
            "pid": os.getpid(),
            "version": __version__,
            **({} if member.cluster is None else {"name": member.name, "zone": member.zone}),
            **more,
        }
    )


def endpoint_url(node: NodeSettings, port: int) -> str:
    """What a client on this machine is given. A server on all addresses is reached through loopback."""
    return f"{node.scheme}://{address_of(node.host)}:{port}"


def address_of(host: str) -> str:
    """As it stands in a URL, for who asks from this machine."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


serve = ServeCommand("serve", callback=run, settings=all_settings(), sections=_SECTIONS, help=HELP)
