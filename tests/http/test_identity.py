"""Who signed a request, and what is said to those who did not."""

from __future__ import annotations

import pytest
from house import AUTHORIZATION

from varley.errors import (
    ApiError,
    IncompleteSignature,
    InvalidSignature,
    MissingAuthenticationToken,
    UnrecognizedClient,
)
from varley.http.identity import Identity, identify, is_usual_form

SIGNATURE = "5d672d79" * 8
DATE = {b"x-amz-date": b"20260101T000000Z"}


def signed_by(key: str, scope: str = "/20260101/us-east-1/dynamodb/aws4_request") -> Identity:
    text = f"AWS4-HMAC-SHA256 Credential={key}{scope}, SignedHeaders=host, Signature={SIGNATURE}"
    return identify({b"authorization": text.encode()} | DATE, b"")


def refused(authorization: str | None, query: bytes = b"", headers: dict[bytes, bytes] = DATE) -> ApiError:
    all_headers = dict(headers)
    if authorization is not None:
        all_headers[b"authorization"] = authorization.encode()
    with pytest.raises(ApiError) as refusal:
        identify(all_headers, query)
    return refusal.value


def test_key_region_and_no_account() -> None:
    assert signed_by("AKIDEXAMPLE") == Identity("AKIDEXAMPLE", "000000000000", "us-east-1")


def test_a_key_of_twelve_digits_is_the_account() -> None:
    assert signed_by("123456789012").account == "123456789012"


@pytest.mark.parametrize("key", ["1234567890123", "12345678901", "12345678901x", "١٢٣٤٥٦٧٨٩٠١٢"])
def test_other_keys_are_no_account(key: str) -> None:
    assert signed_by(key).account == "000000000000"


@pytest.mark.parametrize("key", ["x", "a/b/c", "a,b", "a b", "a=b", "Größe", "'; DROP TABLE", "/", "a,Signature=b"])
def test_keys_of_any_characters(key: str) -> None:
    assert signed_by(key) == Identity(key, "000000000000", "us-east-1")


def test_regions_are_taken_as_they_are() -> None:
    assert signed_by("k", "/20260101/local/dynamodb/aws4_request").region == "local"
    assert signed_by("k", "/20260101//dynamodb/aws4_request").region == ""


def test_other_spacing_is_understood() -> None:
    text = f"AWS4-HMAC-SHA256   Signature={SIGNATURE},SignedHeaders=host,Credential=k/1/r/dynamodb/aws4_request"
    assert identify({b"authorization": text.encode()} | DATE, b"").region == "r"


def test_a_date_header_will_do() -> None:
    headers = {b"authorization": AUTHORIZATION.encode(), b"date": b"Thu, 01 Jan 2026 00:00:00 GMT"}
    assert identify(headers, b"").access_key == "AKIDEXAMPLE"


def test_presigned() -> None:
    query = (
        b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb%2F20260101%2Feu-west-1%2Fdynamodb%2Faws4_request"
        b"&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=" + SIGNATURE.encode()
    )
    assert identify({}, query) == Identity("a/b", "000000000000", "eu-west-1")


@pytest.mark.parametrize("authorization", [None, "", "Basic dXNlcjpwYXNz", "Bearer AWS4-", "AWS AKID:x"])
def test_no_signature(authorization: str | None) -> None:
    error = refused(authorization)
    assert isinstance(error, MissingAuthenticationToken)
    assert error.message == (
        "Request must contain either a valid (registered) AWS access key ID or X.509 certificate."
    )


def test_an_empty_signature() -> None:
    error = refused("AWS4-HMAC-SHA256", headers={})
    assert isinstance(error, IncompleteSignature)
    assert error.message == (
        "Authorization header requires 'Credential' parameter. "
        "Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. "
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        "Authorization=AWS4-HMAC-SHA256"
    )


@pytest.mark.parametrize("part", ["Credential", "Signature", "SignedHeaders"])
def test_a_signature_without_one_part(part: str) -> None:
    text = AUTHORIZATION.replace(part + "=", "Other=")
    assert refused(text).message == f"Authorization header requires '{part}' parameter. Authorization={text}"


def test_a_credential_without_a_scope() -> None:
    error = refused(f"AWS4-HMAC-SHA256 Credential=AKID, SignedHeaders=host, Signature={SIGNATURE}")
    assert isinstance(error, IncompleteSignature)
    assert error.message == (
        "Credential must have exactly 5 slash-delimited elements, "
        "e.g. keyid/date/region/service/term, got 'AKID'"
    )


def test_a_scope_of_too_few_elements() -> None:
    with pytest.raises(IncompleteSignature, match="got 'AKID/dynamodb/aws4_request'"):
        signed_by("AKID", "/dynamodb/aws4_request")


def test_an_empty_key() -> None:
    with pytest.raises(UnrecognizedClient):
        signed_by("")


def test_presigned_without_all_parameters() -> None:
    error = refused(None, b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=1")
    assert isinstance(error, IncompleteSignature)
    assert error.message == (
        "AWS query-string parameters must include 'X-Amz-Credential'. "
        "AWS query-string parameters must include 'X-Amz-Signature'. "
        "AWS query-string parameters must include 'X-Amz-SignedHeaders'. "
        "Re-examine the query-string parameters."
    )


def test_two_signatures() -> None:
    error = refused(AUTHORIZATION, b"X-Amz-Algorithm=AWS4-HMAC-SHA256")
    assert isinstance(error, InvalidSignature)
    assert error.message == (
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    )


def test_the_usual_form_is_what_identify_takes() -> None:
    assert is_usual_form(AUTHORIZATION.encode())
    assert not is_usual_form(AUTHORIZATION.encode() + b"0")
    assert not is_usual_form(b"")
