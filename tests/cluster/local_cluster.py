"""`varley cluster up` as a child of a test, with its clients, and what a test does to its nodes."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

SECONDS_MAX = 60.0    # for what takes a few
_VARLEY = [sys.executable, "-m", "varley"]


def varley(*words: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as it is typed."""
    return subprocess.run([*_VARLEY, *words], capture_output=True, text=True, timeout=SECONDS_MAX, check=False)


class LocalCluster:
    """`nodes`: what `up` said of them, by name. Stopped at the end of the `with`."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.log = open(folder.with_name(folder.name + ".log"), "wb")    # noqa: SIM115 (closed by stop)
        self.process = subprocess.Popen(
            [*_VARLEY, "cluster", "up", "--port", "0", "--data-dir", str(folder), "--json", "--stop-with-stdin",
             *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(Path(self.log.name).read_text())
        self.nodes: dict[str, dict[str, Any]] = {each["name"]: each for each in json.loads(line)["nodes"]}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(SECONDS_MAX)
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            assert pipe is not None
            pipe.close()
        return code

    # Clients

    def client(self, node: str, **config: Any) -> Any:
        """It does not try again by itself, unless told to: a test wants to hear of each failure."""
        options = {"retries": {"total_max_attempts": 1}, "read_timeout": 30, "connect_timeout": 2} | config
        return boto3.client(
            "dynamodb", endpoint_url=self.nodes[node]["endpoint"], region_name="us-east-1",
            aws_access_key_id="any", aws_secret_access_key="any", config=Config(**options),
        )  # fmt: skip

    def make_table(self, name: str, *, node: str = "n1", **more: Any) -> None:
        """With a partition key "k", a string; it can be used when this returns."""
        self.client(node).create_table(
            TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}], **more,
        )  # fmt: skip

    # What is known

    def admin(self, node: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        address = f"{self.nodes[node].get('host', '127.0.0.1')}:{self.nodes[node]['admin_port']}"
        request = urllib.request.Request(f"http://{address}{path}", data=data)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def ready(self, node: str) -> str:
        """What the node says at /ready; it is."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.nodes[node]['admin_port']}/ready", timeout=10) as answer:
            return str(answer.read().decode().strip())

    def groups_of(self, table: str, *, asked: str | None = None) -> list[dict[str, Any]]:
        status = self.admin(asked or next(iter(self.alive())), "/cluster")
        return [each for each in status["groups"] if each["table"] == table]

    def leader_of(self, table: str) -> str:
        """Of the table's one partition, once somebody leads it."""
        return str(self.wait_for(lambda: self.groups_of(table)[0]["leader"]))

    def wait_for(self, what: Callable[[], Any]) -> Any:
        """What this gives once that is something. Looked at again and again, since nobody outside is told."""
        deadline = time.monotonic() + SECONDS_MAX
        while not (found := what()):
            assert time.monotonic() < deadline, "it has not come to be"
            threading.Event().wait(0.05)
        return found

    # Trouble

    def alive(self) -> Iterator[str]:
        return (name for name, node in self.nodes.items() if _is_alive(node["pid"]))

    def kill(self, node: str) -> None:
        """kill -9; returns when it is gone."""
        self.signal(node, signal.SIGKILL)
        self.wait_gone(node)

    def signal(self, node: str, number: int) -> None:
        os.kill(self.nodes[node]["pid"], number)

    def wait_gone(self, node: str) -> None:
        self.wait_for(lambda: not _is_alive(self.nodes[node]["pid"]))

    def start(self, node: str) -> None:
        """`varley cluster start`: returns when it serves again."""
        done = varley("cluster", "start", node, "--data-dir", str(self.folder), "--json")
        assert done.returncode == 0, done.stderr
        self.nodes[node] |= json.loads(done.stdout)

    def etcd_pid(self) -> int:
        """Of the one that `up` has started."""
        port = json.loads((self.folder / "cluster.json").read_text())["etcd_port"]
        listening = f"--listen-client-urls=http://127.0.0.1:{port}".encode()
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"etcd") and listening in words:
                    return int(folder.name)
        raise AssertionError("there is no etcd")


def _is_alive(pid: int) -> bool:
    """Neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Writers:
    """Threads that put items of their own, one after the other, through nodes of their own, until told to end."""

    def __init__(self, cluster: LocalCluster, table: str, nodes: list[str], *, threads: int = 4) -> None:
        self.acknowledged: list[tuple[float, str]] = []     # when, and the key
        self.failures: list[tuple[float, str]] = []         # when, and the error's code or class
        self._is_over = False
        self._begun = threading.Semaphore(0)
        self._threads = [
            threading.Thread(target=self._write, args=(cluster.client(nodes[number % len(nodes)]), table, number))
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _write(self, client: Any, table: str, writer: int) -> None:
        count = 0
        while not self._is_over:
            count += 1
            key = f"{writer}-{count}"
            try:
                client.put_item(TableName=table, Item={"k": {"S": key}})
            except ClientError as error:
                self.failures.append((time.monotonic(), error.response["Error"]["Code"]))
            except BotoCoreError as error:
                self.failures.append((time.monotonic(), type(error).__name__))
            else:
                self.acknowledged.append((time.monotonic(), key))
                self._begun.release()

    def wait_for_some(self, count: int = 50) -> None:
        """Return when so many more are acknowledged."""
        while self._begun.acquire(blocking=False):
            pass
        for _ in range(count):
            assert self._begun.acquire(timeout=SECONDS_MAX), self.failures

    def end(self) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join()

    @property
    def longest_pause(self) -> float:
        """Between two that were acknowledged, whoever wrote them; seconds."""
        times = sorted(when for when, _ in self.acknowledged)
        return max(later - earlier for earlier, later in itertools.pairwise(times))


def all_keys(client: Any, table: str) -> set[str]:
    """By strong reads."""
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return {item["k"]["S"] for page in pages for item in page["Items"]}
