"""`varley check`: walk a data folder and list everything that is broken in it. Of a ring's node: ring_check.py.

What is sound is told by storage/check.py for bytes, logs and trees. This command adds what only the tables'
definitions can tell: which groups there should be, that every row lies under the key of its own item, in the
partition that owns it, and that each index holds exactly what its items give it. It changes nothing, and needs the
folder to itself: a server that runs would move rows under the walk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from varley.errors import ApiError, BadSettings, Damaged
from varley.item.key_bytes import (
    EXPIRY_SPACE,
    ITEM_SPACE,
    OUTGOING_SPACE,
    PURGE_SPACE,
    SOURCE_SPACE,
    SPLIT_SPACE,
    TALLY_SPACE,
    TOKEN_SPACE,
)
from varley.item.value import Item
from varley.metadata.catalog import Catalog, Described
from varley.metadata.local import LocalStore
from varley.settings import load
from varley.storage.check import Finding, Followers, Get, GlobalIndexCheck, Scan, Schema, State
from varley.storage.check import check as findings_of
from varley.storage.data_folder import DataFolder
from varley.storage.lmdb_engine import DATA_FILE
from varley.storage.node_folder import owner_of
from varley.storage.undelivered import IndexGroups
from varley.table.consequences import Consequences
from varley.table.followers import consequences_of
from varley.table.global_index import GlobalIndexCodec
from varley.table.global_index_comparison import index_problems
from varley.table.keys import KeyCodec
from varley.table.outgoing import PROGRESS_KEY_BYTES, SOURCE_KEY_BYTES, id_bytes
from varley.table.parting import END_KEY, ORIGIN_KEY, end_of, is_left
from varley.table.partition_map import PartitionRange
from varley.table.schema import GlobalIndex

HELP: Final = """Walk a data folder and list everything that is broken in it. Changes nothing.

Stop the server first. The exit code is 0 if everything is sound, 1 if something is broken.
The folder of a node of a cluster or of a ring, or one that has several (`varley cluster up`, `varley ring up`,
`varley serve --processes`), is known for what it is.

\b
Examples:
  varley check                                   ./varley-data
  varley check /var/lib/varley                   or with --data-dir
  varley check /backup/varley --json
  varley check varley-ring                       all nodes of a ring on this machine
"""


def examine(data_dir: str, progress: Callable[[str], None]) -> list[Finding]:
    """Every broken rule in the folder, those that concern the tables' definitions too.

    Raises BadSettings when there is no data folder, DataFolderLocked when a server has it open.
    """
    if not os.path.isdir(data_dir) or not os.listdir(data_dir):
        raise BadSettings(
            "There is no data here", path=os.path.abspath(data_dir), operation="check",
            hint="Name the folder of a server's data with --data-dir",
        )  # fmt: skip
    with _locked(data_dir):
        findings: list[Finding] = []
        if not os.path.exists(os.path.join(data_dir, "metadata", DATA_FILE)):
            if owner_of(data_dir) is None:    # the tables of a cluster's node are known elsewhere: cluster_check.py
                findings.append(Finding("metadata", "There is no metadata: which tables there are is not known"))
            return findings + findings_of(data_dir, progress)
        try:
            tables = asyncio.run(_tables(os.path.join(data_dir, "metadata")))
        except Damaged as damage:
            findings.append(Finding("metadata", damage.problem, offset=damage.offset))
            return findings + findings_of(data_dir, progress)
        schemas = {
            partition.group: _schema(described, partition)
            for described in tables
            for partition in (*described.partitions, *_children(described, described.table.id))
        }
        schemas.update(
            (partition.group, _index_schema(described, index, partition))
            for described in tables
            for index in described.table.global_indexes
            for partition in (*described.index_partitions[index.id], *_children(described, index.id))
        )
        followers = {
            partition.group: _of_its_own(consequences.problems)
            for described in tables
            if (consequences := consequences_of(described.table, KeyCodec(described.table.key_schema))) is not None
            for partition in described.partitions
        }
        global_indexes = [
            _global_index(described, index) for described in tables for index in described.table.global_indexes
        ]
        return findings + findings_of(
            data_dir, progress, groups=schemas.keys(), schemas=schemas, followers=followers,
            global_indexes=global_indexes,
        )  # fmt: skip


def _global_index(described: Described, index: GlobalIndex) -> GlobalIndexCheck:
    keys = KeyCodec(described.table.key_schema)
    targets = described.index_partitions[index.id]

    def problems(state: State) -> Iterator[tuple[int, bytes, str]]:
        served = described.before_splits(lambda child: state(child)[0](ORIGIN_KEY) is None)
        return index_problems(index, keys, served.partitions, served.index_partitions[index.id], state)

    return GlobalIndexCheck(
        id_bytes(index.id),
        IndexGroups([each.low for each in targets], [each.group for each in targets]),
        {each.group: each.parent for each in targets if each.parent is not None},
        [each.group for each in described.partitions],
        problems,
    )


def _of_its_own(problems: Followers) -> Followers:
    """Without what is about rows that are another partition's since it was split: they go one by one."""

    def own_problems(get: Get, scan: Scan) -> Iterator[tuple[bytes, str]]:
        end = end_of(get(END_KEY))
        return (each for each in problems(get, scan) if end is None or not is_left(each[0], end.at))

    return own_problems


