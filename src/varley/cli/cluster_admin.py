"""`varley cluster drain`, `move`, `split` and `repairs`: where data is. Asked at the admin port of any node."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from varley.cli.cluster_status import admin_options, admin_urls, ask
from varley.clock import SystemClock
from varley.errors import BadSettings, WorldError

_LOOK_SECONDS: Final = 1.0
_width: Final = {"max_content_width": 110}


def run_repairs(admin: str | None, data_dir: str, as_json: bool) -> None:
    told = ask(admin_urls(admin, data_dir), "/repairs")
    click.echo(json.dumps(told) if as_json else shown(told))


def shown(told: dict[str, Any]) -> str:
    """As people read it."""
    state = told["state"]
    if state is None:
        return "Nobody has looked after the cluster yet."
    counts = {name: state.get(name, 0) for name in ("repairing", "stuck", "silent", "moving")}
    lines = [
        click.style(f"{state['node']} looks after {_counted(state['groups'], 'group')}", bold=True),
        f"{counts['repairing']} are not as they should be, {counts['stuck']} of them cannot be put right now; "
        f"{counts['silent']} have no leader that says anything; {counts['moving']} are moved",
        "",
    ]
    for node in state.get("nodes", ()):
        lines.append(f"  {node['name']:12} {_condition(node)}")
    if state.get("shown"):
        lines.append("")
    for group in state.get("shown", ()):
        lines.append(f"  group {group['group']:<6} {group['members']}   {group.get('doing', '')}".rstrip())
    for move in told["moves"]:
        lines.append(f"  group {move['group']:<6} {move['source']} -> {move['target']} ({move['why']})")
    return "\n".join(lines)


def _condition(node: dict[str, Any]) -> str:
    words = [
        node["condition"], _counted(node.get("replicas", 0), "replica"), f"leads {node.get('leads', 0)}",
    ]  # fmt: skip
    if node.get("trouble"):
        words.append(node["trouble"])
    if node.get("draining"):
        words.append("empty: it may stop" if node.get("may_stop") else "is being emptied")
    return ", ".join(words)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def run_drain(
    name: str, cancel: bool, wait: bool, timeout: float, admin: str | None, data_dir: str
) -> None:
    urls = admin_urls(admin, data_dir)
    if cancel:
        if wait:
            raise BadSettings("--cancel and --wait are both given", hint="There is nothing to wait for")
        _order(urls, "/drain", {"node": name, "cancel": True}, "drain")
        click.echo(f"{name} keeps what it has, and gets new replicas again.")
        return
    if not (wait and name in ask(urls, "/repairs")["drains"]):    # whoever waits again need not order it again
        _order(urls, "/drain", {"node": name, "cancel": False}, "drain")
    click.echo(f"{name} is being emptied. `varley cluster repairs` says how far it is.")
    if wait:
        wait_empty(name, timeout, lambda: ask(urls, "/repairs"), SystemClock().monotonic, time.sleep, click.echo)
        click.echo(f"{name} is empty: it may stop.")


def wait_empty(
    name: str,
    seconds: float,
    look: Callable[[], dict[str, Any]],
    now: Callable[[], float],
    pause: Callable[[float], None],
    say: Callable[[str], None],
) -> None:
    """Return when the node has nothing more, and say meanwhile how far it is.

    Raises WorldError when that takes longer than `seconds`, or when it is not being emptied any more. It does not
    matter that nobody answers for a while: the node asked may be one that restarts.
    """
    deadline, said, trouble, is_known = now() + seconds, "", "nobody has said how far it is", False
    while True:
        told: dict[str, Any] | None
        try:
            told = look()
        except WorldError as error:
            told, trouble = None, error.problem
        if told is not None:
            if is_known and name not in told["drains"]:
                raise WorldError(f"{name} is not being emptied any more: that was taken back", operation="drain")
            is_known = is_known or name in told["drains"]    # the node asked may hear of it a little later
            node = _node(told, name)
            if node is not None and node.get("draining"):
                if node.get("may_stop"):
                    return
                trouble = f"it has {_counted(node.get('replicas', 0), 'replica')}, and leads {node.get('leads', 0)}"
        if trouble != said:
            say(f"{name}: {trouble}")
            said = trouble
        if now() >= deadline:
            raise WorldError(
                f"{name} is not empty after {seconds:g} s: {trouble}", operation="drain",
                hint="It is being emptied still. `varley cluster repairs` says what that waits for, often for nodes "
                "that could take its replicas; the same command with --wait waits again, --cancel takes it back",
            )  # fmt: skip
        pause(_LOOK_SECONDS)


def _node(told: dict[str, Any], name: str) -> dict[str, Any] | None:
    state = told["state"] or {}
    return next((node for node in state.get("nodes", ()) if node["name"] == name), None)


def run_move(
    group: int, source: str | None, target: str | None, cancel: bool, admin: str | None, data_dir: str
) -> None:
    if cancel == (source is not None and target is not None):
        raise BadSettings(
            "It is not said what shall be moved",
            hint="--group NUMBER --from NAME --to NAME, or --group NUMBER --cancel",
        )
    wish = {"group": group, "cancel": True} if cancel else {"group": group, "source": source, "target": target}
    _order(admin_urls(admin, data_dir), "/move", wish, "move")
    click.echo(f"Group {group}: " + ("the move is taken back" if cancel else f"{source} -> {target} is ordered") + ".")


def run_split(
    table: str, index: str | None, group: int | None, at: str | None, wait: bool, admin: str | None, data_dir: str
) -> None:
    urls = admin_urls(admin, data_dir)
    wish = {name: value for name, value in [("index", index), ("group", group), ("at", at)] if value is not None}
    told = ask(urls, "/split", {"table": table, **wish})
    if told["refused"] is not None:
        raise WorldError(str(told["refused"]), operation="split")
    parent, child = told["parent"], told["child"]
    click.echo(f"Group {parent} is being split: group {child} will have the upper part.")
    while wait:
        splits = ask(urls, "/splits")["splits"]
        if all(each["child"] != child for each in splits):
            click.echo(f"Group {parent} is split.")
            return
        time.sleep(_LOOK_SECONDS)


def _order(urls: Sequence[str], path: str, wish: dict[str, Any], operation: str) -> None:
    """Raises WorldError if it is refused."""
    refusal = ask(urls, path, wish)["refused"]
    if refusal is not None:
        raise WorldError(str(refusal), operation=operation)


repairs = click.Command(
    "repairs",
    callback=run_repairs,
    params=[*admin_options, click.Option(["--json", "as_json"], is_flag=True, help="As one line of JSON.")],
    help="""Show what is done to keep the cluster whole: groups that lack a replica, moves, nodes that are emptied.

