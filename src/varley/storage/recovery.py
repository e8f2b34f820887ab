"""Bringing trees and log together at start.

    trees       each as its last complete checkpoint left it: all slots up to its applied slot
    log         all groups of the node in one sequence: the slots from before the oldest checkpoint on

The log is read once, from its beginning. Of each group the slots must follow each other without a hole; those up to
the tree's applied slot are in the tree already, those after it are applied. Applying is the same call that the
running server makes, so nothing is known about entries here but how to decode them; why the result is exact even
after a checkpoint that was interrupted is told in checkpoint.py.

Damage that shows itself here, and is never passed over:

- a hole between two slots of a group, or between a tree and the log: a write that was acknowledged is missing;
- a log that has entries of a group but ends before the tree does: its tail is gone, and so are the entries after
  those that the tree has (a torn tail that was cut is never acknowledged and never applied, so a tree cannot have
  seen it);
- a tree that has had a checkpoint, and is gone (inventory.py);
- a tree with rows of an incomplete checkpoint, and a log without the entries that wrote them;
- a tree whose pages or rows are not as written. Every tree's own row and file length are checked; all pages and rows
  too while the files come to `verify_bytes_max` in total, smallest first, at 5 to 6 s per GB. Larger ones are named
  in `unverified`, and `varley check` walks them. See lmdb_engine.py for what is noticed without.

What entries carry to global indexes, and these do not have yet, is collected on the way (undelivered.py).

Groups with several members (`members`) are another matter: what their log comes to is in member_log.py, and only a
group's leader knows what of it is chosen, so nothing of it is applied here: their trees are as the last checkpoint left
them. And where a group of one must refuse to start, since nobody else has what it lost, such a member gives itself up:
`RecoveredMember.why_lost` says why, its tree is not opened, and it is for the caller to begin another life.

An entry of a group that no longer exists (its table was deleted) is skipped; so is its tree, which the caller may
remove (`TreeFolder.groups` lists what there is).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from varley.errors import Damaged
from varley.item.key_bytes import DERIVED_SPACES
from varley.paxos.acceptor import Acceptor
from varley.paxos.membership import FULL
from varley.paxos.replica import FIRST_SLOT
from varley.storage.lmdb_engine import DATA_FILE, LmdbEngine, verify_structure
from varley.storage.log_format import decode_rows, entry_timestamp, segment_name
from varley.storage.log_reader import LogEntry, LogReader
from varley.storage.member_log import MemberReadings, RecoveredMember
from varley.storage.tree import Tree
from varley.storage.tree_folder import TreeFolder
from varley.storage.undelivered import IndexGroups, Undelivered, UndeliveredRows
from varley.table.outgoing import source_key, source_slot

logger = logging.getLogger("varley.storage")

VERIFY_BYTES_MAX: Final = 32 * 1024 * 1024  # 0.2 s
ENTRIES_PER_PROGRESS: Final = 200_000
_HINT: Final = "Run `varley check` for the whole list. Restore the data folder from a copy."


class Position(NamedTuple):
    """The last entry of a group that this node has."""

    slot: int       # 0: none yet
    ballot: int     # of the last record in the log; 0: the log has none of this group any more


@dataclass(slots=True)
class Recovered:
    """What a start begins from."""

    trees: dict[int, Tree] = field(default_factory=dict)            # every group asked for, with all of its entries
    positions: dict[int, Position] = field(default_factory=dict)    # of groups of one; slot == its tree's applied_slot
    entries: int = 0                                                # how many entries were applied
    unverified: list[int] = field(default_factory=list)             # groups whose trees were too large to walk
    undelivered: list[Undelivered] = field(default_factory=list)    # to be sent to global indexes, in this order
    members: dict[int, RecoveredMember] = field(default_factory=dict)   # of groups with several members


def recover(
    folder: TreeFolder,
    groups: Collection[int],
    log: Iterable[LogEntry],
    *,
    groups_given: int | None = None,
    progress: Callable[[LogEntry], None] | None = None,
    verify_bytes_max: int = VERIFY_BYTES_MAX,
    indexes: Mapping[bytes, IndexGroups] | None = None,
    children: Mapping[int, bytes] | None = None,
    members: Collection[int] = (),
    damage: MemberDamage | None = None,
) -> Recovered:
    """Open the trees of `groups` and apply to them what `log` (a LogReader, usually) has beyond them.

    Blocks. `groups_given` is the highest group id that was ever given out, if that is known: an entry of a group that
    is not in `groups` belongs to a deleted table, unless its id is higher still; then the metadata is not the log's.
    `indexes`: the global indexes that there are, by the 16 bytes of their ids; `children`: groups that others are being
    split into (undelivered.py).
    `members`: groups, none of `groups`, that have several members; `damage`: what `log` was given as `on_damage`,
    without which damage in the log is raised.
    `progress` gets one entry in ENTRIES_PER_PROGRESS; its segment and offset say how far that is.
    Raises Damaged, and what `log` raises; no tree stays open then.
    """
    recovered = Recovered()
    readings = MemberReadings(members)
    if damage is not None:
        damage.begin(readings, groups)
    try:
        _open_trees(folder, groups, recovered, verify_bytes_max)
        _replay(log, recovered, progress, groups_given, indexes or {}, children or {}, readings)
        if members:
            assert isinstance(log, LogReader)
            end = log.end_in_spite_of_damage
            recovered.members = readings.recovered(end.closed)
            folder.inventory.log_was_lost(end.segment - 1)
            _open_members(folder, recovered)
    except BaseException:
        for tree in recovered.trees.values():
            tree.close()
        raise
    return recovered


class MemberDamage:
    """Give it to LogReader as `on_damage`: damage that may concern a group of one is raised, all other is noted."""

    def __init__(self) -> None:
        self._readings = MemberReadings(())
        self._groups: Collection[int] = ()

    def begin(self, readings: MemberReadings, groups: Collection[int]) -> None:
        self._readings, self._groups = readings, groups

    def __call__(self, damage: Damaged) -> None:
        if damage.group in self._groups if damage.group is not None else self._groups:
            raise damage
        logger.error("%s", damage)
        self._readings.damaged(damage)


def _open_members(folder: TreeFolder, recovered: Recovered) -> None:
    """The trees of members, as their last checkpoint left them."""
    for member in recovered.members.values():
        if member.why_lost is not None or member.member is None or member.member.kind != FULL:
            continue
        try:
            tree = _open_tree_of_member(folder, member)
        except Damaged as error:
            logger.error("%s", error)
            member.why_lost = str(error)
        else:
            recovered.trees[member.group] = tree


def _open_tree_of_member(folder: TreeFolder, member: RecoveredMember) -> Tree:
    group = member.group
    path = folder.folder_of(group)
    if 0 < _file_bytes(path) <= VERIFY_BYTES_MAX:
        verify_structure(path, group)
    engine = folder.open(group)
    tree = Tree(engine)
    slot = tree.applied_slot
    note = folder.noted_snapshot(group)
    if note is not None and note.slot == slot and Acceptor(member.records).log.origin(slot) != note.origin:
        member.ahead = note
    elif slot > member.last:
        engine.close()
        raise Damaged(f"The tree has slot {slot}, the log ends with slot {member.last}", path=engine.path,
                      group=group)  # fmt: skip
    if slot < FIRST_SLOT and member.base == FIRST_SLOT:
        tree.apply(FIRST_SLOT, ())  # of a founding member: its first state is empty
    elif slot < member.base:
        engine.close()
        raise Damaged(f"The log begins behind slot {member.base}, the tree has slot {slot}", path=engine.path,
                      group=group)  # fmt: skip
    return tree


def _open_trees(
    folder: TreeFolder, groups: Collection[int], recovered: Recovered, verify_bytes_max: int
) -> None:
    sizes = {group: _file_bytes(folder.folder_of(group)) for group in groups}
    left = verify_bytes_max
    for group in sorted(groups, key=sizes.__getitem__):
        left -= sizes[group]
        if left >= 0 and sizes[group]:
            verify_structure(folder.folder_of(group), group)
        engine = folder.open(group)
        recovered.trees[group] = Tree(engine)
        if group in folder.inventory.trees and engine.applied.slot == 0:
            raise Damaged("The tree is missing, or empty: it has had a checkpoint", path=engine.path, group=group,
                          hint=_HINT)  # fmt: skip
        if left >= 0:
            verify_rows(engine)
        else:
            recovered.unverified.append(group)


def verify_rows(engine: LmdbEngine) -> None:
    """Every row is intact, and there are as many items as the tree says. Raises Damaged."""
    rows = sum(key[0] not in DERIVED_SPACES for key, _ in engine.scan(b"", None, False))
    if rows != engine.applied.item_count and not engine.has_partial_checkpoint:
        raise Damaged(
            f"The tree has {rows} rows, {engine.applied.item_count} were written",
            path=engine.path, group=engine.group, hint=_HINT,
        )  # fmt: skip


def _file_bytes(tree_folder: str) -> int:
    try:
        return os.path.getsize(os.path.join(tree_folder, DATA_FILE))
    except FileNotFoundError:
        return 0


def _replay(
    log: Iterable[LogEntry],
    recovered: Recovered,
    progress: Callable[[LogEntry], None] | None,
    groups_given: int | None,
    indexes: Mapping[bytes, IndexGroups],
    children: Mapping[int, bytes],
    readings: MemberReadings,
) -> None:
    trees = recovered.trees
    carried = UndeliveredRows(
        indexes, lambda target, source: source_slot(trees[target].get(source_key(source))), children
    )
    last: dict[int, LogEntry] = {}      # of each group, the entry read last
    for number, entry in enumerate(log, 1):
        if progress is not None and number % ENTRIES_PER_PROGRESS == 0:
            progress(entry)
        tree = trees.get(entry.group)
        if tree is None:
            if entry.group in readings:
                readings.take(entry)
                continue
            if groups_given is not None and entry.group > groups_given:
                raise Damaged(f"The log has entries of group {entry.group}, and the metadata knows of groups up to "
                              f"{groups_given}", path=f"log segment {entry.segment}", offset=entry.offset,
                              group=entry.group, hint=_HINT)  # fmt: skip
            continue
        problem = order_problem(entry, last.get(entry.group), tree.applied_slot)
        if problem is not None:
            raise Damaged(problem, path=segment_name(entry.segment), offset=entry.offset, group=entry.group,
                          hint=_HINT)  # fmt: skip
        last[entry.group] = entry
        is_new = entry.slot > tree.applied_slot
        if is_new or indexes or children:
            rows = decode_rows(entry.entry)
            carried.meet(entry.group, entry.slot, rows)
        if is_new:
            tree.apply(entry.slot, rows)
            tree.last_timestamp_us = max(tree.last_timestamp_us, entry_timestamp(entry.entry))
            recovered.entries += 1
    recovered.undelivered = carried.rest()
    for group, tree in trees.items():
        end = last.get(group)
        if end is not None and end.slot < tree.applied_slot:
            raise Damaged(
                f"The log ends with slot {end.slot}, the tree has slot {tree.applied_slot}",
                path=segment_name(end.segment), offset=end.offset, group=group, hint=_HINT,
            )  # fmt: skip
        if tree.has_partial_checkpoint and tree.applied_slot == tree.checkpointed_slot:
            raise Damaged(
                f"A checkpoint of slots after {tree.applied_slot} was begun, and the log does not have them",
                path=segment_name(end.segment) if end is not None else "log", group=group, hint=_HINT,
            )  # fmt: skip
        recovered.positions[group] = Position(tree.applied_slot, 0 if end is None else end.ballot)


def order_problem(entry: LogEntry, before: LogEntry | None, applied_slot: int) -> str | None:
    """Why `entry` cannot follow `before`, the entry of its group that was read last, or None.

    `before` None: it is the first; then it must not leave a hole after the tree's `applied_slot`.
    """
    if before is None:
        if entry.slot > applied_slot + 1:
            return f"The tree has slot {applied_slot}, the log begins with slot {entry.slot}"
    elif entry.slot != before.slot + 1:
        return f"Slot {entry.slot} follows slot {before.slot}"
    elif entry.ballot < before.ballot:
        return f"Ballot {entry.ballot} follows ballot {before.ballot}"
    return None
