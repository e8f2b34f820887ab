"""Threads that use a server, each in its own way, until it is killed."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Sequence

from tests.crash.server_process import Client, ServerProcess

GONE = (OSError, http.client.HTTPException)    # what a client sees of a server that was killed


class Worker(threading.Thread):
    """Does `step` again and again until the server goes away, or `steps_max` times."""

    def __init__(self, port: int, seed: int, steps_max: int = 10**9) -> None:
        super().__init__()
        self.client = Client(port)
        self.random = random.Random(seed)
        self.steps = 0    # how many were done to their end
        self.surprise: BaseException | None = None    # what ended it, if it was not the server
        self._steps_max = steps_max

    def run(self) -> None:
        try:
            while self.steps < self._steps_max:
                self.step()
                self.steps += 1
        except GONE:
            pass
        except BaseException as error:
            self.surprise = error
        finally:
            self.client.close()

    def step(self) -> None:
        raise NotImplementedError


def run(workers: Sequence[Worker]) -> None:
    """Return when all have ended. Raises what surprised one of them."""
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for worker in workers:
        if worker.surprise is not None:
            raise worker.surprise


def run_until_killed(server: ServerProcess, workers: Sequence[Worker], seconds: float) -> None:
    """Let them work for so long, then kill the server."""
    killer = threading.Timer(seconds, server.kill)
    killer.start()
    try:
        run(workers)
    finally:
        killer.join()
