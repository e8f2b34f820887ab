"""Requests as bytes, answers as values. docs/ring_api.md describes both."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote_from_bytes

import msgspec

from varley.ring_client.found import Found, Sibling
from varley.ring_client.outcomes import OutcomeUnknown, Response, RingClientError, RingRefused, RingUnavailable

PLACEMENT_HEADER: Final = b"x-varley-placement"

_NOTHING_DONE: Final = frozenset({503})     # the node says so: docs/ring_api.md
_FAULTS: Final = frozenset({400, 403, 404, 405, 406, 409, 413, 415, 431})


class _Sibling(msgspec.Struct):
    value: bytes
    modified: float


class _Found(msgspec.Struct):
    values: list[_Sibling]
    context: str | None


class _Put(msgspec.Struct):
    context: str | None
    coordinator: str


class _Problem(msgspec.Struct):
    type: str
    message: str


class _Error(msgspec.Struct):
    error: _Problem


def target(bucket: str, key: bytes, query: str = "") -> str:
    # Dots too: "." and ".." would be taken out of a path by whatever stands between.
    encoded = quote_from_bytes(key, safe="").replace(".", "%2E")
    return f"/ring/v1/{quote_from_bytes(bucket.encode(), safe='')}/{encoded}{'?' + query if query else ''}"


def get_request(bucket: str, key: bytes, r: int | None) -> bytes:
    return request("GET", target(bucket, key, "" if r is None else f"r={r}"))


def fetch_request(bucket: str, key: bytes, version: str) -> bytes:
    return request("GET", target(bucket, key, "replica"), f"X-Varley-Placement: {version}\r\n")


def write_request(
    bucket: str, key: bytes, value: bytes | None, context: str | None, w: int | None, version: str | None
) -> bytes:
    """`value` None: delete."""
    lines = "" if context is None else f"X-Varley-Context: {_one_line(context)}\r\n"
    if version is not None:
        lines += f"X-Varley-Placement: {version}\r\n"
    path = target(bucket, key, "" if w is None else f"w={w}")
    if value is None:
        return request("DELETE", path, lines)
    return request("PUT", path, lines + "Content-Type: application/octet-stream\r\n", value)


def request(method: str, path: str, lines: str = "", body: bytes = b"") -> bytes:
    """The Host header is filled in by the connection: see `addressed`."""
    length = f"Content-Length: {len(body)}\r\n" if method not in ("GET", "DELETE") else ""
    return f"{method} {path} HTTP/1.1\r\n{length}{lines}".encode() + b"\r\n" + body


def addressed(request: bytes, host: bytes) -> bytes:
    line, _, rest = request.partition(b"\r\n")
    return b"%b\r\nHost: %b\r\n%b" % (line, host, rest)


def found_of(response: Response) -> Found:
    """Raises RingClientError."""
    if response.status not in (200, 404):
        raise error_of(response, is_write=False)
    try:
        body = msgspec.json.decode(response.body, type=_Found)
    except msgspec.DecodeError:
        raise error_of(response, is_write=False) from None
    return Found(tuple(Sibling(each.value, each.modified) for each in body.values), body.context)


def put_of(response: Response) -> tuple[str | None, str]:
    """(context, coordinator). Raises RingClientError."""
    if response.status != 200:
        raise error_of(response, is_write=True)
    try:
        body = msgspec.json.decode(response.body, type=_Put)
    except msgspec.DecodeError:
        raise OutcomeUnknown(f"the answer is not the ring's: {response.body[:100]!r}") from None
    return body.context, body.coordinator


def error_of(response: Response, *, is_write: bool) -> RingClientError:
    """What an answer that is no success means for the outcome."""
    try:
        problem = msgspec.json.decode(response.body, type=_Error).error
    except msgspec.DecodeError:
        problem = _Problem("Status", f"HTTP {response.status}: {response.body[:100]!r}")
    kind: type[RingClientError]
    if response.status in _FAULTS:
        kind = RingRefused
    elif response.status in _NOTHING_DONE or not is_write:
        kind = RingUnavailable
    else:
        kind = OutcomeUnknown
    return kind(problem.message, problem.type)


def _one_line(context: str) -> str:
    if not context.isascii() or not context.isprintable():
        raise RingRefused("the context is not one that was handed out", "BadContext")
    return context
