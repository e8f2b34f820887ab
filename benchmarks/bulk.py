"""Moving much at a time: BatchWriteItem in items per second, and a parallel Scan in megabytes per second.

The scan reads all of bench_simple over and over: each connection its own segment, page after page, following
LastEvaluatedKey. Only the bytes of items count, at their size in DynamoDB, so that nobody gains by a longer answer.
"""

from __future__ import annotations

import json
import threading
import time

import load
import peers
import wrk
from session import Session, median
from side_by_side import ITEMS

CONNECTIONS = 8
SCAN_SEGMENTS = 4
BATCH = 25
ITEM_BYTES = len("pk" + "key-00000000" + "filler" + "n") + load.FILLER_BYTES + 2    # a number of two digits: 2


def measure(session: Session, targets: list[peers.Target]) -> None:
    """`targets` run and are filled."""
    session.begin("Batches and scans", session.rounds * 2 * len(targets))
    writes: dict[str, list[float]] = {target.name: [] for target in targets}
    scans: dict[str, list[float]] = {target.name: [] for target in targets}
    for _ in range(session.rounds):
        for target in targets:
            batches = session.undisturbed(
                targets, lambda target=target: _write_batches(target, session.seconds),
                workload="batch_write", server=target.name,
            )  # fmt: skip
            writes[target.name].append(batches.per_second * BATCH)
        for target in targets:
            pages = session.undisturbed(
                targets, lambda target=target: _scan(target, session.seconds), workload="scan", server=target.name
            )
            scans[target.name].append(pages.bytes / pages.seconds / 1e6)
    _write(session, writes, scans)


def _write_batches(target: peers.Target, seconds: float) -> wrk.Sample:
    return wrk.run(
        target.endpoint, "batch_write", seconds,
        items=ITEMS, filler_bytes=load.FILLER_BYTES, connections=CONNECTIONS,
    )  # fmt: skip


def _scan(target: peers.Target, seconds: float) -> wrk.Sample:
    """All segments at once. `requests` are pages, and latencies those of a page."""
    latencies: list[float] = []
    items: list[int] = []
    began = time.perf_counter()

    def scan(segment: int) -> None:
        client = load.Client(target.endpoint)
        request: dict[str, object] = {"TableName": "bench_simple", "Segment": segment, "TotalSegments": SCAN_SEGMENTS}
        while (sent := time.perf_counter()) - began < seconds:
            answer = client.call_raw("Scan", json.dumps(request).encode())
            latencies.append(time.perf_counter() - sent)
            count, last = _count_and_last_key(answer)
            items.append(count)
            request.pop("ExclusiveStartKey", None)
            if last is not None:
                request["ExclusiveStartKey"] = last
        client.close()

    threads = [threading.Thread(target=scan, args=(segment,)) for segment in range(SCAN_SEGMENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    latencies.sort()

    def percentile_ms(share: float) -> float:
        return latencies[min(int(share * len(latencies)), len(latencies) - 1)] * 1000

    return wrk.Sample(
        requests=len(items), seconds=took, bytes=sum(items) * ITEM_BYTES, p50_ms=percentile_ms(0.5),
        p99_ms=percentile_ms(0.99), p999_ms=percentile_ms(0.999), max_ms=latencies[-1] * 1000, errors=0,
    )  # fmt: skip


def _count_and_last_key(answer: bytes) -> tuple[int, object | None]:
    """Without parsing a megabyte of items, which would cost more than reading it: the members are where no item has
    them, since the filler is all x."""
    items_at = answer.index(b'"Items"')
    # Items are the longest member by far; what is asked for stands before it or after it.
    end = answer.rindex(b"]")
    rest = answer[:items_at] + b'"Items":[' + answer[end:]
    members = json.loads(rest)
    return members["Count"], members.get("LastEvaluatedKey")


def _write(session: Session, writes: dict[str, list[float]], scans: dict[str, list[float]]) -> None:
    session.write("## Batches and scans")
    session.write()
    session.write(
        f"BatchWriteItem: {BATCH} puts of 1 KB a request over {CONNECTIONS} connections. Scan: {SCAN_SEGMENTS} "
        f"segments of one table of {ITEMS:,} items of 1 KB in parallel, in pages of up to 1 MB; MB are 10^6 bytes "
        f"of items. Medians of {session.rounds} rounds of {session.seconds:g} s."
    )
    session.write()
    session.write_table(
        ["Server", "BatchWriteItem, items/s", "Scan, MB/s"],
        [[server, f"{median(writes[server]):,.0f}", f"{median(scans[server]):,.0f}"] for server in writes],
    )
