"""`varley cluster`: DynamoDB on several nodes.

    up, start              a whole cluster on this machine, and one node of it      cluster_up.py
    status, hand-over      how nodes and groups are, and who leads                  cluster_status.py
    drain, move, …         where replicas are                                       cluster_admin.py
"""

from __future__ import annotations

from typing import Final

from varley.cli.lazy_commands import LazyCommands

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
    "split": ("cluster_admin", "Split a partition of a table, or of one of its indexes."),
    "repairs": ("cluster_admin", "Show what is done to keep the cluster whole."),
}


cluster = LazyCommands("cluster", lazy=_COMMANDS, help=HELP, context_settings={"max_content_width": 110})
