"""Cross-origin requests: what a browser must read before a page may talk to us.

AWS answers every origin with `*`, and so does DynamoDB Local unless told otherwise. A request without an
Origin header is not a browser's, and its answer carries none of this.

With `*`, and without verified signatures, any page that a developer has open can reach a server on their
machine. A list of origins, or an empty one, shuts that out: every call to DynamoDB has headers of its own
(X-Amz-Target), so a browser asks with OPTIONS first, and sends nothing if that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_ANY = "*"
_PREFLIGHT_SECONDS = 172800         # two days, as AWS says
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9_, -]+")


class Origins:
    """The origins that may call us: `("*",)` is all, an empty list none. `exposed`: headers for their pages."""

    def __init__(self, allowed: Sequence[str], exposed: bytes) -> None:
        self._any = _ANY in allowed
        self._exposed = exposed
        self._allowed = frozenset(origin.encode() for origin in allowed)

    def headers(self, origin: bytes) -> bytes:
        """Header lines for the answer to a request from `origin`; none if it is not allowed."""
        allow = self._allow(origin)
        return allow + b"Access-Control-Expose-Headers: %b\r\n" % self._exposed if allow else b""

    def preflight_headers(self, request: Mapping[bytes, bytes]) -> bytes:
        """More lines for the answer to OPTIONS: what was asked for is granted, if the origin is allowed."""
        if not self._allow(request.get(b"origin", b"")):
            return b""
        methods = request.get(b"access-control-request-method", b"POST")
        names = request.get(b"access-control-request-headers", b"")
        granted = b"Access-Control-Max-Age: %d\r\n" % _PREFLIGHT_SECONDS
        if _HEADER_NAMES.fullmatch(methods):
            granted += b"Access-Control-Allow-Methods: %b\r\n" % methods
        if _HEADER_NAMES.fullmatch(names):
            granted += b"Access-Control-Allow-Headers: %b\r\n" % names
        return granted

    def _allow(self, origin: bytes) -> bytes:
        if self._any:
            return b"Access-Control-Allow-Origin: *\r\n"
        if origin in self._allowed:
            return b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n" % origin
        return b""
