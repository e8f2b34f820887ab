"""`varley cluster`: DynamoDB on several nodes.

    up, start              a whole cluster on this machine, and one node of it      cluster_up.py
    status, hand-over      how nodes and groups are, and who leads                  cluster_status.py
    drain, move, …         where replicas are                                       cluster_admin.py
"""

from __future__ import annotations

import importlib
from typing import Final

import click

HELP: Final = """Tables whose partitions have replicas on several nodes: any node serves any request.

\b
Start here:
  varley cluster up                       three nodes on this machine, data in ./varley-cluster
  varley cluster status                   in another terminal
  kill -9 PROCESS                         nothing is lost, and writes go on within seconds
  varley cluster start n2                 bring it back

A real cluster is one `varley serve --cluster etcd://… --name …` on each machine, and an etcd.
"""

# Command -> (module in this folder, what it does)
_COMMANDS: Final = {
    "up": ("cluster_up", "Start a cluster of several nodes on this machine."),
    "start": ("cluster_up", "Bring a node of that cluster back."),
    "status": ("cluster_status", "Show nodes, zones, groups, who leads and who is behind."),
    "hand-over": ("cluster_status", "Let another node lead."),
    "drain": ("cluster_admin", "Take all replicas from a node, so that it may stop."),
    "move": ("cluster_admin", "Move a replica to another node."),
    "repairs": ("cluster_admin", "Show what is done to keep the cluster whole."),
}


class _LazyCommands(click.Group):
    """As in `varley` itself: a command is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"varley.cli.{_COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


command = _LazyCommands("cluster", help=HELP, context_settings={"max_content_width": 110})
