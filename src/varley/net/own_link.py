"""A node's messages and requests to itself: no socket, and yet as if there were one.

They arrive in a later turn of the loop, as all others do, so that nobody has to ask whom it is talking to before it
sends: a handler is never entered in the middle of what its sender is doing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from varley.net.link import Home, Reply, logger, tell
from varley.net.outcome import Answer, NoAnswer, NotSent, Outcome, Then
from varley.net.timeouts import Request


class OwnLink:
    """What `Link` is for other nodes."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def send(self, channel: int, payload: bytes) -> None:
        self._home.soon(partial(self._deliver, channel, payload))

    def request(self, service: int, payload: bytes, then: Then, timeout_seconds: float) -> None:
        handler = self._home.request_handlers.get(service)
        if handler is None:
            self._home.soon(partial(then, NotSent(f"{self._home.name} has no service {service}")))
            return
        deadline = self._home.now() + timeout_seconds
        request = self._home.timeouts.begin(self._home.name, then, deadline)
        request.is_sent = True
        self._home.soon(partial(self._serve, handler, request, payload))

    def time_out(self, request: Request) -> None:
        self._finish(request, NoAnswer(f"{self._home.name} has not answered itself in time"))

    def _deliver(self, channel: int, payload: bytes) -> None:
        handler = self._home.message_handlers.get(channel)
        if handler is not None:
            handler(self._home.name, payload)

    def _serve(self, handler: Callable[[str, bytes, Answer], None], request: Request, payload: bytes) -> None:
        def answer(payload: bytes) -> None:
            self._home.soon(partial(self._finish, request, payload))

        reply = Reply(answer)
        try:
            handler(self._home.name, payload, reply)
        except Exception as error:
            logger.exception("a request of this node to itself could not be handled")
            if not reply.is_given:
                self._finish(request, NoAnswer(f"{self._home.name} failed: {error!r}"))

    def _finish(self, request: Request, outcome: Outcome) -> None:
        if not request.is_over:
            self._home.timeouts.end(request)
            tell(request.then, outcome)
