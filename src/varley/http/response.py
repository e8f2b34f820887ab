"""Answers as bytes: status line, headers, body.

Each answer carries what AWS's carry: a request id of 52 characters, the CRC-32 of the body as it is sent
(SDKs compare it), the date. Most answers are a 200 whose head differs only in three numbers, so the rest of
that head is kept ready-made and renewed once a second, when the date in it changes.

    HTTP/1.1 200 OK
    Server: Varley
    Content-Type: application/x-amz-json-1.0
    Date: Sat, 21 Nov 2026 11:10:55 GMT
    x-amzn-RequestId: 2J8S0W5C9OXT1K9TE44DNL60UVZ7PGF3RAQ01X8BYKHMI6D5NOQW
    x-amz-crc32: 3133577039
    Content-Length: 22

    {"TableNames":["ttt"]}
"""

from __future__ import annotations

import random
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from zlib import crc32

JSON_1_0 = b"application/x-amz-json-1.0"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"Connection: close\r\n"
KEEP_ALIVE = b"Connection: keep-alive\r\n"

_REQUEST_ID_CHARS = 52
_REQUEST_IDS_AT_ONCE = 256
_BASE_36 = (b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 8)[:256]      # byte -> digit, for bytes.translate
_NUMBERS = b"%b\r\nx-amz-crc32: %d\r\nContent-Length: %d\r\n\r\n%b"   # filled in last: id, CRC, length, body


class AnswerWriter:
    """Makes answers. `wall_clock` gives seconds since the epoch; call `renew` when a second has passed."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._random = random.Random()
        self._request_ids: list[bytes] = []
        self._success = b""
        self._date = b""
        self.renew()

    def renew(self) -> None:
        """Put the present date into the ready-made heads."""
        self._date = formatdate(self._wall_clock(), usegmt=True).encode()
        self._success = self._static_head(200, JSON_1_0, b"") + _NUMBERS

    def success(self, body: bytes) -> bytes:
        """A 200 with a JSON body and no other header. HOT PATH: a quarter of a microsecond, and the CRC."""
        request_ids = self._request_ids
        if not request_ids:
            self._make_request_ids()
        return self._success % (request_ids.pop(), crc32(body), len(body), body)

    def answer(
        self,
        status: int,
        body: bytes,
        *,
        content_type: bytes = JSON_1_0,
        headers: bytes = b"",
        body_is_sent: bool = True,
    ) -> bytes:
        """Any answer. `headers` are whole lines with their CRLF. To a HEAD, the body is not sent."""
        assert not headers or headers.endswith(b"\r\n")
        if not self._request_ids:
            self._make_request_ids()
        template = self._static_head(status, content_type, headers) + _NUMBERS
        sent = body if body_is_sent else b""
        return template % (self._request_ids.pop(), crc32(body), len(body), sent)

    def _static_head(self, status: int, content_type: bytes, headers: bytes) -> bytes:
        """All that stands before the request id. It becomes a template, so a percent sign is doubled."""
        lines = b"HTTP/1.1 %d %b\r\nServer: Varley\r\n" % (status, HTTPStatus(status).phrase.encode())
        if content_type:
            lines += b"Content-Type: %b\r\n" % content_type
        lines += b"%bDate: %b\r\nx-amzn-RequestId: " % (headers, self._date)
        return lines.replace(b"%", b"%%")

    def _make_request_ids(self) -> None:
        """Random digits for many ids at a time: 0.2 µs an id, where os.urandom would cost a system call each.

        36**52 is 2**268: they do not repeat. They are no secret, so the Mersenne Twister will do. (The digits
        0..3 come up an eighth more often than the others, since 256 is not a multiple of 36.)
        """
        digits = self._random.randbytes(_REQUEST_IDS_AT_ONCE * _REQUEST_ID_CHARS).translate(_BASE_36)
        self._request_ids.extend(
            digits[start : start + _REQUEST_ID_CHARS] for start in range(0, len(digits), _REQUEST_ID_CHARS)
        )
