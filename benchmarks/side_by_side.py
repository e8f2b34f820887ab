"""The four everyday requests, side by side: GetItem, PutItem, UpdateItem with a condition, Query of ten items."""

from __future__ import annotations

import load
import peers
import wrk
from session import Session, median

ITEMS = 10_000
NAMES = {
    "get_item": "GetItem",
    "put_item": "PutItem",
    "update_item": "UpdateItem with a condition",
    "query": "Query of 10 items",
}
GOALS = {"get_item": 2.5, "put_item": 1.8, "update_item": 1.5, "query": 1.5}    # times the fastest peer

Samples = dict[str, dict[str, list[wrk.Sample]]]    # workload -> server -> one of each round


def measure(session: Session, targets: list[peers.Target]) -> None:
    """`targets` run and are filled."""
    samples: Samples = {workload: {target.name: [] for target in targets} for workload in NAMES}
    session.begin("Everyday requests", session.rounds * len(NAMES) * len(targets))
    for _ in range(session.rounds):
        for workload, by_server in samples.items():
            for target in targets:
                by_server[target.name].append(run(session, targets, workload, target))
    write(session, "Everyday requests", samples, NAMES, GOALS)


def run(session: Session, targets: list[peers.Target], workload: str, target: peers.Target) -> wrk.Sample:
    return session.undisturbed(
        targets,
        lambda: wrk.run(
            target.endpoint, workload, session.seconds, items=ITEMS, filler_bytes=load.FILLER_BYTES
        ),
        workload=workload,
        server=target.name,
    )


def write(
    session: Session, title: str, samples: Samples, names: dict[str, str], goals: dict[str, float]
) -> None:
    """Two tables: every server, and Varley beside the fastest peer."""
    session.write(f"## {title}")
    session.write()
    session.write(
        f"{wrk.CONNECTIONS} connections; {ITEMS:,} items of 1 KB in each of two tables, keys at random; medians of "
        f"{session.rounds} rounds of {session.seconds:g} s."
    )
    session.write()
    rows = [
        [names[workload], server, f"{median(s.per_second for s in runs):,.0f}"]
        + [f"{median(getattr(s, figure) for s in runs):.2f}" for figure in ("p50_ms", "p99_ms", "p999_ms")]
        for workload, by_server in samples.items()
        for server, runs in by_server.items()
    ]
    session.write_table(["Request", "Server", "Requests/s", "p50 ms", "p99 ms", "p99.9 ms"], rows)
    session.write_table(
        ["Request", "Fastest peer", "Varley / peer", "Goal", "p99 ms, Varley", "p99 ms, peer"],
        [
            [names[workload], *_verdict(by_server, goals[workload])]
            for workload, by_server in samples.items()
            if peers.VARLEY in by_server and set(by_server) - {peers.VARLEY, peers.IN_MEMORY}
        ],
    )


def _verdict(by_server: dict[str, list[wrk.Sample]], goal: float) -> list[str]:
    def per_second(server: str) -> float:
        return median(sample.per_second for sample in by_server[server])

    def p99_ms(server: str) -> float:
        return median(sample.p99_ms for sample in by_server[server])

    fastest = max((name for name in by_server if name not in (peers.VARLEY, peers.IN_MEMORY)), key=per_second)
    ratio = per_second(peers.VARLEY) / per_second(fastest)
    return [
        fastest, f"{ratio:.2f}", f"{goal:.1f}",
        f"{p99_ms(peers.VARLEY):.2f}", f"{p99_ms(fastest):.2f}",
    ]  # fmt: skip
