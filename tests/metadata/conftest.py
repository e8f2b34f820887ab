"""All kinds of stores, for what each of them promises."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from tempfile import TemporaryDirectory

import pytest

from tests.etcd_server import EtcdServer
from varley.clock import MovableClock, StoppedClock
from varley.metadata.etcd import EtcdStore
from varley.metadata.local import LocalStore
from varley.metadata.memory import MemoryStore
from varley.metadata.store import Store


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
