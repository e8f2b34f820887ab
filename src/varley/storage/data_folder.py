"""The folder that holds all that a server keeps, and the lock that keeps others out. Drawn in
docs/formats.md.

    varley-data/
        identity.json    {"format": 1, "id": "…"}: says what this folder is, and in which format
        inventory.json   which trees and log segments there are: inventory.py
        lock             locked while a server has the folder open; holds that server's process id
        log/             segments of the log
        trees/           one environment per replica
        metadata/        tables, partition map, nodes

The identity is written last when a folder is made. So a folder with an identity is complete, and one without
is either being made (only the names above are in it, and making it can go on) or is not ours: then it is
refused and nothing is written into it.

The lock is flock's: the system drops it when the process ends, however it ends, so there is no stale lock to
clear by hand. Rejected: a file that names the process (stale after a crash, and process ids come round
again), fcntl's record locks (closing any other descriptor of the same file drops them).

A folder that cannot be written, such as a mounted copy, is opened for reading only; if it has a lock file,
the lock is shared among readers and excludes a server that writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Final, Self

from varley.errors import BadSettings, Damaged, DataFolderLocked, ReadOnly, WorldError
from varley.storage.disk import CANNOT_WRITE, RealDisk, failure

DATA_FORMAT: Final = 1

_IDENTITY: Final = "identity.json"
_NEW_IDENTITY: Final = "identity.json.new"
_LOCK: Final = "lock"
LOCAL_CLUSTER_FILE: Final = "cluster.json"    # of `varley cluster up`: cli/cluster_plan.py
PROCESSES_FILE: Final = "processes.json"    # of a server of several processes: cli/processes_folder.py
_FOLDERS: Final = ("log", "trees", "metadata")


class DataFolder:
    """An open data folder; `close` it, or use it in a `with` statement."""

    def __init__(self, path: str, *, lock: int | None, identity: str, is_read_only: bool) -> None:
        """Use `DataFolder.open`."""
        self.path = path
        self.id = identity    # made once, with the folder
        self.is_read_only = is_read_only
        self.log, self.trees, self.metadata = (os.path.join(path, name) for name in _FOLDERS)
        self._lock = lock     # None: closed, or a folder for reading that has no lock file

    @classmethod
    def open(cls, path: str) -> Self:
        """Open the folder, and make it if it is not there.

        Raises DataFolderLocked (another server has it), BadSettings (the path is something else, or of a
        format that this version does not know), ReadOnly (it would have to be made, and cannot be), Damaged
        (its identity does not read as one, or one of the folders in it is missing).
        """
        path = os.path.abspath(path)
        _make_folder(path)
        _refuse_what_is_not_ours(path)
        lock, is_read_only = _take_lock(path)
        try:
            identity = _read_identity(path)
            if identity is None:
                identity = _make(path, is_read_only=is_read_only)
            else:
                _refuse_if_folders_are_missing(path)
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise
        return cls(path, lock=lock, identity=identity, is_read_only=is_read_only)

    def close(self) -> None:
        """Let others open it. May be called again."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make_folder(path: str) -> None:
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    _make_folder(parent)
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise BadSettings(
                f"{path} is a file, not a folder", hint="Choose another place with --data-dir"
            ) from None
    except OSError as error:
        raise _cannot_make(path, error) from error
    else:
        RealDisk().sync_folder(parent)


def _refuse_what_is_not_ours(path: str) -> None:
    names = set(os.listdir(path))
    if LOCAL_CLUSTER_FILE in names:
        raise BadSettings(
            f"{path} is the folder of a cluster that `varley cluster up` has made",
            hint="Start it with `varley cluster up --data-dir`, or choose another folder",
        )
    if PROCESSES_FILE in names:
        raise BadSettings(
            f"{path} is the data folder of a server of several processes",
            hint=f"{PROCESSES_FILE} in it says how many: start it with --processes and that number",
        )
    if _IDENTITY not in names and not names <= {_NEW_IDENTITY, _LOCK, *_FOLDERS}:
        raise BadSettings(
            f"{path} is not empty, and not a data folder of Varley",
            hint="Choose an empty folder, or one that does not exist yet, with --data-dir",
        )


