"""Several nodes on this machine, each a process of its own: what `varley cluster up` and `varley ring up` share.

    FOLDER/cluster.json, up.json    the plan: nodes with their ports, flags, and how `start` reaches the running `up`
    FOLDER/n1/                      the data of n1
    FOLDER/n1.log                   what n1 has to say

No child outlives its parent: the standard input of each is a pipe whose other end only the parent has, and a node stops
when that is closed. It is closed by the system when the parent ends, killed or not. (Linux could send a signal then;
other systems cannot.) Children are sessions of their own, or Ctrl-C would reach them twice.

`start` asks the running `up` for the node, over loopback and with a secret out of the plan, so that the node is a child
like the others.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, Generic, Protocol, Self, TypeVar

import click

from varley.cli.serving import stop_when_stdin_ends
from varley.errors import WorldError
from varley.storage.disk import failure

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_CALL_SECONDS: Final = 5.0      # of a `start` to say what it wants


class Named(Protocol):
    @property
    def name(self) -> str: ...


P = TypeVar("P", bound=Named)


class SavedPlan(abc.ABC, Generic[P]):
    """What was chosen for the nodes, so that they come back as they were. A dataclass of these fields, and more."""

    folder: str
    places: list[P]             # one for each node
    flags: dict[str, str]       # setting -> value, as given to `up`
    control_port: int           # where the running `up` listens; 0: none runs
    secret: str                 # of that one

    kind: ClassVar[str]         # as in `varley ring up`
    file: ClassVar[str]
    place_type: ClassVar[type[Any]]
    without_it: ClassVar[str]   # what is left if the file cannot be read

    @abc.abstractmethod
    def command(self, place: P) -> list[str]:
        """The words that start this node."""

    @classmethod
    def read(cls, folder: str) -> Self | None:
        """None if nothing was ever here. Raises WorldError if the file is not what it should be."""
        path = os.path.join(folder, cls.file)
        try:
            with open(path, encoding="utf-8") as file:
                saved = json.load(file)
            places = [cls.place_type(**each) for each in saved.pop("nodes")]
            return cls(**{"folder": folder, "places": places, **saved})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WorldError(
                f"The {cls.kind}'s file cannot be read: {error}", path=path, operation="read", hint=cls.without_it
            ) from None

    def save(self) -> None:
        """Raises WorldError if it cannot be written."""
        path = os.path.join(self.folder, self.file)
        saved = {"nodes": [vars(place) for place in self.places], **vars(self)}
        del saved["places"], saved["folder"]
        try:
            os.makedirs(self.folder, exist_ok=True)
            file = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(file, "w", encoding="utf-8") as text:
                json.dump(saved, text, indent=1)
            os.replace(path + ".new", path)
        except OSError as error:
            raise failure(error, f"The {self.kind}'s file cannot be written", path, "write") from error

    def place(self, name: str) -> P | None:
        return next((each for each in self.places if each.name == name), None)

    def log(self, name: str) -> str:
        return os.path.join(self.folder, f"{name}.log")


class LocalNodes:
    """The processes of a plan's nodes. Used from one event loop. `away`: what it means that one has ended."""

    def __init__(self, plan: SavedPlan[Any], away: str) -> None:
        self.said: dict[str, dict[str, Any]] = {}       # node -> what it has said of itself, the last time
        self._plan = plan
        self._away = away
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._control: asyncio.Server | None = None
        self._starting = asyncio.Lock()     # or two that ask for one node at once would both be given one
        self._is_stopping = False

    def is_running(self, name: str) -> bool:
        return self._children[name].returncode is None

    async def spawn(self, name: str, words: Sequence[str]) -> None:
        os.makedirs(self._plan.folder, exist_ok=True)
        log = os.open(self._plan.log(name), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._children[name] = await asyncio.create_subprocess_exec(
                *words, "--json", "--stop-with-stdin",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(log)

    async def wait_ready(self, name: str) -> None:
        """Until it says so. Raises WorldError if it ends, or says nothing."""
        child = self._children[name]
        assert child.stdout is not None
        try:
            async with asyncio.timeout(_START_SECONDS):
                line = await child.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            raise self.failed(name, "did not start", hint="The file says why")
        self.said[name] = json.loads(line)
        watch = asyncio.get_running_loop().create_task(self._watch(name, child))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    def failed(self, name: str, what: str, hint: str = "") -> WorldError:
        """For people: with the last that it has said."""
        try:
            with open(self._plan.log(name), encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file.read()[-2000:].splitlines() if line.strip()]
        except OSError:
            lines = []
        words = " ".join(lines[-2:]) or "it has said nothing"
        return WorldError(f"Node {name} {what}: {words}", path=self._plan.log(name), operation="start", hint=hint)

    async def stop(self) -> None:
        self._is_stopping = True
        if self._control is not None:
            self._control.close()
            self._plan.control_port = 0
            self._plan.save()
        running = [child for child in self._children.values() if child.returncode is None]
        self._tell(running, signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                for child in running:
                    await child.wait()
        except TimeoutError:
            self._tell(running, signal.SIGKILL)
            for child in running:
                await child.wait()

    def _tell(self, children: Sequence[asyncio.subprocess.Process], number: int) -> None:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

    async def _watch(self, name: str, child: asyncio.subprocess.Process) -> None:
        code = await child.wait()
        if self._is_stopping or self._children[name] is not child:
            return
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        click.echo(
            f"Node {name} has ended ({how}); {self._away}. Bring it back with\n"
            f"  varley {self._plan.kind} start {name} --data-dir {self._plan.folder}",
            err=True,
        )

    # For `start`

    async def open_control(self) -> None:
        self._control = await asyncio.start_server(self._take_call, "127.0.0.1", 0)
        self._plan.control_port = self._control.sockets[0].getsockname()[1]
        self._plan.secret = secrets.token_hex(16)
        self._plan.save()

    async def _take_call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                wanted = json.loads(await asyncio.wait_for(reader.readline(), _CALL_SECONDS))
                if not secrets.compare_digest(str(wanted["secret"]).encode(), self._plan.secret.encode()):
                    return
                name = str(wanted["start"])
            except (OSError, ValueError, KeyError, TypeError, TimeoutError):
                return
            async with self._starting:
                answer = await self._start_again(name)
            with contextlib.suppress(OSError):
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()

    async def _start_again(self, name: str) -> dict[str, Any]:
        place = self._plan.place(name)
        if place is None:
            return {"error": f"There is no node {name}"}
        if self.is_running(name):
            return {"error": f"Node {name} is running"}
        try:
            await self.spawn(name, self._plan.command(place))
            await self.wait_ready(name)
        except WorldError as error:
            return {"error": str(error)}
        return self.said[name]


def asked_to_start(plan: SavedPlan[Any], name: str) -> dict[str, Any] | None:
    """What the running `up` answers; None if none is running. Raises WorldError if it does not answer, or refuses."""
    if not plan.control_port:
        return None
    try:
        with socket.create_connection(("127.0.0.1", plan.control_port), timeout=_START_SECONDS) as connection:
            connection.sendall(json.dumps({"secret": plan.secret, "start": name}).encode() + b"\n")
            line = connection.makefile("rb").readline()
    except ConnectionRefusedError:
        return None     # it was killed
    except OSError as error:
        raise WorldError(f"The running `varley {plan.kind} up` does not answer: {error}", operation="ask") from None
    silence = {"error": f"the running `varley {plan.kind} up` said nothing"}
    answer: dict[str, Any] = json.loads(line) if line else silence
    if "error" in answer:
        raise WorldError(answer["error"], operation="start", path=plan.folder)
    return answer


class Local(Protocol):
    """A cluster or ring on this machine."""

    async def start(self) -> None:
        """Return when it can be used. Raises WorldError, and leaves nothing running."""

    async def stop(self) -> None: ...


async def serve(local: Local, announcement: Callable[[], str], *, stop_with_stdin: bool) -> None:
    """Until it is told to stop. Raises WorldError if it cannot start, Abort if it is told before it has."""
    stopping = asyncio.Event()
    starting = asyncio.ensure_future(local.start())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    if stop_with_stdin:
        stop_when_stdin_ends(stopping.set)
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        raise click.Abort
    await starting    # raises what has failed
    click.echo(announcement())
    await stopped
    await local.stop()
