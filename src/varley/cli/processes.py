"""`varley serve --processes N`: N node processes on this machine that serve one port.

                      supervisor (this file): starts them, starts them again, stops them; no request passes it
                       |         |         |
    clients ----> n1.1 | .. n1.2 | ..      etcd        (of its own if the server is alone; else the cluster's)
      one port      ^________^  links: a request goes to the process that has its partition

A process has one event loop, so it uses one core. N processes are N nodes of a cluster in every respect, with two
differences: they listen on one port (SO_REUSEPORT: the kernel gives each connection to one of them), and they are one
server towards the operator. Any of them takes any request and passes it on to the process that has the partition.

A server that is alone has one replica of each partition: its processes share one disk, and a second copy there would
survive nothing that the first does not. So while a process is down its partitions wait for it: it is started again at
once, after a pause if it ends soon again, and if it ends soon again and again all are stopped, since then somebody has
to look. In a cluster a machine's processes say that they are on one machine, and no partition has two replicas there.

No child outlives its parent: its standard input is a pipe whose other end only this process has, and it stops when
that is closed. Children are sessions of their own, or Ctrl-C would reach them twice. Settings go to them as variables:
everybody sees the words of a command, which might have the password of an etcd in them.

Rejected: one process that listens and hands requests to others (every byte would pass a process more, and that one is
one core again); one listening socket that all inherit (the kernel wakes all of them for each connection, and gives most
to one); metadata served by the first process (the others could not start without it; etcd is what clusters have).
Decision 0108.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from varley.assembly.tasks import Tasks
from varley.cli.processes_folder import claimed
from varley.cli.readiness import is_ready
from varley.cli.serve import address_of, announcement, announcement_json
from varley.cli.serving import log_to_stderr, stop_when_stdin_ends
from varley.cluster.local_etcd import LocalEtcd, find_etcd
from varley.errors import BadSettings, WorldError
from varley.listening import cannot_listen, reserve
from varley.metadata import etcd_address
from varley.settings import (
    ENVIRONMENT_PREFIX,
    ClusterSettings,
    MemberSettings,
    NodeSettings,
    as_environment,
)

logger = logging.getLogger("varley.processes")

_ALONE: Final = "n1"                # what the processes of a server that is alone are named after
_QUICK_SECONDS: Final = 10.0        # who ends sooner than that after it served has not really served
_QUICK_DEATHS_MAX: Final = 5        # in a row, of one process
_PAUSES_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 4.0)      # before it is started again, by how often it has ended soon
_STOP_SECONDS: Final = 15.0         # beyond drain_seconds, from SIGTERM to SIGKILL
_LOOK_SECONDS: Final = 0.05
_WRONG_SETTINGS: Final = 2          # exit code: it would end so again


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of the whole server, before they are divided."""

    node: NodeSettings
    cluster: ClusterSettings
    member: MemberSettings

    @property
    def is_alone(self) -> bool:
        return self.member.cluster is None

    @property
    def name(self) -> str:
        return self.member.name or _ALONE

    def names(self) -> list[str]:
        return [f"{self.name}.{number}" for number in range(1, self.node.processes + 1)]

    def folder(self) -> str:
        return os.path.abspath(self.node.data_dir)

    def of(self, number: int, port: int, cluster_url: str) -> tuple[NodeSettings, ClusterSettings, MemberSettings]:
        """Those of one process, numbered from 1. Ports beside the shared one ascend with the number."""
        name, count = f"{self.name}.{number}", self.node.processes
        # Without an admin port nobody outside could ask whether a process is ready.
        admin_port = self.node.admin_port + number - 1 if self.node.admin_port else 0
        link_port = self.member.link_port + number - 1 if self.member.link_port else 0
        node = dataclasses.replace(
            self.node, processes=1, port=port, admin_port=admin_port, data_dir=os.path.join(self.folder(), name)
        )
        member = dataclasses.replace(
            self.member, cluster=cluster_url, name=name, machine=self.name, link_port=link_port, share_port=True,
            capacity=max(self.member.capacity / count, 0.001),
        )  # fmt: skip
        return node, self.cluster, member


def settings_of(
    node: NodeSettings, cluster: ClusterSettings, member: MemberSettings, given: frozenset[str]
) -> Settings:
    """`given`: names of the settings that somebody has chosen. Raises BadSettings: this cannot be."""
    count = node.processes
    for name, port in (("admin_port", node.admin_port), ("link_port", member.link_port)):
        if port and port + count - 1 > 65535:
            raise BadSettings(
                f"{name} is {port}, and {count} processes need one each, from there on", hint="Choose a lower one"
            )
    if member.cluster is not None:
        return Settings(node, cluster, member)
    if "cluster.replicas" in given and cluster.replicas > 1:
        raise BadSettings(
            f"{cluster.replicas} replicas on one machine would all go with it", operation="--processes",
            hint="Leave out --replicas, or start a node on each of several machines with --cluster",
        )
    partitions = cluster.initial_partitions if "cluster.initial_partitions" in given else count
    return Settings(node, dataclasses.replace(cluster, replicas=1, initial_partitions=partitions), member)


