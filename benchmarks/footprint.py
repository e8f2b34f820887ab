"""How long a server takes until it answers, and how much memory it takes while it does nothing."""

from __future__ import annotations

import time

import peers
from session import Session, median

STARTS = 10
_SETTLE_SECONDS = 1.0
START_SECONDS_GOAL = 0.3
IDLE_BYTES_GOAL = 80e6


def measure(session: Session, targets: list[peers.Target]) -> None:
    """`targets` do not run. Every start is on a new, empty folder."""
    session.begin("Start and memory", STARTS * len(targets))
    seconds: dict[str, list[float]] = {target.name: [] for target in targets}
    memory: dict[str, list[int]] = {target.name: [] for target in targets}
    for _ in range(STARTS):
        for target in targets:
            session.step(target.name)
            try:
                seconds[target.name].append(target.start())
                time.sleep(_SETTLE_SECONDS)
                memory[target.name].append(target.memory_bytes())
            finally:
                target.remove()
            session.record(
                workload="start", server=target.name,
                start_seconds=seconds[target.name][-1], memory_bytes=memory[target.name][-1],
            )  # fmt: skip
            session.stepped()
    session.write("## Start and memory")
    session.write()
    session.write(
        f"From the start of the process to the first answer to `GET /`, on an empty folder; resident memory "
        f"{_SETTLE_SECONDS:g} s later. Medians of {STARTS} starts. Goals for Varley: under "
        f"{START_SECONDS_GOAL * 1000:.0f} ms, under {IDLE_BYTES_GOAL / 1e6:.0f} MB."
    )
    session.write()
    session.write_table(
        ["Server", "Ready after, ms", "Idle memory, MB"],
        [
            [name, f"{median(seconds[name]) * 1000:,.0f}", f"{median(memory[name]) / 1e6:,.0f}"]
            for name in seconds
        ],
    )
