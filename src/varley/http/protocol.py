"""One client's connection: bytes in, calls to the handler, answers out in the order of the requests.

The parser is llhttp (httptools), strict. It calls us for the URL, each header, the body and the end of a
message; at the end, the handler is called there and then, in the call stack that received the bytes. No task,
no future, no timer exists per request: timeouts are found by the door's sweep, once a second.

What a request costs (CPU time on one core; ten headers, as boto3 sends them; an answer of 1 KB):

    the kernel's side of one read and one write      6.5 µs
    uvloop                                           1   µs
    llhttp and our callbacks for it                  2.6 µs     0.5 of it would remain without callbacks
    telling the plain case apart, Call, counters     2   µs
    the answer                                       0.9 µs     0.4 of it CRC-32

Rejected: a regular expression over the whole head (as dear as llhttp, and a second opinion on where a
request ends is what request smuggling is made of); callbacks in C (dict.__setitem__ for on_header: 0.6 µs
saved, most of it lost again by looking up each name in every spelling, and a header that is sent twice goes
unnoticed); BufferedProtocol (two calls in place of one: 0.2 µs lost).

The life of a connection, by what is set:

    idle        _url is empty, _waiting is empty                     closed after idle_seconds
    receiving   _url is set; _head too once it is complete           408 after head_seconds, body_seconds
    waiting     _waiting holds calls whose answers are to come       no limit here: the handler has its own
    held back   _is_reading is false: what was received and is       until the client has taken its answers
                not begun waits in _held and _rest
    deaf        _is_deaf: what comes in is thrown away; once         cut off after linger_seconds, or
                the last answer is out the connection ends           write_seconds if it was no refusal

A client may send thousands of small requests for large answers in one go. So no more of them are begun than it
takes answers of, nor more in one turn of the loop than other connections can wait for: `_may_begin`. llhttp
cannot stop inside the bytes that it is fed, so requests that it finds after that are held (`_held`, those of
one slice at most), and further bytes are not fed (`_rest`); `_go_on` takes up both in a later turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import cast

import httptools

from varley.errors import ApiError, SerializationError, ServiceUnavailable, UnknownOperation
from varley.http import content_coding
from varley.http.call import Call, Handler, Terms
from varley.http.identity import identify, is_usual_form
from varley.http.reception import Reception
from varley.http.response import CLOSE, CONTINUE, KEEP_ALIVE
from varley.http.routes import PlainRequest, PlainResponse
from varley.http.wire import (
    JSON_CONTENT_TYPES,
    UNKNOWN_OPERATION_XML,
    MalformedHttpRequest,
    RequestEntityTooLarge,
    RequestHeadTooLarge,
    RequestTimeout,
    as_api_error,
    error_body,
    is_json,
    is_json_content_type,
)
from varley.limits import REQUEST_BODY_BYTES_MAX, REQUEST_HEAD_BYTES_MAX

# Header names as clients spell them -> lower case: a look-up for the ten that come with each request, where
# bytes.lower() would make a new object (and hash it again at each look-up after that).
_USUAL_NAMES = (
    b"Accept",
    b"Accept-Encoding",
    b"Amz-Sdk-Invocation-Id",
    b"Amz-Sdk-Request",
    b"Authorization",
    b"Connection",
    b"Content-Length",
    b"Content-Type",
    b"Host",
    b"User-Agent",
    b"X-Amz-Content-Sha256",
    b"X-Amz-Date",
    b"X-Amz-Security-Token",
    b"X-Amz-Target",
    b"X-Amz-User-Agent",
)
_LOWER = {spelling: name.lower() for name in _USUAL_NAMES for spelling in (name, name.lower())}

# A request with one of these is not the plain case, nor one with other values of those.
_UNUSUAL = frozenset({b"content-encoding", b"transfer-encoding", b"origin", b"upgrade"})
_USUAL_CONNECTION = frozenset({b"keep-alive", b"Keep-Alive"})

# Two of these would give a request two meanings (llhttp itself refuses a second Content-Length).
_AT_MOST_ONCE = frozenset(
    {b"authorization", b"content-encoding", b"content-length", b"host", b"transfer-encoding", b"x-amz-target"}
)

# More than this is fed to the parser in slices, so that the limits on head and body are looked at in between.
_SLICE_BYTES = 16 * 1024

# What one connection may have answered in one turn of the loop; the answer that goes beyond it is the turn's
# last. Each pipelined request counts as this many bytes more, so that small answers have an end too: 256 of
# them, which is some 3 ms.
_TURN_BYTES = 256 * 1024
_REQUEST_BYTES = 1024

# Answers that wait behind a call without one; with more, nothing further is begun.
_BEHIND_BYTES = 256 * 1024


class _Trailers(dict[bytes, bytes]):
    """Takes the fields that follow a chunked body, and forgets them.

    Trailers arrive by on_header too. They must not pass for headers: an Authorization among them would be one
    that no proxy in front of us has looked at. A dict that stays empty costs the headers no look at a flag.
    """

    def __setitem__(self, name: bytes, value: bytes) -> None:
        pass


_TRAILERS = _Trailers()


@dataclass(slots=True)
class _Message:
    """A whole request that does not take the short way, with what the parser knows of it until the next one."""

    url: bytes
    head: dict[bytes, bytes]
    body: bytes
    method: bytes
    version: str
    keeps_alive: bool
    upgrades: bool


class Connection(asyncio.Protocol):
    """See the top of the file. Everything here runs on the event loop's thread."""

    __slots__ = (
        "_began",
        "_behind_bytes",
        "_body",
        "_body_bytes_seen",
        "_continue_is_due",
        "_continued",
        "_door",
        "_fed_bytes",
        "_fed_bytes_seen",
        "_handler",
        "_head",
        "_headers",
        "_held",
        "_is_deaf",
        "_is_feeding",
        "_is_going_on",
        "_is_lingering",
        "_is_reading",
        "_is_refused",
        "_out",
        "_parser",
        "_refusal",
        "_rest",
        "_since",
        "_transport",
        "_turn_bytes",
        "_unsent_bytes",
        "_unsent_since",
        "_url",
        "_waiting",
        "_write",
    )

    _handler: Handler               # the door's; `_refuse_call` if this connection is one too many
    _transport: asyncio.Transport | None    # None before the connection is made and after it is lost
    _write: Callable[[bytes], None]         # the transport's; after the connection is lost, into nowhere

    # The message that is being received.
    _url: bytes                     # empty between messages
    _headers: dict[bytes, bytes]    # being filled; after the head, _TRAILERS
    _head: dict[bytes, bytes] | None        # complete; None until then
    _body: bytes | bytearray        # a bytearray from the second piece on
    _refusal: ApiError | None       # why this message gets no other answer; the connection ends with it
    _fed_bytes: int                 # since the last message ended
    _body_bytes_seen: int           # of _body, and _fed_bytes, when the body was last seen to have grown; both
    _fed_bytes_seen: int            # mean something only while _began is set
    _began: float | None            # door.now when it was first seen to be incomplete; None if it was not
    _continued: dict[bytes, bytes] | None   # the head whose Expect was seen to

    # Answers.
    _waiting: deque[Call | bytes]   # line of calls without an answer, and answers behind them; except inside
                                    # `settle` it never begins with an answer
    _behind_bytes: int              # size of the answers in that line
    _out: list[bytes]               # answers to write when the bytes received are used up
    _turn_bytes: int                # what is in _out, as _may_begin counts it
    _since: float                   # door.now at the last request or late answer: idle time counts from here
    _continue_is_due: bool          # "100 Continue" must wait until the line is empty

    # The end. Deaf and refused never become false again.
    _is_deaf: bool                  # no further request is answered
    _is_lingering: bool             # the end is a refusal, so we read on a little: see linger_seconds
    _is_refused: bool               # one connection too many: its first request is its last

    _is_feeding: bool               # inside data_received: answers are collected, to leave in one write
    _is_reading: bool               # False while no request is begun, and the transport is told to leave bytes
                                    # in the kernel
    _held: list[_Message | ApiError]    # requests that were parsed meanwhile. A refusal is the last. Nothing is
                                    # fed to the parser before these are begun
    _rest: bytes                    # received meanwhile, and not parsed. If there is anything in _held or _rest,
                                    # _is_reading is False, except inside `_go_on`
    _is_going_on: bool              # the loop will call `_go_on`
    _unsent_since: float | None     # door.now when the client was last seen to take a byte of a full buffer
    _unsent_bytes: int              # in that buffer, then

    def __init__(self, door: Reception) -> None:
        self._door = door
        self._handler = door.handler
        self._transport = None
        self._write = _write_nowhere
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers = {}
        self._head = None
        self._body = b""
        self._refusal = None
        self._fed_bytes = 0
        self._body_bytes_seen = 0
        self._fed_bytes_seen = 0
        self._began = None
        self._continued = None
        self._waiting = deque()
        self._behind_bytes = 0
        self._out = []
        self._turn_bytes = 0
        self._since = door.now
        self._continue_is_due = False
        self._is_deaf = False
        self._is_lingering = False
        self._is_refused = False
        self._is_feeding = False
        self._is_reading = True
        self._held = []
        self._rest = b""
        self._is_going_on = False
        self._unsent_since = None
        self._unsent_bytes = 0

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
        self._waiting.clear()
        self._out.clear()
        self._forget_unbegun()
        self._handler = self._door.handler  # these two may point back at us: leave no cycle to be collected
        del self._parser
        self._door.leave(self)

    def eof_received(self) -> bool:
        """The client has sent all it will. True keeps our half open, for answers that are still to come."""
        if self._waiting and self._door.settings.tls is None:
            self._is_deaf = True
            return True
        return False

    def data_received(self, data: bytes) -> None:
        """HOT PATH. One segment is most often one request, and its answer is written before this returns."""
        if self._is_deaf:
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

    def _feed(self, data: bytes) -> None:
        """HOT PATH."""
        self._fed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._feed_after_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse_unreadable(error)
        if self._url or self._refusal is not None:
            self._watch_incomplete()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """HOT PATH: ten times a request."""
        name = _LOWER.get(name) or name.lower()
        headers = self._headers
        if name in headers:
            value = self._repeated(name, value)
        headers[name] = value

    def on_headers_complete(self) -> None:
        self._head = self._headers
        self._headers = _TRAILERS

    def on_body(self, piece: bytes) -> None:
        if not self._body:
            self._body = piece
            return
        if len(self._body) + len(piece) > REQUEST_BODY_BYTES_MAX:
            self._refusal = RequestEntityTooLarge(_BODY_TOO_LARGE)
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += piece

    def on_message_complete(self) -> None:
        """HOT PATH. The plain case is told apart here and runs to its answer.

        `_answer_unusual` could answer those too: what is skipped here the conditions make needless.
        """
        head, url, body = self._head, self._url, self._body
        assert head is not None
        self._url = b""
        self._head = None
        self._body = b""
        self._headers = {}
        self._fed_bytes = 0
        self._began = None
        door = self._door
        self._since = door.now
        if self._is_deaf or self._refusal is not None:
            return
        if not isinstance(body, bytes):
            body = bytes(body)
        if (self._out or not self._is_reading) and not self._may_begin():
            self._held.append(self._message(url, head, body))
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
            and (connection is None or (connection in _USUAL_CONNECTION and self._is_http_1_1()))
            and b"host" in head
            and b"x-amz-date" in head
            and is_usual_form(authorization)
            and self._parser.get_method() == b"POST"
            and self._parser.should_keep_alive()        # False for HTTP/1.0 without a Connection header
            and not door.is_draining
        ):
            self._answer_unusual(self._message(url, head, body), started)
            return
        self._run(Call(self, operation, body, head, authorization, started))

    # ---- calls and their answers

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
        self._waiting.append(call)
        self._hold_reading_if_crowded()

    def _put(self, answer: bytes) -> None:
        """HOT PATH. An answer that is there at once: to be written, or to its place in the line."""
        if not self._waiting:
            self._out.append(answer)
            return
        self._waiting.append(answer)
        self._behind_bytes += len(answer)
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
        headers = b"" if call.terms is None else call.terms.headers
        return door.answers.answer(told.status, error_body(told), headers=headers)

    def settle(self, call: Call) -> None:
        """A call in the line has its answer: write it, and those behind it, if all before it are written."""
        waiting = self._waiting
        answer = call.answer
        assert answer is not None
        if self._transport is None:
            return
        if waiting[0] is not call:
            self._behind_bytes += len(answer)
            self._hold_reading_if_crowded()
            return
        waiting.popleft()
        self._out.append(answer)
        while waiting:
            first = waiting[0]
            answer = first if isinstance(first, bytes) else first.answer
            if answer is None:
                break
            self._out.append(answer)
            self._behind_bytes -= len(answer)
            waiting.popleft()
        self._since = self._door.now
        if not self._is_feeding:    # else what is in _out is written when that ends
            self._flush()

    def _flush(self) -> None:
        """HOT PATH. Write all answers that are due; see what follows from it."""
        out = self._out
        if out:
            self._write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
            self._turn_bytes = 0
        if not self._is_reading:
            self._resume_reading_if_clear()
        if self._waiting:
            return
        if self._is_deaf:
            self._end()
        elif self._continue_is_due and not self._held:
            self._continue_is_due = False
            if self._head is not None and self._head is self._continued:    # its body has not come unasked
                self._write(CONTINUE)

    # ---- all requests that are not the plain case

    def _message(self, url: bytes, head: dict[bytes, bytes], body: bytes) -> _Message:
        parser = self._parser
        return _Message(
            url,
            head,
            body,
            parser.get_method(),
            parser.get_http_version(),
            parser.should_keep_alive(),
            parser.should_upgrade(),
        )

    def _answer_unusual(self, message: _Message, started: float) -> None:
        """Every request can be answered here. What is not a call is answered at once."""
        terms = self._terms(message)
        path, _, query = _without_authority(message.url).partition(b"?")
        method = message.method
        try:
            self._check_message(message)
            if method == b"POST" and path == b"/":
                self._answer_call(query, message.head, message.body, started, terms)
            else:
                self._answer_plain(method, path, query, message.head, message.body, terms)
        except Exception as error:
            # Not here: a name for the error that outlives this block would make a cycle with the traceback,
            # which refers to this frame, and leave work for the collector.
            self._answer_error(error, method, path, terms)

    def _answer_error(self, error: Exception, method: bytes, path: bytes, terms: Terms) -> None:
        if isinstance(error, MalformedHttpRequest):
            self._refuse(error)
            return
        if not isinstance(error, ApiError):
            self._door.log_failure(error, f"{method.decode()} {path.decode('latin-1')} failed")
        told = as_api_error(error)
        self._door.traffic.refusals[told.code] += 1
        self._put(
            self._door.answers.answer(
                told.status, error_body(told), headers=terms.headers, body_is_sent=method != b"HEAD"
            )
        )

    def _terms(self, message: _Message) -> Terms:
        """What this client wants of the answer. Also decides whether the connection ends with it."""
        head = message.head
        headers = b""
        if not message.keeps_alive or self._door.is_draining or self._is_refused:
            self._is_deaf = True
            headers += CLOSE
        elif b"connection" in head:
            headers += KEEP_ALIVE       # an HTTP/1.0 client waits for these words
        if b"origin" in head:
            headers += self._door.origins.headers(head[b"origin"])
        return Terms(headers, content_coding.accepts_gzip(head.get(b"accept-encoding", b"")))

    def _check_message(self, message: _Message) -> None:
        """What HTTP/1.1 demands and llhttp does not check."""
        head = message.head
        version = message.version
        if version not in ("1.0", "1.1"):
            raise MalformedHttpRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here")
        if b"host" not in head and version == "1.1":
            raise MalformedHttpRequest("A request needs a Host header")
        if head.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise MalformedHttpRequest("The only Transfer-Encoding that is understood is chunked")
        if message.upgrades and head.keys() & {b"transfer-encoding", b"content-length"}:
            # llhttp takes what follows such a head for the other protocol: a body would pass for a request.
            raise MalformedHttpRequest("A request to upgrade the protocol must have no body")

    def _answer_call(
        self, query: bytes, head: dict[bytes, bytes], body: bytes, started: float, terms: Terms
    ) -> None:
        """`POST /`, checked in the order of the service."""
        if b"content-encoding" in head:
            body = content_coding.decode(body, head[b"content-encoding"], REQUEST_BODY_BYTES_MAX)
        if not is_json_content_type(head.get(b"content-type", b"")):
            self._answer_unknown(terms)
            return
        operation = self._door.targets.get(head.get(b"x-amz-target", b""))
        try:
            if operation is None:
                raise UnknownOperation
            identify(head, query)
        except ApiError:
            if not is_json(body):
                raise SerializationError from None
            raise
        call = Call(self, operation, body, head, head.get(b"authorization"), started)
        call.query = query
        call.terms = terms
        self._run(call)

    def _answer_plain(
        self, method: bytes, path: bytes, query: bytes, head: dict[bytes, bytes], body: bytes, terms: Terms
    ) -> None:
        if method == b"OPTIONS" and b"origin" in head:
            headers = terms.headers + self._door.origins.preflight_headers(head)
            self._put(self._door.answers.answer(200, b"", content_type=b"", headers=headers))
            return
        route = self._door.routes.find(path.decode("latin-1"))
        if route is None or (path == b"/" and method not in (b"GET", b"HEAD")):
            self._answer_unknown(terms, body_is_sent=method != b"HEAD")
            return
        asked = "GET" if method == b"HEAD" else method.decode()
        response = route(PlainRequest(asked, path.decode("latin-1"), query, head, body))
        self._put(self._plain_answer(response, terms, body_is_sent=method != b"HEAD"))

    def _plain_answer(self, response: PlainResponse, terms: Terms, *, body_is_sent: bool) -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
        headers = lines.encode("latin-1") + terms.headers
        body = response.body
        if terms.gzip and len(body) >= self._door.settings.gzip_bytes_min:
            body = content_coding.encode_gzip(body)
            headers += b"Content-Encoding: gzip\r\n"
        return self._door.answers.answer(
            response.status,
            body,
            content_type=response.content_type,
            headers=headers,
            body_is_sent=body_is_sent,
        )

    def _answer_unknown(self, terms: Terms, *, body_is_sent: bool = True) -> None:
        self._door.traffic.refusals["UnknownOperationException"] += 1
        self._put(
            self._door.answers.answer(
                404, UNKNOWN_OPERATION_XML, content_type=b"", headers=terms.headers, body_is_sent=body_is_sent
            )
        )

    # ---- refusals, and the end

    def _refuse(self, error: ApiError) -> None:
        """Answer a message that is not, or never will be, a whole request. The connection ends with it."""
        if self._held:
            self._held.append(error)    # after the answers to those
            return
        self._door.traffic.refusals[error.code] += 1
        self._is_deaf = True
        self._is_lingering = True
        self._url = b""
        self._body = b""
        self._put(self._door.answers.answer(error.status, error_body(error), headers=CLOSE))

    def _refuse_unreadable(self, error: httptools.HttpParserError) -> None:
        if isinstance(error, httptools.HttpParserCallbackError):
            assert error.__context__ is not None
            raise error.__context__         # ours: the loop logs it and ends the connection
        if not self._is_deaf:               # else it is what came after the last request: not our business
            self._refuse(MalformedHttpRequest(f"Not a valid HTTP request: {error}"))

    def _refuse_call(self, call: Call) -> bytes | None:
        """The handler of a connection that is one too many."""
        self._is_deaf = True
        call.terms = Terms(CLOSE)
        raise ServiceUnavailable("The server has too many connections. Try again.")

    def _repeated(self, name: bytes, value: bytes) -> bytes:
        """The value of a header that comes twice: joined by a comma, as RFC 9110 5.3 has it."""
        if name in _AT_MOST_ONCE:
            self._refusal = MalformedHttpRequest(f"There is more than one {name.decode()} header")
        return self._headers[name] + b"," + value

    def _end(self) -> None:
        """The last answer is written."""
        assert self._is_deaf
        if self._transport is None or self._transport.is_closing():
            return
        self._since = self._door.now
        if not self._is_lingering:
            self._transport.close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()

    def drain(self) -> None:
        """No further request. What is begun, or arrives in part, is answered; then the connection ends."""
        if self._transport is None:
            return
        if self._waiting:
            self._is_deaf = True
            last = self._waiting[-1]
            if isinstance(last, Call) and last.terms is None:
                last.terms = Terms(CLOSE)
        elif not self._url or self._is_deaf or self._held:
            self._transport.close()
        else:
            self._began = self._door.now    # from now on it has drain_seconds to arrive

    def cut_off(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # ---- limits of size and time

    def _feed_slices(self, data: bytes) -> None:
        """As far as requests may be begun; the rest is kept."""
        for start in range(0, len(data), _SLICE_BYTES):
            if self._is_deaf:
                return
            if not self._is_reading:
                self._rest = data[start:]
                return
            self._feed(data[start : start + _SLICE_BYTES])

    def _feed_after_upgrade(self, rest: bytes) -> None:
        """We upgrade to nothing, so the bytes after a request to upgrade are the next request."""
        while rest and not self._is_deaf:
            try:
                self._parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._refuse_unreadable(error)
                return

    def _watch_incomplete(self) -> None:
        """The bytes ended inside a message, or it cannot be answered: apply what limits it."""
        if self._is_deaf:
            return
        if self._began is None:
            self._began = self._door.now
            self._body_bytes_seen = 0
            self._fed_bytes_seen = self._fed_bytes
        refusal = self._refusal or self._why_not_to_go_on()
        if refusal is not None:
            self._refuse(refusal)
            return
        head = self._head
        if head is not None and head is not self._continued and b"expect" in head:
            self._continued = head
            self._invite_body(head[b"expect"])

    def _why_not_to_go_on(self) -> ApiError | None:
        if self._head is None:
            return RequestHeadTooLarge(_HEAD_TOO_LARGE) if self._fed_bytes > REQUEST_HEAD_BYTES_MAX else None
        if len(self._body) > self._body_bytes_seen:
            self._body_bytes_seen = len(self._body)
            self._fed_bytes_seen = self._fed_bytes
        elif self._fed_bytes - self._fed_bytes_seen > REQUEST_HEAD_BYTES_MAX:
            # Trailers, or what may stand behind the length of a chunk: nobody needs them, and the parser would
            # gather an endless one at a cost that is quadratic.
            return RequestHeadTooLarge(_TRAILERS_TOO_LARGE)
        # llhttp has checked that these are digits.
        is_large = int(self._head.get(b"content-length", b"0")) > REQUEST_BODY_BYTES_MAX
        return RequestEntityTooLarge(_BODY_TOO_LARGE) if is_large else None

    def _invite_body(self, expectation: bytes) -> None:
        """`Expect: 100-continue`: the client waits for our word before it sends the body."""
        if expectation.lower() != b"100-continue":
            return
        if self._waiting or self._held:
            self._continue_is_due = True    # the answers before it go first
        else:
            self._out.append(CONTINUE)

    def check_time(self, now: float) -> None:
        """The sweep, once a second: end what takes too long."""
        settings = self._door.settings
        transport = self._transport
        if transport is None:
            return
        if self._unsent_since is not None:
            self._check_unsent(transport, now)
        elif self._waiting:
            return
        elif self._is_deaf:
            patience = settings.linger_seconds if self._is_lingering else settings.write_seconds
            if now - self._since > patience:
                transport.abort()
        elif self._began is not None:
            if self._door.is_draining:
                if now - self._began > settings.drain_seconds:
                    transport.abort()
            elif now - self._began > self._seconds_to_arrive():
                self._refuse(RequestTimeout("The request took too long to arrive"))
                self._flush()
        elif now - self._since > settings.idle_seconds:
            transport.close()

    def _seconds_to_arrive(self) -> float:
        settings = self._door.settings
        if self._head is None:
            return settings.head_seconds
        return settings.body_seconds + len(self._body) / settings.body_bytes_per_second_min

    def _check_unsent(self, transport: asyncio.Transport, now: float) -> None:
        """The client does not read its answers as fast as we write them. As long as it reads some, it may."""
        assert self._unsent_since is not None
        unsent_bytes = transport.get_write_buffer_size()
        if unsent_bytes < self._unsent_bytes:
            self._unsent_since = now
        elif now - self._unsent_since > self._door.settings.write_seconds:
            transport.abort()
        self._unsent_bytes = unsent_bytes

    # ---- back-pressure

    def pause_writing(self) -> None:
        """The transport: the client does not read. Then we do not read its requests either."""
        transport = self._transport
        if transport is None:
            return
        self._unsent_since = self._door.now
        self._unsent_bytes = transport.get_write_buffer_size()
        self._hold_reading()

    def resume_writing(self) -> None:
        self._unsent_since = None
        self._resume_reading_if_clear()

    def _may_begin(self) -> bool:
        """Whether one more request may be begun, when the last one's answer is in _out or reading is held."""
        if self._is_reading:
            self._turn_bytes += len(self._out[-1]) + _REQUEST_BYTES
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
        while held and not self._is_deaf:
            if self._out and not self._may_begin():
                return
            message = held.pop(0)
            if isinstance(message, ApiError):
                held.clear()
                self._refuse(message)
            else:
                self._answer_unusual(message, perf_counter())
            if not self._is_reading:
                return
        if self._is_deaf:
            self._forget_unbegun()

    def _hold_reading_if_crowded(self) -> None:
        if len(self._waiting) >= self._door.settings.pipelined_max or self._behind_bytes > _BEHIND_BYTES:
            self._hold_reading()

    def _hold_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.pause_reading()

    def _resume_reading_if_clear(self) -> None:
        if self._is_reading or not self._is_clear():
            return
        if self._is_deaf:
            self._forget_unbegun()
        if not self._held and not self._rest:
            self._read_on()
        elif not self._is_going_on:
            self._is_going_on = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _is_clear(self) -> bool:
        """Whether nothing is in the way of further requests."""
        transport = self._transport
        return (
            transport is not None
            and not transport.is_closing()
            and self._unsent_since is None
            and len(self._waiting) * 2 <= self._door.settings.pipelined_max
            and self._behind_bytes <= _BEHIND_BYTES
        )

    def _read_on(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._is_reading = True
        if self._began is not None:
            self._began = self._door.now    # the client could not go on before
        transport.resume_reading()

    def _forget_unbegun(self) -> None:
        self._held.clear()
        self._rest = b""

    def _is_http_1_1(self) -> bool:
        return self._parser.get_http_version() == "1.1"


_HEAD_TOO_LARGE = f"The head of a request may have {REQUEST_HEAD_BYTES_MAX} bytes"
_TRAILERS_TOO_LARGE = f"Between the chunks of a body, and after them, may stand {REQUEST_HEAD_BYTES_MAX} bytes"
_BODY_TOO_LARGE = f"The body of a request may have {REQUEST_BODY_BYTES_MAX} bytes"


def _without_authority(url: bytes) -> bytes:
    """The path and query of a request line, which may name the whole URL (RFC 9112 3.2.2)."""
    if not url.startswith((b"http://", b"https://")):
        return url
    path_at = url.find(b"/", len(b"https://"))
    return url[path_at:] if path_at >= 0 else b"/"


def _write_nowhere(data: bytes) -> None:
    """For answers that come after their client has gone."""
