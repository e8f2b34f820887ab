"""Whether the folder of a ring's node is sound, and what is in it. For `varley check`; changes nothing.

    ring.json       says whose folder it is
    engine          LMDB: pages form a tree, each is used once. SQLite: its own integrity check, and its log, which
                    SQLite reads up to the first frame that is not what was written, and takes for ended there
    entries         each under a key that there can be, with right checksums (rows.py)
    rows, hints     under the place of their key; versions that read as such, and what the head says of them; one
                    version where the bucket keeps the last
    memory          the history of membership, and the clock

A row that a node has given up, and keeps aside, is told of but is no finding: the other homes have brought it back.

A damaged row costs nothing while another home has it: the node gives it up when it meets it. What is found here says
that a disk is not to be trusted.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import lmdb

from varley.ring.membership import Member
from varley.ring.siblings import Mode, Siblings
from varley.ring_node import rows
from varley.ring_node.engines import sqlite
from varley.ring_node.engines.engine import Entry
from varley.ring_node.folder import FORMAT, IDENTITY, ROWS
from varley.ring_node.keys import PLACE_BYTES, bucket_of, place_of
from varley.ring_node.members import decode_history
from varley.ring_node.rows import BadRow
from varley.storage.check import Finding
from varley.storage.data_folder import lock_folder
from varley.storage.lmdb_engine import DATA_FILE, open_environment, structure_problems

Entries = Iterator[tuple[bytes, Entry]]
_CLOCK_BYTES: Final = 16
_WAL_HEAD: Final = struct.Struct(">8I")     # magic, format, page size, checkpoint, two salts, two checksums
_WAL_FRAME: Final = struct.Struct(">6I")    # page, size of the database after a commit or 0, salts, checksums
_WAL_MAGIC: Final = 0x377F0682              # the last bit: checksums are of big-endian words


@dataclass
class RingFolderCheck:
    """What is there, as far as it can be read, and what is broken."""

    node: str | None = None
    ring: str | None = None
    engine: str | None = None
    members: int | None = None      # that it remembers
    rows: int = 0
    tombstones: int = 0             # rows of which nothing else is left
    hints: Counter[str] = field(default_factory=Counter)    # by home
    given_up: int = 0
    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        hints = ", ".join(f"{count} for {home}" for home, count in sorted(self.hints.items())) or "none"
        return (
            f"Node {self.node} of the ring {self.ring}, engine {self.engine}: {self.rows} rows, "
            f"{self.tombstones} of them deleted; hints: {hints}; {self.given_up} given up earlier; "
            f"remembers {self.members or 0} members"
        )


def is_ring_folder(path: str) -> bool:
    return os.path.exists(os.path.join(path, IDENTITY)) or any(
        os.path.exists(os.path.join(path, ROWS, name)) for name in (DATA_FILE, sqlite.DATA_FILE)
    )


def check_ring_folder(path: str) -> RingFolderCheck:
    """Raises DataFolderLocked if a node has it open, ReadOnly."""
    lock = lock_folder(path)
    try:
        walk = _Walk(path)
        walk.run()
        return walk.found
    finally:
        os.close(lock)


class _Walk:
    def __init__(self, path: str) -> None:
        self.found = RingFolderCheck()
        self._rows = os.path.join(path, ROWS)
        self._identity_path = os.path.join(path, IDENTITY)
        self._modes: dict[str, Mode] = {}
        self._default_mode: Mode | None = None      # None: not known
        self._file = ""                             # of the engine, relative to the folder

    def run(self) -> None:
        try:
            self._read_identity()
        except FileNotFoundError:
            self._find("There is no such file: whose folder this is is not known", path=IDENTITY)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._find(f"It does not say whose folder this is: {error!r}", path=IDENTITY)
        there = [kind for kind, name in (("lmdb", DATA_FILE), ("sqlite", sqlite.DATA_FILE))
                 if os.path.exists(os.path.join(self._rows, name))]  # fmt: skip
        if self.found.engine is None and there:
            self.found.engine = there[0]
        if self.found.engine not in there:
            self._find("There are no rows", path=ROWS)
            return
        names: set[str] = set()
        for key, entry in _lmdb(self) if self.found.engine == "lmdb" else _sqlite(self):
            try:
                self._check(key, entry, names)
            except BadRow as problem:
                self._find(f"A row is damaged: {problem}" if key[:1] in b"rh" else f"{problem}", key=key)
        if "history" not in names and self.found.rows:
            self._find("It has rows, and remembers no ring")

    def _read_identity(self) -> None:
        with open(self._identity_path, "rb") as file:
            identity = json.loads(file.read())
        if identity["format"] != FORMAT:
            raise ValueError(f"format {identity['format']}, and this version of Varley reads {FORMAT}")
        settings = identity["settings"]
        default = Mode(settings["default"]["mode"])
        self._modes = {name: Mode(bucket["mode"]) for name, bucket in settings["buckets"].items()}
        self._default_mode = default
        self.found.node, self.found.ring, self.found.engine = identity["node"], settings["name"], identity["engine"]

    # ---- Entries

    def _check(self, key: bytes, entry: Entry, names: set[str]) -> None:
        """Raises BadRow."""
        match key[:1]:
            case rows.ROWS if len(key) == 1 + PLACE_BYTES:
                self.found.rows += 1
                self.found.tombstones += self._check_row(key, entry)
            case rows.HINTS if len(key) > 2 and len(key) == 2 + key[1] + PLACE_BYTES:
                self.found.hints[key[2 : 2 + key[1]].decode(errors="replace")] += 1
                self._check_row(key, entry)
            case rows.MEMORY:
                names.add(self._check_memory(key, entry))
            case rows.DAMAGED:
                self.found.given_up += 1
            case _:
                self._find("There is no such key in a node of a ring", key=key)

    def _check_row(self, key: bytes, entry: Entry) -> bool:
        """Whether nothing but tombstones is left. Raises BadRow."""
        head = rows.decode_head(key, entry.head)
        try:
            siblings = rows.decode_row(key, entry)
            bucket = bucket_of(head.ring_key)
        except (AssertionError, struct.error, ValueError, IndexError) as error:
            raise error if isinstance(error, BadRow) else BadRow(f"it does not read as versions: {error!r}") from None
        if rows.place_in(key) != place_of(head.ring_key):
            raise BadRow("it is not where its key belongs")
        if head.is_tombstone != all(version.is_tombstone for version in siblings) or head.time_us != _time_us(siblings):
            raise BadRow("its head does not tell what its body holds")
        if self._modes.get(bucket, self._default_mode) is Mode.LAST_WRITE_WINS and len(siblings) > 1:
            raise BadRow(f"the bucket {bucket} keeps the last version, and here are {len(siblings)}")
        return head.is_tombstone

    def _check_memory(self, key: bytes, entry: Entry) -> str:
        """Its name. Raises BadRow."""
        name = key[1:].decode(errors="replace")
        value = rows.decode_memory(key, entry)
        if name == "history":
            try:
                history = decode_history(value)
            except (AssertionError, ValueError, TypeError) as error:
                raise BadRow(f"the history of membership does not read as one: {error}") from None
            members: dict[str, Member] = {}
            for _, after in history.walk():
                members = after
            self.found.members = len(members)
        elif name == "clock" and len(value) != _CLOCK_BYTES:
            raise BadRow(f"the clock has {len(value)} bytes, and not {_CLOCK_BYTES}")
        return name

    def _find(
        self, problem: str, *, path: str | None = None, key: bytes | None = None, offset: int | None = None
    ) -> None:
        self.found.findings.append(Finding(path or self._file, problem, key=key, offset=offset))


def _time_us(siblings: Siblings) -> int:
    return siblings.clock.time_us


# ---- Engines, read without changing them


def _lmdb(walk: _Walk) -> Entries:
    walk._file = os.path.join(ROWS, DATA_FILE)
    problems = structure_problems(walk._rows)
    for problem in problems:
        walk._find(f"The tree's structure: {problem}")
    if problems:
        return      # LMDB trusts its pages: to walk one that is damaged may end the process
    try:
        env = open_environment(walk._rows, is_read_only=True)
    except (lmdb.Error, OSError) as error:
        walk._find(f"The tree cannot be opened: {error}")
        return
    try:
        with env.begin(buffers=True) as txn:
            for key, raw in txn.cursor():
                value = bytes(raw)
                length = int.from_bytes(value[:2], "big")
                if len(value) < 2 + length:
                    walk._find("A value is cut short", key=bytes(key))
                else:
                    yield bytes(key), Entry(value[2 : 2 + length], value[2 + length :])
    except lmdb.Error as error:
        walk._find(f"The tree cannot be read: {error}")
    finally:
        env.close()


def _sqlite(walk: _Walk) -> Entries:
    walk._file = os.path.join(ROWS, sqlite.DATA_FILE)
    path = os.path.join(walk._rows, sqlite.DATA_FILE)
    with contextlib.suppress(FileNotFoundError), open(path + "-wal", "rb") as file:
        offset = damaged_frame(file.read())
        if offset is not None:
            walk._find("The log: a frame is not what was written, and others follow it", path=walk._file + "-wal",
                       offset=offset)  # fmt: skip
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    except sqlite3.Error as error:
        walk._find(f"The file cannot be opened: {error}")
        return
    try:
        (whose,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if (whose, version) != (sqlite.APPLICATION_ID, sqlite.FORMAT):
            walk._find("This is not a file of the ring's, or of another format")
        for (problem,) in connection.execute("PRAGMA integrity_check"):
            if problem != "ok":
                walk._find(f"The file's structure: {problem}")
        for found in connection.execute("SELECT key, head, body FROM entries ORDER BY key"):
            if all(isinstance(part, bytes) for part in found):
                yield found[0], Entry(*found[1:])
            else:
                walk._find("An entry is not of bytes")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        walk._find(f"The file cannot be read: {error}")
    finally:
        connection.close()


def damaged_frame(wal: bytes) -> int | None:
    """Where SQLite's log stops to be what was written, if it does so before two commits that follow.

    SQLite reads up to there, and takes the rest for a write that a crash has torn. So it is, if no more than one commit
    follows: each is on disk before the next begins. A frame of an earlier round, before the log was begun anew, has
    other salts.
    """
    if len(wal) < _WAL_HEAD.size:
        return None
    magic, _, page_bytes, _, *salts, sum_1, sum_2 = _WAL_HEAD.unpack_from(wal)
    order = ">" if magic & 1 else "<"
    frame_bytes = _WAL_FRAME.size + page_bytes
    if magic & ~1 != _WAL_MAGIC or not 512 <= page_bytes <= 65536:
        return 0 if any(wal) else None
    sums = _wal_sums(wal[:24], order, (0, 0))
    if sums != (sum_1, sum_2):
        return 0
    bad, commits = None, 0
    for at in range(_WAL_HEAD.size, len(wal) - frame_bytes + 1, frame_bytes):
        _, committed, *frame_salts, sum_1, sum_2 = _WAL_FRAME.unpack_from(wal, at)
        if bad is None:
            sums = _wal_sums(wal[at : at + 8] + wal[at + _WAL_FRAME.size : at + frame_bytes], order, sums)
            if frame_salts == salts and sums == (sum_1, sum_2):
                continue
            bad = at
        commits += frame_salts == salts and committed != 0
    return bad if commits >= 2 else None


def _wal_sums(piece: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    one, other = sums
    words: tuple[Any, ...] = struct.unpack(f"{order}{len(piece) // 4}I", piece)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + other) & 0xFFFFFFFF
        other = (other + odd + one) & 0xFFFFFFFF
    return one, other
