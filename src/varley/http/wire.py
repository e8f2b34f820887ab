"""DynamoDB's JSON protocol: how an operation is named, and what an error looks like.

    POST / HTTP/1.1
    Content-Type: application/x-amz-json-1.0
    X-Amz-Target: DynamoDB_20120810.GetItem             streams: DynamoDBStreams_20120810.GetRecords

    HTTP/1.1 400 Bad Request
    {"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"..."}

The service looks at a request in this order, and the first complaint is the answer: HTTP itself, content type
(404, and XML), whether the body is JSON, the target, the signature, and then the operation's own rules.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from varley.errors import ApiError, InternalServerError, ServiceUnavailable, Unreachable, WorldError

JSON_CONTENT_TYPES = frozenset({b"application/x-amz-json-1.0", b"application/x-amz-json-1.1"})

# What is neither a call nor a route gets this, with 404.
UNKNOWN_OPERATION_XML = b"<UnknownOperationException/>\n"

_STREAMS_OPERATIONS = frozenset({"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"})
_UNKNOWN_FAILURE = "The request processing has failed because of an unknown error, exception or failure."
_CORAL_SERVICE = "com.amazon.coral.service#"


class MalformedHttpRequest(ApiError):
    """It is not HTTP/1.1, or not HTTP/1.1 that has one meaning only. The connection ends."""

    code = "MalformedHttpRequestException"
    namespace = _CORAL_SERVICE


class RequestEntityTooLarge(ApiError):
    code = "RequestEntityTooLargeException"
    namespace = _CORAL_SERVICE
    status = 413


class RequestHeadTooLarge(ApiError):
    code = "RequestHeaderFieldsTooLargeException"
    namespace = _CORAL_SERVICE
    status = 431


class RequestTimeout(ApiError):
    """The client took too long to send a request. It surely was not executed."""

    code = "RequestTimeoutException"
    namespace = _CORAL_SERVICE
    status = 408


def targets(operations: Iterable[str]) -> dict[bytes, str]:
    """X-Amz-Target -> operation. The streams operations have another prefix: to clients, another service."""
    return {
        b"DynamoDB%b_20120810.%b" % (b"Streams" if name in _STREAMS_OPERATIONS else b"", name.encode()): name
        for name in operations
    }


def is_json_content_type(content_type: bytes) -> bool:
    """True for the two types of the protocol, with or without parameters."""
    return content_type.partition(b";")[0].strip().lower() in JSON_CONTENT_TYPES


def is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def as_api_error(error: BaseException) -> ApiError:
    """What a client is told. The world's problem in its own words, but no paths; of our own bugs, nothing."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, WorldError):
        surely_not = isinstance(error, Unreachable)
        kind = ServiceUnavailable if surely_not else InternalServerError
        return kind(f"{error.problem}. {error.hint}" if error.hint else error.problem)
    return InternalServerError(_UNKNOWN_FAILURE)


def error_body(error: ApiError) -> bytes:
    return msgspec.json.encode(error.members())
