"""`varley check` on the folder of a cluster's node, or on one that has several: `varley cluster up`, `--processes`.

Which tables there are is in the cluster's etcd, and a group's rows may be whole here or on other nodes only. So what is
checked is what bytes, logs and trees must be by themselves; no item is compared with its table.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Final

import click

from varley.cli.check import as_json_line, examine, show
from varley.storage.check import Finding
from varley.storage.node_folder import owner_of

_DEPTH_MAX: Final = 2    # of `varley cluster up --processes`: a folder for each node, and in it one for each process


def node_folders(data_dir: str) -> list[str]:
    """ "." if it is a node's own; those of nodes in it; none if it is something else. Raises Damaged, BadSettings."""
    return list(_node_folders(data_dir, ".", _DEPTH_MAX))


def _node_folders(data_dir: str, name: str, depth: int) -> Iterator[str]:
    path = os.path.join(data_dir, name)
    if not os.path.isdir(path):
        return
    if owner_of(path) is not None:
        yield name
    elif depth:
        for each in sorted(os.listdir(path)):
            yield from _node_folders(data_dir, os.path.normpath(os.path.join(name, each)), depth - 1)


def run(data_dir: str, nodes: list[str], progress: Callable[[str], None], *, as_json: bool) -> int:
    """Returns the exit code of the command. Raises DataFolderLocked if a node is running."""
    findings: list[Finding] = []
    for name in nodes:
        path = os.path.join(data_dir, name)
        owner = owner_of(path)
        assert owner is not None
        if not as_json:
            click.echo(f"{os.path.normpath(path)}: node {owner[1]} of the cluster {owner[0]}; its log and trees, not "
                       "its tables, which only the cluster knows")
        findings += [
            dataclasses.replace(finding, path=os.path.normpath(os.path.join(name, finding.path)))
            for finding in examine(path, progress)
        ]
    if as_json:
        click.echo(as_json_line(data_dir, findings, {"nodes": nodes}))
    else:
        show(data_dir, findings)
    return 1 if findings else 0
