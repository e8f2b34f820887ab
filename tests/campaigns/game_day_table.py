"""The tables of docs/game_day.md, out of what runs have written with --json:

    python -m tests.campaigns.game_day_table one.json another.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(paths: list[str]) -> None:
    runs: list[dict[str, Any]] = [json.loads(Path(path).read_text()) for path in paths]
    rows: dict[str, list[str]] = {
        "nodes, replicas": [f"{run['nodes']}, {run['replicas']}" for run in runs],
        "reads by": [run["reads"] for run in runs],
        "lines of their own, etcds": ["yes, 3" if run.get("namespaces") else "no, 1" for run in runs],
        "clocks off, permille": [str(run.get("drift", 0)) for run in runs],
        "seed": [str(run["seed"]) for run in runs],
        "seconds": [str(run["seconds"]) for run in runs],
        "troubles": [str(sum(kind["times"] for kind in run["faults"].values())) for run in runs],
        **{
            name: [f"{run['outcomes'].get(counted, 0):,}" for run in runs]
            for name, counted in (
                ("requests answered", "ok"), ("refused", "refused"), ("unknown", "unknown"), ("not sent", "not sent"),
                ("transactions acknowledged", "transactions"),
            )
        },
        "items judged": [f"{run['judged']['items']:,}" for run in runs],
        "operations on them": [f"{run['judged']['operations']:,}" for run in runs],
        "eventual reads judged": [f"{run['judged']['eventual reads']:,}" for run in runs],
        "sums of all accounts": [f"{run['judged']['sums']:,}" for run in runs],
        "latency p50, p99, ms": [f"{run['latency_ms']['p50']:.0f}, {run['latency_ms']['p99']:.0f}" for run in runs],
        "**wrong**": [f"**{len(run['problems'])}**" for run in runs],
        "not decided": [str(len(run["undecided"])) for run in runs],
    }  # fmt: skip
    _show(["", *(chr(ord("A") + number) for number in range(len(runs)))], rows)
    print()
    kinds = sorted({kind for run in runs for kind in run["faults"]})
    _show(["trouble", "times", "s without a write", "at most, s"], {kind: _pauses(kind, runs) for kind in kinds})


def _pauses(kind: str, runs: list[dict[str, Any]]) -> list[str]:
    mine = [run["faults"][kind] for run in runs if kind in run["faults"]]
    medians = sorted(each["pause_median"] for each in mine)
    return [
        str(sum(each["times"] for each in mine)), f"{medians[len(medians) // 2]:.1f}",
        f"{max(each['pause_longest'] for each in mine):.1f}",
    ]  # fmt: skip


def _show(head: list[str], rows: dict[str, list[str]]) -> None:
    print(f"| {' | '.join(head)} |")
    print("|---" + "|---:" * (len(head) - 1) + "|")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
