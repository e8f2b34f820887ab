"""A whole request that does not take the short way: checks, terms, and the call that is in it.

What is a call is answered in the order in which the service looks at it (wire.py); what is none is for pages.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import httptools

from varley.errors import ApiError, SerializationError, UnknownOperation
from varley.http import content_coding
from varley.http.call import Answering, Call, Terms
from varley.http.identity import identify
from varley.http.reception import Reception
from varley.http.response import CLOSE, KEEP_ALIVE
from varley.http.routes import PlainRequest
from varley.http.visit import Receiving, Visit
from varley.http.wire import MalformedHttpRequest, is_json, is_json_content_type
from varley.limits import REQUEST_BODY_BYTES_MAX


@dataclass(slots=True)
class Message:
    """With what the parser knows of it until the next one."""

    url: bytes
    head: dict[bytes, bytes]    # names in lower case
    body: bytes                 # after chunks were undone, before the content encoding is
    method: bytes
    version: str                # "1.1"
    keeps_alive: bool           # the client's wish, by version and Connection header
    upgrades: bool

    @classmethod
    def of(cls, parser: httptools.HttpRequestParser, url: bytes, head: dict[bytes, bytes], body: bytes) -> Message:
        """The one whose end `parser` has just found."""
        return cls(
            url,
            head,
            body,
            parser.get_method(),
            parser.get_http_version(),
            parser.should_keep_alive(),
            parser.should_upgrade(),
        )

    def path_and_query(self) -> tuple[bytes, bytes]:
        path, _, query = _without_authority(self.url).partition(b"?")
        return path, query

    def terms(self, door: Reception, *, is_last: bool) -> Terms:
        """What this client wants of the answer. `is_last`: the connection ends with it."""
        head = self.head
        headers = b""
        if is_last:
            headers += CLOSE
        elif b"connection" in head:
            headers += KEEP_ALIVE       # an HTTP/1.0 client waits for these words
        if b"origin" in head:
            headers += door.origins.headers(head[b"origin"])
        return Terms(headers, content_coding.accepts_gzip(head.get(b"accept-encoding", b"")))

    def check(self) -> None:
        """What HTTP/1.1 demands and llhttp does not check. Raises MalformedHttpRequest."""
        head = self.head
        if self.version not in ("1.0", "1.1"):
            raise MalformedHttpRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here")
        if b"host" not in head and self.version == "1.1":
            raise MalformedHttpRequest("A request needs a Host header")
        if head.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise MalformedHttpRequest("The only Transfer-Encoding that is understood is chunked")
        if self.upgrades and head.keys() & {b"transfer-encoding", b"content-length"}:
            # llhttp takes what follows such a head for the other protocol: a body would pass for a request.
            raise MalformedHttpRequest("A request to upgrade the protocol must have no body")

    def call(self, door: Reception, connection: Answering, query: bytes, terms: Terms, started: float) -> Call | None:
        """Of a `POST /`: the call that it is; None if its content type says that it is none.

        Raises ApiError, in the order of the service.
        """
        head, body = self.head, self._decoded_body()
        if not is_json_content_type(head.get(b"content-type", b"")):
            return None
        operation = door.targets.get(head.get(b"x-amz-target", b""))
        try:
            if operation is None:
                raise UnknownOperation
            identify(head, query)
        except ApiError:
            if not is_json(body):
                raise SerializationError from None
            raise
        call = Call(connection, operation, body, head, head.get(b"authorization"), started)
        call.query = query
        call.terms = terms
        return call

    def visit(self, connection: Receiving, operation: str, terms: Terms, started: float) -> Visit:
        """Of a request for a resource. Raises ApiError if its content encoding is not what it says."""
        path, query = self.path_and_query()
        is_head = self.method == b"HEAD"
        method = "GET" if is_head else self.method.decode()
        request = PlainRequest(method, path.decode("latin-1"), query, self.head, self._decoded_body())
        return Visit(connection, operation, request, self.head, is_head=is_head, terms=terms, started=started)

    def _decoded_body(self) -> bytes:
        coding = self.head.get(b"content-encoding")
        return self.body if coding is None else content_coding.decode(self.body, coding, REQUEST_BODY_BYTES_MAX)


def _without_authority(url: bytes) -> bytes:
    """The path and query of a request line, which may name the whole URL (RFC 9112 3.2.2)."""
    if not url.startswith((b"http://", b"https://")):
        return url
    path_at = url.find(b"/", len(b"https://"))
    return url[path_at:] if path_at >= 0 else b"/"