def refuse_other_folders(path: str) -> None:
    """For a server of several processes, whose folder is there. Raises BadSettings if it is another kind of folder."""
    names = set(os.listdir(path))
    if PROCESSES_FILE in names:
        return
    if _IDENTITY in names:
        raise BadSettings(
            f"{path} is the data folder of a server of one process",
            hint="Start it without --processes, or choose another folder with --data-dir",
        )
    if not names <= {_LOCK, PROCESSES_FILE + ".new"}:
        raise BadSettings(
            f"{path} is not empty, and not a data folder of Varley",
            hint="Choose an empty folder, or one that does not exist yet, with --data-dir",
        )


def refuse_data_folder(path: str) -> None:
    """For a folder that is to have the folders of several nodes. Raises BadSettings if it is a server's own."""
    if _IDENTITY in os.listdir(path) or PROCESSES_FILE in os.listdir(path):
        raise BadSettings(
            f"{path} is the data folder of a server", hint="Choose another place with --data-dir"
        )


@contextlib.contextmanager
def held(path: str, refuse: Callable[[str], None]) -> Iterator[None]:
    """A folder that has those of several nodes: made if it is not there, then locked. `refuse` raises if it is another
    kind of folder. Raises DataFolderLocked, and WorldError if it cannot be made."""
    _make_folder(os.path.abspath(path))
    refuse(path)
    lock = lock_folder(path)
    try:
        yield
    finally:
        os.close(lock)


def lock_folder(path: str) -> int:
    """Lock another kind of folder that is to be written: the open lock file. Raises DataFolderLocked, ReadOnly."""
    lock, is_read_only = _take_lock(path)
    if lock is None or is_read_only:
        if lock is not None:
            os.close(lock)
        raise ReadOnly("nothing can be written here", path=path, operation="lock")
    return lock


def _take_lock(path: str) -> tuple[int | None, bool]:
    """(the locked file, whether the folder can only be read)."""
    lock_path = os.path.join(path, _LOCK)
    try:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise failure(error, "The data folder cannot be locked", path, "lock") from error
        return _share_lock(path, lock_path), True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _locked(path, lock) from None
    os.ftruncate(lock, 0)
    with contextlib.suppress(OSError):    # for people, and the disk may be full: the lock is what counts
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock, False


def _share_lock(path: str, lock_path: str) -> int | None:
    try:
        lock = os.open(lock_path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _locked(path, lock) from None
    return lock


def _locked(path: str, lock: int) -> DataFolderLocked:
    holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
    os.close(lock)
    by = f"another server, process {holder}," if holder else "another server"
    return DataFolderLocked(
        f"{by} has this data folder open",
        path=path,
        operation="lock",
        hint="Stop that server, or start this one with another --data-dir (or with --in-memory)",
    )


def _read_identity(path: str) -> str | None:
    """The folder's id; None if it has none yet."""
    identity_path = os.path.join(path, _IDENTITY)
    try:
        with open(identity_path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    try:
        identity = json.loads(text)
        data_format, folder_id = identity["format"], identity["id"]
    except (ValueError, KeyError, TypeError):
        raise Damaged(
            "this does not say which folder it is in and of which format",
            path=identity_path,
            hint=f'It should read {{"format": {DATA_FORMAT}, "id": "..."}}',
        ) from None
    if data_format != DATA_FORMAT:
        raise BadSettings(
            f"{path} is a data folder of format {data_format}, and this version of Varley knows {DATA_FORMAT}",
            hint="Start the version that wrote it, or choose another folder with --data-dir",
        )
    return str(folder_id)


def _refuse_if_folders_are_missing(path: str) -> None:
    for name in _FOLDERS:
        folder = os.path.join(path, name)
        if not os.path.isdir(folder):
            raise Damaged("the folder is missing", path=folder, hint="Restore the data folder from a copy")


def _make(path: str, *, is_read_only: bool) -> str:
    """Make what belongs into a new folder, durably, the identity last. Gives the id."""
    if is_read_only:
        raise ReadOnly("there is no data here, and nothing can be written here", path=path, operation="create")
    disk = RealDisk()
    folder_id = str(uuid.uuid4())
    new_path = os.path.join(path, _NEW_IDENTITY)
    try:
        for name in _FOLDERS:
            os.makedirs(os.path.join(path, name), exist_ok=True)
        text = json.dumps({"format": DATA_FORMAT, "id": folder_id}) + "\n"
        disk.replace(os.path.join(path, _IDENTITY), new_path, text.encode())    # the folders are durable before it is
    except OSError as error:
        raise _cannot_make(path, error) from error
    return folder_id


def _cannot_make(path: str, error: OSError) -> WorldError:
    return failure(error, "The data folder cannot be made", path, "create")
