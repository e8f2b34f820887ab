"""Who signed a request: access key and Region out of a Signature Version 4.

A signature comes in the Authorization header or, presigned, in the query string:

    Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/dynamodb/aws4_request,
                   SignedHeaders=host;x-amz-date;x-amz-target, Signature=5d672d79...
    /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Fus-east-1%2F...

This file reads signatures; it does not verify them. Keys may be made of any characters (slashes and commas
too: a developer's first request must not fail on the key that came to mind), so the scope is cut off from the
right. An account id is not in a request: it is the key itself if that is twelve digits, else twelve zeros.

Texts: as the service words them, see "Signature Version 4 troubleshooting" in the IAM User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from varley.errors import (
    IncompleteSignature,
    InvalidSignature,
    MissingAuthenticationToken,
    UnrecognizedClient,
)

NO_ACCOUNT = "000000000000"

_SCHEME = b"AWS4-"
_USUAL_START = b"AWS4-HMAC-SHA256 Credential="
_USUAL_END = b", Signature="
_HEX_DIGITS = 64                    # of a SHA-256
_TERMINATOR = b"/aws4_request"
_QUERY_PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "X-Amz-Date",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """`account` is twelve digits; `region` is as signed, for ARNs; neither was checked against anything."""

    access_key: str
    account: str
    region: str


def identify(headers: Mapping[bytes, bytes], query: bytes) -> Identity:
    """The signer of a request. `headers` have lower-case names; `query` is what follows the question mark.

    Raises (all are the client's fault): MissingAuthenticationToken, IncompleteSignature, InvalidSignature if
    there are two signatures, UnrecognizedClient for an empty key.
    """
    authorization = headers.get(b"authorization")
    if b"X-Amz-Algorithm" in query and authorization is not None:
        raise InvalidSignature(
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
        )
    if authorization is not None and authorization.startswith(_SCHEME):
        return _from_header(authorization, has_date=b"x-amz-date" in headers or b"date" in headers)
    if b"X-Amz-" in query:
        return _from_query(query)
    raise MissingAuthenticationToken(
        "Request must contain either a valid (registered) AWS access key ID or X.509 certificate."
    )


def is_usual_form(authorization: bytes) -> bool:
    """Whether the header looks as SDKs write it, at both ends. HOT PATH: two comparisons in place of a parse.

    False says nothing: let `identify` judge.
    """
    return (
        authorization[-_HEX_DIGITS - len(_USUAL_END) : -_HEX_DIGITS] == _USUAL_END
        and authorization[: len(_USUAL_START)] == _USUAL_START
    )


def _from_header(authorization: bytes, *, has_date: bool) -> Identity:
    credential_at = authorization.find(b"Credential=")
    lacks = []
    if credential_at < 0:
        lacks.append("Authorization header requires 'Credential' parameter.")
    if b"Signature=" not in authorization:
        lacks.append("Authorization header requires 'Signature' parameter.")
    if b"SignedHeaders=" not in authorization:
        lacks.append("Authorization header requires 'SignedHeaders' parameter.")
    if not has_date:
        lacks.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if lacks:
        raise IncompleteSignature(f"{' '.join(lacks)} Authorization={_text(authorization)}")
    start = credential_at + len(b"Credential=")
    scope_end = authorization.find(_TERMINATOR, start)
    if scope_end < 0:
        raise _not_five_elements(_text(authorization[start:].partition(b",")[0].strip()))
    return _from_credential(authorization[start : scope_end + len(_TERMINATOR)])


def _from_query(query: bytes) -> Identity:
    parameters = dict(parse_qsl(_text(query), keep_blank_values=True))
    lacks = [name for name in _QUERY_PARAMETERS if name not in parameters]
    if lacks:
        sentences = " ".join(f"AWS query-string parameters must include '{name}'." for name in lacks)
        raise IncompleteSignature(f"{sentences} Re-examine the query-string parameters.")
    return _from_credential(parameters["X-Amz-Credential"].encode())


@lru_cache(maxsize=1024)            # a client's credential is the same all day
def _from_credential(credential: bytes) -> Identity:
    elements = _text(credential).rsplit("/", 4)
    if len(elements) != 5 or not credential.endswith(_TERMINATOR):
        raise _not_five_elements(_text(credential))
    access_key, _day, region, _service, _terminator = elements
    if not access_key:
        raise UnrecognizedClient("The security token included in the request is invalid.")
    is_account = len(access_key) == 12 and access_key.isascii() and access_key.isdigit()
    return Identity(access_key, access_key if is_account else NO_ACCOUNT, region)


def _not_five_elements(credential: str) -> IncompleteSignature:
    return IncompleteSignature(
        "Credential must have exactly 5 slash-delimited elements, "
        f"e.g. keyid/date/region/service/term, got '{credential}'"
    )


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