A group's members: * leads, [log] votes and keeps no data, in brackets: it has no vote (yet, or for now).
""",
    context_settings=_width,
)
drain = click.Command(
    "drain",
    callback=run_drain,
    params=[
        click.Argument(["name"]),
        click.Option(["--cancel"], is_flag=True, help="Take it back: it keeps what it has."),
        click.Option(["--wait"], is_flag=True, help="Return when the node is empty, and say how far it is."),
        click.Option(
            ["--timeout"], type=click.FloatRange(min=0), default=600.0, metavar="SECONDS",
            help="How long --wait waits; then the exit code is 1, and the node is being emptied still. [600]",
        ),
        *admin_options,
    ],
    help="""Take all replicas and leaderships from a node, so that it may stop for good.

Each replica goes when another, on another node, has everything and votes; with too few nodes for that it stays, and
`varley cluster repairs` says so. Until --cancel the node gets nothing new, also after a restart. A node that only
restarts need not be emptied: it hands over when it stops, and others vote in its place meanwhile.

\b
Examples:
  varley cluster drain n2 --wait
  varley cluster drain n2 --cancel
""",
    context_settings=_width,
)
move = click.Command(
    "move",
    callback=run_move,
    params=[
        click.Option(["--group"], type=int, required=True, metavar="NUMBER", help="As `status` numbers them."),
        click.Option(["--from", "source"], metavar="NAME", help="The node that has the replica."),
        click.Option(["--to", "target"], metavar="NAME", help="The node that shall have it."),
        click.Option(["--cancel"], is_flag=True, help="Take a move of the group back."),
        *admin_options,
    ],
    help="""Move one replica of a group to another node.

The new one gets the state, catches up and votes before the old one goes.

\b
Example:
  varley cluster move --group 7 --from n1 --to n4
""",
    context_settings=_width,
)
split = click.Command(
    "split",
    callback=run_split,
    params=[
        click.Argument(["table"]),
        click.Option(["--index"], metavar="NAME", help="A partition of this global index, not of the table."),
        click.Option(["--group"], type=int, metavar="NUMBER", help="The partition, as `status` numbers them."),
        click.Option(["--at"], metavar="HASH", help="Where: the hash of a partition key, 32 hexadecimal digits."),
        click.Option(["--wait"], is_flag=True, help="Return when nothing is left to do."),
        *admin_options,
    ],
    help="""Split a partition in two: the largest one, unless --group or --at names another.

It is split in the middle of its bytes, between two partition keys, unless --at says where. A new group, on the nodes of
the old one, gets the upper part: first all that there is, while everything goes on, then, in some milliseconds, the
responsibility. Partitions are never merged.

With --admin this also works for a server that is alone and has an admin port.

\b
Examples:
  varley cluster split Music
  varley cluster split Music --index by-year --wait
  varley cluster split Music --group 7 --at 80000000000000000000000000000000
  varley cluster split Music --admin http://127.0.0.1:8001
""",
    context_settings=_width,
)
