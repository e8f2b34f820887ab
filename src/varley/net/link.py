"""All that one node has to do with one other: the connection, who dials, what waits to be sent, who waits for answers.

**One connection.** Either side dials; of two nodes that dial at once, the lower name's connection is the one that
stays. Nothing but hellos is said before both sides know that it is this one, so nothing can get lost by the choice:

1. A dials and says hello. B answers with a hello: WELCOME, or why not. A uses the connection from then on.
2. A's first frame (a sign of life) tells B that A uses it. B uses it from then on, and not before.
3. If B is dialling A too and has said hello there: the higher name gives up its own (it has sent nothing on it but a
   hello), the lower one answers CROSSED to the other's. Who is told CROSSED waits for the other's hello.
4. If B has a connection with A when A dials: either A has lost it and B has not noticed yet, or A dialled before that
   connection was there and will never use this one. B cannot know which, and need not: it answers WELCOME, and when A's
   first frame comes, A has no other connection. Then B takes the old one for lost.

**What is certain.** What is to be sent waits in `_queue` and is handed to the socket at the end of the turn of the
loop, as far as the socket takes it. What is still in the queue when the connection is lost was not sent, surely; of
the rest nobody knows. Requests that are made while a connection is on its way wait for it; while there is none and
none is tried (the pause after a failure) they are told so at once.

**Bounds.** The queue holds OUTGOING_BYTES_MAX. What is beyond is dropped (one-way messages, answers) or not sent
(requests), so that a peer that takes nothing cannot cost a node its memory. One large part may go beyond it: if it were
taken into an empty queue only, one that is always sent in a turn with others (an entry of a log, behind a leader's sign
of life) would never be sent.

**Silence.** Who has nothing to say sends a sign of life each half second; who hears nothing for two seconds takes the
peer for dead and closes. A peer whose process is stopped, whose machine is gone or whose cable is cut is noticed in
the same way.

Rejected: two connections for each pair, one in each direction (no choice to be made, but twice the sockets, and a
link can be half up, which replica groups do not expect); keeping requests over a lost connection (the peer may have
acted on them).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, Protocol

from varley.net.connection import Connection
from varley.net.counters import LinkCounters
from varley.net.frame import (
    ANSWER,
    FAILED,
    MESSAGE,
    PARCEL,
    PART_HEAD_BYTES,
    PAYLOAD_BYTES_MAX,
    REFUSED,
    REQUEST,
    Hello,
    Verdict,
    decode_parts,
    encode_frame,
    encode_part_head,
)
from varley.net.outcome import Answer, NoAnswer, NotSent, Outcome, Then
from varley.net.timeouts import Request, Timeouts

logger = logging.getLogger("varley.net")

OUTGOING_BYTES_MAX: Final = 32 * 1024 * 1024
_LARGE_BYTES: Final = OUTGOING_BYTES_MAX // 2     # a larger part counts as this much when there must be room for it
SILENCE_SECONDS_MAX: Final = 2.0       # after which a peer counts as dead
ALIVE_SECONDS: Final = 0.5             # between signs of life
DIAL_SECONDS_MAX: Final = 2.0          # for TCP and TLS, and as much again for the hello
PAUSE_SECONDS_MIN: Final = 0.05        # after the first failure to dial, doubled with each further one …
PAUSE_SECONDS_MAX: Final = 1.0         # … up to this

# A frame is begun anew behind so many bytes: the receiver acts on the first while the rest is on its way.
_FRAME_BYTES_GOAL = 256 * 1024

# (type, channel or service, number, payload, the request if it is one)
_Waiting = tuple[int, int, int, bytes, Request | None]


class Dial(NamedTuple):
    """An attempt to connect."""

    connection: Connection    # that is to be made
    task: asyncio.Task[None]
    began: float


class Home(Protocol):
    """What a link needs of the node that it belongs to: `Links`, for one."""

    name: str
    timeouts: Timeouts
    message_handlers: dict[int, Callable[[str, bytes], None]]
    request_handlers: dict[int, Callable[[str, bytes, Answer], None]]

    def now(self) -> float: ...

    def jitter(self) -> float:
        """By chance, from 0.5 to 1."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call it in a later turn of the loop."""

    def dial(self, link: Link) -> Dial:
        """Connect to the link's address; `was_dialled` is called. The task raises OSError if that cannot be."""

    def say_hello(self, connection: Connection, receiver: str, verdict: Verdict, why: str = "") -> None: ...

    def has_changed(self, peer: str, is_up: bool) -> None: ...


