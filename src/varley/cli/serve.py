"""`varley serve`: start a server, say how to reach it, and serve until told to stop.

The flags are made from the settings themselves (settings.py), so no setting is without a flag, and what a
flag says when its value is wrong is what the environment variable and the file say too. Values are therefore
not parsed by click: it hands on the text.

Nothing dear is imported before the settings are known to be right: a mistyped flag is answered at once.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import Field
from typing import TYPE_CHECKING, Any, Final

import click

from varley import __version__
from varley.errors import BadSettings
from varley.settings import (
    ClusterSettings,
    MemberSettings,
    NodeSettings,
    all_settings,
    flag_of,
    kind_of,
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
  varley serve --cluster etcd://h1,h2,h3 --name n1 --zone a    one node of a cluster

\b
Settings are taken from the first place that has them: flags, environment, file.
  --port 8001               VARLEY_PORT=8001                        port = 8001
  --initial-partitions 4    VARLEY_CLUSTER__INITIAL_PARTITIONS=4    [cluster]
                                                                    initial_partitions = 4
Every flag has such a variable. VARLEY_CONFIG names the file as --config does.

Any non-empty access key and secret key work. A server that is told to stop lets running requests end first.
"""

_FILES_ENOUGH: Final = 65_536

# Sections of --help: the first setting of each.
_SECTIONS: Final = {
    "config": "Where settings come from",
    "host": "Where it listens",
    "data_dir": "Where data is",
    "region": "What clients see",
    "segment_bytes": "Log and checkpoints",
    "max_connections": "Limits of the front door",
    "log_level": "What the operator sees",
    "cluster.initial_partitions": "What all nodes of a cluster must agree on",
    "member.cluster": "How it takes part in a cluster",
    "help": "Help",
}


class _Serve(click.Command):
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All flags, in sections."""
        sections: list[tuple[str, list[tuple[str, str]]]] = []
        names = {name.replace(".", "__"): name for name in all_settings()}
        for parameter in self.get_params(ctx):
            title = _SECTIONS.get(names.get(parameter.name or "", parameter.name or ""))
            record = parameter.get_help_record(ctx)
            if title is not None:
                sections.append((title, []))
            if record is not None:
                sections[-1][1].append(record)
        for title, records in sections:
            with formatter.section(title):
                formatter.write_dl(records, col_max=34)


def command_line_flags() -> list[click.Parameter]:
    """One option per setting, and the few that are not settings."""
    options: list[click.Parameter] = [
        click.Option(["--config"], metavar="FILE", help="Read settings from this TOML file."),
        click.Option(
            ["--json", "as_json"], is_flag=True, help="Say where the server is as one line of JSON."
        ),
        click.Option(["--stop-with-stdin"], is_flag=True, hidden=True),
    ]
    options.extend(option_of(name, setting) for name, setting in all_settings().items())
    return options


def option_of(name: str, setting: Field[Any]) -> click.Option:
    flag = flag_of(name)
    default = "" if setting.default in (None, "") else f" [{_shown(setting.default)}]"
    described = setting.metadata["help"].removesuffix(".") + default
    # A name of click's own making would lose the dot.
    destination = name.replace(".", "__")
    if kind_of(setting) == "bool":
        # Both ways, so that a flag can take back what the environment or the file has set.
        negative = "--no-" + flag.removeprefix("--")
        return click.Option([f"{flag}/{negative}", destination], default=None, help=described)
    return click.Option([flag, destination], metavar=_metavar(name, setting), help=described)


_METAVARS: Final = {
    "host": "ADDRESS",
    "port": "PORT",
    "dir": "FOLDER",
    "cert": "FILE",
    "key": "FILE",
    "level": "LEVEL",
    "cors": "ORIGINS",
    "bytes": "BYTES",
    "seconds": "SECONDS",
}


def _metavar(name: str, setting: Field[Any]) -> str:
    """Units and nouns go last in a setting's name, so the last word says what its value is."""
    usual = {"str": "NAME", "int": "NUMBER", "float": "NUMBER"}[kind_of(setting)]
    return _METAVARS.get(name.rpartition("_")[2], usual)


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:g}" if isinstance(default, float) else str(default)


