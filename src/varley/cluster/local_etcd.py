"""An etcd of our own, of one server, for a cluster that lives on one machine: `varley cluster up`.

It keeps its data under the cluster's folder, listens on loopback on ports that were free, writes its log into a file,
and ends with whoever has started it, also when that one is killed: on Linux the kernel sends it SIGTERM then
(PR_SET_PDEATHSIG). A few lines of Python ask for that between fork and exec, in a process of their own: a preexec_fn
could hang in a child of a process with threads. The kernel counts the *thread* that has started it as the parent, so
`start` is called on one that stays: that of the event loop. macOS has nothing of the kind; there an etcd whose parent
was killed stays until somebody ends it, and the next `start` says so, since the data folder is in use.

Real clusters have an etcd of three or five servers, which somebody else starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final

from varley.errors import WorldError
from varley.metadata.etcd_address import DEFAULT_PREFIX
from varley.metadata.etcd_http import Endpoint, NoAnswer, NotSent
from varley.storage.disk import failure

_HOST: Final = "127.0.0.1"
_READY_SECONDS: Final = 30.0    # from start to the first answer; usually half of one
_STOP_SECONDS: Final = 10.0    # from SIGTERM to SIGKILL
_ATTEMPTS: Final = 3    # with other ports, if somebody has taken them meanwhile
_LOG_TAIL_BYTES: Final = 2000
_TRANSACTION_OPERATIONS_MAX: Final = 4096    # a table and the members of each of its partitions are one transaction

# argv: the parent's process id, then the command.
_EXEC_THAT_ENDS_WITH_ITS_PARENT: Final = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("its parent has gone already")
os.execv(sys.argv[2], sys.argv[2:])
"""


class LocalEtcd:
    """Made by `start`. `url` and `port` are its address until `stop`."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, log_path: str) -> None:
        self.port = port
        self.log_path = log_path
        self._process = process

    @classmethod
    async def start(cls, folder: str, *, port: int | None = None) -> LocalEtcd:
        """Returns when it answers. `folder` is made if it is not there. `port`: for clients; None: a free one.

        Raises WorldError: there is no etcd in PATH, or it does not start.
        """
        program = find_etcd()
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise failure(error, "The folder of etcd cannot be made", folder, "create") from error
        log_path = os.path.join(folder, "etcd.log")
        for attempt in range(_ATTEMPTS):
            own_port, peer_port = free_ports(2)
            if port is not None:
                own_port = port
            log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                process = await asyncio.create_subprocess_exec(
                    *command(program, os.path.join(folder, "data"), own_port, peer_port),
                    stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,    # Ctrl-C is for us, and we stop it last
                )  # fmt: skip
            finally:
                os.close(log)
            etcd = cls(process, own_port, log_path)
            try:
                await etcd._wait_ready()
                return etcd
            except BaseException as error:
                await etcd.kill()
                is_taken = isinstance(error, WorldError) and "address already in use" in etcd._log_tail()
                if not is_taken or port is not None or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    @property
    def url(self) -> str:
        """For `--cluster`."""
        return self.url_of(DEFAULT_PREFIX)

    @property
    def pid(self) -> int:
        return self._process.pid

    def url_of(self, prefix: str) -> str:
        return f"etcd://{_HOST}:{self.port}/{prefix}"

    async def wait_ended(self) -> int:
        """Its exit status; negative: the signal that ended it."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Let it end; kill it if it does not."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)
        await self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _wait_ready(self) -> None:
        endpoint = Endpoint(_HOST, self.port, None)
        trouble = ""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while self._process.returncode is None:
                    try:
                        status, _ = await endpoint.post("kv/range", b'{"key":"AA=="}', "", 1.0)
                        if status == 200:
                            return
                    except (NotSent, NoAnswer) as error:
                        trouble = str(error)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise self._failed(f"etcd does not answer: {trouble}") from None
        finally:
            endpoint.close()
        raise self._failed(f"etcd has ended with status {self._process.returncode}")

    def _failed(self, problem: str) -> WorldError:
        last = last_words(self._log_tail())
        last = f"Its log says: {last}" if last else "Its log is empty"
        return WorldError(problem, path=self.log_path, operation="start etcd", hint=last)

    def _log_tail(self) -> str:
        with open(self.log_path, "rb") as log:
            log.seek(max(0, os.path.getsize(self.log_path) - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")


def last_words(log: str) -> str:
    """The last line that says what has failed: what a panic prints after that is for those who wrote etcd."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("panic:") or '"level":"fatal"' in line or " C | " in line]
    return (telling or lines or [""])[-1]


def find_etcd() -> str:
    """The path of the program. Raises WorldError, saying how to install it."""
    program = shutil.which("etcd")
    if program is None:
        raise WorldError(
            "There is no etcd in PATH", operation="start etcd",
            hint="Install it: `apt install etcd-server` on Debian and Ubuntu, `brew install etcd` on macOS, or from "
            "https://github.com/etcd-io/etcd/releases",
        )  # fmt: skip
    return program


def command(program: str, data: str, port: int, peer_port: int) -> Sequence[str]:
    """What starts an etcd that ends with the thread that has started it."""
    client, peer = f"http://{_HOST}:{port}", f"http://{_HOST}:{peer_port}"
    return [
        sys.executable, "-I", "-S", "-c", _EXEC_THAT_ENDS_WITH_ITS_PARENT, str(os.getpid()),
        program,
        "--name=varley", f"--data-dir={data}",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=varley={peer}",
        f"--max-txn-ops={_TRANSACTION_OPERATIONS_MAX}",
        "--auto-compaction-mode=periodic", "--auto-compaction-retention=1h",
    ]  # fmt: skip


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((_HOST, 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
