"""Nodes of one group in one process: real logs on disks that forget, real trees, links that lose.

Nothing runs by itself: `loop.run_for` lets time pass. One seed decides everything but what the checkpoint threads do,
and those are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from tests.node.fake_links import Network
from tests.node.stepped_loop import SteppedLoop
from tests.node.writes import Waiter, Write
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.clock import StoppedClock
from varley.errors import WorldError
from varley.node.member import HostedMember, life_of, member_name, node_of
from varley.node.member_partition import MemberPartition
from varley.node.node import Node
from varley.paxos.lease import Timing
from varley.paxos.membership import FULL, Configuration, Member
from varley.paxos.replica import Replica as Core
from varley.storage.inventory import Inventory
from varley.storage.log_reader import LogReader
from varley.storage.log_writer import LogWriter
from varley.storage.member_log import RecoveredMember
from varley.storage.recovery import MemberDamage, recover
from varley.storage.tree_folder import TreeFolder

GROUP = 7


class LateLog(LogWriter):
    """Writes a moment after it is told to, in one frame what came meanwhile; never, if the process dies before."""

    def __init__(self, cluster: MemberCluster, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, background=False, **settings)
        self.is_dead = False
        self._cluster = cluster
        self._is_due = False

    def flush(self) -> None:
        if not self._is_due and not self.is_dead:
            self._is_due = True
            self._cluster.loop.call_later(self._cluster.random.random() * self._cluster.sync_seconds, self._write_late)

    def _write_late(self) -> None:
        self._is_due = False
        if not self.is_dead:
            super().flush()

    def close(self, *arguments: Any) -> None:
        if not self.is_dead:
            self._write_late()
            super().close(*arguments)


class Machine:
    """One node, through all of its lives. `disk` has its log, `folder` its trees."""

    def __init__(self, cluster: MemberCluster, name: str, folder: Path) -> None:
        self.cluster = cluster
        self.name = name
        self.folder = folder
        (folder / "trees").mkdir(parents=True)
        self.disk = ForgetfulDisk()
        self.is_up = False
        self.node: Node
        self.engines: TreeFolder
        self.log: LateLog
        self.recovered: dict[int, RecoveredMember] = {}
        self.partition: MemberPartition | None = None
        self.events: list[tuple[str, int]] = []     # what its hooks were told: ("leads", ballot), ("follows", 0)
        self.fatal: list[WorldError] = []

    def start(self, *, groups: Sequence[int] = ()) -> None:
        """`groups`: those that it is to go on with."""
        cluster = self.cluster
        inventory = Inventory.read(str(self.folder))
        engines = self.engines = TreeFolder(str(self.folder / "trees"), inventory)
        self.node = Node(
            cluster.loop, StoppedClock(), overlay_bytes_max=cluster.overlay_bytes_max,
            log_bytes_max=cluster.log_bytes_max, engines=engines,
            on_fatal=self.fatal.append, name=self.name, links=cluster.network.join(self.name),
            lease_clock_us=cluster.now_us, chance=Random(cluster.random.random()), timing=cluster.timing,
            on_leading=lambda partition, ballot: self.events.append(("leads", ballot)),
            on_following=lambda partition: self.events.append(("follows", 0)),
        )  # fmt: skip
        damage = MemberDamage()
        reader = LogReader(self.disk, "log", newest_segment=inventory.newest_segment, on_damage=damage)
        recovered = recover(engines, (), reader, members=groups, damage=damage)
        self.recovered = recovered.members
        salts = count(cluster.random.getrandbits(32))
        self.log = LateLog(
            cluster, self.disk, "log", reader.end_in_spite_of_damage, segment_bytes=cluster.segment_bytes,
            new_salt=lambda: next(salts), on_durable=self.node.log_is_durable, on_failure=self.node.log_has_failed,
            on_first_segment=lambda segment: inventory.add(newest_segment=segment),
        )  # fmt: skip
        self.node.start(self.log)
        self.is_up = True
        self.partition = None
        for group, member in recovered.members.items():
            if member.why_lost is None:
                self.partition = self.node.open_member(member, recovered.trees.get(group))

    def found(self, member: Member, configuration: Configuration) -> None:
        self.partition = self.cluster.run(self.node.create_member(GROUP, member, configuration))

    def join(self, member: Member, *, lost: str | None = None, known: Sequence[str] = ()) -> None:
        self.partition = self.cluster.run(self.node.create_learner(GROUP, member, lost=lost, known=known))

    def kill(self, *, power_cut: bool = False) -> None:
        """kill -9, or the power goes: nothing of what was under way is done."""
        self.is_up = False
        self.log.is_dead = True
        self.cluster.network.leave(self.name)
        self.node.members.stop()
        self.node.members.by_group.clear()      # what the log still says is for nobody
        self.cluster.loop.run(self.node.halt())
        random = self.cluster.random
        self.disk = self.disk.after_power_cut(random) if power_cut else self.disk.after_kill()

    def lose_log(self) -> None:
        self.disk = ForgetfulDisk()

    @property
    def core(self) -> Core:
        return self.node.members.by_group[GROUP].core

    def checkpoint(self) -> None:
        """Write what there is into the tree, and wait for it."""
        if self.partition is None:
            return
        tree = self.partition.tree
        if tree.applied_slot > tree.checkpointed_slot:
            self.node.checkpoint(GROUP)
            self.wait_for_checkpoint()

    def wait_for_checkpoint(self) -> None:
        """If one is under way."""
        while self.is_up and any(member.has_tree and member.tree.is_frozen for member in self.members()):
            self.cluster.loop.wait_for_call()

    def members(self) -> list[HostedMember]:
        return list(self.node.members.by_group.values())


class MemberCluster:
    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        full: int = 3,
        logs: int = 0,
        timing: Timing | None = None,
        segment_bytes: int = 1 << 16,
        log_bytes_max: int = 1 << 20,
        overlay_bytes_max: int = 1 << 20,
    ) -> None:
        self.seed = seed
        self.folder = folder
        self.random = Random(seed)
        self.loop = SteppedLoop()
        self.loop.run_for(1000)     # a clock that shows 0 is a special one
        self.network = Network(self.loop, self.random.getrandbits(32))
        self.timing = timing
        self.segment_bytes = segment_bytes
        self.log_bytes_max = log_bytes_max
        self.overlay_bytes_max = overlay_bytes_max
        self.sync_seconds = 0.003   # at most
        kinds = [FULL] * full + ["log"] * logs
        members = [Member(f"n{number}", number, kind) for number, kind in enumerate(kinds, 1)]
        self.configuration = Configuration(tuple(members))
        self.numbers = len(members)
        self.lost: list[tuple[str, str | None]] = []    # at each restart: why it is another member now, or None
        self.names: dict[str, str] = {}     # machine -> name of its member now
        self.machines: dict[str, Machine] = {}
        for member in members:
            machine = self.machine(member.name)
            machine.start()
            machine.found(member, self.configuration)

    def machine(self, name: str) -> Machine:
        machine = self.machines[name] = Machine(self, name, self.folder / name)
        self.names[name] = name
        return machine

    def now_us(self) -> int:
        return int(self.loop.time() * 1_000_000)

    def restart(self, machine: Machine) -> None:
        """Goes on, or begins another life if its log is lost."""
        machine.start(groups=[GROUP])
        lost = machine.recovered[GROUP]
        self.lost.append((machine.name, lost.why_lost))
        if lost.why_lost is not None:
            self.numbers += 1
            old = self.names[machine.name]
            self.names[machine.name] = member_name(node_of(old), life_of(old) + 1)
            member = Member(self.names[machine.name], self.numbers, votes=False, joins=True)
            machine.join(member, lost=old, known=[self.names[name] for name in self.names if name != machine.name])

    def leader(self) -> Machine | None:
        for machine in self.machines.values():
            if machine.is_up and machine.partition is not None and machine.partition.is_leading:
                return machine
        return None

    def wait_for_leader(self, seconds: float = 20) -> Machine:
        for _ in range(int(seconds * 10)):
            leader = self.leader()
            if leader is not None:
                return leader
            self.loop.run_for(0.1)
        raise AssertionError(f"seed {self.seed}: nobody leads")

    def write(self, write: Write) -> Waiter:
        """At whoever leads; answered, if it is, once time passes."""
        leader = self.wait_for_leader()
        assert leader.partition is not None
        waiter = Waiter()
        answer = leader.partition.write(write, waiter)
        if answer is not None:
            waiter.reply(answer)
        return waiter

    def settle(self, seconds: float = 5) -> None:
        """Let so much time pass, and checkpoints end that are waited for."""
        for _ in range(int(seconds * 10)):
            self.loop.run_for(0.1)
            for machine in self.machines.values():
                machine.wait_for_checkpoint()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let time pass until it is done."""
        task = self.loop.create_task(work)
        while not task.done():
            self.loop.run_for(0.001)
        return task.result()

    def stop_node(self, machine: Machine) -> asyncio.Task[None]:
        """Have it stop in good order, while time passes."""
        return self.loop.create_task(machine.node.stop())

    def stop(self) -> None:
        for machine in self.machines.values():
            if machine.is_up:
                machine.kill()
        self.loop.close()
