"""One client's connection: bytes in, calls to the handler, answers out in the order of the requests.

A request is handled there and then, in the call stack that received its last byte. No task, no future, no timer exists
per request. The parts, in the order in which a request meets them:

    request_reader.py   bytes -> whole requests; how large they may be
    protocol.py         the plain case, calls and their answers, back-pressure, the end      (this file)
    message.py          every other request: what is wrong with it, the call that is in it
    pages.py            ... and what is answered if there is none
    line.py             answers in the order of the requests
    patience.py         how long what may take

What a request costs (CPU time on one core; ten headers, as boto3 sends them; an answer of 1 KB):

    the kernel's side of one read and one write      6.5 µs
    uvloop                                           1   µs
    llhttp and our callbacks for it                  2.6 µs     0.5 of it would remain without callbacks
    telling the plain case apart, Call, counters     2   µs
    the answer                                       0.9 µs     0.4 of it CRC-32

Rejected: BufferedProtocol (two calls in place of one: 0.2 µs lost).

The life of a connection, by what is set:

    idle        between messages, and nobody waits in the line
    receiving   a message has begun to arrive
    waiting     the line holds calls whose answers are to come
    held back   _is_reading is false: what was received and is not begun waits in _held and _rest, until the client
                has taken its answers
    deaf        is_deaf: what comes in is thrown away; once the last answer is out the connection ends

A client may send thousands of small requests for large answers in one go. So no more of them are begun than it
takes answers of, nor more in one turn of the loop than other connections can wait for: `_may_begin`. llhttp
cannot stop inside the bytes that it is fed, so requests that it finds after that are held (`_held`, those of
one slice at most), and further bytes are not fed (`_rest`); `_go_on` takes up both in a later turn.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from time import perf_counter
from typing import cast

from varley.errors import ApiError, ServiceUnavailable
from varley.http import content_coding
from varley.http.call import Call, Handler, Terms
from varley.http.identity import is_usual_form
from varley.http.line import Line
from varley.http.message import Message
from varley.http.pages import encoded, page, unknown
from varley.http.patience import Patience
from varley.http.reception import Reception
from varley.http.request_reader import RequestReader
from varley.http.response import CLOSE, CONTINUE
from varley.http.routes import PlainResponse
from varley.http.visit import Visit
from varley.http.wire import JSON_CONTENT_TYPES, MalformedHttpRequest, RequestTimeout, as_api_error

# A request with one of these is not the plain case, nor one with other values of those.
_UNUSUAL = frozenset({b"content-encoding", b"transfer-encoding", b"origin", b"upgrade"})
_USUAL_CONNECTION = frozenset({b"keep-alive", b"Keep-Alive"})

# More than this is fed to the parser in slices, so that the limits on head and body are looked at in between.
_SLICE_BYTES = 16 * 1024

# What one connection may have answered in one turn of the loop; the answer that goes beyond it is the turn's
# last. Each pipelined request counts as this many bytes more, so that small answers have an end too: 256 of
# them, which is some 3 ms.
_TURN_BYTES = 256 * 1024
_REQUEST_BYTES = 1024

# From this size on a body is decoded without the cyclic collector.
_LARGE_BYTES = 1024 * 1024

# Answers that wait behind a call without one; with more, nothing further is begun.
_BEHIND_BYTES = 256 * 1024


class Connection(asyncio.Protocol):
    """See the top of the file. Everything here runs on the event loop's thread."""

    __slots__ = (
        "_continue_is_due",
        "_continued",
        "_door",
        "_feed",
        "_handler",
        "_held",
        "_is_feeding",
        "_is_going_on",
        "_is_lingering",
        "_is_reading",
        "_is_refused",
        "_line",
        "_patience",
        "_reader",
        "_rest",
        "_transport",
        "_turn_bytes",
        "_write",
        "is_deaf",
    )

    _handler: Handler               # the door's; `_refuse_call` if this connection is one too many
    _transport: asyncio.Transport | None    # None before the connection is made and after it is lost
    _write: Callable[[bytes], None]         # the transport's; after the connection is lost, into nowhere
    _reader: RequestReader          # the message that is being received; gone after the connection is lost
    _feed: Callable[[bytes], None]  # _reader.feed
    _line: Line                     # the answers
    _patience: Patience             # the times
    _continued: dict[bytes, bytes] | None   # the head whose Expect was seen to
    _continue_is_due: bool          # "100 Continue" must wait until the line is empty

    # The end. Deaf and refused never become false again.
    is_deaf: bool                   # no further request is answered
    _is_lingering: bool             # the end is a refusal, so we read on a little: see linger_seconds
    _is_refused: bool               # one connection too many: its first request is its last

    _is_feeding: bool               # inside data_received: answers are collected, to leave in one write
    _is_reading: bool               # False while no request is begun, and the transport is told to leave bytes
                                    # in the kernel
    _turn_bytes: int                # of the answers that are to leave in this turn, as _may_begin counts them
    _held: list[Message | ApiError]     # requests that were parsed meanwhile. A refusal is the last. Nothing is
                                    # fed to the parser before these are begun
    _rest: bytes                    # received meanwhile, and not parsed. If there is anything in _held or _rest,
                                    # _is_reading is False, except inside `_go_on`
    _is_going_on: bool              # the loop will call `_go_on`

    def __init__(self, door: Reception) -> None:
        self._door = door
        self._handler = door.handler
        self._transport = None
        self._write = _write_nowhere
        self._reader = RequestReader(self)
        self._feed = self._reader.feed
        self._line = Line()
        self._patience = Patience(door.settings, door.now)
        self._continued = None
        self._continue_is_due = False
        self.is_deaf = False
        self._is_lingering = False
        self._is_refused = False
        self._is_feeding = False
        self._is_reading = True
        self._turn_bytes = 0
        self._held = []
        self._rest = b""
        self._is_going_on = False

    # ---- bytes in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._write = self._transport.write
        place = self._door.enter(self)
        if place == "cut off":
            self._transport.abort()
        elif place == "refused":
            self._is_refused = True
            self._handler = self._refuse_call

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._write = _write_nowhere
        self._line.clear()
        self._forget_unbegun()
        self._handler = self._door.handler  # these may point back at us: leave no cycle to be collected
        self._reader.close()
        del self._reader, self._feed
        self._door.leave(self)

    def eof_received(self) -> bool:
        """The client has sent all it will. True keeps our half open, for answers that are still to come."""
        if self._line.waiting and self._door.settings.tls is None:
            self.is_deaf = True
            return True
        return False

    def data_received(self, data: bytes) -> None:
        """HOT PATH. One segment is most often one request, and its answer is written before this returns."""
        if self.is_deaf:
            return
        if not self._is_reading:
            self._rest += data      # it was on its way to us when we told the transport
            return
        self._is_feeding = True
        if len(data) > _SLICE_BYTES:
            self._feed_slices(data)
        else:
            self._feed(data)
        self._is_feeding = False
        self._flush()

    def _feed_slices(self, data: bytes) -> None:
        """As far as requests may be begun; the rest is kept."""
        for start in range(0, len(data), _SLICE_BYTES):
            if self.is_deaf:
                return
            if not self._is_reading:
                self._rest = data[start:]
                return
            self._feed(data[start : start + _SLICE_BYTES])

    # ---- what the reader finds

    def request(self, url: bytes, head: dict[bytes, bytes], body: bytes) -> None:
        """HOT PATH. The plain case is told apart here and runs to its answer.

        `_answer_unusual` could answer those too: what is skipped here the conditions make needless.
        """
        if self.is_deaf:
            return
        door = self._door
        self._patience.since = door.now
        parser = self._reader.parser
        if (self._line.out or not self._is_reading) and not self._may_begin():
            self._held.append(Message.of(parser, url, head, body))
            return
        started = perf_counter()
        operation = door.targets.get(head.get(b"x-amz-target", b""))
        authorization = head.get(b"authorization")
        encoding = head.get(b"accept-encoding")
        connection = head.get(b"connection")
        if not (
            url == b"/"
            and operation is not None
            and authorization is not None
            and head.get(b"content-type") in JSON_CONTENT_TYPES
            and _UNUSUAL.isdisjoint(head)
            and (encoding is None or encoding == b"identity")
            and (connection is None or (connection in _USUAL_CONNECTION and parser.get_http_version() == "1.1"))
            and b"host" in head
            and b"x-amz-date" in head
            and is_usual_form(authorization)
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()      # False for HTTP/1.0 without a Connection header
            and not door.is_draining
        ):
            self._answer_unusual(Message.of(parser, url, head, body), started)
            return
        call = Call(self, operation, body, head, authorization, started)
        if len(body) > _LARGE_BYTES:
            self._run_large(call)
        else:
            self._run(call)

    def incomplete(self) -> None:
        """Apply what limits it; invite a body that waits to be invited."""
        if self.is_deaf:
            return
        reader = self._reader
        refusal = reader.watch(self._door.now)
        if refusal is not None:
            self._refuse(refusal)
            return
        head = reader.head
        if head is not None and head is not self._continued and b"expect" in head:
            self._continued = head
            self._invite_body(head[b"expect"])

    def unreadable(self, error: ApiError) -> None:
        self._refuse(error)

    def _invite_body(self, expectation: bytes) -> None:
        """`Expect: 100-continue`: the client waits for our word before it sends the body."""
        if expectation.lower() != b"100-continue":
            return
        if self._line.waiting or self._held:
            self._continue_is_due = True    # the answers before it go first
        else:
            self._line.out.append(CONTINUE)

    def _answer_unusual(self, message: Message, started: float) -> None:
        """Every request can be answered here. What is not a call is answered at once."""
        door = self._door
        if not message.keeps_alive or door.is_draining or self._is_refused:
            self.is_deaf = True
        terms = message.terms(door, is_last=self.is_deaf)
        path, query = message.path_and_query()
        try:
            message.check()
            resource = door.resources(message.method, path.decode("latin-1"))
            if resource is not None:
                self._run(message.visit(self, resource, terms, started))
                return
            if message.method != b"POST" or path != b"/":
                self._put(page(door, message, terms))
                return
            call = message.call(door, self, query, terms, started)
            if call is None:
                self._put(unknown(door, terms))
            elif len(call.body) > _LARGE_BYTES:
                self._run_large(call)
            else:
                self._run(call)
        except Exception as error:
            # Not here: a name for the error that outlives this block would make a cycle with the traceback,
            # which refers to this frame, and leave work for the collector.
            self._answer_error(error, message.method, path, terms)

    def _answer_error(self, error: Exception, method: bytes, path: bytes, terms: Terms) -> None:
        if isinstance(error, MalformedHttpRequest):
            self._refuse(error)
            return
        if not isinstance(error, ApiError):
            self._door.log_failure(error, f"{method.decode()} {path.decode('latin-1')} failed")
        told = as_api_error(error)
        self._door.traffic.refusals[told.code] += 1
        self._put(self._told(told, terms.headers, body_is_sent=method != b"HEAD"))

    # ---- calls and their answers

    def _run_large(self, call: Call) -> None:
        """A body of megabytes: what it is decoded to is never a cycle, and looking for one in millions of new lists and
        maps, over and over while they are made, takes longer than making them."""
        if not gc.isenabled():
            self._run(call)
            return
        gc.disable()
        try:
            self._run(call)
        finally:
            gc.enable()

    def _run(self, call: Call) -> None:
        """HOT PATH. Call the handler; its answer goes out, or to its place in the line."""
        try:
            body = self._handler(call)
            answer = call.answer if body is None else self.success(call, body)
        except Exception as error:
            answer = self.failure(call, error)
        if answer is not None:
            self._put(answer)
            return
        call.waits = True
        self._line.waiting.append(call)
        self._hold_reading_if_crowded()

    def _put(self, answer: bytes) -> None:
        """HOT PATH. An answer that is there at once: to be written, or to its place in the line."""
        line = self._line
        if not line.waiting:
            line.out.append(answer)
            return
        line.stand_behind(answer)
        self._hold_reading_if_crowded()

    def success(self, call: Call, body: bytes) -> bytes:
        door = self._door
        terms = call.terms
        if terms is None:
            answer = door.answers.success(body)
        else:
            headers = terms.headers
            if terms.gzip and len(body) >= door.settings.gzip_bytes_min:
                body = content_coding.encode_gzip(body)
                headers += b"Content-Encoding: gzip\r\n"
            answer = door.answers.answer(200, body, headers=headers)
        door.traffic.answered(call.operation, call.started)
        return answer

    def failure(self, call: Call, error: BaseException) -> bytes:
        door = self._door
        if not isinstance(error, ApiError):
            door.log_failure(error, f"{call.operation} failed")
        told = as_api_error(error)
        door.traffic.answered(call.operation, call.started)
        door.traffic.failures[call.operation, told.status, told.code] += 1
        return self._told(told, b"" if call.terms is None else call.terms.headers, body_is_sent=call.body_is_sent)

    def response(self, visit: Visit, response: PlainResponse, error: str | None) -> bytes:
        door = self._door
        door.traffic.answered(visit.operation, visit.started)
        if error is not None:
            door.traffic.failures[visit.operation, response.status, error] += 1
        assert visit.terms is not None
        return encoded(door, response, visit.terms, body_is_sent=visit.body_is_sent)

    def _told(self, error: ApiError, headers: bytes, *, body_is_sent: bool = True) -> bytes:
        """An error, as this door words it."""
        door = self._door
        wording = door.wording
        return door.answers.answer(
            error.status,
            wording.error(error),
            content_type=wording.error_type,
            headers=headers,
            body_is_sent=body_is_sent,
        )

    def settle(self, call: Call) -> None:
        """A call in the line has its answer: write it, and those behind it, if all before it are written."""
        answer = call.answer
        assert answer is not None
        if self._transport is None:
            return
        if not self._line.settle(call, answer):
            self._hold_reading_if_crowded()
            return
        self._patience.since = self._door.now
        if not self._is_feeding:    # else what is to leave is written when that ends
            self._flush()

    def _flush(self) -> None:
        """HOT PATH. Write all answers that are due; see what follows from it."""
        line = self._line
        out = line.out
        if out:
            self._write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
            self._turn_bytes = 0
        if not self._is_reading:
            self._resume_reading_if_clear()
        if line.waiting:
            return
        if self.is_deaf:
            self._end()
        elif self._continue_is_due and not self._held:
            self._continue_is_due = False
            if self._continued is not None and self._reader.head is self._continued:    # its body has not come unasked
                self._write(CONTINUE)

    # ---- refusals, and the end

    def _refuse(self, error: ApiError) -> None:
        """Answer a message that is not, or never will be, a whole request. The connection ends with it."""
        if self._held:
            self._held.append(error)    # after the answers to those
            return
        self._door.traffic.refusals[error.code] += 1
        self.is_deaf = True
        self._is_lingering = True
        self._reader.forget()
        self._put(self._told(error, CLOSE))

    def _refuse_call(self, call: Call) -> bytes | None:
        """The handler of a connection that is one too many."""
        self.is_deaf = True
        call.terms = Terms(CLOSE)
        raise ServiceUnavailable("The server has too many connections. Try again.")

    def _end(self) -> None:
        """The last answer is written."""
        assert self.is_deaf
        if self._transport is None or self._transport.is_closing():
            return
        self._patience.since = self._door.now
        if not self._is_lingering:
            self._transport.close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()

    def drain(self) -> None:
        """No further request. What is begun, or arrives in part, is answered; then the connection ends."""
        if self._transport is None:
            return
        waiting = self._line.waiting
        if waiting:
            self.is_deaf = True
            last = waiting[-1]
            if isinstance(last, Call) and last.terms is None:
                last.terms = Terms(CLOSE)
        elif self._reader.is_between_messages or self.is_deaf or self._held:
            self._transport.close()
        else:
            self._reader.began = self._door.now     # from now on it has drain_seconds to arrive

    def cut_off(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def check_time(self, now: float) -> None:
        """The sweep, once a second: end what takes too long."""
        transport, patience = self._transport, self._patience
        if transport is None:
            return
        if patience.unsent_since is not None:
            verdict = patience.with_unsent(now, transport.get_write_buffer_size())
        elif self._line.waiting:
            return
        elif self.is_deaf:
            verdict = patience.with_ending(now, is_lingering=self._is_lingering)
        else:
            verdict = patience.with_request(now, self._reader, is_draining=self._door.is_draining)
        if verdict == "cut off":
            transport.abort()
        elif verdict == "close":
            transport.close()
        elif verdict == "refuse":
            self._refuse(RequestTimeout("The request took too long to arrive"))
            self._flush()

    # ---- back-pressure

    def pause_writing(self) -> None:
        """The transport: the client does not read. Then we do not read its requests either."""
        transport = self._transport
        if transport is None:
            return
        self._patience.buffer_is_full(self._door.now, transport.get_write_buffer_size())
        self._hold_reading()

    def resume_writing(self) -> None:
        self._patience.buffer_has_room()
        self._resume_reading_if_clear()

    def _may_begin(self) -> bool:
        """Whether one more request may be begun, when the last one's answer has yet to leave, or reading is held."""
        if self._is_reading:
            self._turn_bytes += len(self._line.out[-1]) + _REQUEST_BYTES
            if self._turn_bytes > _TURN_BYTES:
                self._hold_reading()
        return self._is_reading

    def _go_on(self) -> None:
        """From the loop: begin what was held back, as far as it goes; if that is all of it, read on."""
        self._is_going_on = False
        if not self._is_clear():
            return                  # it has become crowded since; when that ends, we are called again
        self._is_reading = True
        self._is_feeding = True
        try:
            self._begin_held()
            if self._is_reading:
                rest, self._rest = self._rest, b""
                self._feed_slices(rest)
        except BaseException:       # a bug. The transport does the same when data_received fails
            self.cut_off()
            raise
        self._is_feeding = False
        self._flush()
        if self._is_reading:
            self._read_on()

    def _begin_held(self) -> None:
        held = self._held
        while held and not self.is_deaf:
            if self._line.out and not self._may_begin():
                return
            message = held.pop(0)
            if isinstance(message, ApiError):
                held.clear()
                self._refuse(message)
            else:
                self._answer_unusual(message, perf_counter())
            if not self._is_reading:
                return
        if self.is_deaf:
            self._forget_unbegun()

    def _hold_reading_if_crowded(self) -> None:
        line = self._line
        if len(line.waiting) >= self._door.settings.pipelined_max or line.behind_bytes > _BEHIND_BYTES:
            self._hold_reading()

    def _hold_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.pause_reading()

    def _resume_reading_if_clear(self) -> None:
        if self._is_reading or not self._is_clear():
            return
        if self.is_deaf:
            self._forget_unbegun()
        if not self._held and not self._rest:
            self._read_on()
        elif not self._is_going_on:
            self._is_going_on = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _is_clear(self) -> bool:
        """Whether nothing is in the way of further requests."""
        transport, line = self._transport, self._line
        return (
            transport is not None
            and not transport.is_closing()
            and self._patience.unsent_since is None
            and len(line.waiting) * 2 <= self._door.settings.pipelined_max
            and line.behind_bytes <= _BEHIND_BYTES
        )

    def _read_on(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._is_reading = True
        reader = self._reader
        if reader.began is not None:
            reader.began = self._door.now   # the client could not go on before
        transport.resume_reading()

    def _forget_unbegun(self) -> None:
        self._held.clear()
        self._rest = b""


def _write_nowhere(data: bytes) -> None:
    """For answers that come after their client has gone."""
