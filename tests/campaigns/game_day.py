"""A game day: a real cluster, its clients, and whatever can go wrong, for as long as is wished; then all is judged.

    python -m tests.campaigns.game_day --minutes 10 --nodes 3 --seed 1
    python -m tests.campaigns.game_day --minutes 10 --nodes 5 --seed 2 --reads read-index
    python -m tests.campaigns.game_day --minutes 10 --splits 3      partitions are split meanwhile
    python -m tests.campaigns.game_day --minutes 10 --namespaces --drift 9
    python -m tests.campaigns.game_day --minutes 1 --plant no-lease --only 'cut the leader off'     must fail

The nodes are processes of this machine, each with a folder of its own, and an etcd; clients speak HTTP to all of them
(traffic.py). Meanwhile one trouble follows the other (trouble.py), each held for some seconds, then healed. In the end
the cluster is made whole, and what the clients have seen is judged beside what the replicas hold (verdicts.py).

With --namespaces each node has a network namespace of its own, lines are cut in the kernel, and there are three etcds
(namespaces.py). With --drift the nodes' clocks run at different rates (planted/).

The seed decides what is done in which order. When things happen is up to the machine: a run cannot be repeated.

Exit code 0: all is right. 1: something is wrong, and said; the cluster's folder stays. 2: something was not decided.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import sys
import tempfile
import time
import urllib.error
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from tests.campaigns.namespaces import NamespacedCluster, enter
from tests.campaigns.traffic import ACCOUNTS, ACCOUNTS_EACH, INDEX, INDEXED, OPENED_WITH, TABLES, Address, Traffic
from tests.campaigns.trouble import Trouble, problems_of_groups, put_on_small_disk, take_small_disk_away
from tests.campaigns.verdicts import Items, Judged, differences, judge_eventual, judge_items, judge_money
from tests.cluster.local_cluster import LocalCluster

_PLANTED: Final = Path(__file__).with_name("planted")
_HELD_SECONDS: Final = (2.5, 8.0)       # how long a trouble lasts
_CALM_SECONDS: Final = (3.0, 7.0)       # between two
_LEVEL_SECONDS: Final = 60.0            # from the last trouble until nobody is behind
# And until all vote again: a node is trusted after it was well for ten seconds, forty if it has failed lately
# (autoadmin/health.py), as here all of them do; then a copy may have to be made.
_WHOLE_SECONDS: Final = 150.0
_PATIENT: Final = {"retries": {"total_max_attempts": 8, "mode": "standard"}}


class Fault(NamedTuple):
    kind: str
    what: str
    begun: float
    healed: float
    over: float     # the next one begins, or the traffic ends


def main(words: Sequence[str] | None = None) -> int:
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.game_day", description=about)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=1, help="of each table")
    parser.add_argument("--clients", type=int, default=6, help="of each node")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--reads", choices=["lease", "read-index"], default="lease")
    parser.add_argument("--splits", type=float, help="order one every so many seconds")
    parser.add_argument("--only", action="append", help="this kind of trouble; may be given again")
    parser.add_argument("--plant", choices=["no-lease", "lying-client"], help="a defect that must be found")
    parser.add_argument("--namespaces", action="store_true", help="each node in one of its own, three etcds; as root")
    parser.add_argument("--drift", type=int, default=0, help="permille that clocks are too fast, or too slow")
    parser.add_argument("--folder", type=Path, help="of the cluster; must not be there")
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    asked = parser.parse_args(words)
    if asked.namespaces:
        enter(sys.argv[1:] if words is None else words)
    os.environ["GAME_DAY_DRIFT"] = str(asked.drift or "")
    os.environ["GAME_DAY_PLANT"] = asked.plant or ""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_PLANTED), *filter(None, [os.environ.get("PYTHONPATH")])])
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="varley-game-day-")) / "cluster"
    print(f"seed {asked.seed}, {asked.nodes} nodes, reads by {asked.reads}, in {folder}", flush=True)
    slow = folder.with_name(folder.name + "-slow-disks")
    slow.mkdir(parents=True)
    os.environ["GAME_DAY_SLOW"] = str(slow)
    has_small_disk = put_on_small_disk(folder)
    if not has_small_disk:
        print("NOT TRIED: a full disk. A file system must be mounted: run this as root.", flush=True)
    try:
        with _made_cluster(folder, asked) as cluster:
            found = asyncio.run(_day(cluster, asked, has_small_disk))
    finally:
        if has_small_disk:
            take_small_disk_away(folder)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({name: value for name, value in found.items() if name not in ("problems", "undecided")}, indent=1))
    for problem in found["problems"][:20]:
        print(f"WRONG: {problem}")
    for case in found["undecided"]:
        print(f"NOT DECIDED: {case}")
    print("all is right" if not found["problems"] else f"{len(found['problems'])} things are wrong; see {folder}")
    return 1 if found["problems"] else 2 if found["undecided"] else 0


def _made_cluster(folder: Path, asked: argparse.Namespace) -> LocalCluster:
    words = [
        "--replicas", str(asked.replicas), "--initial-partitions", str(asked.partitions),
        "--strong-reads", asked.reads, "--segment-bytes", str(2**20), "--checkpoint-log-bytes", str(4 * 2**20),
        "--split-keep-seconds", "2",
    ]  # fmt: skip
    if asked.namespaces:
        return NamespacedCluster(folder, *words, nodes=asked.nodes)
    return LocalCluster(folder, "--nodes", str(asked.nodes), *words)


def _address(endpoint: str) -> Address:
    host, _, port = endpoint.rpartition("/")[2].rpartition(":")
    return host, int(port)


async def _day(cluster: LocalCluster, asked: argparse.Namespace, has_small_disk: bool) -> dict[str, Any]:
    await asyncio.to_thread(_open, cluster)
    addresses = [_address(node["endpoint"]) for node in cluster.nodes.values()]
    slow = Path(os.environ["GAME_DAY_SLOW"])
    trouble = Trouble(cluster, asked.seed, has_small_disk=has_small_disk, slow=slow)
    begun = time.monotonic()
    traffic = Traffic(addresses, asked.clients, asked.seed, lies=asked.plant == "lying-client")
    problems: list[str] = []
    faults: list[Fault] = []
    splits = Splits(cluster, asked.splits, asked.seed)
    try:
        try:
            await _make_trouble(trouble, faults, traffic.record.acknowledged, asked, until=begun + 60 * asked.minutes)
        except Exception as error:
            problems.append(f"a node could not be brought back, or told: {type(error).__name__} {error}")
            await asyncio.to_thread(_healed_somehow, trouble)
        lasted = time.monotonic() - begun
        await splits.stop()
        await traffic.stop()
        problems += await asyncio.to_thread(_wait_whole, cluster)
        problems += await asyncio.to_thread(splits.wait_ended)
        held, more = await asyncio.to_thread(_held, cluster)
        problems += more
    finally:
        trouble.close()
    record = traffic.record
    judged = [judge_items(record, held), judge_eventual(record), judge_money(record, held)]
    return _report(asked, lasted, traffic, faults, problems, judged) | {"splits": splits.ordered}


def _open(cluster: LocalCluster) -> None:
    for number, table in enumerate(TABLES):
        indexes = [{
            "IndexName": INDEX, "KeySchema": [{"AttributeName": "colour", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }]  # fmt: skip
        names = ["k", "colour"] if table == INDEXED else ["k"]
        cluster.client("n1").create_table(
            TableName=table, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            **({"GlobalSecondaryIndexes": indexes} if table == INDEXED else {}),
        )  # fmt: skip
        cluster.leader_of(table)
        wish = {"group": cluster.groups_of(table)[0]["group"], "to": f"n{number % 3 + 1}"}
        with contextlib.suppress(urllib.error.HTTPError):    # it leads already
            cluster.admin("n1", "/hand-over", wish)
    client = cluster.client("n1", **_PATIENT)
    for table in ACCOUNTS:
        for number in range(ACCOUNTS_EACH):
            client.put_item(TableName=table, Item={"k": {"S": str(number)}, "n": {"N": str(OPENED_WITH)}})


class Splits:
    """Orders one for one table or index after the other, at one node after the other."""

    def __init__(self, cluster: LocalCluster, seconds: float | None, seed: int) -> None:
        self._cluster = cluster
        self._seconds = seconds
        self._chance = random.Random(f"splits {seed}")
        self.ordered = 0    # and taken
        self._task = None if seconds is None else asyncio.ensure_future(self._order(seconds))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _order(self, seconds: float) -> None:
        wishes = [{"table": table} for table in TABLES] + [{"table": INDEXED, "index": INDEX}]
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._order_one, self._chance.choice(wishes))

    def _order_one(self, wish: dict[str, str]) -> None:
        node = self._chance.choice(list(self._cluster.nodes))
        try:
            told = self._cluster.admin(node, "/split", wish)
        except OSError:    # the node is away, or etcd is, or one is under way already
            return
        self.ordered += told["refused"] is None

    def wait_ended(self) -> list[str]:
        """What has not by then."""
        begun = time.monotonic()
        while True:
            try:
                left = [
                    f"{name}: {each}" for name in self._cluster.alive()
                    for each in self._cluster.admin(name, "/splits")["splits"]
                ]
            except OSError as error:
                left = [str(error)]
            if not left or time.monotonic() - begun > _LEVEL_SECONDS:
                return [f"not split: {each}" for each in left]
            time.sleep(0.2)


async def _make_trouble(
    trouble: Trouble, faults: list[Fault], acknowledged: dict[str, list[float]], asked: argparse.Namespace, *,
    until: float,
) -> None:  # fmt: skip
    chance = random.Random(f"game day {asked.seed}")
    await asyncio.sleep(chance.uniform(*_CALM_SECONDS))
    while time.monotonic() < until:
        kind = trouble.deal(asked.only)
        begun = time.monotonic()
        what = await asyncio.to_thread(trouble.kinds[kind])
        await asyncio.sleep(chance.uniform(*_HELD_SECONDS))
        await asyncio.to_thread(trouble.heal)
        healed = time.monotonic()
        await asyncio.sleep(chance.uniform(*_CALM_SECONDS))
        fault = Fault(kind, what, begun, healed, time.monotonic())
        faults.append(fault)
        pauses = {table: _pause(acknowledged[table], fault.begun, fault.over) for table in TABLES}
        longest = max(pauses, key=lambda table: pauses[table])
        paused = f"no write to {longest} for {pauses[longest]:.1f} s"
        print(f"{begun:10.3f} {kind}: {what}; {healed - begun:.1f} s; {paused}", flush=True)


def _healed_somehow(trouble: Trouble) -> None:
    try:
        trouble.heal()
    except Exception as error:
        print(f"  not healed: {error}", flush=True)


def _wait_whole(cluster: LocalCluster) -> list[str]:
    """What is not whole by then."""
    begun = time.monotonic()
    is_level = False
    while True:
        try:
            left = problems_of_groups(cluster)
            is_level = is_level or not problems_of_groups(cluster, may_wait_for_votes=True)
        except OSError as error:
            left = [str(error)]
        seconds = time.monotonic() - begun
        if not left or seconds > (_WHOLE_SECONDS if is_level else _LEVEL_SECONDS):
            print(f"  {'not ' if left else ''}whole after {seconds:.0f} s", flush=True)
            return [f"not whole after {seconds:.0f} s: {each}" for each in left]
        time.sleep(0.2)


def _held(cluster: LocalCluster) -> tuple[dict[str, Items], list[str]]:
    """What each table holds, by strong reads; and in what replicas and the index differ from it."""
    clients = {name: cluster.client(name, **_PATIENT) for name in cluster.alive()}
    problems, held = [], {}
    for table in TABLES:
        held[table] = _scanned(next(iter(clients.values())), table, ConsistentRead=True)
        for name, client in clients.items():
            problems += _in_time(held[table], partial(_scanned, client, table), f"{table} at {name}")
    for name, client in clients.items():
        by_index = partial(_scanned, client, INDEXED, IndexName=INDEX)
        problems += _in_time(held[INDEXED], by_index, f"the index at {name}")
    return held, problems


def _in_time(items: Items, look: Callable[[], Items], where: str) -> list[str]:
    """In what it differs, after time enough to catch up."""
    deadline = time.monotonic() + 20
    while True:
        try:
            found = list(differences(items, look()))
        except (ClientError, BotoCoreError) as error:
            found = [str(error)]
        if not found or time.monotonic() > deadline:
            return [f"{where}: {each}" for each in found]
        time.sleep(0.2)


def _scanned(client: Any, table: str, **more: Any) -> Items:
    pages = client.get_paginator("scan").paginate(TableName=table, **more)
    return {item["k"]["S"]: item for page in pages for item in page["Items"]}


# ---- What is said of it


def _report(
    asked: argparse.Namespace, lasted: float, traffic: Traffic, faults: list[Fault], problems: list[str],
    judged: list[Judged],
) -> dict[str, Any]:  # fmt: skip
    record = traffic.record
    latencies = sorted(record.latencies)
    return {
        "nodes": asked.nodes, "replicas": asked.replicas, "reads": asked.reads, "seed": asked.seed,
        "plant": asked.plant, "namespaces": asked.namespaces, "drift": asked.drift,
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, Python {sys.version.split()[0]}",
        "seconds": round(lasted),
        "clients": asked.nodes * asked.clients,
        "outcomes": dict(record.counts),
        "said": dict(record.said.most_common(20)),
        "latency_ms": {
            f"p{p}": round(1000 * latencies[int(len(latencies) * p / 100.1)], 1) for p in (50, 99, 100)
        } if latencies else {},
        "judged": {name: count for each in judged for name, count in each.counts.items()},
        "faults": _by_kind(record.acknowledged, faults),
        "problems": problems + [problem for each in judged for problem in each.problems],
        "undecided": [case for each in judged for case in each.undecided],
    }  # fmt: skip


def _by_kind(acknowledged: dict[str, list[float]], faults: list[Fault]) -> dict[str, Any]:
    """Kind -> how often, and the longest time from its begin to the next without an acknowledged write to a table:
    of the table that it hit hardest, the median and the longest of all times; of the one hit hardest after healing."""
    shown: dict[str, Any] = {}
    for kind in sorted({fault.kind for fault in faults}):
        mine = [fault for fault in faults if fault.kind == kind]
        pauses = sorted(
            max(_pause(times, fault.begun, fault.over) for times in acknowledged.values()) for fault in mine
        )
        after = max(max(_first_after(times, fault.healed) for times in acknowledged.values()) for fault in mine)
        shown[kind] = {
            "times": len(mine), "pause_median": round(pauses[len(pauses) // 2], 2),
            "pause_longest": round(pauses[-1], 2), "healed_to_write_longest": round(after, 2),
        }  # fmt: skip
    return shown


def _pause(times: list[float], begun: float, over: float) -> float:
    inside = [begun, *(when for when in times if begun <= when <= over), over]
    return max(later - earlier for earlier, later in pairwise(inside))


def _first_after(times: list[float], healed: float) -> float:
    return min((when - healed for when in times if when >= healed), default=float("inf"))


if __name__ == "__main__":
    sys.exit(main())
