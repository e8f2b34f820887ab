"""One run of wrk, the load generator, with one of the workloads in workloads/.

wrk keeps `connections` connections busy from one thread: each sends its next request when it has the answer to the
last. With `delay_ms` each waits for so long on average before the next one, which loads a server to a part of what
it can do. wrk also mends what a closed loop hides: after an answer that took several times the mean interval it adds
the latencies that requests at that interval would have had. So a stall of 50 ms weighs more in p99.9 than the 32
requests that met it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKLOADS = Path(__file__).parent / "workloads"
CONNECTIONS = 32
_seed = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run against one server. Latencies are in milliseconds."""

    requests: int
    seconds: float
    bytes: int      # of answers, heads included
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    errors: int
    others: float = 0.0     # cores that other programs took meanwhile

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


class Load:
    """A load that has begun. `wait` for its end, or `stop` it; either gives its sample."""

    def __init__(
        self,
        endpoint: str,
        workload: str,
        seconds: float,
        *,
        items: int,
        filler_bytes: int,
        connections: int = CONNECTIONS,
        delay_ms: float = 0,
    ) -> None:
        global _seed
        _seed += 1      # other keys in each run, the same ones in each benchmark
        self._about = f"{workload} against {endpoint}"
        settings = {
            "BENCH_ITEMS": items,
            "BENCH_FILLER": filler_bytes,
            "BENCH_DELAY_MS": delay_ms,
            "BENCH_SEED": _seed,
            "BENCH_WORKLOADS": WORKLOADS,
        }
        script = str(WORKLOADS / f"{workload}.lua")
        self._process = subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout=10s", "-s", script, endpoint],
            env={**os.environ, **{name: str(value) for name, value in settings.items()}},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def stop(self) -> Sample:
        """End it now."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> Sample:
        """Raises RuntimeError if the server refused anything: a figure for errors is no figure."""
        out, complaints = self._process.communicate()
        found = re.search(r"^RESULT (.*)$", out, re.M)
        if found is None or complaints:
            raise RuntimeError(f"{self._about}: {complaints or out}")
        sample = Sample(**json.loads(found.group(1)))
        if sample.errors or not sample.requests:
            raise RuntimeError(f"{self._about}: {sample}")
        return sample


def run(endpoint: str, workload: str, seconds: float, **options: Any) -> Sample:
    """A whole load, with the options of `Load`."""
    return Load(endpoint, workload, seconds, **options).wait()