def _children(described: Described, owner: str) -> list[PartitionRange]:
    """Groups that partitions of the table, or of an index, are being split into, and that are not in the map yet."""
    ordered = described.splits.get(owner)
    if ordered is None or described.is_in_map(ordered.split):
        return []
    split = ordered.split
    parent = next(each for each in described.map_of(owner) if each.group == split.parent)
    return [PartitionRange(split.location or parent.low, parent.high, split.child, 1, split.parent)]


def _was_split(described: Described, owner: str, group: int) -> bool:
    """Whether the partition of `group` has, or its log has, what is another's now."""
    return any(each.parent == group for each in described.map_of(owner))


def _locked(data_dir: str) -> contextlib.AbstractContextManager[Any]:
    """The folder's lock. Without its identity, opening would make it a new folder: that is a finding, so not."""
    if os.path.exists(os.path.join(data_dir, "identity.json")):
        return DataFolder.open(data_dir)
    return contextlib.nullcontext()


async def _tables(metadata: str) -> list[Described]:
    """All that has partitions: tables, deleted ones that are kept, the ledger. Nothing is written. Raises Damaged."""
    store = await LocalStore.open(metadata, is_read_only=True)
    try:
        catalog = Catalog(store)
        await catalog.load()
        return catalog.described()
    finally:
        await store.close()


def _schema(described: Described, partition: PartitionRange) -> Schema:
    """What knows whether a row of `partition` is where its item belongs."""
    keys = KeyCodec(described.table.key_schema)
    was_split = _was_split(described, described.table.id, partition.group)
    indexes = {index.space: index for index in Consequences(described.table, keys).local_indexes}

    def problem(row_key: bytes, item: Item) -> str | None:
        space = row_key[:1]
        if space == TALLY_SPACE and indexes:
            return None    # Consequences.problems compares it with what it counts
        if space == EXPIRY_SPACE and described.table.time_to_live_revision:
            return None    # likewise; while items expire no more, the rows are being removed
        if space == OUTGOING_SPACE:
            return None    # compared where it arrives; the index may be deleted since
        if space in (TOKEN_SPACE, PURGE_SPACE):
            return None    # of transactions that are over; nothing else depends on them
        if space == SPLIT_SPACE:
            return None    # it says what has been done, and that follows from nothing else
        if space == SOURCE_SPACE and len(row_key) == PROGRESS_KEY_BYTES:
            return None    # Consequences.problems knows whether it should be there
        if space == SOURCE_SPACE:
            return None if partition.parent is not None else "it came of no split"
        index = indexes.get(space)
        if index is None and space != ITEM_SPACE:
            return f"the table {described.table.name} has no rows in the space {space.hex()}"
        try:
            expected = keys.row_key_of_item(item)
            if index is not None:
                index.check_item(item)
                entry = index.entry(expected, item, 0)
                expected = b"" if entry is None else entry.key
        except ApiError as error:
            return f"the item is not one of the table {described.table.name}: {error.message}"
        return _place_problem(row_key, expected, partition, may_be_above=was_split)

    return problem


def _index_schema(described: Described, index: GlobalIndex, partition: PartitionRange) -> Schema:
    """The same for a partition of a global index. A row has the keys of its item, so it says where it belongs."""
    keys = KeyCodec(described.table.key_schema)
    codec = GlobalIndexCodec(index, keys)
    # And, if it came of a split, the one that it came from, and the one that that came from.
    sources = {each.group for each in (*described.partitions, *described.index_partitions[index.id])}
    was_split = _was_split(described, index.id, partition.group)

    def problem(row_key: bytes, item: Item) -> str | None:
        space = row_key[:1]
        if space == SOURCE_SPACE and len(row_key) == SOURCE_KEY_BYTES:
            source = int.from_bytes(row_key[1:], "big")
            return None if source in sources else f"group {source} is no partition of the table"
        if space == SPLIT_SPACE:
            return None
        if space != ITEM_SPACE:
            return f"a global index has no rows in the space {space.hex()}"
        try:
            entry = codec.entry(keys.row_key_of_item(item), item, 0)
        except ApiError as error:
            return f"the row is not one of the index {index.name}: {error.message}"
        return _place_problem(row_key, b"" if entry is None else entry.key, partition, may_be_above=was_split)

    return problem


