"""What a checkpoint costs those who are served meanwhile: latencies while one runs, and while none does.

A load without a checkpoint and one with are taken in turns, on a table of 100,000 items of 1 KB. For the one with,
rows are written again until the overlay is full and the tree's file begins to change; the load starts then, and ends
half a second after the file has changed for the last time, so that all of the checkpoint is inside, its end and the
freeing of its memory too. Afterwards the server's own counter (varley_checkpoints_total) must say that it was one.
(Asking for the counter would itself cost a few milliseconds, so it is not asked during a load.)

Two loads: every connection busy (saturation), and each connection pausing between requests (about a third of that).

A third comparison has no artifice: puts to all of the table at full speed, for so long that checkpoints follow each
other without end, beside puts to so few items that there is never one.
"""

from __future__ import annotations

import re
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import load
import peers
import wrk
from session import Session, median

ITEMS = 100_000             # a tree of 120 MB, so the rows of a checkpoint are spread all over it
PUT_ITEMS = 10_000          # puts during a window touch so few rows that they never fill an overlay themselves
DELAY_MS = {"get_item": 2, "put_item": 4}
LOADS = {"saturation": False, "with pauses": True}
NAMES = {"get_item": "GetItem", "put_item": "PutItem"}
RATIO_GOAL = 2.0
WITHOUT_END = "to all items without end"
WITHOUT_END_TIMES = 5       # so many times as long as other runs
_ROWS_AT_ONCE = 2_000
_IDLE_SECONDS = 0.5
_SECONDS_MAX = 120.0


@dataclass
class Server:
    """A Varley whose checkpoints can be provoked and watched."""

    target: peers.Target
    admin_port: int
    written: int = 0

    @classmethod
    def start(cls) -> Server:
        admin_port = peers.free_port()
        # Only a full overlay begins a checkpoint; the overlay's limit is the default one.
        target = peers.varley("--admin-port", str(admin_port), "--checkpoint-log-bytes", str(2**40))
        target.start()
        client = load.Client(target.endpoint)
        load.create_table(client, "bench_simple")
        client.close()
        self = cls(target, admin_port)
        load.write_simple(target.endpoint, 0, ITEMS)
        time.sleep(0.2)     # the server looks every 0.1 s whether one is due
        self.wait_until_ended()
        return self

    def checkpoints_ended(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=60) as answer:
            found = re.search(rb"^varley_checkpoints_total (\S+)", answer.read(), re.M)
        assert found is not None
        return int(float(found.group(1)))

    def _tree_changed_at(self) -> float:
        return max((file.stat().st_mtime for file in Path(self.target.folder).glob("trees/*/data.mdb")), default=0.0)

    def begin_checkpoint(self) -> None:
        """Write rows until one begins."""
        changed_at = self._tree_changed_at()
        while self._tree_changed_at() == changed_at:
            first = self.written % ITEMS
            load.write_simple(self.target.endpoint, first, first + _ROWS_AT_ONCE)
            self.written += _ROWS_AT_ONCE

    def wait_until_ended(self) -> None:
        """Return when no checkpoint has written anything for a while."""
        while time.time() - self._tree_changed_at() < _IDLE_SECONDS:
            time.sleep(0.02)


def measure(session: Session) -> None:
    samples: dict[tuple[str, str, bool], list[wrk.Sample]] = {}
    session.begin("While a checkpoint runs", session.rounds * (len(NAMES) * len(LOADS) * 2 + 1))
    server = Server.start()
    try:
        for _ in range(session.rounds):
            for workload in NAMES:
                for load_name in LOADS:
                    for is_checkpointing in (False, True):
                        sample = _undisturbed(session, server, workload, load_name, is_checkpointing)
                        samples.setdefault((workload, load_name, is_checkpointing), []).append(sample)
            samples.setdefault(("put_item", WITHOUT_END, True), []).append(_puts_without_end(session, server))
    finally:
        server.target.remove()
    samples["put_item", WITHOUT_END, False] = samples["put_item", "saturation", False]
    _write(session, samples)


def _puts_without_end(session: Session, server: Server) -> wrk.Sample:
    def take() -> wrk.Sample | None:
        ended = server.checkpoints_ended()
        sample = wrk.run(
            server.target.endpoint, "put_item", WITHOUT_END_TIMES * session.seconds,
            items=ITEMS, filler_bytes=load.FILLER_BYTES,
        )  # fmt: skip
        return sample if server.checkpoints_ended() > ended else None

    return session.undisturbed(
        [server.target], take, workload="put_item", load=WITHOUT_END, checkpoint="checkpoint"
    )


def _undisturbed(
    session: Session, server: Server, workload: str, load_name: str, is_checkpointing: bool
) -> wrk.Sample:
    ended = 0

    def prepare() -> None:
        nonlocal ended
        time.sleep(0.2)
        server.wait_until_ended()
        ended = server.checkpoints_ended()
        if is_checkpointing:
            server.begin_checkpoint()

    def take() -> wrk.Sample | None:
        load_now = wrk.Load(
            server.target.endpoint, workload, _SECONDS_MAX if is_checkpointing else session.seconds,
            items=PUT_ITEMS if workload == "put_item" else ITEMS,
            filler_bytes=load.FILLER_BYTES,
            delay_ms=DELAY_MS[workload] if LOADS[load_name] else 0,
        )  # fmt: skip
        if is_checkpointing:
            server.wait_until_ended()
            sample = load_now.stop()
        else:
            sample = load_now.wait()
        return sample if server.checkpoints_ended() == ended + is_checkpointing else None

    return session.undisturbed(
        [server.target], take, prepare,
        workload=workload, load=load_name, checkpoint="checkpoint" if is_checkpointing else "none",
    )  # fmt: skip


def _write(session: Session, samples: dict[tuple[str, str, bool], list[wrk.Sample]]) -> None:
    session.write("## While a checkpoint runs")
    session.write()
    session.write(
        f"Varley on disk, {ITEMS:,} items of 1 KB (puts: {PUT_ITEMS:,} of them), {wrk.CONNECTIONS} connections, all "
        f"busy or pausing {DELAY_MS['get_item']} ms (puts: {DELAY_MS['put_item']} ms) on average between requests. "
        f"Medians of {session.rounds} runs of {session.seconds:g} s without a checkpoint and as many of the length of "
        f"one, in turns; {WITHOUT_END}: {WITHOUT_END_TIMES * session.seconds:g} s. "
        f"Goal: p99.9 at most {RATIO_GOAL:g} times."
    )
    session.write()
    rows = []
    for workload, name in NAMES.items():
        for load_name in (*LOADS, WITHOUT_END):
            if (workload, load_name, True) not in samples:
                continue
            without, with_one = (samples[workload, load_name, each] for each in (False, True))
            p999 = [median(s.p999_ms for s in runs) for runs in (without, with_one)]
            rows.append(
                [
                    f"{name}, {load_name}",
                    *(f"{median(s.per_second for s in runs):,.0f}" for runs in (without, with_one)),
                    *(f"{median(s.p99_ms for s in runs):.2f}" for runs in (without, with_one)),
                    *(f"{each:.2f}" for each in p999),
                    f"{p999[1] / p999[0]:.2f}",
                ]
            )
    session.write_table(
        ["Load", "Requests/s: none", "checkpoint", "p99 ms: none", "checkpoint", "p99.9 ms: none", "checkpoint",
         "ratio"],
        rows,
    )  # fmt: skip
