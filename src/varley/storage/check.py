"""Walks everything in a data folder and lists every rule that its bytes break. Changes nothing.

The rules, and what finds a breach:

    log      segments follow each other, frames and records are as written      LogReader, which goes on after damage
             the slots of a group follow each other, ballots do not fall
             every entry can be decoded, every row in it is one
             of a group with several members: what its records come to can be told (member_log.py); what of it is chosen
             cannot, so its tree is checked by itself
    trees    pages form a sound B-tree, every page is used once                 lmdb.verify, from the bytes alone
             every LMDB value ends with its checksum; the tree's own row is right
             every pointer leads to a subtree with rows, every subtree has its pointer (long_keys.py)
             every row key and stored value is as docs/formats.md says; the JSON is canonical, the item is one
             that DynamoDB accepts, its size is the one in the header
             items and their sizes come to what the tree's own row says
             between the tree and the log there is no hole, and the log does not end before the tree
    indexes  every row that follows from an item is there and is right, and none is there that follows from nothing,
             in its own group (local indexes) or in those of a global index
    streams  every record is as docs/formats.md says, its time is that of its log entry, and each item is as its newest
             record left it
    folder   nothing is in it that is not Varley's, and of what inventory.json remembers nothing is missing

A row's key must also be that of its item, and only the table's definition can tell that, and what follows from an item:
whoever has definitions passes two callables per group, and one for each global index. What follows is compared in the
state that a start would come to: the tree with the log's rows laid over it, and over those of a global index what the
log carries to it and it does not have yet; kept in memory for the groups that have such rows.

The server must not run: its checkpoints would change trees under the walk. The caller holds the data folder's lock.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import lmdb
import msgspec
from google_crc32c import value as _crc32c

from varley.errors import ApiError, Damaged, WorldError
from varley.item import marker, stored
from varley.item.key_bytes import (
    DEFINITION_SPACE,
    DERIVED_SPACES,
    EXPIRY_SPACE,
    ITEM_SPACE,
    LOCAL_INDEX_SPACES,
    MARKER_SPACE,
    OUTGOING_SPACE,
    PARTITION_HASH_BYTES,
    PURGE_SPACE,
    SOURCE_SPACE,
    SPLIT_SPACE,
    STREAM_SPACE,
    TALLY_SPACE,
    TOKEN_SPACE,
)
from varley.item.value import check_item
from varley.limits import INDEX_KEY_PARTS_MAX, SORT_KEY_BYTES_MAX
from varley.storage import long_keys
from varley.storage.disk import RealDisk
from varley.storage.inventory import INVENTORY_FILE, NEW_INVENTORY_FILE, Inventory
from varley.storage.lmdb_engine import (
    CRC_BYTES,
    DATA_FILE,
    INTACT,
    LOCK_FILE,
    META_KEY,
    NEW_DATA_FILE,
    decode_meta,
    structure_problems,
)
from varley.storage.log_format import (
    ROWS,
    NotThisFormat,
    Row,
    decode_rows,
    entry_kind,
    entry_timestamp,
    segment_name,
    segment_of_name,
)
from varley.storage.log_reader import LogEntry, LogReader
from varley.storage.long_keys import LMDB_KEY_BYTES_MAX, ROWS_END, SUBTREE, SUBTREE_PREFIX_BYTES, subtree_prefix
from varley.storage.member_log import MemberReadings
from varley.storage.overlay import Overlay
from varley.storage.recovery import order_problem
from varley.storage.tree import Applied, merge
from varley.storage.tree_folder import INCOMING, NEW_SNAPSHOT_FILE, SNAPSHOT_FILE, TreeFolder
from varley.storage.undelivered import IndexGroups, UndeliveredRows
from varley.table import parting, stream_record
from varley.table.outgoing import OUTGOING_KEY_AT, PROGRESS_KEY_BYTES, SOURCE_KEY_BYTES, THE_ITEM

LOG: Final = "log"
TREES: Final = "trees"

_IDENTITY: Final = "identity.json"
_TREE_FILES: Final = frozenset(
    (DATA_FILE, LOCK_FILE, NEW_DATA_FILE, INCOMING, SNAPSHOT_FILE, NEW_SNAPSHOT_FILE)
)
_TOP: Final = frozenset(
    (_IDENTITY, "identity.json.new", INVENTORY_FILE, NEW_INVENTORY_FILE, "lock", LOG, TREES, "metadata")
)
_KEY_BYTES_MIN: Final = len(ITEM_SPACE) + PARTITION_HASH_BYTES
# By space: how long row keys are. An index's key is twice as long as the client's, and 2 bytes, if it is all zeros.
# Rows of a global index are items of its groups; which groups those are is not known here.
_ITEM_KEY_BYTES_MAX: Final = (
    _KEY_BYTES_MIN + INDEX_KEY_PARTS_MAX * (2 * SORT_KEY_BYTES_MAX + 2) + PARTITION_HASH_BYTES + SORT_KEY_BYTES_MAX
)
_KEY_BYTES: Final = {
    ITEM_SPACE: (_KEY_BYTES_MIN, _ITEM_KEY_BYTES_MAX),
    SOURCE_SPACE: (SOURCE_KEY_BYTES, PROGRESS_KEY_BYTES),
    DEFINITION_SPACE: (len(DEFINITION_SPACE), len(DEFINITION_SPACE)),
    OUTGOING_SPACE: (OUTGOING_KEY_AT, OUTGOING_KEY_AT + _ITEM_KEY_BYTES_MAX),
    SPLIT_SPACE: (parting.KEY_BYTES, parting.KEY_BYTES),
    **dict.fromkeys(LOCAL_INDEX_SPACES, (_KEY_BYTES_MIN + 3, _KEY_BYTES_MIN + 3 * SORT_KEY_BYTES_MAX + 2)),
    TALLY_SPACE: (len(TALLY_SPACE), _KEY_BYTES_MIN),
    EXPIRY_SPACE: (len(EXPIRY_SPACE), _KEY_BYTES_MIN + 8 + SORT_KEY_BYTES_MAX),
    STREAM_SPACE: (stream_record.HORIZON_KEY_BYTES, stream_record.RECORD_KEY_BYTES),
    MARKER_SPACE: (_KEY_BYTES_MIN, _KEY_BYTES_MIN + SORT_KEY_BYTES_MAX),
    TOKEN_SPACE: (_KEY_BYTES_MIN, _KEY_BYTES_MIN),
    PURGE_SPACE: (_KEY_BYTES_MIN + 8, _KEY_BYTES_MIN + 8),
}
_STEPS_PER_PROGRESS: Final = 1000

Item = dict[str, Any]
Schema = Callable[[bytes, Item], str | None]    # (row key, item) -> what is wrong, or None
Get = Callable[[bytes], bytes | None]           # row key -> stored value
Scan = Callable[[bytes, bytes], Iterator[tuple[bytes, bytes]]]      # [low, high) -> rows in order
Followers = Callable[[Get, Scan], Iterator[tuple[bytes, str]]]      # -> (row key, what is wrong)
State = Callable[[int], tuple[Get, Scan]]       # group -> its rows


@dataclass(frozen=True, slots=True)
class GlobalIndexCheck:
    """One global index, and what knows whether its rows are those of the items."""

    id: bytes           # 16 bytes
    groups: IndexGroups
    parents: Mapping[int, int]  # of those that came of splits. Until a child serves, what goes to it is its parent's
    sources: Sequence[int]      # the groups of its table
    problems: Callable[[State], Iterator[tuple[int, bytes, str]]]      # -> (group, row key, what is wrong)


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule."""

    path: str                   # relative to the data folder
    problem: str
    group: int | None = None
    offset: int | None = None   # in the file
    key: bytes | None = None    # of the row

    def __str__(self) -> str:
        where = self.path if self.offset is None else f"{self.path} at byte {self.offset}"
        group = "" if self.group is None else f", group {self.group}"
        key = "" if self.key is None else f", key {self.key.hex()}"
        return f"{where}{group}{key}: {self.problem}"


