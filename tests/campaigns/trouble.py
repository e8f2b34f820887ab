"""What is done to a cluster: processes killed and frozen, links cut in every shape, a disk filled, etcds taken away.

Each kind of trouble only breaks; `heal` makes whole whatever is broken. Kinds are dealt like cards: all of them come
before one comes again.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import urllib.error
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.campaigns.etcds import Etcds
from tests.campaigns.namespaces import ROUTER, NamespacedCluster
from tests.campaigns.traffic import TABLES
from tests.cluster.local_cluster import LocalCluster
from tests.crash.small_disk import Filling

SMALL_DISK_BYTES: Final = 96 * 1024 * 1024
FULL_NODE: Final = "n2"     # whose disk is small
_SLOW_SECONDS: Final = 0.7      # for each write of the log: half a second is ill (autoadmin/hosted.py)
_HANGS_SECONDS: Final = 3600.0
_NAME_IS_FREE_SECONDS: Final = 60.0

Direction = tuple[str, str]     # what the first sends to the second is lost


class Trouble:
    """Blocks: for a thread of its own."""

    def __init__(self, cluster: LocalCluster, seed: int, *, has_small_disk: bool, slow: Path) -> None:
        """`slow`: where planted/ looks for disks that are to be slow."""
        self._cluster = cluster
        self.slow = slow
        self._chance = random.Random(f"trouble {seed}")
        self._names = list(cluster.nodes)
        self._lines = cluster if isinstance(cluster, NamespacedCluster) else None
        self._etcds = Etcds.of(cluster) if self._lines is None else self._lines.etcds
        self._narrow: list[str] = []
        self._frozen: set[int] = set()
        self._cut: set[Direction] = set()
        self._filling = Filling(cluster.folder / "small-disk") if has_small_disk else None
        self._is_full = False
        self.kinds: dict[str, Callable[[], str]] = {
            "kill the leader": lambda: self._kill([self._leader()]),
            "kill a follower": lambda: self._kill([self._follower()]),
            "kill any two": lambda: self._kill(self._chance.sample(self._names, 2)),
            "kill all": lambda: self._kill(self._names),
            "kill two, one after the other": self._kill_twice,
            "freeze the leader": lambda: self._freeze(self._leader()),
            "freeze a follower": lambda: self._freeze(self._follower()),
            "freeze the leader, shortly, again and again": self._stutter,
            "cut the leader off": lambda: self._cut_off(self._leader()),
            "cut a follower off": lambda: self._cut_off(self._follower()),
            "the leader is not heard": lambda: self._one_way(self._leader(), is_heard=False),
            "the leader does not hear": lambda: self._one_way(self._leader(), is_heard=True),
            "two nodes lose each other": self._lose_each_other,
            "one direction between two nodes": self._lose_one_direction,
            "a hub": self._hub,
            "a chain": self._chain,
            "halves": self._halves,
            "links go and come": self._flap,
            "stop a node and start it": self._restart,
            "stop each node and start it": self._restart_all,
            "a disk is lost": self._lose_disk,
            "the leader's disk is slow": lambda: self._slow_down(self._leader(), _SLOW_SECONDS),
            "a follower's disk is slow": lambda: self._slow_down(self._follower(), _SLOW_SECONDS),
            "the leader's disk hangs": lambda: self._slow_down(self._leader(), _HANGS_SECONDS),
            "etcd frozen": self._freeze_etcd,
            "etcd killed": self._kill_etcd,
            "etcd frozen, leader killed": lambda: f"{self._kill([self._leader()])}, {self._freeze_etcd()}",
            "etcd frozen, leader cut off": lambda: f"{self._cut_off(self._leader())}, {self._freeze_etcd()}",
            "one frozen, another cut off": self._freeze_and_cut,
            "follower killed, leader frozen": self._kill_and_freeze,
        }
        if has_small_disk:
            self.kinds["a disk is full"] = self._fill
            self.kinds["a disk is full, another node killed"] = self._fill_and_kill
        if self._lines is not None:
            self.kinds["one of three etcds killed"] = lambda: self._kill_etcds(1)
            self.kinds["two of three etcds killed"] = lambda: self._kill_etcds(2)
            self.kinds["the etcds' leader frozen"] = self._freeze_leading_etcd
            self.kinds["the leader's line is narrow"] = lambda: self._make_narrow([self._leader()])
            self.kinds["all lines are narrow"] = lambda: self._make_narrow(self._names)
        self._deck: list[str] = []

    def deal(self, of: Iterable[str] | None = None) -> str:
        """The next kind."""
        if not self._deck:
            self._deck = sorted(of or self.kinds)
            self._chance.shuffle(self._deck)
        return self._deck.pop()

    def heal(self) -> None:
        """Return when all processes run and all links are whole; they may have much to catch up with."""
        for pid in self._frozen:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self._frozen.clear()
        if self._is_full:
            assert self._filling is not None
            self._filling.give_back()
            self._is_full = False
        for name in self._names:
            (self.slow / name).unlink(missing_ok=True)
        if self._narrow:
            assert self._lines is not None
            self._lines.widen(self._narrow)
            self._narrow = []
        self._etcds.start()
        alive = set(self._cluster.alive())
        with ThreadPoolExecutor() as threads:
            list(threads.map(self._cluster.start, [name for name in self._names if name not in alive]))
        if self._cut:
            self._lose(set())

    def close(self) -> None:
        if self._lines is None:
            self._etcds.close()     # those that were started here; the first was not

    # Who

    def _leader(self) -> str:
        """Of any table; anybody, if nobody can say who that is."""
        table = self._chance.choice(TABLES)
        for name in self._cluster.alive():
            try:
                leader = self._cluster.groups_of(table, asked=name)[0]["leader"]
                if leader in self._cluster.nodes:
                    return str(leader)
            except (OSError, ValueError, IndexError):
                pass
        return self._chance.choice(self._names)

    def _follower(self) -> str:
        leader = self._leader()
        return self._chance.choice([name for name in self._names if name != leader])

    # Processes

    def _kill(self, names: Iterable[str]) -> str:
        for name in names:
            if name in set(self._cluster.alive()):
                self._cluster.kill(name)
        return " ".join(names)

    def _kill_twice(self) -> str:
        """The second dies when the first is coming back."""
        first, second = self._chance.sample(self._names, 2)
        self._kill([first])
        self._wait(1, 3)
        self._cluster.start(first)
        self._wait(0, 0.5)
        self._kill([second])
        return f"{first}, then {second}"

    def _freeze(self, name: str) -> str:
        self._freeze_process(self._cluster.nodes[name]["pid"])
        return name

    def _freeze_process(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        self._frozen.add(pid)

    def _kill_and_freeze(self) -> str:
        killed = self._kill([self._follower()])
        return f"{killed} killed, {self._freeze(self._leader())} frozen"

    def _stutter(self) -> str:
        """For times around that of a lease."""
        name = self._leader()
        pid = self._cluster.nodes[name]["pid"]
        for _ in range(5):
            self._freeze_process(pid)
            self._wait(1.0, 2.2)
            os.kill(pid, signal.SIGCONT)
            self._wait(0.05, 0.6)
        return name

    def _restart(self) -> str:
        name = self._chance.choice(self._names)
        self._cluster.signal(name, signal.SIGTERM)
        self._cluster.wait_gone(name)
        self._cluster.start(name)
        return name

    def _restart_all(self) -> str:
        """As for a new version."""
        for name in self._names:
            self._cluster.signal(name, signal.SIGTERM)
            self._cluster.wait_gone(name)
            self._cluster.start(name)
            self._wait(1, 2)
        return " ".join(self._names)

    # Links

    def _lose(self, cut: set[Direction]) -> str:
        """These, and no others. A node that cannot be told (it is dead, or frozen) has lost nothing."""
        if self._lines is None:
            self._tell_nodes(cut)
        else:
            self._lines.lose(cut, self._cut)
        self._cut = cut
        return " ".join(sorted(f"{one}>{other}" for one, other in cut))

    def _tell_nodes(self, cut: set[Direction]) -> None:
        for name in self._names:
            for peer in self._names:
                out, back = (name, peer) in cut, (peer, name) in cut
                was = (name, peer) in self._cut or (peer, name) in self._cut
                if name == peer or not (out or back or was):
                    continue
                wish: dict[str, Any] = {"cut": peer} if out or back else {"mend": peer}
                if out != back:
                    wish["only"] = "outgoing" if out else "incoming"
                try:
                    self._cluster.admin(name, "/links", wish)
                except (urllib.error.HTTPError, OSError):
                    if not cut:
                        raise

    def _cut_off(self, name: str) -> str:
        others = [other for other in self._names if other != name]
        self._lose(_both_ways((name, other) for other in others))
        return name

    def _one_way(self, name: str, *, is_heard: bool) -> str:
        others = [other for other in self._names if other != name]
        self._lose({(other, name) if is_heard else (name, other) for other in others})
        return name

    def _lose_each_other(self) -> str:
        one, other = self._chance.sample(self._names, 2)
        return self._lose(_both_ways([(one, other)]))

    def _lose_one_direction(self) -> str:
        one, other = self._chance.sample(self._names, 2)
        return self._lose({(one, other)})

    def _hub(self) -> str:
        """All reach one, and only that one."""
        hub = self._chance.choice(self._names)
        others = [name for name in self._names if name != hub]
        self._lose({(one, other) for one in others for other in others if one != other})
        return hub

    def _chain(self) -> str:
        """Each reaches the one before and the one after."""
        line = self._chance.sample(self._names, len(self._names))
        self._lose({
            (one, other) for i, one in enumerate(line) for j, other in enumerate(line) if abs(i - j) > 1
        })
        return "-".join(line)

    def _halves(self) -> str:
        mixed = self._chance.sample(self._names, len(self._names))
        half = len(mixed) // 2
        self._lose(_both_ways((one, other) for one in mixed[:half] for other in mixed[half:]))
        return f"{' '.join(mixed[:half])} | {' '.join(mixed[half:])}"

    def _flap(self) -> str:
        one, other = self._leader(), self._chance.choice(self._names)
        pair = self._chance.sample(self._names, 2) if one == other else [one, other]
        for _ in range(5):
            self._lose(_both_ways([(pair[0], pair[1])]))
            self._wait(0.2, 1.5)
            self._lose(set())
            self._wait(0.2, 1)
        return " ".join(pair)

    def _make_narrow(self, names: list[str]) -> str:
        assert self._lines is not None
        self._lines.narrow(names)
        self._narrow = names
        return " ".join(names)

    def _freeze_and_cut(self) -> str:
        one, other = self._chance.sample(self._names, 2)
        self._cut_off(other)
        return f"{self._freeze(one)} frozen, {other} cut off"

    # Disk and etcd

    def _fill(self) -> str:
        assert self._filling is not None
        if self._chance.random() < 0.5:     # or it only follows
            for table in self._chance.sample(TABLES, 3):
                try:
                    group = self._cluster.groups_of(table)[0]["group"]
                    self._cluster.admin(FULL_NODE, "/hand-over", {"group": group, "to": FULL_NODE})
                except (OSError, IndexError):
                    pass
            self._wait(0.5, 1)
        self._filling.take()
        self._is_full = True
        return FULL_NODE

    def _fill_and_kill(self) -> str:
        self._fill()
        self._wait(1, 2)
        return self._kill([self._chance.choice([name for name in self._names if name != FULL_NODE])])

    def _lose_disk(self) -> str:
        """Only one of those that keep an entry may be lost: nothing, if the last one is not made good yet."""
        try:
            if problems_of_groups(self._cluster, may_lag=True):
                return "none: not all groups are whole"
        except OSError:
            return "none: nobody says whether all groups are whole"
        name = self._chance.choice([name for name in self._names if name != FULL_NODE])
        self._cluster.kill(name)
        lost = self._cluster.folder / name
        lost.rename(lost.with_name(f"{name}.lost-{time.monotonic():.0f}"))
        deadline = time.monotonic() + _NAME_IS_FREE_SECONDS
        while name not in set(self._cluster.alive()):
            try:
                self._cluster.start(name)
            except AssertionError as error:     # another data folder has its name until the lease of that one ends
                if "named" not in str(error) or time.monotonic() > deadline:
                    raise
                self._wait(0.5, 1)
        return name

    def _slow_down(self, name: str, seconds: float) -> str:
        (self.slow / name).write_text(str(seconds))
        return name

    def _freeze_etcd(self) -> str:
        for pid in self._etcds.pids:
            assert pid is not None
            self._freeze_process(pid)
        return "etcd"

    def _kill_etcd(self) -> str:
        return self._kill_etcds(len(self._etcds.pids))

    def _kill_etcds(self, count: int) -> str:
        numbers = self._chance.sample(range(len(self._etcds.pids)), count)
        for number in numbers:
            self._etcds.kill(number)
        return " ".join(f"etcd {number}" for number in numbers)

    def _freeze_leading_etcd(self) -> str:
        number = self._etcds.leader(ROUTER) or 0
        pid = self._etcds.pids[number]
        assert pid is not None
        self._freeze_process(pid)
        return f"etcd {number}"

    def _wait(self, least: float, most: float) -> None:
        time.sleep(self._chance.uniform(least, most))


def problems_of_groups(
    cluster: LocalCluster, *, may_lag: bool = False, may_wait_for_votes: bool = False
) -> list[str]:
    """Who has no leader, who is behind, who does not vote yet. Raises OSError if nobody answers."""
    problems = []
    for group in cluster.admin(next(iter(cluster.alive())), "/cluster")["groups"]:
        roles = list(group["members"].values())
        lags = not may_lag and any(group["lag"].values())
        if group["leader"] is None or lags or (not may_wait_for_votes and roles != ["voter"] * max(3, len(roles))):
            problems.append(f"{group['table']}: led by {group['leader']}, {group['members']}, behind {group['lag']}")
    return problems


def _both_ways(pairs: Iterable[Direction]) -> set[Direction]:
    return {direction for one, other in pairs for direction in ((one, other), (other, one))}


def put_on_small_disk(folder: Path) -> bool:
    """Make FULL_NODE's data folder lie on a file system of its own, for which one must be root; whether it does."""
    disk = folder / "small-disk"
    disk.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "varley-game-day", str(disk)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        return False
    (disk / "data").mkdir(mode=0o700)
    (folder / FULL_NODE).symlink_to(disk / "data")
    return True


def take_small_disk_away(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder / "small-disk")], check=True)