def run(config: str | None, as_json: bool, stop_with_stdin: bool, **values: Any) -> None:
    """Serve until the server is told to stop. Raises WorldError when it cannot start or cannot go on."""
    flags = {name: values[name.replace(".", "__")] for name in all_settings()}
    if flags["in_memory"] and flags["data_dir"] is not None:
        raise BadSettings(
            "--in-memory and --data-dir are both given, and data is kept in one of the two",
            hint="Leave out --in-memory to keep data in the folder",
        )
    node, cluster = load(flags, config_path=config)
    member = load_member(flags, config_path=config)
    import logging  # here, with the event loop: a wrong flag is answered before they are loaded

    import uvloop

    line = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=node.log_level.upper(), format=line)
    uvloop.run(_serve(node, cluster, member, as_json=as_json, stop_with_stdin=stop_with_stdin))


async def _serve(
    node: NodeSettings, cluster: ClusterSettings, member: MemberSettings, *, as_json: bool, stop_with_stdin: bool
) -> None:
    from varley.clock import MovableClock, SystemClock  # here, for the same reason

    clock = MovableClock() if node.clock_is_movable else SystemClock()
    server: Server | ClusterServer
    if member.cluster is None:
        from varley.server import Server  # one of the two, and not what the other needs

        server = Server(node, cluster, clock)
    else:
        from varley.cluster_server import ClusterServer

        server = ClusterServer(node, cluster, member, clock)
    allow_open_files()
    if stop_with_stdin:
        stop_when_stdin_ends(server.begin_to_stop)
    await server.start()
    # What was made until now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    click.echo(announcement_json(server, node, member) if as_json else announcement(server, node, member))
    await server.wait_stopped()


def stop_when_stdin_ends(stop: Callable[[], None]) -> None:
    """Nothing is ever written there: it can be read when whoever held the other end has gone, kill -9 or not."""
    import asyncio

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            stop()

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), read)


def allow_open_files() -> None:
    """Each connection takes a file descriptor, each partition a few: take as many as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_ENOUGH if most == resource.RLIM_INFINITY else most    # macOS refuses an infinite number
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def announcement(server: Server | ClusterServer, node: NodeSettings, member: MemberSettings) -> str:
    """What is printed when the server is ready: lines to paste, where the data is, and how to stop."""
    endpoint = endpoint_url(node, server.port)
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
    if server.admin_port is not None:
        lines.append(f"Admin   http://{_address(node.admin_host)}:{server.admin_port}/metrics")
    if node.insecure:
        warning = click.style("Open    ", fg="yellow")
        lines.append(f"{warning}anybody who reaches this port can do everything (--insecure)")
    lines.append(f"Stop    Ctrl-C, or kill {os.getpid()}")
    return "\n".join(lines)


def _without_password(url: str) -> str:
    from varley.metadata import etcd_address

    return str(etcd_address.parse(url))


def announcement_json(server: Server | ClusterServer, node: NodeSettings, member: MemberSettings) -> str:
    """The same for programs, on one line."""
    import json  # here: people do not ask for it

    return json.dumps(
        {
            "endpoint": endpoint_url(node, server.port),
            "host": node.host,
            "port": server.port,
            "admin_port": server.admin_port,
            "data_dir": None if node.in_memory else os.path.abspath(node.data_dir),
            "pid": os.getpid(),
            "version": __version__,
            **({} if member.cluster is None else {"name": member.name, "zone": member.zone}),
        }
    )


def endpoint_url(node: NodeSettings, port: int) -> str:
    """What a client on this machine is given. A server on all addresses is reached through loopback."""
    return f"{node.scheme}://{_address(node.host)}:{port}"


def _address(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


command = _Serve(
    "serve",
    callback=run,
    params=command_line_flags(),
    help=HELP,
    context_settings={"max_content_width": 110},
)
