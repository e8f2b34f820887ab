"""The folder of a ring's node, and the lock that keeps others out.

    ring.json     {"format": 1, "node": "…", "engine": "…", "settings": {…}}: whose folder this is; written last
    lock          locked (flock) while a node has the folder open; holds that node's process id
    rows/         the engine's own files: data.mdb and lock.mdb, or ring.sqlite

The settings are those that all nodes agreed on when the folder was made. What N, R and W are may change with a
restart of all nodes; a ring with another name, strategy or number of partitions, or a bucket of another mode, is
another ring.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from varley.errors import BadSettings, Damaged, DiskFull, ReadOnly
from varley.ring_node.engines.engine import Engine
from varley.ring_node.engines.lmdb import LmdbEngine
from varley.ring_node.engines.memory import MemoryEngine
from varley.ring_node.engines.sqlite import SqliteEngine
from varley.ring_node.settings import RingNodeSettings, RingSettings
from varley.storage.data_folder import lock_folder
from varley.storage.disk import NO_SPACE, RealDisk

FORMAT: Final = 1
IDENTITY: Final = "ring.json"
_NEW_IDENTITY: Final = "ring.json.new"
ROWS: Final = "rows"
_OURS: Final = {IDENTITY, _NEW_IDENTITY, "lock", ROWS}


class RingFolder:
    """An open folder; `close` it after the engine."""

    def __init__(self, path: str, own: RingNodeSettings, ring: RingSettings) -> None:
        """Make it if it is not there. Raises DataFolderLocked, BadSettings, Damaged, DiskFull, ReadOnly."""
        self.path = os.path.abspath(path)
        try:
            os.makedirs(self.path, exist_ok=True)
        except FileExistsError:
            raise BadSettings(f"{path} is a file, not a folder", hint="Choose another place with --data-dir") from None
        except OSError as error:
            raise ReadOnly(f"the folder cannot be made: {error.strerror}", path=path, operation="create") from error
        names = set(os.listdir(self.path))
        if IDENTITY not in names and not names <= _OURS:
            raise BadSettings(
                f"{path} is not empty, and not the folder of a ring's node",
                hint="Choose an empty folder, or one that does not exist yet, with --data-dir",
            )
        self._lock: int | None = lock_folder(self.path)
        try:
            self._check_or_make(own, ring)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def open_engine(self, kind: str) -> Engine:
        rows = os.path.join(self.path, ROWS)
        return SqliteEngine(rows) if kind == "sqlite" else LmdbEngine(rows)

    def _check_or_make(self, own: RingNodeSettings, ring: RingSettings) -> None:
        path = os.path.join(self.path, IDENTITY)
        wanted = {"format": FORMAT, "node": own.name, "engine": own.engine, "settings": json.loads(ring.text)}
        try:
            with open(path, "rb") as file:
                found = json.loads(file.read())
            _check(path, found, wanted)
        except FileNotFoundError:
            text = json.dumps(wanted) + "\n"
            try:
                RealDisk().replace(path, os.path.join(self.path, _NEW_IDENTITY), text.encode())
            except OSError as error:
                kind = DiskFull if error.errno in NO_SPACE else ReadOnly
                raise kind(f"the folder cannot be made: {error.strerror}", path=path, operation="create") from error
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Damaged("this does not say whose folder it is in", path=path,
                          hint="Move the folder away: the other replicas bring the node's rows.") from None  # fmt: skip


def open_engine(own: RingNodeSettings, ring: RingSettings) -> tuple[Engine, RingFolder | None]:
    """What this node keeps its rows in."""
    if own.data_dir is None:
        return MemoryEngine(), None
    folder = RingFolder(own.data_dir, own, ring)
    try:
        return folder.open_engine(own.engine), folder
    except BaseException:
        folder.close()
        raise


def _check(path: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    if found["format"] != FORMAT:
        raise BadSettings(f"{path} is of format {found['format']}, and this version of Varley knows {FORMAT}",
                          hint="Start the version that wrote it, or choose another folder")  # fmt: skip
    for name in ("node", "engine"):
        if found[name] != wanted[name]:
            raise BadSettings(f"{path} is of the {name} {found[name]}, not {wanted[name]}",
                              hint="Choose another folder with --data-dir")  # fmt: skip
    for name in ("name", "strategy", "partitions", "tokens"):
        if found["settings"].get(name) != wanted["settings"].get(name):
            raise BadSettings(
                f"{path} is of a ring with {name} {found['settings'].get(name)}, not {wanted['settings'].get(name)}",
                hint="Choose another folder with --data-dir, or the settings that it was made with",
            )
    _check_modes(path, found["settings"], wanted["settings"])


def _check_modes(path: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for bucket in sorted({"", *found["buckets"], *wanted["buckets"]}):
        was, now = (some["buckets"].get(bucket, some["default"])["mode"] for some in (found, wanted))
        if was != now:
            which = f"bucket {bucket!r}" if bucket else "the default bucket"
            raise BadSettings(f"{path}: the mode of {which} was {was}, and cannot become {now}",
                              hint="Put the keys into a bucket of another name")  # fmt: skip
