"""DynamoDB's JSON protocol: targets, content types, signatures, and which complaint comes first."""

from __future__ import annotations

import pytest
from house import House, request

from varley.http.wire import targets

CORAL = "com.amazon.coral.service#"


def test_the_streams_operations_have_their_own_prefix() -> None:
    assert targets(["GetItem", "GetRecords"]) == {
        b"DynamoDB_20120810.GetItem": "GetItem",
        b"DynamoDBStreams_20120810.GetRecords": "GetRecords",
    }


def test_streams(house: House) -> None:
    assert house.ask(request(X_Amz_Target="DynamoDBStreams_20120810.GetRecords")).status == 200
    assert house.ask(request(X_Amz_Target="DynamoDB_20120810.GetRecords")).status == 400
    assert house.ask(request(X_Amz_Target="DynamoDBStreams_20120810.GetItem")).status == 400


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-amz-json-1.0",
        "application/x-amz-json-1.1",
        "application/x-amz-json-1.0; charset=utf-8",
        "Application/X-Amz-Json-1.0",
    ],
)
def test_content_types(house: House, content_type: str) -> None:
    answer = house.ask(request(Content_Type=content_type))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "application/x-amz-json-1.2"])
def test_other_content_types_are_unknown(house: House, content_type: str) -> None:
    answer = house.ask(request(Content_Type=content_type))
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")


def test_no_content_type_is_unknown(house: House) -> None:
    assert house.ask(request(drop=("Content-Type",))).status == 404


@pytest.mark.parametrize(
    "target",
    ["DynamoDB_20120810.Nonsense", "DynamoDB_20120810.", "GetItem", "", "dynamodb_20120810.GetItem", "é"],
)
def test_unknown_targets(house: House, target: str) -> None:
    answer = house.ask(request(X_Amz_Target=target))
    assert (answer.status, answer.json) == (400, {"__type": CORAL + "UnknownOperationException"})


def test_no_target(house: House) -> None:
    assert house.ask(request(drop=("X-Amz-Target",))).json == {"__type": CORAL + "UnknownOperationException"}


def test_no_signature(house: House) -> None:
    answer = house.ask(request(drop=("Authorization",)))
    assert (answer.status, answer.json) == (
        400,
        {
            "__type": CORAL + "MissingAuthenticationTokenException",
            "message": "Request must contain either a valid (registered) AWS access key ID "
            "or X.509 certificate.",
        },
    )
    assert house.calls == []


@pytest.mark.parametrize("authorization", ["AWS4-", "AWS4-HMAC-SHA256 Credential=k", "AWS4-HMAC-SHA256 ,,,="])
def test_a_malformed_signature_never_reaches_the_handler(house: House, authorization: str) -> None:
    assert house.ask(request(Authorization=authorization)).code == CORAL + "IncompleteSignatureException"
    assert house.calls == []


def test_a_signature_without_a_date(house: House) -> None:
    assert house.ask(request(drop=("X-Amz-Date",))).code == CORAL + "IncompleteSignatureException"


def test_presigned_calls(house: House) -> None:
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=k%2F20260101%2Feu-west-1%2Fdynamodb%2Faws4_request"
        "&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
    )
    answer = house.ask(request(drop=("Authorization",), line=f"POST /?{query} HTTP/1.1"))
    assert answer.status == 200
    (call,) = house.calls
    assert call.authorization is None
    assert call.query == query.encode()
    assert call.identity().region == "eu-west-1"


def test_header_names_in_any_case(house: House) -> None:
    data = request()
    head, _, body = data.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    for spell in (bytes.lower, bytes.upper, bytes.swapcase):
        spelled = [spell(name) + b":" + value for name, _, value in (header.partition(b":") for header in headers)]
        assert house.ask(b"\r\n".join([line, *spelled]) + b"\r\n\r\n" + body).status == 200


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"content_type": "text/plain", "target": "no", "authorization": "", "body": "{"}, None),
        ({"target": "no", "authorization": "", "body": "{"}, "SerializationException"),
        ({"target": "no", "authorization": ""}, "UnknownOperationException"),
        ({"authorization": "", "body": "{"}, "SerializationException"),
        ({"authorization": ""}, "MissingAuthenticationTokenException"),
    ],
)
def test_the_order_of_complaints(house: House, wrong: dict[str, str], code: str | None) -> None:
    """From the content type by way of the body and the target to the signature."""
    answer = house.ask(
        request(
            body=wrong.get("body", "{}").encode(),
            Content_Type=wrong.get("content_type", "application/x-amz-json-1.0"),
            X_Amz_Target=wrong.get("target", "DynamoDB_20120810.GetItem"),
            Authorization=wrong.get("authorization", "AWS4-HMAC-SHA256 Credential=k/1/r/s/aws4_request"),
        )
    )
    if code is None:
        assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")
    else:
        assert (answer.status, answer.code) == (400, CORAL + code)
