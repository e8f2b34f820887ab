"""Indexes and transactions, side by side: against the peers that have the feature.

    bench_indexed       one global index, by-group, with ten items to a key; projects everything
    bench_5_indexes     five global indexes that project everything, so that an update writes six rows

A peer that refuses the table or the request is left out of that line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import load
import peers
import side_by_side
import wrk
from session import Session

ITEMS = side_by_side.ITEMS
NAMES = {
    "query_index": "Query of 10 items on a global index",
    "update_5_indexes": "UpdateItem, 5 global indexes",
    "transact_1": "TransactWriteItems, 2 puts, 1 partition",
    "transact_2": "TransactWriteItems, 2 puts, 2 partitions",
}
GOALS = dict.fromkeys(NAMES, 1.5)
_INDEXES = 5


def measure(session: Session, targets: list[peers.Target]) -> None:
    """`targets` run and have the tables of load.fill."""
    able = {workload: [target for target in targets if _can(target, workload)] for workload in NAMES}
    samples: side_by_side.Samples = {
        workload: {target.name: [] for target in its} for workload, its in able.items()
    }
    session.begin("Indexes and transactions", session.rounds * sum(map(len, able.values())))
    for _ in range(session.rounds):
        for workload, by_server in samples.items():
            for target in able[workload]:
                by_server[target.name].append(side_by_side.run(session, targets, workload, target))
    side_by_side.write(session, "Indexes and transactions", samples, NAMES, GOALS)


def _can(target: peers.Target, workload: str) -> bool:
    client = load.Client(target.endpoint)
    try:
        if workload == "query_index":
            _create(client, "bench_indexed", {"by-group": "grp"})
            load.write_all(client, "bench_indexed", _items(["grp"]))
        elif workload == "update_5_indexes":
            names = [f"a{number}" for number in range(_INDEXES)]
            _create(client, "bench_5_indexes", {f"by-{name}": name for name in names})
            load.write_all(client, "bench_5_indexes", _items(names))
        wrk.run(target.endpoint, workload, 1, items=ITEMS, filler_bytes=load.FILLER_BYTES)
    except RuntimeError:
        return False
    finally:
        client.close()
    return True


def _create(client: load.Client, table: str, indexes: dict[str, str]) -> None:
    names = ["pk", *indexes.values()]
    client.call(
        "CreateTable",
        {
            "TableName": table,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
            "BillingMode": "PAY_PER_REQUEST",
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": index,
                    "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
                for index, name in indexes.items()
            ],
        },
    )
    while client.call("DescribeTable", {"TableName": table})["Table"]["TableStatus"] != "ACTIVE":
        pass


def _items(names: list[str]) -> Iterator[str]:
    for number in range(ITEMS):
        group = {"S": f"group-{number // 10:08d}"}
        item = {"pk": {"S": f"key-{number:08d}"}, "filler": {"S": "x" * load.FILLER_BYTES}, "n": {"N": "12"}}
        yield json.dumps(item | dict.fromkeys(names, group))
