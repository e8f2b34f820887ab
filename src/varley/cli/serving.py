"""What a process does that is a server, whatever kind of server: `varley serve` and `varley ring serve`."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from varley.assembly.life import Life

_FILES_ENOUGH: Final = 65_536


def log_to_stderr(level: str, node: str | None = None) -> None:
    """`node`: the process's name in a cluster, whose nodes may all write to one terminal."""
    who = "" if node is None else " " + node.replace("%", "%%")
    logging.basicConfig(level=level.upper(), format=f"%(asctime)s{who} %(levelname)s %(name)s: %(message)s")


async def serve(server: Life, announcement: Callable[[], str], *, stop_with_stdin: bool) -> None:
    """Until it is told to stop. Raises WorldError: it cannot start, or cannot go on."""
    allow_open_files()
    if stop_with_stdin:
        stop_when_stdin_ends(server.end_with_parent)
    await server.start()
    # What was made until now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    if not server.is_stopping:
        click.echo(announcement())
    await server.wait_stopped()


def stop_when_stdin_ends(stop: Callable[[], None]) -> None:
    """Nothing is ever written there: it can be read when whoever held the other end has gone, kill -9 or not."""

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            stop()

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), read)


def allow_open_files() -> None:
    """Each connection takes a file descriptor, each partition a few: take as many as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_ENOUGH if most == resource.RLIM_INFINITY else most    # macOS refuses an infinite number
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def stop_lines(*, insecure: bool) -> list[str]:
    """The last lines of what is said when a server is ready."""
    lines = []
    if insecure:
        warning = click.style("Open    ", fg="yellow")
        lines.append(f"{warning}anybody who reaches these ports can do everything (--insecure)")
    return [*lines, f"Stop    Ctrl-C, or kill {os.getpid()}"]