def check(
    data_dir: str,
    progress: Callable[[str], None] | None = None,
    *,
    groups: Collection[int] | None = None,
    schemas: Mapping[int, Schema] | None = None,
    followers: Mapping[int, Followers] | None = None,
    global_indexes: Sequence[GlobalIndexCheck] = (),
) -> list[Finding]:
    """Every broken rule in `data_dir`; empty: it is sound. Blocks: about 20 s per GB of items of 400 bytes.

    `progress` gets the relative path of the file that is being read, again and again. `groups`: those that exist;
    the tree of another is a finding, its log entries are not (they stay until their segment goes). `schemas`: by
    group, what knows whether a key is that of its item. `followers`: by group, for those where rows follow from items,
    what compares the two (table.consequences.Consequences.problems); `global_indexes` the same across groups.
    """
    walk = _Walk(data_dir, progress or _say_nothing, schemas or {}, followers or {}, global_indexes)
    walk.folder()
    walk.log()
    walk.trees(groups)
    walk.global_indexes()
    return walk.findings


def _say_nothing(path: str) -> None:
    pass


@dataclass(slots=True)
class _Span:
    """The entries of one group in the log."""

    first: LogEntry
    last: LogEntry


class _Walk:
    def __init__(
        self,
        data_dir: str,
        progress: Callable[[str], None],
        schemas: Mapping[int, Schema],
        followers: Mapping[int, Followers],
        global_indexes: Sequence[GlobalIndexCheck],
    ) -> None:
        self.findings: list[Finding] = []
        self._data_dir = data_dir
        self._inventory = Inventory(data_dir)    # nothing is known, until `folder`
        self._progress = progress
        self._schemas = schemas
        self._followers = followers
        self._spans: dict[int, _Span] = {}
        self._members: set[int] = set()     # groups with several members
        self._out_of_order: dict[int, list[Finding]] = {}   # by group; no findings if it turns out to be one of those
        self._global_indexes = global_indexes
        # What the log leaves of each row that it has, in the groups with followers and in those of global indexes.
        self._logged: dict[int, Overlay] = {group: Overlay() for group in followers}
        for index in global_indexes:
            self._logged.update((group, Overlay()) for group in index.groups.groups)
        # An entry is in the log as long as one that carried something to its group before it, so no tree need be asked.
        self._carried = UndeliveredRows({index.id: index.groups for index in global_indexes}, lambda target, source: 0)

    def _find(
        self, path: str, problem: str, *, group: int | None = None, offset: int | None = None,
        key: bytes | None = None,
    ) -> None:  # fmt: skip
        self.findings.append(Finding(path, problem, group, offset, key))

    def _names(self, *path: str) -> list[str]:
        try:
            return sorted(os.listdir(os.path.join(self._data_dir, *path)))
        except FileNotFoundError:
            self._find(os.path.join("", *path), "the folder is missing")
            return []

    def folder(self) -> None:
        names = self._names()
        for name in names:
            if name not in _TOP:
                self._find(name, "not a file of Varley's")
        if _IDENTITY not in names:
            self._find(_IDENTITY, "the file that says what this folder is is missing")
        try:
            self._inventory = Inventory.read(self._data_dir)
        except WorldError as error:
            self._find(INVENTORY_FILE, error.problem)

    # The log

    def log(self) -> None:
        names = self._names(LOG)
        for name in names:
            if segment_of_name(name) is None:
                self._find(os.path.join(LOG, name), "not a file of Varley's")
        newest = self._inventory.newest_segment
        if not names and (not newest or not os.path.isdir(os.path.join(self._data_dir, LOG))):
            return
        folder = os.path.join(self._data_dir, LOG)
        reader = LogReader(RealDisk(), folder, newest_segment=newest, on_damage=self._log_damage)
        try:
            for number, entry in enumerate(reader):
                if number % _STEPS_PER_PROGRESS == 0:
                    self._progress(_segment_path(entry))
                self._entry(entry)
        except NotThisFormat as error:
            self._find(LOG, f"of another format: {error}")
        for group, findings in self._out_of_order.items():
            if group not in self._members:
                self.findings += findings
        if self._members:
            self._read_members(folder)

    def _read_members(self, folder: str) -> None:
        """Once more, now that it is known which groups have several members."""
        readings = MemberReadings(self._members)
        reader = LogReader(RealDisk(), folder, on_damage=readings.damaged)
        for entry in reader:
            if entry.group in readings:
                readings.take(entry)
        if self.findings:
            return      # of damage, which is why members are lost
        trees = {_group_of_name(name) for name in self._names(TREES)}
        for group, member in readings.recovered(()).items():
            if member.why_lost is not None and group in trees:  # it was not just moved away
                self._find(LOG, f"the member of the group on this node is lost: {member.why_lost}", group=group)

    def _log_damage(self, damage: Damaged) -> None:
        path = os.path.relpath(damage.path, self._data_dir)
        self._find(path, damage.problem, group=damage.group, offset=damage.offset)

    def _entry(self, entry: LogEntry) -> None:
        path, group, offset = _segment_path(entry), entry.group, entry.offset
        try:
            kind = entry_kind(entry.entry)
        except NotThisFormat as error:
            self._find(path, f"the entry is of another format: {error}", group=group, offset=offset)
            return
        if kind != ROWS:
            self._members.add(group)
            return
        span = self._spans.get(group)
        if span is None:
            self._spans[group] = _Span(entry, entry)
        else:
            problem = order_problem(entry, span.last, 0)
            if problem is not None:
                finding = Finding(path, problem, group, offset)
                self._out_of_order.setdefault(group, []).append(finding)
            span.last = entry
        try:
            rows = decode_rows(entry.entry)
        except NotThisFormat as error:
            self._find(path, f"the entry is of another format: {error}", group=group, offset=offset)
            return
        # The child of a split begins with shards that are of the time of its parent's last entry about it.
        is_opening = any(row[1] == parting.ORIGIN_KEY for row in rows)
        for row in rows:
            self._log_row(row, None if is_opening else entry_timestamp(entry.entry), path, group, offset)
        self._carried.meet(group, entry.slot, rows)
        logged = self._logged.get(group)
        if logged is not None:
            for _, key, value, _ in rows:
                if not key.startswith(OUTGOING_SPACE):
                    logged.put(key, value)

    def _log_row(self, row: Row, time_us: int | None, path: str, group: int, offset: int) -> None:
        _, key, value, _ = row
        is_short_form = value == THE_ITEM and key.startswith(OUTGOING_SPACE)
        problems = [
            _key_problem(key),
            None if value is None or is_short_form else self._value_problem(group, key, value, time_us),
        ]
        for problem in filter(None, problems):
            self._find(path, problem, group=group, offset=offset, key=key)

    # The trees

    def trees(self, groups: Collection[int] | None) -> None:
        folder = TreeFolder(os.path.join(self._data_dir, TREES))
        for name in self._names(TREES):
            path = os.path.join(TREES, name)
            group = _group_of_name(name)
            if group is None:
                self._find(path, "not a folder of Varley's")
            elif groups is not None and group not in groups:
                self._find(path, "the tree of a group that does not exist", group=group)
            else:
                self._tree(path, folder.folder_of(group), group)
        checked = {_group_of_name(name) for name in self._names(TREES)}
        for group in sorted(self._inventory.trees.intersection(groups or ())):
            if not _bytes_of(os.path.join(folder.folder_of(group), DATA_FILE)):
                path = os.path.relpath(folder.folder_of(group), self._data_dir)
                self._find(path, "the tree is missing, or empty: it has had a checkpoint", group=group)
        for group, span in self._spans.items():
            if group in self._members:
                continue
            if group not in checked and (groups is None or group in groups):
                self._log_meets_tree(group, span, 0)
                self._follow(LOG, group, None)

    def _tree(self, path: str, folder: str, group: int) -> None:
        for name in self._names(path):
            if name not in _TREE_FILES:
                self._find(os.path.join(path, name), "not a file of Varley's", group=group)
        data = os.path.join(path, DATA_FILE)
        self._progress(data)
        applied: Applied | None = Applied(0, 0, 0)
        if _bytes_of(os.path.join(folder, DATA_FILE)):
            problems = structure_problems(folder)
            for problem in problems:
                self._find(data, problem, group=group)
            if problems:
                return  # LMDB cannot be trusted with these pages: it might end the process
            applied = self._rows(data, folder, group)
        else:
            self._follow(data, group, None)
        span = self._spans.get(group)
        if span is not None and applied is not None and group not in self._members:
            self._log_meets_tree(group, span, applied.slot)

    def _log_meets_tree(self, group: int, span: _Span, applied_slot: int) -> None:
        problem = order_problem(span.first, None, applied_slot)
        if problem is not None:
            self._find(_segment_path(span.first), problem, group=group, offset=span.first.offset)
        if span.last.slot < applied_slot:
            self._find(
                _segment_path(span.last), f"The log ends with slot {span.last.slot}, the tree has slot {applied_slot}",
                group=group, offset=span.last.offset,
            )  # fmt: skip

    def _rows(self, path: str, folder: str, group: int) -> Applied | None:
        """What the tree says that it holds, None if it cannot be known."""
        env = lmdb.open(folder, readonly=True, lock=False, create=False, readahead=True)
        try:
            with env.begin() as txn:
                if txn.stat()["entries"] == 0:
                    self._follow(path, group, None)
                    return Applied(0, 0, 0)  # made, and the power went before the first transaction
                applied = _TreeWalk(self, path, group, txn).walk()
                self._follow(path, group, txn)
                return applied
        except lmdb.Error as error:
            self._find(path, f"LMDB cannot read it: {error}", group=group)
            return None
        finally:
            env.close()

    def _follow(self, path: str, group: int, txn: Any) -> None:
        """Compare what follows from items with what is there; `txn` None: there is no tree, all is in the log.

        Not where a row's bytes are wrong: that is a finding already, and nothing can be said about what follows.
        """
        problems = self._followers.get(group)
        if problems is None or group in self._members or any(finding.group == group for finding in self.findings):
            return
        state = _State(self._logged[group], txn)
        for key, problem in problems(state.get, state.scan):
            self._find(path, problem, group=group, key=key)

    # Global indexes

    def global_indexes(self) -> None:
        """After log and trees: compare each index with its table, where both are sound by themselves."""
        parents = {child: parent for index in self._global_indexes for child, parent in index.parents.items()}
        for undelivered in self._carried.rest():
            for target, rows in undelivered.rows.items():
                # Nobody looks there for rows of a child that serves.
                for group in {target, parents.get(target, target)}:
                    for key, value in rows:
                        self._logged[group].put(key, value)
        for index in self._global_indexes:
            groups = {*index.sources, *index.groups.groups}
            if groups.isdisjoint(self._members) and not any(finding.group in groups for finding in self.findings):
                self._compare(index, groups)

    def _compare(self, index: GlobalIndexCheck, groups: Collection[int]) -> None:
        with contextlib.ExitStack() as stack:
            states = {group: self._state(group, stack) for group in groups}

            def state(group: int) -> tuple[Get, Scan]:
                return states[group].get, states[group].scan

            for group, key, problem in index.problems(state):
                self._find(os.path.join(TREES, f"{group:016x}"), problem, group=group, key=key)

    def _state(self, group: int, stack: contextlib.ExitStack) -> _State:
        """The rows of a group whose bytes were found sound."""
        logged = self._logged.get(group) or Overlay()
        folder = TreeFolder(os.path.join(self._data_dir, TREES)).folder_of(group)
        if not _bytes_of(os.path.join(folder, DATA_FILE)):
            return _State(logged, None)
        env = lmdb.open(folder, readonly=True, lock=False, create=False, readahead=True)
        stack.callback(env.close)
        return _State(logged, stack.enter_context(env.begin()))

    # Rows

    def _value_problem(self, group: int, key: bytes, value: bytes, entry_us: int | None = None) -> str | None:
        """`entry_us`: the time of the log entry that it stands in."""
        if key.startswith(STREAM_SPACE):
            return stream_record.row_problem(key, value, entry_us)
        if key.startswith(MARKER_SPACE):
            return _marker_problem(value)
        if not stored.verify(value):
            return "the stored value's checksum is wrong"
        text = value[stored.HEADER_BYTES :]
        try:
            item = msgspec.json.decode(text)
            size = check_item(item)     # also writes numbers in normal form
        except (msgspec.DecodeError, ApiError, AttributeError) as error:
            return f"the stored item is none: {error}"
        if msgspec.json.encode(item) != text:
            return "the stored JSON is not canonical"
        if size != stored.item_size(value):
            return f"the item has {size} bytes, its header says {stored.item_size(value)}"
        schema = self._schemas.get(group)
        return None if schema is None else schema(key, item)


