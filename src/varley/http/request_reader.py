"""From the bytes of one connection to whole requests.

The parser is llhttp (httptools), strict. It calls us for the URL, each header, the body and the end of a message; at
the end the connection gets the request there and then, in the call stack that received the bytes.

Rejected: a regular expression over the whole head (as dear as llhttp, and a second opinion on where a request ends is
what request smuggling is made of); callbacks in C (dict.__setitem__ for on_header: 0.6 µs saved, most of it lost
again by looking up each name in every spelling, and a header that is sent twice goes unnoticed).
"""

from __future__ import annotations

from typing import Protocol

import httptools

from varley.errors import ApiError
from varley.http.wire import MalformedHttpRequest, RequestEntityTooLarge, RequestHeadTooLarge
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

# Two of these would give a request two meanings (llhttp itself refuses a second Content-Length).
_AT_MOST_ONCE = frozenset(
    {b"authorization", b"content-encoding", b"content-length", b"host", b"transfer-encoding", b"x-amz-target"}
)

_HEAD_TOO_LARGE = f"The head of a request may have {REQUEST_HEAD_BYTES_MAX} bytes"
_TRAILERS_TOO_LARGE = f"Between the chunks of a body, and after them, may stand {REQUEST_HEAD_BYTES_MAX} bytes"
_BODY_TOO_LARGE = f"The body of a request may have {REQUEST_BODY_BYTES_MAX} bytes"


class _Trailers(dict[bytes, bytes]):
    """Takes the fields that follow a chunked body, and forgets them.

    Trailers arrive by on_header too. They must not pass for headers: an Authorization among them would be one
    that no proxy in front of us has looked at. A dict that stays empty costs the headers no look at a flag.
    """

    def __setitem__(self, name: bytes, value: bytes) -> None:
        pass


_TRAILERS = _Trailers()


class Receiver(Protocol):
    """The side of a connection that gets what was read."""

    is_deaf: bool    # it wants no further request

    def request(self, url: bytes, head: dict[bytes, bytes], body: bytes) -> None:
        """A whole one. Until this returns, `RequestReader.parser` knows its method and version."""
        ...

    def incomplete(self) -> None:
        """The bytes ended inside a message, or it cannot be answered: see `RequestReader.watch`."""
        ...

    def unreadable(self, error: ApiError) -> None:
        """They are not HTTP."""
        ...


class RequestReader:
    """What is known of the message that is arriving. `feed` it what the client sends, in pieces of any size."""

    __slots__ = (
        "_body",
        "_body_bytes_seen",
        "_fed_bytes",
        "_fed_bytes_seen",
        "_headers",
        "_receiver",
        "_refusal",
        "_url",
        "began",
        "head",
        "parser",
    )

    parser: httptools.HttpRequestParser
    head: dict[bytes, bytes] | None         # complete; None until then, and between messages
    began: float | None             # when the message was first seen to be incomplete; None if it was not

    _url: bytes                     # empty between messages
    _headers: dict[bytes, bytes]    # being filled; after the head, _TRAILERS
    _body: bytes | bytearray        # a bytearray from the second piece on
    _refusal: ApiError | None       # why this message gets no other answer; the connection ends with it
    _fed_bytes: int                 # since the last message ended
    _body_bytes_seen: int           # of _body, and _fed_bytes, when the body was last seen to have grown; both
    _fed_bytes_seen: int            # mean something only while `began` is set

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.parser = httptools.HttpRequestParser(self)
        self.head = None
        self.began = None
        self._url = b""
        self._headers = {}
        self._body = b""
        self._refusal = None
        self._fed_bytes = 0
        self._body_bytes_seen = 0
        self._fed_bytes_seen = 0

    @property
    def is_between_messages(self) -> bool:
        return not self._url

    @property
    def body_bytes(self) -> int:
        """How much of the body there is."""
        return len(self._body)

    def feed(self, data: bytes) -> None:
        """HOT PATH."""
        self._fed_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._feed_after_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(error)
        if self._url or self._refusal is not None:
            self._receiver.incomplete()

    def watch(self, now: float) -> ApiError | None:
        """The message is incomplete at `now`: why its rest need not come, if there is a reason."""
        if self.began is None:
            self.began = now
            self._body_bytes_seen = 0
            self._fed_bytes_seen = self._fed_bytes
        return self._refusal or self._why_not_to_go_on()

    def forget(self) -> None:
        """What has come of the message is of no use: it is refused."""
        self._url = b""
        self._body = b""

    def close(self) -> None:
        """No more use of it. (Parser and reader point at each other: leave no cycle to be collected.)"""
        del self.parser

    # What llhttp calls

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
        self.head = self._headers
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
        """HOT PATH."""
        url, head, body = self._url, self.head, self._body
        assert head is not None
        self._url = b""
        self.head = None
        self.began = None
        self._body = b""
        self._headers = {}
        self._fed_bytes = 0
        if self._refusal is None:
            self._receiver.request(url, head, body if isinstance(body, bytes) else bytes(body))

    # What is wrong with a message

    def _repeated(self, name: bytes, value: bytes) -> bytes:
        """The value of a header that comes twice: joined by a comma, as RFC 9110 5.3 has it."""
        if name in _AT_MOST_ONCE:
            self._refusal = MalformedHttpRequest(f"There is more than one {name.decode()} header")
        return self._headers[name] + b"," + value

    def _why_not_to_go_on(self) -> ApiError | None:
        if self.head is None:
            return RequestHeadTooLarge(_HEAD_TOO_LARGE) if self._fed_bytes > REQUEST_HEAD_BYTES_MAX else None
        if len(self._body) > self._body_bytes_seen:
            self._body_bytes_seen = len(self._body)
            self._fed_bytes_seen = self._fed_bytes
        elif self._fed_bytes - self._fed_bytes_seen > REQUEST_HEAD_BYTES_MAX:
            # Trailers, or what may stand behind the length of a chunk: nobody needs them, and the parser would
            # gather an endless one at a cost that is quadratic.
            return RequestHeadTooLarge(_TRAILERS_TOO_LARGE)
        # llhttp has checked that these are digits.
        is_large = int(self.head.get(b"content-length", b"0")) > REQUEST_BODY_BYTES_MAX
        return RequestEntityTooLarge(_BODY_TOO_LARGE) if is_large else None

    def _feed_after_upgrade(self, rest: bytes) -> None:
        """We upgrade to nothing, so the bytes after a request to upgrade are the next request."""
        while rest and not self._receiver.is_deaf:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._refuse(error)
                return

    def _refuse(self, error: httptools.HttpParserError) -> None:
        if isinstance(error, httptools.HttpParserCallbackError):
            assert error.__context__ is not None
            raise error.__context__         # ours: the loop logs it and ends the connection
        if not self._receiver.is_deaf:      # else it is what came after the last request: not our business
            self._receiver.unreadable(MalformedHttpRequest(f"Not a valid HTTP request: {error}"))
