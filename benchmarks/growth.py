"""What grows with the number of items, and what does not: latencies, memory, files, start.

One table grows tenfold at a time. At each size the server is stopped, which moves everything into the tree, and
started again on its folder; so reads come from the tree and not from memory. What the system keeps of the file in its
cache is kept: at all sizes here the file fits into memory.
"""

from __future__ import annotations

import time
from pathlib import Path

import load
import peers
import wrk
from session import Session, median

FILLER_BYTES = 100
ITEM_BYTES = len("pk" + "key-00000000" + "filler" + "n") + FILLER_BYTES + 2     # 123
SMALLEST = 10_000
FLAT_WITHIN = 1.3       # GetItem at the largest size against the smallest
WORKLOADS = ("get_item", "put_item")
# While it is filled, so that fewer checkpoints rewrite the whole tree. Measurements use the default.
_FILLING_OVERLAY_BYTES = 256 * 2**20
_AT_ONCE = 100_000


def sizes(largest: int) -> list[int]:
    """10,000, 100,000 … up to `largest`."""
    found = [SMALLEST]
    while found[-1] * 10 <= largest:
        found.append(found[-1] * 10)
    return found


def measure(session: Session, largest: int) -> None:
    target = peers.varley()
    rows: list[list[str]] = []
    session.begin("Growth", len(sizes(largest)) * (1 + session.rounds * len(WORKLOADS)))
    filled = 0
    try:
        for size in sizes(largest):
            session.step(f"filling up to {size:,} items")
            seconds = _fill(session, target, filled, size)
            rate = (size - filled) / seconds
            filled = size
            session.stepped()
            rows.append(_row(session, target, size, rate))
    finally:
        target.remove()
    _write(session, rows)


def _fill(session: Session, target: peers.Target, first: int, last: int) -> float:
    """Seconds until the items are written; then the server is stopped, and all is in the tree."""
    filling = peers.varley("--checkpoint-overlay-bytes", str(_FILLING_OVERLAY_BYTES))
    filling.port, filling.folder = target.port, target.folder
    filling.start()
    target.port, target.folder = filling.port, filling.folder
    try:
        if first == 0:
            client = load.Client(filling.endpoint)
            load.create_table(client, "bench_simple")
            client.close()
        began = time.perf_counter()
        for start in range(first, last, _AT_ONCE):
            load.write_simple(filling.endpoint, start, min(start + _AT_ONCE, last), FILLER_BYTES)
            session.step(f"filling up to {last:,} items: {start:,}")
        return time.perf_counter() - began
    finally:
        filling.stop(seconds_max=1800)


def _row(session: Session, target: peers.Target, size: int, fill_rate: float) -> list[str]:
    start_seconds = target.start(seconds_max=600)
    fresh_bytes = target.memory_bytes()
    samples: dict[str, list[wrk.Sample]] = {workload: [] for workload in WORKLOADS}
    for workload in WORKLOADS:      # all reads before the first write
        for _ in range(session.rounds):
            samples[workload].append(_run(session, target, workload, size))
    used_bytes = target.memory_bytes()
    private_bytes = _private_bytes(target.pid)
    file_bytes = sum(file.stat().st_size for file in Path(target.folder).glob("trees/*/data.mdb"))
    target.stop(seconds_max=1800)
    session.record(
        workload="growth", items=size, start_seconds=start_seconds, fresh_bytes=fresh_bytes, used_bytes=used_bytes,
        private_bytes=private_bytes, file_bytes=file_bytes, fill_rate=fill_rate,
    )  # fmt: skip
    figures = [f"{size:,}"]
    for workload in WORKLOADS:
        runs = samples[workload]
        figures.append(f"{median(s.per_second for s in runs):,.0f}")
        figures += [f"{median(getattr(s, each) for s in runs):.2f}" for each in ("p50_ms", "p99_ms")]
    return [
        *figures, f"{start_seconds * 1000:,.0f}", f"{fresh_bytes / 1e6:,.0f}",
        f"{used_bytes / 1e6:,.0f} ({private_bytes / 1e6:,.0f})", f"{file_bytes / 1e6:,.0f}", f"{fill_rate:,.0f}",
    ]  # fmt: skip


def _run(session: Session, target: peers.Target, workload: str, size: int) -> wrk.Sample:
    def take() -> wrk.Sample:
        return wrk.run(target.endpoint, workload, session.seconds, items=size, filler_bytes=FILLER_BYTES)

    return session.undisturbed([target], take, workload=workload, items=size)


def _private_bytes(pid: int) -> int:
    """Resident memory that is the process's own; the rest is the tree's file, mapped, which the system may drop."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("Linux tells RssAnon")


def _write(session: Session, rows: list[list[str]]) -> None:
    session.write("## Growth")
    session.write()
    session.write(
        f"Varley on disk, one table of items of {ITEM_BYTES} bytes; {wrk.CONNECTIONS} connections, all busy, keys at "
        f"random over the whole table; at each size after a restart, reads before writes; medians of "
        f"{session.rounds} runs of {session.seconds:g} s. Memory: resident, right after the start and after the loads "
        "(in parentheses without the mapped file). Filled: items/s that four writers of batches of 25 came to."
    )
    session.write()
    session.write_table(
        ["Items", "GetItem/s", "p50 ms", "p99 ms", "PutItem/s", "p50 ms", "p99 ms", "Ready after, ms",
         "Memory at start, MB", "after loads, MB", "Tree's file, MB", "Filled, items/s"],
        rows,
    )  # fmt: skip