@dataclasses.dataclass
class _Child:
    name: str
    environment: dict[str, str]
    process: asyncio.subprocess.Process | None = None
    serves_since: float | None = None   # this process, by the loop's time; None: it does not yet
    said: dict[str, Any] = dataclasses.field(default_factory=dict)      # of itself, when it last began to serve
    has_spoken: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)    # or never will


class Supervisor:
    """Used from one event loop, that of the main thread: etcd ends with the thread that has started it."""

    def __init__(self, settings: Settings, port: int) -> None:
        """`port`: kept for them while this runs (listening.reserve)."""
        self._settings = settings
        self.port = port
        self._tasks = Tasks("processes")
        self._children: list[_Child] = []
        self._etcd: LocalEtcd | None = None
        self._over = asyncio.Event()
        self._failure: WorldError | None = None     # why it is over; None: it was told to stop
        self._etcd_folder = os.path.join(settings.folder(), "etcd")

    # From start to stop

    async def start(self) -> bool:
        """Return when all serve, or when it is over: whether they serve. Raises WorldError. stop() follows always."""
        settings = self._settings
        url = settings.member.cluster
        if url is None:
            self._etcd = await LocalEtcd.start(self._etcd_folder)
            self._tasks.start(self._keep_etcd(self._etcd.port))
            url = self._etcd.url
        if self._over.is_set():
            return False
        for number, name in enumerate(settings.names(), 1):
            child = _Child(name, as_environment(*settings.of(number, self.port, url)))
            self._children.append(child)
            self._tasks.start(self._keep(child))
        for child in self._children:
            await child.has_spoken.wait()
        if settings.is_alone:
            await self._wait_ready()
        return not self._over.is_set()

    def begin_to_stop(self) -> None:
        if self._over.is_set():
            self._signal(signal.SIGTERM)    # told a second time: they do not wait for clients then
        self._end()

    async def wait_over(self) -> None:
        """Return when it was told to stop. Raises WorldError: it cannot go on."""
        await self._over.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Let all end, etcd last: they say goodbye to it."""
        self._end()
        # Not by a signal: systemd has sent one to each of them too, and who is told twice does not wait for clients.
        for child in self._children:
            if child.process is not None and child.process.stdin is not None:
                child.process.stdin.close()
        running = [each.process for each in self._children if each.process is not None]
        try:
            async with asyncio.timeout(self._settings.node.drain_seconds + _STOP_SECONDS):
                for process in running:
                    await process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
        etcd, self._etcd = self._etcd, None
        if etcd is not None:
            await etcd.stop()
        await self._tasks.wait_ended()

    def _end(self, failure: WorldError | None = None) -> None:
        if not self._over.is_set():
            self._failure = failure
            self._over.set()
        for child in self._children:
            child.has_spoken.set()

    def _signal(self, number: int) -> None:
        for child in self._children:
            if child.process is not None and child.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.process.send_signal(number)

    # What is kept running

    async def _keep(self, child: _Child) -> None:
        """Start the process, and start it again whenever it ends, until all of this is over."""
        now = asyncio.get_running_loop().time
        quick = 0       # so often in a row it has ended soon
        while not self._over.is_set():
            code = await self._run(child)
            if self._over.is_set():
                return
            quick = 0 if child.serves_since is not None and now() - child.serves_since >= _QUICK_SECONDS else quick + 1
            how = "could not be started" if code is None else f"has ended ({_how(code)})"
            if code == _WRONG_SETTINGS or not child.said or quick >= _QUICK_DEATHS_MAX:
                again = f" {quick} times within seconds" if quick > 1 else ""
                self._end(
                    WorldError(
                        f"Process {child.name} {how}{again}, and without it a part of every table is missing",
                        operation="serve", path=self._settings.folder(),
                        hint="What it has said above says why. All processes are stopped; start the server again "
                        "when that is mended",
                    )
                )  # fmt: skip
                return
            pause = _PAUSES_SECONDS[min(quick, len(_PAUSES_SECONDS) - 1)]
            logger.warning("process %s %s; it is started again%s", child.name, how, f" in {pause:g} s" if pause else "")
            await self._sleep(pause)

    async def _run(self, child: _Child) -> int | None:
        """Its exit code, when it has ended. None: it could not be started."""
        child.serves_since = None
        try:
            process = child.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "varley", "serve", "--name", child.name, "--json", "--stop-with-stdin",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
                env=_without_settings(os.environ) | child.environment,
            )  # fmt: skip
        except OSError as error:
            logger.error("process %s: %s", child.name, error)
            return None
        assert process.stdout is not None
        if self._over.is_set():    # meanwhile: stop() has not seen this one
            assert process.stdin is not None
            process.stdin.close()
        line = await process.stdout.readline()
        if line:
            if child.said:
                logger.warning("process %s serves again", child.name)
            child.said, child.serves_since = json.loads(line), asyncio.get_running_loop().time()
            child.has_spoken.set()
        return await process.wait()

    async def _keep_etcd(self, port: int) -> None:
        """It has the port that its clients know. They go on without it for a while."""
        while not self._over.is_set():
            assert self._etcd is not None
            code = await self._etcd.wait_ended()
            if self._over.is_set():
                return
            logger.error("etcd has ended (%s); it is started again", _how(code))
            await self._sleep(_PAUSES_SECONDS[1])
            if self._over.is_set():
                return
            try:
                etcd = await LocalEtcd.start(self._etcd_folder, port=port)
            except WorldError as error:
                self._end(error)
                return
            self._etcd = etcd
            if self._over.is_set():    # stop() has not seen this one
                await etcd.stop()

    async def _sleep(self, seconds: float) -> None:
        """Less if it is over before that."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    async def _wait_ready(self) -> None:
        """Until each of them says so: it knows the others, and transactions have their ledger."""
        loop, host = asyncio.get_running_loop(), address_of(self._settings.node.admin_host)
        for child in self._children:
            while not self._over.is_set():
                if await loop.run_in_executor(None, is_ready, host, child.said["admin_port"]):
                    break
                await self._sleep(_LOOK_SECONDS)

    # What is said of it

    def processes(self) -> list[dict[str, Any]]:
        return [
            {"name": each.name, "pid": each.said["pid"], "admin_port": each.said["admin_port"]}
            for each in self._children
        ]


