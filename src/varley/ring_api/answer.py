"""What a client is told.

    {"context": "…", "values": [{"value": "<base64>", "modified": 1700000000.5}], "answered": ["a", "b"],
     "sloppy": false}
    {"error": {"type": "NotEnough", "message": "…", "answered": 1, "needed": 2}}

A client acts upon an error by what it says of the outcome, so the HTTP status says it too: 4xx and 503 are surely
without effect, 504 and 500 leave it open.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, Final

import msgspec

from varley.errors import ApiError
from varley.http.routes import PlainResponse
from varley.http.wording import Wording
from varley.ring_api.request import BYTES, JSON, MULTIPART, HttpError
from varley.ring_node.service import (
    BadContext,
    BadRequest,
    Got,
    NotEnough,
    Put,
    RingError,
    TooLarge,
    TooManySiblings,
    Unavailable,
    Unknown,
    Value,
)

CONTEXT: Final = "X-Varley-Context"
MODIFIED: Final = "X-Varley-Modified"
JSON_TYPE: Final = JSON.encode()
RETRY_SECONDS: Final = 1

# Class of the answer -> (HTTP status, type of the error)
ERRORS: Final[Mapping[type[RingError], tuple[int, str]]] = {
    BadRequest: (400, "BadRequest"),
    BadContext: (400, "BadContext"),
    TooManySiblings: (409, "TooManySiblings"),
    TooLarge: (400, "TooLarge"),
    NotEnough: (503, "NotEnough"),
    Unavailable: (503, "Unavailable"),
    Unknown: (504, "OutcomeUnknown"),
}


def json_response(status: int, members: Any, headers: Mapping[str, str] | None = None) -> PlainResponse:
    return PlainResponse(status, msgspec.json.encode(members), JSON_TYPE, headers or {})


def put_response(put: Put, headers: Mapping[str, str]) -> PlainResponse:
    """`headers`: more of them."""
    context = None if put.context is None else put.context.decode()
    members = {"context": context, "coordinator": put.coordinator}
    return json_response(200, members, {**_context_header(put.context), **headers})


def got_response(got: Got, *, as_bytes: bool) -> PlainResponse:
    """200 with all siblings; 404 if there are none, with a context if there were some once."""
    if not got.values:
        return _nothing(got)
    if as_bytes:
        return _as_they_are(got)
    return json_response(
        200,
        {
            "context": None if got.context is None else got.context.decode(),
            "values": [{"value": value.data, "modified": value.modified} for value in got.values],
            "answered": got.answered,
            "sloppy": got.is_sloppy,
        },
        _context_header(got.context),
    )


def error_of(error: RingError) -> tuple[int, str]:
    """(HTTP status, type)."""
    return ERRORS[type(error)]


def error_response(error: RingError) -> PlainResponse:
    status, name = error_of(error)
    members: dict[str, Any] = {"type": name, "message": error.message}
    headers = {}
    if isinstance(error, NotEnough):
        members |= {"answered": error.answered, "needed": error.needed}
    if isinstance(error, Unknown):
        members |= {"stored": error.stored, "needed": error.needed}
    if status == 503:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return json_response(status, {"error": members}, headers)


def problem_response(error: HttpError) -> PlainResponse:
    return json_response(error.status, {"error": {"type": error.type, "message": error.message}}, error.headers)


def _nothing(got: Got) -> PlainResponse:
    message = "There is nothing under this key" if got.context is None else "What was under this key is deleted"
    members: dict[str, Any] = {"error": {"type": "NotFound", "message": message}, "values": []}
    members["context"] = None if got.context is None else got.context.decode()
    return json_response(404, members, _context_header(got.context))


def _as_they_are(got: Got) -> PlainResponse:
    headers = _context_header(got.context)
    if len(got.values) == 1:
        [value] = got.values
        return PlainResponse(200, value.data, BYTES.encode(), headers | _times(value))
    boundary = secrets.token_hex(16)    # 128 bits by lot: in no value, but for one chance in 10^38
    parts = []
    for value in got.values:
        lines = "".join(f"{name}: {text}\r\n" for name, text in _times(value).items())
        head = f"--{boundary}\r\nContent-Type: {BYTES}\r\nContent-Length: {len(value.data)}\r\n{lines}\r\n"
        parts += [head.encode(), value.data, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return PlainResponse(200, b"".join(parts), f"{MULTIPART}; boundary={boundary}".encode(), headers)


def _times(value: Value) -> dict[str, str]:
    """Last-Modified has whole seconds; ours has all there is."""
    return {"Last-Modified": formatdate(value.modified, usegmt=True), MODIFIED: f"{value.modified:.6f}"}


def _context_header(context: bytes | None) -> dict[str, str]:
    return {} if context is None else {CONTEXT: context.decode()}


def _worded(error: ApiError) -> bytes:
    """What the front door itself refuses. Its names are AWS's; here they end before "Exception"."""
    return msgspec.json.encode({"error": {"type": error.code.removesuffix("Exception"), "message": error.message}})


WORDING: Final = Wording(
    error=_worded,
    error_type=JSON_TYPE,
    nothing=msgspec.json.encode(
        {"error": {"type": "NotFound", "message": "There is no such path. Keys are under /ring/v1/{bucket}/{key}"}}
    ),
    nothing_type=JSON_TYPE,
    exposed=f"{CONTEXT},{MODIFIED},Last-Modified,Retry-After,Date".encode(),
)
