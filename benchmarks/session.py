"""One run of the benchmarks: its progress on the terminal, its samples, and what it says at the end.

Every figure is a median over rounds, and in each round every server has its turn, so that a noisy minute hits all of
them. A measurement during which other programs took more than `OTHERS_MAX` cores is repeated when they have become
quiet, twice at most, and the least disturbed one counts; how many stayed disturbed is told with the results. A run
waits for others no longer than its patience, in total.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peers
from machine import Watch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from wrk import Sample

OTHERS_MAX = 0.15       # the kernel's own work for a busy server comes to about half of it
_ATTEMPTS = 3
_QUIET_SECONDS = 1.0    # so long nobody else must have been at work before a measurement is tried again


class Session:
    """What the sections share. `rounds` and `seconds` are those of a load run."""

    def __init__(self, rounds: int, seconds: float, patience_seconds: float) -> None:
        self.rounds = rounds
        self.seconds = seconds
        self._patience_seconds = patience_seconds
        self.samples: list[dict[str, Any]] = []
        self.disturbed = 0      # measurements that stay in although others were at work
        self.repeated = 0
        self._text: list[str] = []
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:28}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[doing]}"),
            console=self._console,
        )
        self._task: TaskID | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show progress; without a terminal, a line for each section."""
        if self._console.is_terminal:
            with self._progress:
                yield
        else:
            yield

    def begin(self, title: str, steps: int) -> None:
        """A section of `steps` steps."""
        self._task = self._progress.add_task(title, total=steps, doing="")
        if not self._console.is_terminal:
            self.say(f"{title} ({steps} steps)")

    def step(self, doing: str) -> None:
        """The next step of this section, which is about to be done."""
        assert self._task is not None
        self._progress.update(self._task, doing=doing)

    def stepped(self) -> None:
        assert self._task is not None
        self._progress.update(self._task, advance=1, doing="")

    def say(self, text: str) -> None:
        """Tell whoever watches; not part of the results."""
        self._console.print(text, highlight=False)

    def undisturbed(
        self,
        targets: Iterable[peers.Target],
        take: Callable[[], Sample | None],
        prepare: Callable[[], None] | None = None,
        **about: Any,
    ) -> Sample:
        """One step: a sample that others did not disturb, or the least disturbed one.

        `take` gives None for a sample that does not count; `prepare` comes before each. `about` says what it is a
        sample of.
        """
        pids = [target.pid for target in targets if target.process is not None]
        self.step(" ".join(str(value) for value in about.values()))
        best: Sample | None = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                self.repeated += 1
                self._wait_until_quiet()
            if prepare is not None:
                prepare()
            watch = Watch(pids)
            sample = take()
            if sample is None:
                continue
            sample = dataclasses.replace(sample, others=round(watch.others(), 3))
            if best is None or sample.others < best.others:
                best = sample
            if sample.others <= OTHERS_MAX:
                break
        if best is None:
            raise RuntimeError(f"No attempt at {about} gave a sample")
        self.disturbed += best.others > OTHERS_MAX
        self.record(**about, **dataclasses.asdict(best))
        self.stepped()
        return best

    def _wait_until_quiet(self) -> None:
        """Until others do nothing, or patience ends."""
        while self._patience_seconds > 0:
            self._patience_seconds -= _QUIET_SECONDS
            watch = Watch([])
            time.sleep(_QUIET_SECONDS)
            if watch.others() <= OTHERS_MAX:
                return

    def record(self, **sample: Any) -> None:
        """Keep a sample for the file of raw results."""
        self.samples.append(sample)

    def write(self, text: str = "") -> None:
        """Add to the results."""
        self._text.append(text)

    def write_table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A Markdown table; all columns but the first are figures, and stand to the right."""
        self.write("| " + " | ".join(head) + " |")
        self.write("|---|" + "--:|" * (len(head) - 1))
        for row in rows:
            self.write("| " + " | ".join(row) + " |")
        self.write()

    def results(self) -> str:
        return "\n".join(self._text)

    def save(self, path: Path, **about: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**about, "samples": self.samples}, indent=1))


def median(values: Iterable[float]) -> float:
    return statistics.median(values)
