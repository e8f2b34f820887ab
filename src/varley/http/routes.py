"""Other paths than `POST /`: health pages here, more from whoever builds the front door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

TEXT = b"text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """A request that is not a call of a DynamoDB operation. `headers` have lower-case names."""

    method: str                     # never "HEAD": that is asked as "GET", and the answer's body left out
    path: str                       # as sent, still percent-encoded
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


@dataclass(frozen=True, slots=True)
class PlainResponse:
    status: int
    body: bytes = b""
    content_type: bytes = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


# Answers at once, on the event loop: it must not block. May raise what `Call.fail` takes.
Route = Callable[[PlainRequest], PlainResponse]


class Routes:
    """Path -> route. A path that ends with a slash stands for everything below it; the longest match wins."""

    def __init__(self, table: Mapping[str, Route]) -> None:
        assert all(path.startswith("/") for path in table)
        self._exact = dict(table)
        below = [(path, route) for path, route in table.items() if path.endswith("/") and path != "/"]
        self._below = sorted(below, key=lambda entry: len(entry[0]), reverse=True)

    def find(self, path: str) -> Route | None:
        route = self._exact.get(path)
        if route is not None:
            return route
        return next((route for prefix, route in self._below if path.startswith(prefix)), None)


def health_routes(is_ready: Callable[[], bool]) -> dict[str, Route]:
    """`/` as AWS answers it, `/health` (this process is alive), `/ready` (it can serve: else 503)."""

    def root(request: PlainRequest) -> PlainResponse:
        return PlainResponse(200, b"healthy: " + request.headers.get(b"host", b""))

    def health(request: PlainRequest) -> PlainResponse:
        return PlainResponse(200, b"alive")

    def ready(request: PlainRequest) -> PlainResponse:
        return PlainResponse(200, b"ready") if is_ready() else PlainResponse(503, b"not ready")

    return {"/": root, "/health": health, "/ready": ready}
