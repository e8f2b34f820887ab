"""Whose a data folder is, if it belongs to a node of a cluster: `metadata/cluster.json`. Drawn in docs/formats.md.

    {"format": 1, "cluster": "varley", "node": "n1", "groups_given": 41}

A node's promises to its groups are in its folder, so a folder under another name would be a member that has forgotten
what it promised, and a folder of a single server has groups of one, which no cluster knows. Both are refused, and so is
a single server in a node's folder.

`groups_given` is the highest group id that had been given out when the folder was first used by the node. A group that
the metadata places on this node, and of which the log has nothing, is one of two things: younger than the folder, then
this node has never begun with it; or older, then another folder had it, which is lost with all that was promised in it
(node/hosting: it comes back under another name). Without this number the two could not be told apart, and the safe
answer, "lost", given by all members of a new group whose nodes went down together, would leave it without a vote.
"""

from __future__ import annotations

import json
import os
from typing import Final

from varley.errors import BadSettings, Damaged
from varley.storage.data_folder import DataFolder
from varley.storage.disk import RealDisk, failure

_FILE: Final = "cluster.json"
_FORMAT: Final = 1
_SINGLE_SERVERS: Final = "data.mdb"     # metadata of a single server


def claim(folder: DataFolder, cluster: str, node: str, groups_given: int) -> int:
    """The folder is used by this node of this cluster; gives the `groups_given` of its first use. Blocks.

    Raises BadSettings if it is somebody else's, Damaged, and WorldError if it cannot be written.
    """
    path = _path(folder)
    there = _read(path)
    if there is not None:
        if (there[0], there[1]) != (cluster, node):
            raise BadSettings(
                f"{folder.path} belongs to the node {there[1]!r} of the cluster {there[0]!r}, not to {node!r} of "
                f"{cluster!r}",
                hint="Choose another folder with --data-dir, or start it under its own name",
            )
        return there[2]
    if os.path.exists(os.path.join(folder.metadata, _SINGLE_SERVERS)):
        raise BadSettings(
            f"{folder.path} is the folder of a single server, whose tables no cluster knows",
            hint="Choose another folder with --data-dir",
        )
    text = json.dumps({"format": _FORMAT, "cluster": cluster, "node": node, "groups_given": groups_given}) + "\n"
    try:
        RealDisk().replace(path, path + ".new", text.encode())
    except OSError as error:
        raise failure(error, "The folder cannot be claimed", path, "write") from error
    return groups_given


def refuse_nodes_folder(folder: DataFolder) -> None:
    """For a single server. Raises BadSettings if the folder belongs to a node of a cluster."""
    there = _read(_path(folder))
    if there is not None:
        raise BadSettings(
            f"{folder.path} belongs to the node {there[1]!r} of the cluster {there[0]!r}",
            hint=f"Start it with --cluster etcd://… --name {there[1]}, or choose another folder with --data-dir",
        )


def owner_of(path: str) -> tuple[str, str] | None:
    """(cluster, node) whose data folder this is, None if it is no node's. Raises Damaged, BadSettings."""
    there = _read(os.path.join(path, "metadata", _FILE))
    return None if there is None else there[:2]


def _path(folder: DataFolder) -> str:
    return os.path.join(folder.metadata, _FILE)


def _read(path: str) -> tuple[str, str, int] | None:
    """(cluster, node, groups_given); None: it was never used by a node."""
    try:
        with open(path, "rb") as file:
            there = json.load(file)
        if there["format"] == _FORMAT:
            return str(there["cluster"]), str(there["node"]), int(there["groups_given"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        raise Damaged("this does not say which node the folder belongs to", path=path) from None
    raise BadSettings(f"{path} is of format {there['format']}", hint="Start the version of Varley that wrote it")
