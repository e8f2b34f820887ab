"""The data folder of a server of several processes (`varley serve --processes`). Drawn in docs/formats.md.

    FOLDER/processes.json    how many processes, and whose they are
    FOLDER/lock              locked while the server runs
    FOLDER/n1.1/             the data folder of each process, as any node has one
    FOLDER/n1.2/
    FOLDER/etcd/             the metadata, unless the cluster has an etcd of its own

Which process has which partition is in the metadata, so another number of processes could not find what is there: the
number stays as it is for good.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Final

from varley.errors import BadSettings, Damaged
from varley.storage.data_folder import PROCESSES_FILE, held, refuse_other_folders
from varley.storage.disk import RealDisk, failure

_FORMAT: Final = 1


@contextlib.contextmanager
def claimed(folder: str, *, name: str, processes: int, cluster: str | None) -> Iterator[None]:
    """The folder is locked, and belongs to this server for good. `cluster`: of which one; None: it is alone. Blocks.

    Raises BadSettings if it is somebody else's, DataFolderLocked, Damaged, and WorldError if it cannot be written.
    """
    with held(folder, refuse_other_folders):
        _claim(os.path.join(folder, PROCESSES_FILE), name, processes, cluster)
        yield


def _claim(path: str, name: str, processes: int, cluster: str | None) -> None:
    there = _read(path)
    if there is None:
        text = encoded(name, processes, cluster) + "\n"
        try:
            RealDisk().replace(path, path + ".new", text.encode())
        except OSError as error:
            raise failure(error, "The folder cannot be claimed", path, "write") from error
        return
    folder = os.path.dirname(path)
    if there[1] != processes:
        raise BadSettings(
            f"{folder} is the folder of a server of {there[1]} processes, and their number stays as it is",
            hint=f"Start it with --processes {there[1]}, or choose another folder with --data-dir",
        )
    if (there[0], there[2]) != (name, cluster):
        raise BadSettings(
            f"{folder} belongs to {_said(there[0], there[2])}, not to {_said(name, cluster)}",
            hint="Start it as before, or choose another folder with --data-dir",
        )


def encoded(name: str, processes: int, cluster: str | None) -> str:
    return json.dumps({"format": _FORMAT, "name": name, "processes": processes, "cluster": cluster})


def _said(name: str, cluster: str | None) -> str:
    return "a server that is alone" if cluster is None else f"{name!r} of the cluster {cluster!r}"


def _read(path: str) -> tuple[str, int, str | None] | None:
    """(name, processes, cluster); None: it is new."""
    try:
        with open(path, "rb") as file:
            there = json.load(file)
        if there["format"] == _FORMAT:
            cluster = there["cluster"]
            return str(there["name"]), int(there["processes"]), None if cluster is None else str(cluster)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise Damaged("this does not say how many processes the folder belongs to", path=path) from None
    raise BadSettings(f"{path} is of format {there['format']}", hint="Start the version of Varley that wrote it")
