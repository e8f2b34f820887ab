"""From what the catalog describes to open partitions: of all tables at the start, and away with all of them."""

from __future__ import annotations

from varley.assembly.background import Background
from varley.metadata.catalog import Catalog
from varley.node.node import Node
from varley.router.routes import Groups, Router
from varley.storage.opening import Expected
from varley.storage.tree import Tree
from varley.storage.undelivered import IndexGroups
from varley.table.outgoing import id_bytes


def expected_of(catalog: Catalog) -> Expected:
    """What a data folder has whose node holds every group of the catalog."""
    return Expected(
        groups=[group for described in catalog.described() for group in described.groups],
        groups_given=catalog.groups_given,
        indexes={
            id_bytes(index): IndexGroups([each.low for each in ranges], [each.group for each in ranges])
            for described in catalog
            # To a child goes nothing but what its parent sends, before it is known to serve.
            for index, ranges in described.before_splits(lambda child: True).index_partitions.items()
        },
        children={
            each.split.child: at
            for described in catalog
            for each in described.splits.values()
            if (at := each.split.location) is not None
        },
    )


def open_tables(catalog: Catalog, trees: dict[int, Tree], node: Node, router: Router, background: Background) -> None:
    """Host every group of the catalog on `node`, and serve its tables and what is left of deleted ones.

    `trees`: by group, as recovery left them; of the catalog's groups and no others.
    """
    partitions = {group: node.open_group(group, tree) for group, tree in trees.items()}
    for described in catalog:
        # A child that has not everything serves nobody: its parent has that part still.
        described = described.before_splits(lambda child: partitions[child].tree.origin is None)
        of_table = [partitions.pop(each.group) for each in described.partitions]
        of_indexes = {
            index: [partitions.pop(each.group) for each in ranges]
            for index, ranges in described.index_partitions.items()
        }
        router.add(described, of_table, of_indexes)
        background.streams.open(described, of_table)
        for each in described.splits.values():
            if each.split.child in partitions:
                background.knows_child(partitions.pop(each.split.child))
    for described in catalog.deleted.values():
        background.streams.open(described, [partitions.pop(each.group) for each in described.partitions])
    if catalog.ledger is not None:
        [group] = catalog.ledger.groups
        background.transactions.open_ledger(partitions.pop(group))
    assert not partitions, "trees of groups that nobody knows"


async def drop_tables(catalog: Catalog, node: Groups, router: Router, background: Background) -> None:
    """Delete every table, with its streams, and forget the transactions."""
    streams = background.streams
    async with catalog.changes:
        for described in list(catalog):
            await catalog.delete(described.table.name)
            streams.drop(described.table)
            await router.close_partitions(described)
        for described in list(catalog.deleted.values()):
            streams.drop(described.table)
            await catalog.forget(described)
            for each in described.partitions:
                await node.remove_group(each.group)
        await background.transactions.forget()
