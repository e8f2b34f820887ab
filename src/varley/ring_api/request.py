"""What a request asks for, parsed once: bucket, key, context, value, quorum.

Everything that can be wrong with it is said here, as `BadRequest` and its kin: an `HttpError` with the status and the
type that the client gets. Whether a context was handed out only the ring can tell.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from varley.http.routes import PlainRequest
from varley.ring_api.resources import BELOW
from varley.ring_node.settings import KEY_BYTES_MAX, VALUE_BYTES_MAX, is_bucket_name

CONTEXT_HEADER: Final = b"x-varley-context"
JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
MULTIPART: Final = "multipart/mixed"
# Nothing, and what curl and urllib say when nobody tells them what a body is. No web page can send a PUT or DELETE with
# it without asking first, as it can a POST.
_UNSAID: Final = ("", "application/x-www-form-urlencoded")

_BROKEN_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
T = TypeVar("T")


class HttpError(Exception):
    """An answer that is not a success, and the client's fault. `headers`: more of them."""

    def __init__(self, status: int, type: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.headers = headers or {}


def bad(message: str) -> HttpError:
    return HttpError(400, "BadRequest", message)


class Place(msgspec.Struct, frozen=True):
    bucket: str
    key: bytes


class PutBody(msgspec.Struct, forbid_unknown_fields=True):
    value: bytes                    # base64 in JSON
    context: str | None = None


class DeleteBody(msgspec.Struct, forbid_unknown_fields=True):
    context: str | None = None


class JoinBody(msgspec.Struct, forbid_unknown_fields=True):
    zone: str | None = None
    capacity: float | None = None


class LeaveBody(msgspec.Struct, forbid_unknown_fields=True):
    name: str


def place_of(path: str) -> Place:
    """/ring/v1/carts/user%2F7 -> carts, b"user/7". Raises HttpError (400)."""
    if _BROKEN_PERCENT.search(path):
        raise bad("A percent sign in the path is not followed by two hexadecimal digits; send %25 for the sign itself")
    encoded_bucket, _, encoded_key = path[len(BELOW) :].partition("/")
    try:
        bucket = unquote_to_bytes(encoded_bucket.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise bad("The bucket's name is not UTF-8") from None
    if not is_bucket_name(bucket):
        raise bad("The path is /ring/v1/{bucket}/{key}, and a bucket's name has 1 to 64 printable bytes")
    key = unquote_to_bytes(encoded_key.encode("latin-1"))
    if not 1 <= len(key) <= KEY_BYTES_MAX:
        raise bad(f"A key has 1 to {KEY_BYTES_MAX} bytes, and this one has {len(key)}")
    return Place(bucket, key)


def parameters_of(request: PlainRequest, known: tuple[str, ...]) -> dict[str, str]:
    """The query. Raises HttpError (400) for what is not known, or comes twice."""
    pairs = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)
    for name, _ in pairs:
        if name not in known:
            allowed = " and ".join(known) or "none"
            raise bad(f"There is no parameter {name[:50]!r} here; there are {allowed}")
    if len(dict(pairs)) < len(pairs):
        raise bad("A parameter is given twice")
    return dict(pairs)


def quorum_of(parameters: dict[str, str], name: str) -> int | None:
    """`r` or `w`; whether it is at most N only the ring knows. Raises HttpError (400)."""
    text = parameters.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:6]) <= 255:
        raise bad(f"{name} is a number of nodes, from 1 to N, not {text[:50]!r}")
    return int(text)


def put_of(request: PlainRequest) -> tuple[bytes | None, bytes]:
    """(context, value). Raises HttpError: 400, 415."""
    kind = _content_type(request)
    if kind == JSON or kind in _UNSAID:
        body = _parsed(request, PutBody, '{"value": "<base64>", "context": "<from the last get>" or null}')
        value, contexts = body.value, {_as_context(body.context)}
    elif kind == BYTES:
        value, contexts = request.body, set()
    else:
        raise HttpError(
            415, "UnsupportedMediaType", f"A value comes as {JSON}, or as it is with Content-Type: {BYTES}"
        )
    if len(value) > VALUE_BYTES_MAX:
        raise HttpError(400, "TooLarge", f"A value has {VALUE_BYTES_MAX} bytes at most, and this one has {len(value)}")
    contexts.add(_as_context(request.headers.get(CONTEXT_HEADER, b"").decode("latin-1")))
    return _the_one(contexts), value


def delete_of(request: PlainRequest, parameters: dict[str, str]) -> bytes | None:
    """The context, from wherever it stands. Raises HttpError (400, 415)."""
    contexts = {
        _as_context(parameters.get("context")),
        _as_context(request.headers.get(CONTEXT_HEADER, b"").decode("latin-1")),
    }
    if request.body:
        shape = '{"context": "<from the last get>"}'
        read = _parsed if _content_type(request) in _UNSAID else decoded
        contexts.add(_as_context(read(request, DeleteBody, shape).context))
    return _the_one(contexts)


def decoded(request: PlainRequest, form: type[T], shape: str) -> T:
    """A JSON body. Raises HttpError: 415 if it is not said to be JSON, 400 if it is not of that shape."""
    if _content_type(request) != JSON:
        raise HttpError(415, "UnsupportedMediaType", f"The body is sent with Content-Type: {JSON}, and is {shape}")
    return _parsed(request, form, shape)


def _parsed(request: PlainRequest, form: type[T], shape: str) -> T:
    try:
        return msgspec.json.decode(request.body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad(f"{str(error)[:200]}. The body is {shape}") from None


def wants_bytes(request: PlainRequest) -> bool:
    """By Accept: values as they are, not in JSON. Raises HttpError (406) if the client would take neither."""
    accept = request.headers.get(b"accept")
    if accept is None:
        return False
    weights = dict(_weighted(part) for part in accept.decode("latin-1").lower().split(","))
    any_weight = weights.get("*/*", 0.0)
    as_json = weights.get(JSON, weights.get("application/*", any_weight))
    as_bytes = max(weights.get(BYTES, 0.0), weights.get(MULTIPART, 0.0))
    if not as_json and not as_bytes:
        raise HttpError(406, "NotAcceptable", f"Values are answered as {JSON}, or as {BYTES} and {MULTIPART}")
    return as_bytes > as_json or (as_bytes == as_json and JSON not in weights)


def _weighted(part: str) -> tuple[str, float]:
    name, _, parameters = part.partition(";")
    found = re.search(r"(?:^|;)\s*q=([0-9.]+)", parameters)
    try:
        return name.strip(), float(found[1]) if found else 1.0
    except ValueError:
        return name.strip(), 1.0


def _content_type(request: PlainRequest) -> str:
    return request.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()


def _as_context(text: str | None) -> bytes | None:
    """An empty one is none: an empty header, `?context=`."""
    return text.encode("utf-8", "replace") if text else None


def _the_one(contexts: set[Any]) -> bytes | None:
    given = [context for context in contexts if context is not None]
    if len(given) > 1:
        raise bad("The context is given in two places, and they differ")
    return given[0] if given else None
