"""What the parts of a server have to tell when metrics are read, as the metrics of metrics.py.

One function a part; each reads numbers that the part keeps anyway.
"""

from __future__ import annotations

from collections.abc import Iterator

from varley.admin.metrics import Reading
from varley.expiry.sweeper import Sweeper
from varley.indexes.indexes import Indexes
from varley.metadata.catalog import Catalog
from varley.node.node import Node
from varley.router.routes import Router
from varley.storage.log_writer import LogWriter
from varley.storage.memory_log import MemoryLog
from varley.storage.refusing_log import RefusingLog


def of_log(log: LogWriter | MemoryLog | RefusingLog) -> Iterator[Reading]:
    yield Reading("varley_log_syncs_total", log.statistics.frames)
    yield Reading("varley_log_sync_seconds_total", log.statistics.sync_seconds)
    yield Reading("varley_log_records_total", log.statistics.records)
    yield Reading("varley_log_bytes_total", log.statistics.bytes)
    yield Reading("varley_log_size_bytes", log.bytes_in_log)


def of_node(node: Node) -> Iterator[Reading]:
    for error, count in node.refused_writes.items():
        yield Reading("varley_refused_writes_total", count, (error,))
    yield Reading("varley_overlay_bytes", node.overlay_bytes)
    yield Reading("varley_checkpoints_total", node.checkpoints)
    yield Reading("varley_checkpoint_seconds_total", node.checkpoint_seconds)


def of_tables(catalog: Catalog, router: Router, sweeper: Sweeper) -> Iterator[Reading]:
    for described in catalog:
        table = described.table
        items, size_bytes = router.statistics(table.name)
        yield Reading("varley_table_items", items, (table.name, ""))
        yield Reading("varley_table_bytes", size_bytes, (table.name, ""))
        if table.name in sweeper.expired:
            yield Reading("varley_expired_items_total", sweeper.expired[table.name], (table.name,))
        yield Reading("varley_provisioned_read_units", table.provisioned.read_units, (table.name, ""))
        yield Reading("varley_provisioned_write_units", table.provisioned.write_units, (table.name, ""))
        for name, (rows, row_bytes) in router.index_statistics(table.name).items():
            yield Reading("varley_table_items", rows, (table.name, name))
            yield Reading("varley_table_bytes", row_bytes, (table.name, name))


def of_indexes(indexes: Indexes) -> Iterator[Reading]:
    for each in indexes.readings():
        labels = (each.table, each.name)
        yield Reading("varley_index_undelivered_changes", each.changes, labels)
        yield Reading("varley_index_undelivered_bytes", each.bytes, labels)
        if each.backfill_ratio is not None:
            yield Reading("varley_index_backfill_ratio", each.backfill_ratio, labels)