@contextlib.contextmanager
def _reserved(node: NodeSettings) -> Iterator[int]:
    """The port. Raises WorldError: somebody else has it."""
    try:
        sockets, port = reserve(node.host, node.port)
    except OSError as error:
        raise cannot_listen(error, node.host, node.port) from error
    try:
        yield port
    finally:
        for each in sockets:
            each.close()


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(ENVIRONMENT_PREFIX)}


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


# ---- The command


def run(settings: Settings, *, as_json: bool, stop_with_stdin: bool) -> None:
    """Serve until it is told to stop. Raises WorldError when it cannot start or cannot go on."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise BadSettings("Processes cannot share a port on this system", hint="Leave out --processes")
    if settings.is_alone:
        _refuse_without_etcd()
    url = settings.member.cluster
    log_to_stderr(settings.node.log_level, settings.name)
    cluster = None if url is None else etcd_address.parse(url).prefix
    count = settings.node.processes
    # The port first: whoever cannot have it may choose another number of processes, and the folder would not forget.
    claim = claimed(settings.folder(), name=settings.name, processes=count, cluster=cluster)
    with _reserved(settings.node) as port, claim:
        asyncio.run(_supervise(settings, port, as_json=as_json, stop_with_stdin=stop_with_stdin))


def _refuse_without_etcd() -> None:
    try:
        find_etcd()
    except WorldError as error:
        raise WorldError(
            f"{error.problem}, and several processes keep there who has which partition", operation=error.operation,
            hint=f"{error.hint}. A server of one process needs none: leave out --processes",
        ) from None  # fmt: skip


async def _supervise(settings: Settings, port: int, *, as_json: bool, stop_with_stdin: bool) -> None:
    supervisor = Supervisor(settings, port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.begin_to_stop)
    if stop_with_stdin:
        stop_when_stdin_ends(supervisor.begin_to_stop)
    try:
        if await supervisor.start():
            click.echo(_said(supervisor, settings, as_json=as_json))
        await supervisor.wait_over()
    finally:
        await supervisor.stop()


def _said(supervisor: Supervisor, settings: Settings, *, as_json: bool) -> str:
    node, member, processes = settings.node, settings.member, supervisor.processes()
    if as_json:
        admin_port = processes[0]["admin_port"]
        return announcement_json(node, member, supervisor.port, admin_port, processes=processes)
    host = address_of(node.admin_host)
    lines = [
        f"{'Process' if number == 0 else '':8}{each['name']}, {each['pid']}, http://{host}:{each['admin_port']}/metrics"
        for number, each in enumerate(processes)
    ]
    return announcement(node, member, supervisor.port, None, more=lines)
