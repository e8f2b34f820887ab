"""`varley ring status`, `join` and `leave`: who is in the ring, who owns how much of it, what is waiting."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from varley.cli.ring_endpoint import ask, endpoint_option, endpoints_of, json_option

_width: Final = {"max_content_width": 110}


def run_status(endpoints: tuple[str, ...], as_json: bool) -> None:
    status = ask(endpoints_of(endpoints), "/ring/v1")
    if as_json:
        click.echo(json.dumps(status))
        return
    from rich.console import Console  # here: programs ask for JSON
    from rich.table import Table

    settings = json.loads(status["settings"])
    default = settings["default"]
    console = Console()
    console.print(
        f"Ring [bold]{status['ring']}[/bold], as node [bold]{status['name']}[/bold] sees it: "
        f"N={default['n']} R={default['r']} W={default['w']}, {default['mode']}, "
        f"{status['partitions']} {'partitions' if settings['strategy'] == 3 else 'tokens'}",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("node", "state", "zone", "endpoint"):
        table.add_column(title, no_wrap=True)
    for title in ("capacity", "owns", "home of", "hints here"):
        table.add_column(title, justify="right", no_wrap=True)
    for member in status["members"]:
        colour = {"up": "green", "down": "red"}.get(member["state"], "dim")
        table.add_row(
            member["name"], f"[{colour}]{member['state']}[/{colour}]", member["zone"] or "-", member["endpoint"] or "-",
            f"{member['capacity']:g}", f"{member['share']:.1%}", str(member["homes"]), str(member["hints"]),
        )  # fmt: skip
    console.print(table)
    for line in _notes(status):
        console.print(line, highlight=False, soft_wrap=True)


def _notes(status: dict[str, Any]) -> list[str]:
    """What there is to say of the node that was asked."""
    lag = status["compared_seconds"]
    lines = [
        f"Engine {status['engine']}: {status['rows']} keys ({status['tombstones']} deleted), {status['hints']} hints",
        f"On their way to other nodes: {status['strays']} rows, {status['transfers']} partitions",
        "Copies were never compared with another node's yet"
        if lag is None
        else f"Every partition here agreed with another home within the last {max(lag, 0):.1f} s",
    ]
    if status["buffer_bytes"]:
        lines.append(f"In memory only: {status['buffer_bytes']} bytes of the write buffer")
    if not status["is_member"]:
        lines.append("[yellow]This node is not a member: varley ring join[/yellow]")
    if status["failed"]:
        lines.append(f"[red]The disk takes no more writes: {status['failed']}[/red]")
    for name, theirs in status["refused"].items():
        lines.append(f"[red]Node {name} is refused, for it has other settings: {theirs}[/red]")
    if status["damaged"]:
        lines.append(f"[red]{len(status['damaged'])} rows were damaged; the other homes bring them back[/red]")
    return lines


def run_join(zone: str | None, capacity: float | None, endpoints: tuple[str, ...]) -> None:
    nodes = endpoints_of(endpoints)
    ask(nodes[:1], "/ring/v1/join", {"zone": zone, "capacity": capacity})
    click.echo(f"{nodes[0]} has joined. Its share is moving to it; others hear of it within seconds.")


def run_leave(name: str, endpoints: tuple[str, ...]) -> None:
    ask(endpoints_of(endpoints), "/ring/v1/leave", {"name": name})
    click.echo(
        f"{name} is no member any more. Keep it running until `varley ring status --endpoint` of it shows no rows "
        "on their way: then everything it had is elsewhere."
    )


status = click.Command(
    "status",
    callback=run_status,
    params=[endpoint_option, json_option],
    help="""Show members, who owns how much, what is waiting for whom, and how far copies may lag.

Each node sees the ring for itself: one may take for down what another one reaches.
""",
    context_settings=_width,
)
join = click.Command(
    "join",
    callback=run_join,
    params=[
        click.Option(["--zone"], help="Zone (data centre, rack) that it is in."),
        click.Option(["--capacity"], type=float, help="Its share of the ring is its share of all capacity."),
        endpoint_option,
    ],
    help="""Let the node at --endpoint join the ring of its seeds; or tell of a member's new zone or capacity.

A new node joins by itself when it is first started. This is for one that was started with --no-join, and for
one that had left.
""",
    context_settings=_width,
)
leave = click.Command(
    "leave",
    callback=run_leave,
    params=[click.Argument(["name"]), endpoint_option],
    help="""Take a member out for good, whether it can be reached or not. Any node can be told.

A node that is down for a while need not leave: others stand in for it until it is back.
""",
    context_settings=_width,
)
