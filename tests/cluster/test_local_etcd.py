from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from varley.cluster.local_etcd import LocalEtcd, last_words
from varley.errors import WorldError
from varley.metadata.etcd import EtcdStore
from varley.metadata.store import ABSENT, Change, Entry

pytestmark = [pytest.mark.slow]


@pytest.mark.usefixtures("etcd_program")
def test_it_answers_when_it_has_started_and_keeps_what_it_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        etcd = await LocalEtcd.start(str(tmp_path))
        store = await EtcdStore.open(etcd.url)
        version = await store.compare_and_set([Change("a", ABSENT, b"1")])
        assert version is not None
        await store.close()
        await etcd.stop()
        assert await etcd.wait_ended() == -signal.SIGTERM    # after it has closed everything, it says why
        again = await LocalEtcd.start(str(tmp_path))
        store = await EtcdStore.open(again.url_of("varley"))
        assert await store.get("a") == Entry("a", b"1", version)
        await store.close()
        await again.kill()
        assert await again.wait_ended() == -signal.SIGKILL
        assert etcd.log_path == again.log_path == str(tmp_path / "etcd.log")

    asyncio.run(scenario())
    assert (tmp_path / "etcd.log").read_bytes().count(b"ready to serve client requests") == 2


@pytest.mark.usefixtures("etcd_program")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_it_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from varley.cluster.local_etcd import LocalEtcd, last_words
async def main():
    etcd = await LocalEtcd.start(sys.argv[1])
    print(etcd.pid, flush=True)
    await etcd.wait_ended()
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    etcd = os.pidfd_open(int(parent.stdout.readline()))
    try:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        poll = select.poll()
        poll.register(etcd, select.POLLIN)
        assert poll.poll(20_000), "it outlives its parent"
    finally:
        parent.stdout.close()
        os.close(etcd)


def test_without_the_program_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorldError, match="no etcd in PATH") as refusal:
        asyncio.run(LocalEtcd.start(str(tmp_path / "etcd")))
    assert "apt install etcd-server" in refusal.value.hint
    assert not (tmp_path / "etcd").exists()


@pytest.mark.usefixtures("etcd_program")
def test_what_it_says_when_it_does_not_start_is_shown(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(WorldError, match="etcd has ended with status") as refusal:
        asyncio.run(LocalEtcd.start(str(tmp_path)))
    assert refusal.value.path == str(tmp_path / "etcd.log")
    assert "Its log says: " in refusal.value.hint


@pytest.mark.usefixtures("etcd_program")
def test_a_port_that_was_asked_for_and_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(WorldError, match="etcd has ended") as refusal:
        asyncio.run(LocalEtcd.start(str(tmp_path), port=taken.getsockname()[1]))
    assert "in use" in refusal.value.hint


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("one\n two \n\n", "two"),
        ("a\npanic: no space left\n\ngoroutine 1 [running]:\n\tmain.go:28\n", "panic: no space left"),
        ('{"level":"info"}\n{"level":"fatal","msg":"no space"}\nexit\n', '{"level":"fatal","msg":"no space"}'),
    ],
)
def test_what_its_log_says_last_is_what_has_failed(log: str, said: str) -> None:
    assert last_words(log) == said
