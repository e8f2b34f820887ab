"""The admin port itself: as much HTTP as a scraper, a probe and curl need.

One request per connection, no chunked bodies, a few kilobytes at most, a few seconds at most. It does not
share the front door's protocol: that one is made for speed and speaks for AWS, and the page that tells why
the front door is in trouble should not depend on it.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from varley.admin.pages import Page, Pages, Request
from varley.listening import cannot_listen

_HEAD_BYTES_MAX: Final = 16 * 1024
_BODY_BYTES_MAX: Final = 64 * 1024
_REQUEST_SECONDS_MAX: Final = 5.0


class AdminPort:
    """Serves `pages` on `host`:`port` from start() to stop(); port 0 takes a free one."""

    def __init__(self, pages: Pages, host: str, port: int) -> None:
        self._pages = pages
        self._host = host
        self._wanted_port = port
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; only between start() and stop()."""
        assert self._server is not None, "not started"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Raises WorldError when it cannot listen."""
        assert self._server is None, "started twice"
        try:
            self._server = await asyncio.start_server(
                self._serve, self._host, self._wanted_port, limit=_HEAD_BYTES_MAX
            )
        except OSError as error:
            raise cannot_listen(error, self._host, self._wanted_port, "admin_port") from error

    async def stop(self) -> None:
        """Stop listening. Harmless when it was never started. A request under way ends by itself."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS_MAX):
                request = await _read_request(reader)
                if request is not None:
                    page = self._pages.answer(request)
                    if not isinstance(page, Page):
                        page = await page
                    writer.write(_encoded(page, with_body=request.method != "HEAD"))
                else:
                    writer.write(_encoded(Page(400, "text/plain", b"This is not an HTTP request\n")))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass    # it went away, or never said what it wanted; nobody is there to be told
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    """The request, or None if it is not one that we take."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return None
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > _BODY_BYTES_MAX or "transfer-encoding" in headers:
        return None
    body = await reader.readexactly(int(length))
    return Request(words[0], words[1].partition("?")[0], headers, body)


def _encoded(page: Page, *, with_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\n"
        f"content-type: {page.content_type}\r\n"
        f"content-length: {len(page.body)}\r\n"
        "cache-control: no-store\r\n"
        "connection: close\r\n"
        "\r\n"
    )
    return head.encode("latin-1") + (page.body if with_body else b"")
