"""The other nodes, as this one talks to them: questions with two deadlines, and what silence says.

A question is given the time of one replica; then `failed` is called and somebody else is asked. An answer that comes
after all, within the time of a request, is still told: a copy that was stored is stored (put_quorum.stored).

Everything that arrives is a sign of life; a question that was not answered in time, or could not be sent, is a failure
(failure_detection.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from varley.clock import Clock
from varley.net.channels import RING, RING_CALL
from varley.net.frame import PAYLOAD_BYTES_MAX
from varley.net.outcome import NotSent, Outcome, Then
from varley.ring.failure_detection import FailureDetector
from varley.ring_node import wire
from varley.ring_node.settings import RingSettings
from varley.ring_node.wire import BadMessage, Mismatch, WrongRing
from varley.ring_node.writer import Loop

logger = logging.getLogger("varley.ring")

MISMATCH_SECONDS: Final = 10.0      # how often a node with other settings is told so
PROBE_TIMEOUT_SECONDS: Final = 1.0

# Four coordinators that could not see each other, each with as much as one of them takes (SET_BYTES_MAX). It stays with
# them; a client that reads it there and puts it with that context makes it small again.
_TOO_LARGE: Final = "the versions of a key have %d bytes together, which is more than can be sent"

Reply = Callable[[wire.Answer], None]
Answered = Callable[[wire.Answer], None]
Failed = Callable[[bool], None]     # whether it is certain that nothing was done


class Links(Protocol):
    """What is used of varley.net's Links."""

    def set_address(self, name: str, host: str, port: int) -> None: ...

    def forget(self, name: str) -> None: ...

    def serve_messages(self, channel: int, handler: Callable[[str, bytes], None]) -> None: ...

    def send(self, to: str, channel: int, payload: bytes) -> None: ...

    def serve_requests(self, service: int, handler: Callable[[str, bytes, Callable[[bytes], None]], None]) -> None: ...

    def request(self, to: str, service: int, payload: bytes, then: Then, *, timeout_seconds: float) -> None: ...


