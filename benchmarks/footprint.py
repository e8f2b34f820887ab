"""How long a server takes until it answers, and how much memory it takes while it does nothing."""

from __future__ import annotations

import time

import peers
from session import Session, median

STARTS = 10
_SETTLE_SECONDS = 0.5
START_SECONDS_GOAL = 0.3
IDLE_BYTES_GOAL = 80e6


def measure(session: Session, targets: list[peers.Target]) -> None:
    """`targets` do not run. Every start is on a new, empty folder."""
    session.begin("Start and memory", STARTS * len(targets))
    seconds: dict[str, list[float]] = {target.name: [] for target in targets}
    memory: dict[str, list[int]] = {target.name: [] for target in targets}
    for target in targets:
        _start(target)      # once for nothing: afterwards the programs are in the system's cache
    for _ in range(STARTS):
        for target in targets:
            session.step(target.name)
            start_seconds, memory_bytes = _start(target)
            seconds[target.name].append(start_seconds)
            memory[target.name].append(memory_bytes)
            session.record(
                workload="start", server=target.name, start_seconds=start_seconds, memory_bytes=memory_bytes
            )
            session.stepped()
    _write(session, seconds, memory)


def _start(target: peers.Target) -> tuple[float, int]:
    """Seconds until it answers, bytes of memory then; and stop it."""
    try:
        seconds = target.start()
        time.sleep(_SETTLE_SECONDS)
        return seconds, target.memory_bytes()
    finally:
        target.remove()


def _write(session: Session, seconds: dict[str, list[float]], memory: dict[str, list[int]]) -> None:
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