class _State:
    """The rows that a start would come to: the tree's, with those of the log over them. They were all looked at."""

    def __init__(self, logged: Overlay, txn: Any) -> None:
        self._logged = logged
        self._txn = txn

    def get(self, key: bytes) -> bytes | None:
        if key in self._logged.rows:
            return self._logged.rows[key]
        raw = None if self._txn is None else self._txn.get(long_keys.place(key)[0])
        return None if raw is None else raw[:-CRC_BYTES]

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        below: Iterator[tuple[bytes, bytes]] = iter(())
        if self._txn is not None:
            below = long_keys.walk(self._txn.cursor, lambda _, raw: raw[:-CRC_BYTES], low, high, False)
        return merge(self._logged.range(low, high, False), below, False)


class _TreeWalk:
    """One tree whose structure is known to be sound: every row, and the paths to the long ones."""

    def __init__(self, walk: _Walk, path: str, group: int, txn: Any) -> None:
        self._walk = walk
        self._path = path
        self._group = group
        self._txn = txn
        self._seen = 0
        self._rows = 0      # that are items
        self._size_bytes = 0
        self._led_to: set[bytes] = set()    # prefixes of subtrees that a pointer leads to

    def walk(self) -> Applied | None:
        self._level(b"", b"")
        self._orphans()
        return self._compare_with_meta()

    def _find(self, problem: str, key: bytes | None = None) -> None:
        self._walk._find(self._path, problem, group=self._group, key=key)

    def _level(self, prefix: bytes, beginning: bytes) -> bool:
        """Walk the subtree whose LMDB keys begin with `prefix`, which stands for `beginning`; False: it is empty."""
        is_empty = True
        for physical, raw in self._entries(prefix):
            is_empty = False
            self._open(physical, raw)
            key = beginning + physical[len(prefix) :]
            if len(physical) == LMDB_KEY_BYTES_MAX:
                below = subtree_prefix(key)
                self._led_to.add(below)
                if not self._level(below, key):
                    self._find("a pointer leads to nothing", key)
            else:
                self._row(key, raw[:-CRC_BYTES])
        return not is_empty

    def _entries(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        cursor = self._txn.cursor()
        if cursor.set_range(prefix):
            for physical, raw in cursor:
                if not physical.startswith(prefix) or (not prefix and physical >= ROWS_END):
                    return
                yield physical, raw

    def _open(self, physical: bytes, raw: bytes) -> None:
        if _crc32c(physical + raw) != INTACT:
            self._find("the row's checksum is wrong", physical)

    def _row(self, key: bytes, value: bytes) -> None:
        self._seen += 1
        if self._seen % _STEPS_PER_PROGRESS == 0:
            self._walk._progress(self._path)
        if key[0] not in DERIVED_SPACES:
            self._rows += 1
            if len(value) >= stored.HEADER_BYTES:
                self._size_bytes += stored.item_size(value)
        if key.startswith(OUTGOING_SPACE):
            self._find("a row of the kind that is in the log only", key)
        for problem in filter(None, (_key_problem(key), self._walk._value_problem(self._group, key, value))):
            self._find(problem, key)

    def _orphans(self) -> None:
        """What lies behind the rows: the tree's own row, and subtrees, each of which was led to."""
        cursor = self._txn.cursor()
        found = cursor.set_range(ROWS_END)
        while found:
            physical = cursor.key()
            if physical.startswith(SUBTREE):
                prefix = physical[:SUBTREE_PREFIX_BYTES]
                if prefix not in self._led_to:
                    self._find("no pointer leads to this row", physical)
            elif physical != META_KEY:
                self._find("an LMDB key that Varley does not write", physical)
            found = cursor.next()

    def _compare_with_meta(self) -> Applied | None:
        raw = self._txn.get(META_KEY)
        try:
            applied, is_partial = decode_meta(raw, self._group)
        except ValueError as error:
            self._find(str(error))
            return None
        # While a checkpoint is incomplete, the rows are not those of any one slot; recovery makes them so.
        if not is_partial and (self._rows, self._size_bytes) != (applied.item_count, applied.size_bytes):
            self._find(
                f"the tree has {self._rows} rows of {self._size_bytes} bytes, "
                f"its own row says {applied.item_count} of {applied.size_bytes}"
            )
        return applied


def _marker_problem(value: bytes) -> str | None:
    try:
        marker.unpack(value)
    except ValueError as error:
        return str(error)
    return None


def _key_problem(key: bytes) -> str | None:
    lengths = _KEY_BYTES.get(key[:1])
    if lengths is None:
        return f"a row key in the unknown space {key[:1].hex() or 'of no bytes'}"
    if not lengths[0] <= len(key) <= lengths[1]:
        return f"a row key of {len(key)} bytes"
    return None


def _segment_path(entry: LogEntry) -> str:
    return os.path.join(LOG, segment_name(entry.segment))


def _group_of_name(name: str) -> int | None:
    is_group = len(name) == 16 and all(digit in "0123456789abcdef" for digit in name)
    return int(name, 16) if is_group else None


def _bytes_of(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
