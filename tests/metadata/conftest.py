"""etcd for the tests of what a cluster shares.

Without the program `etcd` (`apt install etcd-server`) its tests are skipped, and say so; where CI says that it is CI
they fail instead, since nobody reads the skips of a green run.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from tempfile import TemporaryDirectory

import pytest

from tests.metadata.etcd_server import EtcdServer
from varley.clock import MovableClock, StoppedClock
from varley.metadata.etcd import EtcdStore
from varley.metadata.local import LocalStore
from varley.metadata.memory import MemoryStore
from varley.metadata.store import Store


@pytest.fixture(scope="session")
def etcd_program() -> None:
    if shutil.which("etcd") is None:
        text = "etcd is not in PATH, so nothing of a cluster's metadata is tested: apt install etcd-server"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)


@pytest.fixture(scope="session")
def etcd(etcd_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One for all tests: each has a prefix of its own, and lets it run."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd")).start()
    yield server
    server.stop()


@pytest.fixture
def own_etcd(etcd_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One for this test, which may do to it what it likes."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd")).start()
    yield server
    server.stop()


class Opener:
    """Opens stores of one kind, each with its own keys, on a clock that only a test moves: except etcd's own."""

    def __init__(self, kind: str, url: Callable[[str], str] | None) -> None:
        self.kind = kind
        self._url = url
        self.clock = MovableClock(StoppedClock())

    def __call__(self) -> AbstractAsyncContextManager[Store]:
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Store]:
        with TemporaryDirectory() as folder:
            store: Store
            if self.kind == "memory":
                store = MemoryStore(self.clock)
            elif self.kind == "local":
                store = await LocalStore.open(f"{folder}/metadata", clock=self.clock)
            else:
                assert self._url is not None
                store = await EtcdStore.open(self._url(uuid.uuid4().hex))
            try:
                yield store
            finally:
                await store.close()

    def pass_time(self, seconds: float) -> None:
        """For etcd it passes by itself: whoever calls this then waits for what shall happen."""
        if self.kind != "etcd":
            self.clock.advance(seconds)


@pytest.fixture(scope="session", params=["local", "memory", "etcd"])
def opened(request: pytest.FixtureRequest) -> Opener:
    """Of each kind of store there is."""
    if request.param != "etcd":
        return Opener(request.param, None)
    etcd: EtcdServer = request.getfixturevalue("etcd")
    return Opener("etcd", etcd.url)
