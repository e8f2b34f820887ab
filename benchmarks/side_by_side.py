"""`make bench`: the same requests against Varley and its peers, in one run, on one machine.

    python benchmarks/side_by_side.py [--rounds 5] [--seconds 4] [--workload get_item …] [--target varley …]

Each round measures every server once for every workload, in turn, so that a noisy minute hits all of them; the
table gives the median over rounds and Varley's ratio to the fastest peer. wrk (Debian: apt install wrk) sends
1 KB items over 32 connections. Peers run in memory; Varley syncs its log before it answers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import peers
from load import fill

HERE = Path(__file__).parent
WORKLOADS = ["get_item", "put_item", "update_item", "query"]
GOALS = {"get_item": 2.5, "put_item": 1.8, "update_item": 1.5, "query": 1.5}


def wrk(target: peers.Target, workload: str, seconds: float, items: int, connections: int = 32) -> dict[str, Any]:
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-s", str(HERE / f"workloads/{workload}.lua"),
         target.endpoint],
        env={**os.environ, "BENCH_ITEMS": str(items), "BENCH_WORKLOADS": str(HERE / "workloads")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if out.stderr:
        print(out.stderr, file=sys.stderr)
    found = re.search(r"^RESULT (.*)$", out.stdout, re.M)
    assert found, out.stdout
    result = json.loads(found.group(1))
    result["per_second"] = result["requests"] / result["seconds"]
    return result


def machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workload", nargs="*", default=WORKLOADS)
    parser.add_argument("--target", nargs="*", help="only these servers")
    parser.add_argument("--json", type=Path, help="write all samples here")
    options = parser.parse_args()
    peers.install()
    targets = [peers.varley(), peers.dynoxide(), peers.dynalite(), peers.dynamodb_local()]
    if options.target:
        targets = [target for target in targets if target.name in options.target]
    samples: dict[str, dict[str, list[dict[str, Any]]]] = {w: {t.name: [] for t in targets} for w in options.workload}
    try:
        for target in targets:
            target.start()
            fill(target.endpoint, options.items)
            print(f"{target.name}: started in {target.start_seconds * 1000:.0f} ms, loaded", file=sys.stderr)
        for number in range(options.rounds):
            for workload in options.workload:
                for target in targets:
                    result = wrk(target, workload, options.seconds, options.items, options.connections)
                    samples[workload][target.name].append(result)
                    print(
                        f"round {number + 1} {workload:12s} {target.name:15s} {result['per_second']:8.0f}/s "
                        f"p50 {result['p50_ms']:.2f} p99 {result['p99_ms']:.2f} p99.9 {result['p999_ms']:.2f} ms "
                        f"errors {result['errors']}",
                        file=sys.stderr,
                    )
    finally:
        for target in targets:
            target.remove()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"machine": machine(), "samples": samples}, indent=1))
    print(table(samples))


def table(samples: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    lines = [f"Machine: {machine()}", "", "| workload | server | requests/s | p50 ms | p99 ms | p99.9 ms |", "|---|---|--:|--:|--:|--:|"]
    verdicts = []
    for workload, servers in samples.items():
        def median(name: str, figure: str, servers: dict[str, list[dict[str, Any]]] = servers) -> float:
            return statistics.median(sample[figure] for sample in servers[name])

        for name in servers:
            lines.append(
                f"| {workload} | {name} | {median(name, 'per_second'):,.0f} | {median(name, 'p50_ms'):.2f} "
                f"| {median(name, 'p99_ms'):.2f} | {median(name, 'p999_ms'):.2f} |"
            )
        others = [name for name in servers if name != "varley"]
        if "varley" in servers and others:
            fastest = max(others, key=lambda name: median(name, "per_second"))
            ratio = median("varley", "per_second") / median(fastest, "per_second")
            verdicts.append(
                f"| {workload} | {fastest} | {ratio:.2f} | {GOALS.get(workload, 0):.1f} "
                f"| {median('varley', 'p99_ms'):.2f} / {median(fastest, 'p99_ms'):.2f} |"
            )
    if verdicts:
        lines += ["", "| workload | fastest peer | varley / peer | goal | p99 ms varley / peer |", "|---|---|--:|--:|--:|", *verdicts]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
