"""`varley cluster status` and `hand-over`: asked at the admin port of any node, which asks the others."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, Final

import click

from varley.cli.cluster_plan import Plan
from varley.errors import BadSettings, WorldError

_SECONDS: Final = 10.0


def ask(urls: Sequence[str], path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the first of these admin ports says that answers. Raises WorldError."""
    trouble = "no admin port is known"
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for url in urls:
        request = urllib.request.Request(url.rstrip("/") + path, data=data, method="GET" if data is None else "POST")
        try:
            with opener.open(request, timeout=_SECONDS) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            try:
                problem: dict[str, Any] = json.load(error)
            except ValueError:
                raise WorldError(f"This is not a node of a cluster: {url}", operation="ask") from None
            if "refused" in problem:
                return problem
            raise WorldError(problem.get("message", str(error)), operation="ask", path=url) from None
        except (OSError, ValueError) as error:
            trouble = f"{url} does not answer: {_reason(error)}"
    raise WorldError(
        f"No node of the cluster answers; {trouble}", operation="ask",
        hint="Name the admin port of one with --admin http://127.0.0.1:8001",
    )  # fmt: skip


def _reason(error: Exception) -> str:
    """Without the numbers and classes that the library wraps around it."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return str(inner)


def admin_urls(admin: str | None, data_dir: str) -> list[str]:
    """Raises BadSettings if neither says where to ask."""
    if admin is not None:
        return [admin if "://" in admin else f"http://{admin}"]
    plan = Plan.read(os.path.abspath(data_dir))
    if plan is None:
        raise BadSettings(
            "It is not known which cluster is meant", path=os.path.abspath(data_dir),
            hint="Name the admin port of a node with --admin, or the folder of a local cluster with --data-dir. "
            "`varley cluster up` starts a cluster on this machine",
        )  # fmt: skip
    return [f"http://127.0.0.1:{place.admin_port}" for place in plan.places]


def run_status(admin: str | None, data_dir: str, as_json: bool) -> None:
    urls = admin_urls(admin, data_dir)
    status = ask(urls, "/cluster")
    try:
        status["repairs"] = ask(urls, "/repairs")["state"]
    except WorldError:
        status["repairs"] = None    # what is said of them is in etcd, which may be away
    click.echo(json.dumps(status) if as_json else shown(status))


def shown(status: dict[str, Any]) -> str:
    """As tables."""
    nodes = [
        [each["name"], each["zone"] or "-", each["state"], _number(each["replicas"]), _number(each["leads"]),
         each["endpoint"] or "-"]
        for each in status["nodes"]
    ]  # fmt: skip
    groups = [
        [
            str(each["group"]), each["table"] + ("" if each["index"] is None else f"/{each['index']}"),
            each["leader"] or "nobody", ", ".join(_member(name, kind) for name, kind in each["members"].items()),
            _behind(each),
        ]
        for each in status["groups"]
    ]  # fmt: skip
    troubled = [each for each in status["groups"] if not each["is_healthy"] or _behind(each) != "-"]
    lines = [
        click.style(f"Cluster {status['cluster']}, as {status['node']} sees it", bold=True), "",
        *_table(["node", "zone", "state", "replicas", "leads", "endpoint"], nodes), "",
        *_table(["group", "table", "leader", "members", "behind"], groups), "",
        f"{len(groups)} groups, {len(troubled)} with something to be said of; {_repairs(status.get('repairs'))}",
    ]  # fmt: skip
    return "\n".join(lines)


def _repairs(state: dict[str, Any] | None) -> str:
    if state is None:
        return "nobody says what is repaired"
    counts = [f"{state[name]} {name}" for name in ("repairing", "stuck", "moving") if state.get(name)]
    return f"{', '.join(counts) or 'nothing to repair'}, says {state['node']}"


def _number(count: int | None) -> str:
    return "-" if count is None else str(count)


def _member(name: str, kind: str) -> str:
    return name if kind == "voter" else f"{name} ({kind})"


def _behind(group: dict[str, Any]) -> str:
    """Members that lack entries, and those of which nothing was heard for a while."""
    lag, silent = group["lag"], group["silent_seconds"]
    found = [f"{name} {slots} entries" for name, slots in lag.items() if slots]
    found += [f"{name} silent for {seconds:.0f} s" for name, seconds in silent.items() if seconds >= 2]
    if group["leader"] is not None:
        found += [f"{name} never heard" for name in group["members"]
                  if name not in silent and name not in lag and name.partition("#")[0] != group["leader"]]  # fmt: skip
    return ", ".join(found) or "-"


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    return [
        "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [heads, *rows]
    ]


def run_hand_over(group: int | None, node: str | None, to: str | None, admin: str | None, data_dir: str) -> None:
    if (group is None) == (node is None):
        raise BadSettings(
            "It is not said whose leadership is meant",
            hint="--group NUMBER for one group, or --node NAME for all that it leads",
        )
    wish: dict[str, Any] = {"node": node}
    if group is not None:
        wish = {"group": group} if to is None else {"group": group, "to": to}
    urls = admin_urls(admin, data_dir)
    if node is not None and node not in {each["name"] for each in ask(urls, "/cluster")["nodes"]}:
        raise WorldError(f"There is no node {node}", operation="hand over", hint="`varley cluster status` lists them")
    answer = ask(urls, "/hand-over", wish)
    if not answer["groups"]:
        click.echo(f"{node} leads nothing.")
    for each in answer["groups"]:
        why = answer["refused"].get(str(each))
        click.echo(f"Group {each}: " + ("is being handed over" if why is None else why))
    if answer["refused"]:
        raise WorldError("Some were not handed over", operation="hand over")


admin_options: Final = (
    click.Option(["--admin"], metavar="URL", help="Admin port of any node."),
    click.Option(
        ["--data-dir"], default="varley-cluster", metavar="FOLDER",
        help="Folder of a local cluster, whose admin ports are known. [varley-cluster]",
    ),
)  # fmt: skip

status = click.Command(
    "status",
    callback=run_status,
    params=[*admin_options, click.Option(["--json", "as_json"], is_flag=True, help="As one line of JSON.")],
    help="""Show nodes, zones, groups, who leads, and who is behind.

\b
Examples:
  varley cluster status                                  the local cluster in ./varley-cluster
  varley cluster status --admin http://10.0.0.5:8001     any node of a real one
""",
    context_settings={"max_content_width": 110},
)
hand_over = click.Command(
    "hand-over",
    callback=run_hand_over,
    params=[
        click.Option(["--group"], type=int, metavar="NUMBER", help="The group, as `status` numbers them."),
        click.Option(["--node"], metavar="NAME", help="All groups that this node leads."),
        click.Option(["--to"], metavar="NAME", help="The node that shall lead the group; without it, any."),
        *admin_options,
    ],
    help="""Let another node lead a group, or all that a node leads.

\b
Examples:
  varley cluster hand-over --group 7 --to n2
  varley cluster hand-over --node n1
""",
    context_settings={"max_content_width": 110},
)