class Peers:
    """`heard` is called with a node that was taken for failed and is not."""

    def __init__(
        self,
        links: Links,
        loop: Loop,
        clock: Clock,
        settings: RingSettings,
        *,
        replica_timeout_seconds: float,
        request_timeout_seconds: float,
        heard: Callable[[str], None],
    ) -> None:
        self.detector = FailureDetector()
        self.refused: dict[str, str] = {}   # node -> its settings, which are not ours
        self._links = links
        self._loop = loop
        self._clock = clock
        self._settings_text = settings.text
        self._fingerprint = settings.fingerprint
        self._replica_timeout_seconds = replica_timeout_seconds
        self._request_timeout_seconds = request_timeout_seconds
        self._heard = heard
        self._told: dict[str, float] = {}   # node with other settings -> when it was last told

    def serve(
        self, on_request: Callable[[str, wire.Request, Reply], None], on_message: Callable[[str, wire.OneWay], None]
    ) -> None:
        def requested(sender: str, payload: bytes, answer: Callable[[bytes], None]) -> None:
            def reply(message: wire.Answer) -> None:
                payload = wire.encode(message, self._fingerprint)
                if len(payload) > PAYLOAD_BYTES_MAX:
                    logger.error(_TOO_LARGE, len(payload))
                    payload = wire.encode(wire.Refused("it is too large to be sent"), self._fingerprint)
                answer(payload)

            try:
                request = wire.decode_request(payload, self._fingerprint)
            except WrongRing:
                reply(Mismatch(self._settings_text))
                self._tell(sender)
                return
            except BadMessage as error:
                logger.error("node %s sent a request that does not read as one: %s", sender, error)
                reply(wire.Refused("the request does not read as one"))
                return
            self._alive(sender)
            on_request(sender, request, reply)

        def received(sender: str, payload: bytes) -> None:
            try:
                message = wire.decode_one_way(payload, self._fingerprint)
            except WrongRing:
                self._tell(sender)
                return
            except BadMessage as error:
                logger.error("node %s sent a message that does not read as one: %s", sender, error)
                return
            if isinstance(message, Mismatch):
                self._learn_mismatch(sender, message.settings)
                return
            self._alive(sender)
            on_message(sender, message)

        self._links.serve_requests(RING_CALL, requested)
        self._links.serve_messages(RING, received)

    def is_alive(self, node: str) -> bool:
        return self.detector.is_alive(node) and node not in self.refused

    def send(self, to: str, message: wire.OneWay) -> None:
        self._links.send(to, RING, wire.encode(message, self._fingerprint))

    def ask(
        self,
        to: str,
        request: wire.Request,
        answered: Answered,
        failed: Failed,
        *,
        timeout_seconds: float | None = None,
    ) -> None:
        """One of the two is called, in a later turn; `answered` perhaps after `failed` too. `timeout_seconds`: until
        `failed`."""
        is_settled = False

        def settle(is_certain: bool) -> None:
            nonlocal is_settled
            if not is_settled:
                is_settled = True
                timer.cancel()
                failed(is_certain)

        def timed_out() -> None:
            if not is_settled:
                self._unanswered(to)
                settle(False)

        def then(outcome: Outcome) -> None:
            nonlocal is_settled
            if not isinstance(outcome, bytes):
                if not is_settled:
                    self._unanswered(to)
                    settle(isinstance(outcome, NotSent))
                return
            try:
                answer = wire.decode_answer(outcome, self._fingerprint)
            except (WrongRing, BadMessage) as error:
                logger.error("node %s gave an answer that does not read as one: %s", to, error)
                settle(False)
                return
            if isinstance(answer, Mismatch):
                self._learn_mismatch(to, answer.settings)
                settle(True)
                return
            self._alive(to)
            if isinstance(answer, wire.Refused):
                settle(True)
                return
            is_settled = True
            timer.cancel()
            answered(answer)

        seconds = self._replica_timeout_seconds if timeout_seconds is None else timeout_seconds
        payload = wire.encode(request, self._fingerprint)
        if len(payload) > PAYLOAD_BYTES_MAX:
            logger.error(_TOO_LARGE, len(payload))
            self._loop.call_soon(failed, True)
            return
        timer = self._loop.call_later(seconds, timed_out)
        timeout = max(self._request_timeout_seconds, seconds)
        self._links.request(to, RING_CALL, payload, then, timeout_seconds=timeout)

    def probe(self) -> None:
        """Those that were left alone for long enough are asked whether they are back."""
        for node in self.detector.due(self.now_us):
            self.ask(node, wire.Probe(), _nothing, _nothing, timeout_seconds=PROBE_TIMEOUT_SECONDS)

    @property
    def now_us(self) -> int:
        return int(self._clock.monotonic() * 1e6)

    def _alive(self, node: str) -> None:
        self.refused.pop(node, None)
        if self.detector.answered(node):
            logger.info("node %s answers again", node)
            self._heard(node)

    def _unanswered(self, node: str) -> None:
        if self.detector.unanswered(node, self.now_us):
            logger.warning("node %s does not answer: others stand in for it", node)

    def _tell(self, node: str) -> None:
        """It has other settings, and sent us something."""
        now = self._clock.monotonic()
        if now - self._told.get(node, -MISMATCH_SECONDS) >= MISMATCH_SECONDS:
            self._told[node] = now
            self.send(node, Mismatch(self._settings_text))

    def _learn_mismatch(self, node: str, settings: str) -> None:
        if settings == self._settings_text:
            return
        if self.refused.get(node) != settings:
            logger.error(
                "node %s is refused, for its settings differ from this node's: it has %s, this node %s",
                node, settings, self._settings_text,
            )  # fmt: skip
        self.refused[node] = settings
        self._tell(node)


def _nothing(_: object) -> None:
    pass