def _place_problem(
    row_key: bytes, expected: bytes, partition: PartitionRange, *, may_be_above: bool
) -> str | None:
    if row_key != expected:
        return f"the item belongs under the key {expected.hex()}"
    location = row_key[1:]
    is_above = partition.high is not None and location >= partition.high
    if location < partition.low or (is_above and not may_be_above):
        return "the row belongs to another partition"
    return None


# What is shown


def run(folder: str | None, data_dir: str | None, config: str | None, as_json: bool) -> int:
    """The command. Returns its exit code."""
    if folder is not None and data_dir is not None:
        raise click.UsageError("The folder is named once: as it is, or with --data-dir")
    node, _ = load({"data_dir": folder or data_dir}, config_path=config)
    from varley.cli import ring_check  # here: it loads what most checks need not

    nodes = ring_check.node_folders(node.data_dir)
    if nodes:
        return ring_check.run(node.data_dir, nodes, as_json=as_json)
    from varley.cli import cluster_check

    nodes = cluster_check.node_folders(node.data_dir)
    if nodes:
        return cluster_check.run(node.data_dir, nodes, lambda path: None, as_json=as_json)
    if as_json:
        findings = examine(node.data_dir, lambda path: None)
        click.echo(as_json_line(node.data_dir, findings))
    else:
        with _progress(node.data_dir) as progress:
            findings = examine(node.data_dir, progress)
        show(node.data_dir, findings)
    return 1 if findings else 0


def as_json_line(data_dir: str, findings: list[Finding], more: dict[str, Any] | None = None) -> str:
    import msgspec  # here: the usual answer is for people

    shown = [
        {
            "path": finding.path,
            "problem": finding.problem,
            "group": finding.group,
            "offset": finding.offset,
            "key": None if finding.key is None else finding.key.hex(),
        }
        for finding in findings
    ]
    return msgspec.json.encode({"data_dir": os.path.abspath(data_dir), "findings": shown} | (more or {})).decode()


@contextlib.contextmanager
def _progress(data_dir: str) -> Iterator[Callable[[str], None]]:
    """A bar on the terminal, filled by the sizes of the files walked; nothing where there is no terminal."""
    if not sys.stderr.isatty():
        yield lambda path: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    ends = _ends(data_dir)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Checking", total=max(ends.values(), default=1))

        def show(path: str) -> None:
            done = ends.get(path, 0)
            bar.update(task, completed=done, description=f"Checking {escape(path)}")

        yield show


def _ends(data_dir: str) -> dict[str, int]:
    """For each file, and each folder of a tree, how many bytes come before it in the order of the walk."""
    before: dict[str, int] = {}
    total = 0
    for top in ("log", "trees"):
        for folder, folders, names in os.walk(os.path.join(data_dir, top)):
            folders.sort()
            before[os.path.relpath(folder, data_dir)] = total
            for name in sorted(names):
                path = os.path.join(folder, name)
                before[os.path.relpath(path, data_dir)] = total
                total += os.path.getsize(path)
    return before


def show(data_dir: str, findings: list[Finding]) -> None:
    """A table on a terminal; one line per finding elsewhere, which no width can cut."""
    if not findings:
        click.echo(click.style("Sound", fg="green") + f": nothing is broken in {os.path.abspath(data_dir)}")
        return
    if sys.stdout.isatty():
        _print_table(findings)
    else:
        for finding in findings:
            click.echo(str(finding))
    click.echo(click.style(f"{len(findings)} broken", fg="red") + f" in {os.path.abspath(data_dir)}")


def _print_table(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("file", "byte", "group", "what is broken")
    for finding in findings:
        key = "" if finding.key is None else f" (key {finding.key.hex()})"
        # As Text: a name with brackets is not markup.
        table.add_row(
            Text(finding.path),
            "" if finding.offset is None else str(finding.offset),
            "" if finding.group is None else str(finding.group),
            Text(finding.problem + key),
        )
    Console().print(table)


check = click.Command(
    "check",
    callback=run,
    params=[
        click.Argument(["folder"], required=False),
        click.Option(["--data-dir"], metavar="FOLDER", help="Folder to check [VARLEY_DATA_DIR; varley-data]"),
        click.Option(["--config"], metavar="FILE", help="Read settings from this TOML file."),
        click.Option(["--json", "as_json"], is_flag=True, help="List the findings as one line of JSON."),
    ],
    help=HELP,
    context_settings={"max_content_width": 110},
)
