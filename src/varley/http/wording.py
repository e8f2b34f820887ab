"""How a door words what is wrong. DynamoDB's way is the usual one; an API that shares the front door brings its own.

Refusals that no handler sees (bytes that are no HTTP, a body that is too large, one connection too many) are worded by
the connection. So it has to know in which words, and nothing else about the API that it serves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from varley.errors import ApiError
from varley.http.response import JSON_1_0
from varley.http.wire import UNKNOWN_OPERATION_XML, error_body


@dataclass(frozen=True, slots=True)
class Wording:
    error: Callable[[ApiError], bytes]  # the body of an answer that is an error
    error_type: bytes                   # its content type
    nothing: bytes                      # the body of a 404 for what is neither a call nor a page
    nothing_type: bytes                 # its content type; empty: the answer has none
    exposed: bytes                      # headers of answers that web pages may read, comma-separated


DYNAMODB = Wording(
    error=error_body,
    error_type=JSON_1_0,
    nothing=UNKNOWN_OPERATION_XML,
    nothing_type=b"",
    exposed=b"x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,x-amz-crc32,Date",
)
