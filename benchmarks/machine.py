"""The machine that measures: what it is, and whether somebody else was using it meanwhile.

A figure taken while another program wanted the processor says nothing about a server. `Watch` counts the processor
time that neither the servers, nor the load generator, nor this program took; the caller repeats what was disturbed.
The kernel's own threads (writing to the disk) count as others, so a little is normal.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def describe(folder: Path) -> str:
    """Processor, cores, memory, kernel, file system of `folder`, Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB; Linux {platform.release()}; "
        f"{file_system(folder)}; Python {platform.python_version()}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


def file_system(folder: Path) -> str:
    """The type of the file system that `folder` is on. A durable log on tmpfs would be no such thing."""
    kinds = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        kinds[Path(point)] = kind
    return next(kinds[place] for place in (folder.resolve(), *folder.resolve().parents) if place in kinds)


def process_tree(pid: int) -> Iterator[int]:
    """`pid` and its descendants."""
    yield pid
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
                yield from process_tree(int(child))
    except OSError:
        return      # it has ended


def processor_seconds(pid: int) -> float:
    """User and system time that `pid` and its descendants have taken so far."""
    total = 0
    for each in process_tree(pid):
        try:
            # The name, in parentheses, may hold anything; utime and stime are the 12th and 13th fields after it.
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def memory_bytes(pid: int) -> int:
    """Resident memory of `pid` and its descendants; pages that they share count once in each."""
    total = 0
    for each in process_tree(pid):
        try:
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            continue
    return total


def _busy_seconds() -> float:
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _own_seconds() -> float:
    taken = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in taken)


class Watch:
    """From its making to `others()`: how much of the processor went to nobody who is being measured."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._began = time.perf_counter()
        self._busy, self._known = _busy_seconds(), self._known_seconds()

    def _known_seconds(self) -> float:
        return _own_seconds() + sum(processor_seconds(pid) for pid in self._pids)

    def others(self) -> float:
        """Cores taken by others, on average: 0.5 is half of one core."""
        seconds = time.perf_counter() - self._began
        taken = _busy_seconds() - self._busy - (self._known_seconds() - self._known)
        return max(taken, 0.0) / seconds