class Link:
    """See the top of the file. Everything here runs on the event loop's thread."""

    __slots__ = (
        "_crossed_until", "_dial", "_dialled", "_failures", "_home", "_is_flush_due", "_next_dial",
        "_offered", "_queue", "_queued_bytes", "_requests", "_said", "address", "connection", "counters",
        "drops_incoming", "drops_outgoing", "is_forgotten", "peer",
    )  # fmt: skip

    address: tuple[str, int] | None     # where the peer listens, if this node was told

    # At most one of the connections is in use. The others have seen nothing but hellos.
    connection: Connection | None       # in use: both sides know
    _offered: Connection | None         # the peer dialled it and was told WELCOME; it has not used it yet
    _dial: Dial | None                  # on the way, until it is `_dialled`
    _dialled: Connection | None         # this node dialled it and said hello; no answer yet

    _crossed_until: float               # until then the peer's own connection is expected
    _next_dial: float                   # not before then
    _failures: int                      # to dial, since the last connection
    _said: str                          # what was logged last about why there is no connection

    _queue: deque[_Waiting]             # to be handed to the socket, in order
    _queued_bytes: int                  # the sum of their payloads and heads
    _requests: dict[int, Request]       # that have no outcome yet, by number; all others are not in `Timeouts`

    def __init__(self, home: Home, peer: str) -> None:
        self.peer = peer
        self.address = None
        self.connection = None
        self.counters = LinkCounters()
        self.drops_outgoing = False
        self.drops_incoming = False
        self.is_forgotten = False
        self._home = home
        self._offered = None
        self._dial = None
        self._dialled = None
        self._crossed_until = 0.0
        self._next_dial = 0.0
        self._failures = 0
        self._said = ""
        self._queue = deque()
        self._queued_bytes = 0
        self._requests = {}
        self._is_flush_due = False

    @property
    def outgoing_bytes(self) -> int:
        """That wait for the socket."""
        return self._queued_bytes

    @property
    def is_connecting(self) -> bool:
        """Whether a connection may be there soon, so that it is worth waiting for it."""
        return (
            self._dial is not None
            or self._dialled is not None
            or self._offered is not None
            or self._home.now() < self._crossed_until
        )

    # ---- what is asked of it

    def send(self, channel: int, payload: bytes) -> None:
        if self._why_not(payload) is None:
            self._put(MESSAGE, channel, 0, payload, None)
        else:
            self.counters.messages_dropped += 1

    def request(self, service: int, payload: bytes, then: Then, timeout_seconds: float) -> None:
        why_not = self._why_not(payload)
        if why_not is not None:
            self.counters.requests_not_sent += 1
            self._home.soon(partial(then, NotSent(why_not)))
            return
        request = self._home.timeouts.begin(self.peer, then, self._home.now() + timeout_seconds)
        self._requests[request.number] = request
        self._put(REQUEST, service, request.number, payload, request)

    def answer(self, connection: Connection, type_: int, number: int, payload: bytes) -> None:
        """An answer goes to who asked or to nobody: another connection's requests may have the same number."""
        if connection is self.connection and self._why_not(payload) is None:
            self._put(type_, 0, number, payload, None)
        else:
            self.counters.messages_dropped += 1

    def time_out(self, request: Request) -> None:
        self._finish(request, NoAnswer(f"{self.peer} has not answered in time"))

    def _why_not(self, payload: bytes) -> str | None:
        """Why this cannot be sent; None if it can."""
        assert len(payload) <= PAYLOAD_BYTES_MAX
        if self.connection is None and not self.is_connecting:
            return f"{self.peer} is not connected"
        if self._queued_bytes + min(PART_HEAD_BYTES + len(payload), _LARGE_BYTES) > OUTGOING_BYTES_MAX:
            return f"{self.peer} does not take what it is sent"
        return None

    def _put(self, type_: int, to: int, number: int, payload: bytes, request: Request | None) -> None:
        self._queue.append((type_, to, number, payload, request))
        self._queued_bytes += PART_HEAD_BYTES + len(payload)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            self._home.soon(self._flush)

    # ---- out

    def _flush(self) -> None:
        """Hand the socket what waits, as far as it takes it. HOT PATH: once per turn of the loop and peer."""
        self._is_flush_due = False
        connection = self.connection
        if connection is None:
            return
        queue = self._queue
        while queue and not connection.is_paused:
            pieces: list[bytes] = []
            body_bytes = 0
            while queue:
                type_, to, number, payload, request = queue[0]
                part_bytes = PART_HEAD_BYTES + len(payload)
                if body_bytes and body_bytes + part_bytes > _FRAME_BYTES_GOAL:
                    break
                queue.popleft()
                self._queued_bytes -= part_bytes
                if request is not None:
                    if request.is_over:    # its time was up before it could be sent
                        continue
                    request.is_sent = True
                pieces += (encode_part_head(type_, to, number, len(payload)), payload)
                body_bytes += part_bytes
            if pieces:
                self._write(connection, pieces)

    def _write(self, connection: Connection, pieces: list[bytes]) -> None:
        if self.drops_outgoing:
            return
        frame = encode_frame(PARCEL, pieces)
        self.counters.frames_sent += 1
        self.counters.bytes_sent += len(frame)
        connection.write(frame)

    # ---- in

    def frame_came(self, connection: Connection, kind: int, body: bytes) -> None:
        """Raises WireError."""
        if self.drops_incoming:
            return
        if connection is self._offered:
            self._offered = None
            self._use(connection)
        if connection is not self.connection:
            return    # it is about to be closed
        self.counters.frames_received += 1
        self.counters.bytes_received += len(body)
        if kind != PARCEL:
            return
        for type_, to, number, payload in decode_parts(body):
            if type_ == MESSAGE:
                self._deliver(to, payload)
            elif type_ == REQUEST:
                self._serve(connection, to, number, payload)
            else:
                self._take_answer(type_, number, payload)
            if connection.is_over:
                return

    def _deliver(self, channel: int, payload: bytes) -> None:
        handler = self._home.message_handlers.get(channel)
        if handler is None:
            return
        try:
            handler(self.peer, payload)
        except Exception:    # ours, and no reason to lose the peer's other messages
            logger.exception("a message from %s on channel %d could not be handled", self.peer, channel)

    def _serve(self, connection: Connection, service: int, number: int, payload: bytes) -> None:
        handler = self._home.request_handlers.get(service)
        if handler is None:
            self.answer(connection, REFUSED, number, f"{self._home.name} has no service {service}".encode())
            return
        reply = Reply(partial(self.answer, connection, ANSWER, number))
        try:
            handler(self.peer, payload, reply)
        except Exception as error:
            logger.exception("a request from %s to service %d could not be handled", self.peer, service)
            if not reply.is_given:
                self.answer(connection, FAILED, number, f"{self._home.name} failed: {error!r}"[:1000].encode())

    def _take_answer(self, type_: int, number: int, payload: bytes) -> None:
        request = self._requests.get(number)
        if request is None:
            return    # its time was up
        if type_ == ANSWER:
            self._finish(request, payload)
        elif type_ == REFUSED:
            self._finish(request, NotSent(payload.decode(errors="replace")))
        else:
            assert type_ == FAILED
            self._finish(request, NoAnswer(payload.decode(errors="replace")))

    def _finish(self, request: Request, outcome: Outcome) -> None:
        """`outcome` for a request; if there is none, and it is still in the queue, it was not sent."""
        del self._requests[request.number]
        self._home.timeouts.end(request)
        if isinstance(outcome, NoAnswer):
            if request.is_sent:
                self.counters.requests_unanswered += 1
            else:
                outcome = NotSent(outcome.why)
        if isinstance(outcome, NotSent):
            self.counters.requests_not_sent += 1
        tell(request.then, outcome)

    # ---- the connection

    def go_to(self, address: tuple[str, int]) -> None:
        """The peer is there. A connection that is in use stays; whatever else is tried begins anew."""
        if address == self.address:
            return
        self.address = address
        self._abandon_dial("it has another address")
        self._failures = 0
        self._next_dial = self._home.now()
        self._home.soon(self._maybe_dial)

    def forget(self, why: str) -> None:
        """The end of this link. What waits is told; what was handed to the socket goes out."""
        self._flush()
        self.is_forgotten = True
        self.address = None
        self._abandon_dial(why)
        for connection in (self._offered, self.connection):
            if connection is not None:
                connection.end(why)
        self._offered = None
        self._crossed_until = 0.0
        if self.connection is not None:
            self._lose(why)
        self._fail_queue(why)

    def tick(self, now: float) -> None:
        """What depends on time: silence, signs of life, dialling. Called many times a second."""
        connection = self.connection
        if connection is not None:
            if now - connection.heard_at >= SILENCE_SECONDS_MAX:
                connection.end(f"{self.peer} has said nothing for {SILENCE_SECONDS_MAX:g} s", at_once=True)
                self._lose(f"nothing was heard for {SILENCE_SECONDS_MAX:g} s")
            elif now - connection.sent_at >= ALIVE_SECONDS and not self.drops_outgoing:
                connection.say_alive()
            return
        if self._dial is not None and now - self._dial.began >= DIAL_SECONDS_MAX:
            self._abandon_dial("too slow")
            self._failed(f"no connection within {DIAL_SECONDS_MAX:g} s")
        elif self._dialled is not None and now - self._dialled.made_at >= DIAL_SECONDS_MAX:
            self._abandon_dial("too slow")
            self._failed(f"no hello within {DIAL_SECONDS_MAX:g} s")
        if self._offered is not None and now - self._offered.heard_at >= SILENCE_SECONDS_MAX:
            self._offered.end("it was not used", at_once=True)
            self._offered = None
        self._maybe_dial()
        if self._queue and not self.is_connecting:
            self._fail_queue(f"{self.peer} is not connected")

    def _maybe_dial(self) -> None:
        if (
            self.address is None
            or self.connection is not None
            or self.is_connecting
            or self._home.now() < self._next_dial
        ):
            return
        self._dial = self._home.dial(self)
        self._dial.task.add_done_callback(self._dial_has_ended)

    def was_dialled(self, connection: Connection) -> bool:
        """This node's own connection is made: say hello. False if it is not wanted any more."""
        if self._dial is None or connection is not self._dial.connection:
            return False    # abandoned meanwhile; another may be on its way
        # The task has nothing more to do, and must not be cancelled from here on: uvloop would close the connection
        # without a word, whatever it is used for by then.
        self._dial = None
        self._dialled = connection
        if not self.drops_outgoing:
            self._home.say_hello(connection, self.peer, Verdict.WELCOME)
        return True

    def _dial_has_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, OSError):
            raise error
        if error is None or self._dial is None or task is not self._dial.task:
            return    # it is `_dialled` by now, or was abandoned
        self._dial = None
        self._failed(str(error))

    def _abandon_dial(self, why: str) -> None:
        """Nothing but a hello was said on it."""
        dial, self._dial = self._dial, None
        if dial is not None:
            dial.task.cancel()
        connection, self._dialled = self._dialled, None
        if connection is not None:
            connection.end(why, at_once=True)

    def was_answered(self, connection: Connection, hello: Hello, problem: str | None) -> None:
        """The peer's hello came on the connection that this node dialled. `problem`: why it is not the right one."""
        if self.drops_incoming or connection is not self._dialled:
            return
        self._dialled = None
        if problem is None and hello.verdict is Verdict.WELCOME:
            connection.say_alive()
            self._use(connection)
        elif problem is None and hello.verdict is Verdict.CROSSED:
            self._crossed_until = self._home.now() + DIAL_SECONDS_MAX
            connection.end("crossed")
        else:
            problem = problem or f"it refuses: {hello.why}"
            connection.end(problem)
            self._failed(problem)

    def was_asked(self, connection: Connection) -> None:
        """The peer has dialled this node, and is who it should be."""
        if self._dialled is not None and self._home.name < self.peer:
            self._home.say_hello(connection, self.peer, Verdict.CROSSED)
            connection.end("crossed")
            return
        old, self._offered = self._offered, connection
        if old is not None:
            old.end("the peer has dialled again", at_once=True)
        self._abandon_dial("the peer's own connection goes first")
        self._home.say_hello(connection, self.peer, Verdict.WELCOME)

    def may_write(self, connection: Connection) -> None:
        if connection is self.connection:
            self._flush_soon()

    def was_lost(self, connection: Connection, why: str) -> None:
        if connection is self.connection:
            self._lose(why)
        elif connection is self._offered:
            self._offered = None
        elif connection is self._dialled:
            self._dialled = None
            self._failed(why)

    def _use(self, connection: Connection) -> None:
        was_up = self.connection is not None
        if self.connection is not None:
            self.connection.end("the peer has dialled again", at_once=True)
            self._lose("the peer has dialled again", keep_queue=True)
        assert self.connection is None
        self._abandon_dial("there is a connection")
        self.connection = connection
        self._crossed_until = 0.0
        self._failures = 0
        self._said = ""
        self.counters.connections += 1
        logger.info("%s is connected from %s", self.peer, connection.address)
        self._flush_soon()
        if not was_up:
            self._home.has_changed(self.peer, True)

    def _lose(self, why: str, *, keep_queue: bool = False) -> None:
        """The connection in use is over: what was sent and not answered will not be."""
        assert self.connection is not None
        self.connection = None
        self.counters.connections_lost += 1
        self._next_dial = self._home.now() + PAUSE_SECONDS_MIN * self._home.jitter()
        level = logging.INFO if self.is_forgotten else logging.WARNING
        logger.log(level, "%s is not connected any more: %s", self.peer, why)
        for request in [request for request in self._requests.values() if request.is_sent]:
            if not request.is_over:    # what one is told may end another
                self._finish(request, NoAnswer(f"the connection with {self.peer} was lost: {why}"))
        if not keep_queue:
            self._fail_queue(f"the connection with {self.peer} was lost: {why}")
            self._home.has_changed(self.peer, False)

    def _failed(self, why: str) -> None:
        """To dial. Wait a little, and longer each time; by chance, so that not all nodes do it at the same moments."""
        pause = min(PAUSE_SECONDS_MIN * 2.0 ** min(self._failures, 30), PAUSE_SECONDS_MAX)
        self._failures += 1
        self.counters.dials_failed += 1
        self._next_dial = self._home.now() + pause * self._home.jitter()
        if why != self._said:    # not each second the same
            self._said = why
            logger.warning("%s cannot be reached: %s", self.peer, why)
        if not self.is_connecting and self.connection is None:
            self._fail_queue(f"{self.peer} cannot be reached: {why}")

    def _fail_queue(self, why: str) -> None:
        queue, self._queue = self._queue, deque()
        self._queued_bytes = 0
        for type_, _, _, _, request in queue:
            if type_ != REQUEST:
                self.counters.messages_dropped += 1
            elif request is not None and not request.is_over:
                self._finish(request, NotSent(why))


class Reply:
    """How a handler answers one request: called once, with the payload of the answer."""

    __slots__ = ("_send", "is_given")

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self.is_given = False

    def __call__(self, payload: bytes) -> None:
        assert not self.is_given, "a request is answered once"
        self.is_given = True
        self._send(payload)


def tell(then: Then, outcome: Outcome) -> None:
    """What whoever asked does with it is no reason to lose what others wait for."""
    try:
        then(outcome)
    except Exception:
        logger.exception("the outcome of a request could not be handled")
