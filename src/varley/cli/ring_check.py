"""`varley check` on the folder of a ring's node, or on that of `varley ring up`, which has one for each node."""

from __future__ import annotations

import dataclasses
import os

import click

from varley.cli.check import as_json_line, show
from varley.ring_node.check import RingFolderCheck, check_ring_folder, is_ring_folder


def node_folders(data_dir: str) -> list[str]:
    """ "." if it is a node's own; those of nodes in it; none if it is something else."""
    if not os.path.isdir(data_dir):
        return []
    if is_ring_folder(data_dir):
        return ["."]
    return [name for name in sorted(os.listdir(data_dir)) if is_ring_folder(os.path.join(data_dir, name))]


def run(data_dir: str, nodes: list[str], *, as_json: bool) -> int:
    """Returns the exit code of the command. Raises DataFolderLocked if a node is running."""
    checked = [_checked(data_dir, name) for name in nodes]
    findings = [finding for each in checked for finding in each.findings]
    if as_json:
        click.echo(as_json_line(data_dir, findings, {"nodes": [_members(each) for each in checked]}))
    else:
        for each in checked:
            click.echo(str(each))
        show(data_dir, findings)
    return 1 if findings else 0


def _checked(data_dir: str, name: str) -> RingFolderCheck:
    found = check_ring_folder(os.path.join(data_dir, name))
    found.findings = [
        dataclasses.replace(finding, path=os.path.normpath(os.path.join(name, finding.path)))
        for finding in found.findings
    ]
    return found


def _members(found: RingFolderCheck) -> dict[str, object]:
    return {name: value for name, value in vars(found).items() if name != "findings"}
