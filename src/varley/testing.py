"""A server inside a program: for tests, notebooks and scripts.

    import varley

    with varley.Server(in_memory=True) as server:
        table = server.resource().create_table(...)
        server.reset()                      # no tables again, in about a millisecond
        server.advance(30 * 86400)          # a month later

It is the same server that `varley serve` starts, on a port of its own, run by its own event loop in its own
thread: clients of any kind reach it, and code that blocks (boto3) may be used beside it. Settings are keyword
arguments with the names of settings.py. The environment is not read: a test must not change with the shell
that it is run from.

Rejected: a patched botocore that calls the server's functions directly. It is faster, and it tests neither
the client's retries nor what goes over the wire.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from varley.clock import MovableClock
from varley.errors import BadSettings
from varley.settings import CLUSTER_PREFIX, all_settings, load

if TYPE_CHECKING:
    from varley import server as whole_server

class _Endpoint(ABC):
    """What a client of boto3 needs. `client_options` go to every client and resource made here."""

    @property
    @abstractmethod
    def endpoint_url(self) -> str:
        """For endpoint_url= of boto3, --endpoint-url of the AWS CLI."""

    def __init__(self) -> None:
        self.client_options: dict[str, Any] = {
            "aws_access_key_id": "any",
            "aws_secret_access_key": "any",
            "region_name": "us-east-1",
        }
        self._session: Any = None

    def client(self, service_name: str = "dynamodb", **options: Any) -> Any:
        """A boto3 client of this server; `options` as boto3 takes them. Raises ImportError without boto3."""
        return self._boto3_session().client(service_name, **self._options(options))

    def resource(self, service_name: str = "dynamodb", **options: Any) -> Any:
        """A boto3 resource of this server, likewise."""
        return self._boto3_session().resource(service_name, **self._options(options))

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        # No proxies: HTTP_PROXY is for the world outside, and no proxy reaches the loopback of this machine.
        config = importlib.import_module("botocore.config").Config(proxies={})
        return {"endpoint_url": self.endpoint_url, "config": config, **self.client_options, **options}

    def _boto3_session(self) -> Any:
        # Kept: a session reads the service's model, 50 ms, and the clients after the first find it there.
        if self._session is None:
            try:
                boto3 = importlib.import_module("boto3")    # only those who ask for a client need it
            except ImportError as error:
                raise ImportError("client() and resource() need boto3: pip install boto3") from error
            self._session = boto3.Session()
        return self._session


class Server(_Endpoint):
    """A running server; use it as a context manager, or call start() and stop().

    In memory unless `data_dir` is given; on a free port of 127.0.0.1 unless `port` is.
    """

    def __init__(self, **settings: Any) -> None:
        """Raises BadSettings for a setting that does not exist or cannot be so (the caller's fault)."""
        super().__init__()
        settings.setdefault("in_memory", settings.get("data_dir") is None)
        settings.setdefault("port", 0)
        flags = {_full_name(name): value for name, value in settings.items()}
        self._node, self._cluster = load(flags, environment={})
        if self._node.processes > 1:
            raise BadSettings("A server inside a program is one process", hint="Leave out `processes`")
        self.clock = MovableClock()
        self._thread: threading.Thread | None = None
        self._running: whole_server.Server | None = None    # not None exactly from start() to stop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None          # why the thread ended, if it was not stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return when requests are served. Raises WorldError when it cannot start."""
        assert self._thread is None, "started already"
        ready = threading.Event()
        # A daemon: a program that forgets stop() can still end. The data survives that, as it does a crash.
        self._thread = threading.Thread(target=self._run, args=(ready,), name="varley", daemon=True)
        self._thread.start()
        ready.wait()
        if self._running is None:
            self._join()

    def stop(self) -> None:
        """Let running requests end, then stop. Raises the WorldError that had stopped it, if one had."""
        if self._thread is None:
            return
        if self._running is not None and self._loop is not None and self._thread.is_alive():
            stopping = self._running.stop()
            try:
                # Nobody waits for what this returns: a server that ends by itself at this moment may leave it
                # undone for ever. The end of the thread is what counts.
                asyncio.run_coroutine_threadsafe(stopping, self._loop)
            except RuntimeError:    # the loop is closed: it has ended by itself
                stopping.close()
        self._join()

    def reset(self) -> None:
        """Drop every table, at once."""
        self._call(self._started().reset())

    def advance(self, seconds: float) -> None:
        """Move the server's clock forward: what expires in that time has expired."""
        self._started()

        async def move() -> None:   # on the server's own thread, as are all who look at the clock
            self.clock.advance(seconds)

        self._call(move())

    def rotate_shards(self, table_name: str) -> None:
        """End the open shards of the table's stream and begin new ones, as otherwise happens every few hours."""
        self._call(self._started().rotate_shards(table_name))

    @property
    def host(self) -> str:
        return self._node.host

    @property
    def port(self) -> int:
        return self._started().port

    @property
    def admin_port(self) -> int | None:
        """The port of metrics, health and clock; None unless the setting `admin_port` was given."""
        return self._started().admin_port

    @property
    def endpoint_url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self._node.scheme}://{host}:{self.port}"

    def _started(self) -> whole_server.Server:
        if self._running is None:
            raise RuntimeError("the server does not run: use `with varley.Server() as server:`, or start()")
        return self._running

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` on the server's own thread, which alone may use its parts, and wait for its end."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self, ready: threading.Event) -> None:
        """The thread: a loop of its own, from start to stop."""
        import uvloop  # here: a program that imports varley for its version needs no event loop

        try:
            uvloop.run(self._serve(ready))
        except BaseException as error:      # start() or stop() raises it, in the caller's thread
            self._failure = error
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        from varley.server import Server as WholeServer  # here, for the same reason

        server = WholeServer(self._node, self._cluster, self.clock)
        await server.start()
        self._loop = asyncio.get_running_loop()
        self._running = server
        ready.set()
        await server.wait_stopped()

    def _join(self) -> None:
        assert self._thread is not None
        self._thread.join()
        failure, self._failure = self._failure, None
        self._thread = self._running = self._loop = None
        if failure is not None:
            raise failure


def _full_name(setting: str) -> str:
    """ "initial_partitions" -> "cluster.initial_partitions": Python's keywords have no dots."""
    in_cluster = CLUSTER_PREFIX + setting
    return in_cluster if in_cluster in all_settings() else setting


class Remote(_Endpoint):
    """A server that somebody else runs, with the same conveniences as far as they go over the wire."""

    def __init__(self, endpoint_url: str) -> None:
        super().__init__()
        self._endpoint_url = endpoint_url
        parts = urlsplit(endpoint_url)
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def endpoint_url(self) -> str:
        return self._endpoint_url

    def reset(self) -> None:
        """Drop every table, one request each."""
        client = self.client()
        for page in client.get_paginator("list_tables").paginate():
            for name in page["TableNames"]:
                client.delete_table(TableName=name)
