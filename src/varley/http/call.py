"""One request for one operation, as a handler sees it.

A handler either returns the answer's body, and the answer goes out in the same call stack that received the
request, or returns None and calls `reply` or `fail` once, later, on the event loop's thread. Answers leave a
connection in the order of its requests, whatever the order in which they come; the connection sees to that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from varley.http.identity import Identity, identify
from varley.remote.peers import Peers


@dataclass(frozen=True, slots=True)
class Terms:
    """What an answer must have beyond the usual: asked for by the client, or because the connection ends."""

    headers: bytes = b""            # whole lines, each with its CRLF
    gzip: bool = False              # the client takes gzip; small bodies go plain all the same


class Answering(Protocol):
    """The side of a connection that a call needs."""

    def success(self, call: Call, body: bytes) -> bytes: ...
    def failure(self, call: Call, error: BaseException) -> bytes: ...
    def settle(self, call: Call) -> None: ...


class Call:
    """A request. HOT PATH: one is made for each, so it has slots, and no more of them than needed."""

    __slots__ = (
        "_connection",
        "answer",
        "authorization",
        "body",
        "headers",
        "operation",
        "query",
        "started",
        "terms",
        "waits",
    )

    operation: str                  # "GetItem"; always one that the front door was told of
    body: bytes                     # after chunks and content encodings were undone; not yet known to be JSON
    headers: dict[bytes, bytes]     # names in lower case; a header sent twice is joined by commas
    authorization: bytes | None     # the Authorization header; None if the request was presigned
    query: bytes                    # what follows the question mark in the request line; signatures cover it
    started: float                  # time.perf_counter() at the end of the request's body
    terms: Terms | None             # None is the usual answer
    answer: bytes | None            # all of the response, once there is one; set at most once
    waits: bool                     # it stands in the connection's line, and `settle` must hear of its answer

    # Who is asked for what other nodes have. On a single machine, where all is here, and for what another node has
    # passed on already: nobody.
    elsewhere: Peers | None = None
    # The group that another node asks about, if this is a part of a request.
    about: int | None = None

    def __init__(
        self,
        connection: Answering,
        operation: str,
        body: bytes,
        headers: dict[bytes, bytes],
        authorization: bytes | None,
        started: float,
    ) -> None:
        self._connection = connection
        self.operation = operation
        self.body = body
        self.headers = headers
        self.authorization = authorization
        self.started = started
        self.query = b""
        self.terms = None
        self.answer = None
        self.waits = False

    def identity(self) -> Identity:
        """Who signed it. Parsed at each call: ask once.

        Raises MissingAuthenticationToken, IncompleteSignature and the like: the client's fault.
        """
        return identify(self.headers, self.query)

    @property
    def body_is_sent(self) -> bool:
        """False if the client asked for the head of the answer alone."""
        return True

    def reply(self, body: bytes) -> None:
        """Answer with 200. At most one of `reply` and `fail`, once. Harmless if the client has gone."""
        assert self.answer is None, "this call was answered before"
        self.answer = self._connection.success(self, body)
        if self.waits:
            self._connection.settle(self)

    def fail(self, error: BaseException) -> None:
        """Answer with an error: an ApiError as it is, anything else as InternalServerError (HTTP 500)."""
        assert self.answer is None, "this call was answered before"
        self.answer = self._connection.failure(self, error)
        if self.waits:
            self._connection.settle(self)


# Returns the body of a 200, or None: `reply` or `fail` is called later, or was already. May raise what `fail`
# takes.
Handler = Callable[[Call], bytes | None]
