"""A request for a resource: method and path say what is wanted, as in `PUT /ring/v1/carts/7`.

To the connection it is a call like any other: it may be answered later, and answers leave in the order of requests. A
page (routes.py) is less, since it is answered at once; a call of DynamoDB's is told by a header and answered with 200
or an error. A resource's answer has a status, a type and headers of its own.
"""

from __future__ import annotations

from typing import Protocol

from varley.http.call import Answering, Call, Terms
from varley.http.routes import PlainRequest, PlainResponse


class Receiving(Answering, Protocol):
    """The side of a connection that a visit needs."""

    def response(self, visit: Visit, response: PlainResponse, error: str | None) -> bytes: ...


class Visit(Call):
    """`request.method` is "GET" for HEAD as well; then the answer's body is not sent."""

    __slots__ = ("_is_head", "_receiving", "request")

    request: PlainRequest

    def __init__(
        self,
        connection: Receiving,
        operation: str,
        request: PlainRequest,
        headers: dict[bytes, bytes],
        *,
        is_head: bool,
        terms: Terms,
        started: float,
    ) -> None:
        super().__init__(connection, operation, request.body, headers, None, started)
        self.query = request.query
        self.terms = terms
        self.request = request
        self._receiving = connection
        self._is_head = is_head

    @property
    def body_is_sent(self) -> bool:
        return not self._is_head

    def respond(self, response: PlainResponse, *, error: str | None = None) -> None:
        """Answer, once, in place of `reply`. `error`: what metrics call it, if it is one."""
        assert self.answer is None, "this visit was answered before"
        self.answer = self._receiving.response(self, response, error)
        if self.waits:
            self._receiving.settle(self)
