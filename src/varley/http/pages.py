"""Answers to requests that are not calls: routes (routes.py), what a browser asks first, and what there is not."""

from __future__ import annotations

from varley.http import content_coding
from varley.http.call import Terms
from varley.http.message import Message
from varley.http.reception import Reception
from varley.http.routes import PlainRequest, PlainResponse


def page(door: Reception, message: Message, terms: Terms) -> bytes:
    """The whole answer to `message`. Raises what its route raises."""
    path, query = message.path_and_query()
    method = message.method
    if method == b"OPTIONS" and b"origin" in message.head:
        headers = terms.headers + door.origins.preflight_headers(message.head)
        return door.answers.answer(200, b"", content_type=b"", headers=headers)
    route = door.routes.find(path.decode("latin-1"))
    if route is None or (path == b"/" and method not in (b"GET", b"HEAD")):
        return unknown(door, terms, body_is_sent=method != b"HEAD")
    asked = "GET" if method == b"HEAD" else method.decode()
    response = route(PlainRequest(asked, path.decode("latin-1"), query, message.head, message.body))
    return encoded(door, response, terms, body_is_sent=method != b"HEAD")


def unknown(door: Reception, terms: Terms, *, body_is_sent: bool = True) -> bytes:
    """The answer to what is neither a call nor a page."""
    door.traffic.refusals["UnknownOperationException"] += 1
    wording = door.wording
    return door.answers.answer(
        404, wording.nothing, content_type=wording.nothing_type, headers=terms.headers, body_is_sent=body_is_sent
    )


def encoded(door: Reception, response: PlainResponse, terms: Terms, *, body_is_sent: bool) -> bytes:
    """The whole answer, on the client's terms."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
    headers = lines.encode("latin-1") + terms.headers
    body = response.body
    if terms.gzip and len(body) >= door.settings.gzip_bytes_min:
        body = content_coding.encode_gzip(body)
        headers += b"Content-Encoding: gzip\r\n"
    return door.answers.answer(
        response.status,
        body,
        content_type=response.content_type,
        headers=headers,
        body_is_sent=body_is_sent,
    )
