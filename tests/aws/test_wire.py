# Why: SDKs read headers, checksums and error shapes that boto3 hides; and a server meets bytes that no SDK sends.
# Whatever comes, the answer must be an error of the client's, nothing may be written, and the next request must be
# answered as if nothing had happened: `untouched` looks at both after each test here.

import gzip
import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from .table import Table
from .wire import CONTENT_TYPE, TARGET_PREFIX, Reply, Wire

SERIALIZATION = "com.amazon.coral.service#SerializationException"
KEY = {"pk": {"S": "never written"}}


@pytest.fixture(scope="module")
def empty(make_table: Any) -> Table:
    """A table that stays empty, whatever these tests send."""
    table: Table = make_table()
    return table


@pytest.fixture(autouse=True)
def untouched(empty: Table, wire: Wire) -> Iterator[None]:
    """After each test the table is still empty, and the server still answers."""
    yield
    reply = wire.call("Scan", {"TableName": empty.name, "ConsistentRead": True})
    assert reply.status == 200
    found = reply.json["Items"]
    for item in found:  # or every test after this one would fail too
        wire.call("DeleteItem", {"TableName": empty.name, "Key": {"pk": item["pk"]}})
    assert found == []


def assert_refused(reply: Reply, *codes: str) -> None:
    """An error of the client's with one of these codes, shaped as SDKs expect it."""
    assert reply.status == 400, reply
    assert reply.headers["content-type"] == CONTENT_TYPE
    assert reply.code in codes, reply.body
    reply.assert_checksum()


# What a good answer looks like


def test_a_good_answer_has_the_headers_that_sdks_read(empty: Table, wire: Wire) -> None:
    reply = wire.call("GetItem", {"TableName": empty.name, "Key": KEY})
    assert reply.status == 200
    assert reply.headers["content-type"] == CONTENT_TYPE
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert reply.json == {}
    reply.assert_checksum()


def test_a_request_id_is_52_capitals_and_digits_and_new_each_time(empty: Table, wire: Wire) -> None:
    replies = [wire.call("GetItem", {"TableName": empty.name, "Key": KEY}) for _ in range(3)]
    replies.append(wire.call("GetItem", {"TableName": empty.name}))
    ids = {reply.headers["x-amzn-requestid"] for reply in replies}
    assert len(ids) == 4
    assert all(re.fullmatch(r"[A-Z0-9]{52}", one) for one in ids)


def test_every_answer_carries_the_checksum_of_its_body(empty: Table, wire: Wire) -> None:
    for body in ({"TableName": empty.name, "Key": KEY}, {"TableName": empty.name}, b"{"):
        reply = wire.call("GetItem", body)
        assert "x-amz-crc32" in reply.headers
        reply.assert_checksum()


def test_an_answer_that_the_client_lets_be_gzipped_is_right_either_way(empty: Table, wire: Wire) -> None:
    body = json.dumps({"TableName": empty.name}).encode()
    target = {"X-Amz-Target": TARGET_PREFIX + "DescribeTable", "Accept-Encoding": "gzip"}
    reply = wire.send(body, target)
    assert reply.status == 200
    reply.assert_checksum()  # of the bytes as sent
    plain = gzip.decompress(reply.body) if reply.headers.get("content-encoding") == "gzip" else reply.body
    assert json.loads(plain)["Table"]["TableName"] == empty.name


def test_text_in_answers_is_utf8(empty: Table, wire: Wire) -> None:
    reply = wire.call("GetItem", {"TableName": empty.name, "Key": KEY, "ProjectionExpression": "é"})
    assert "é" in reply.body.decode("utf-8") or "\\u00e9" in reply.body.decode("ascii")


def test_members_that_nobody_knows_are_ignored(empty: Table, wire: Wire) -> None:
    body = {"TableName": empty.name, "Key": KEY, "Nobody": {"knows": ["this", 1, None]}}
    assert wire.call("GetItem", body).status == 200


def test_members_that_are_null_are_as_if_absent(empty: Table, wire: Wire) -> None:
    body = {"TableName": empty.name, "Key": KEY, "ConsistentRead": None, "ProjectionExpression": None}
    assert wire.call("GetItem", body).status == 200


def test_white_space_around_the_body_is_ignored(empty: Table, wire: Wire) -> None:
    body = b"\r\n\t " + json.dumps({"TableName": empty.name, "Key": KEY}, indent=3).encode() + b" \n"
    assert wire.call("GetItem", body).status == 200


def test_escapes_in_names_are_undone(empty: Table, wire: Wire) -> None:
    body = json.dumps({"TableName": empty.name, "Key": KEY}).replace("TableName", "\\u0054ableName")
    assert wire.call("GetItem", body.encode()).status == 200


# The shapes of errors


@pytest.mark.parametrize(
    ("operation", "body", "error_type"),
    [
        (
            "GetItem",
            {"TableName": "nobody-at-all", "Key": KEY},
            "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
        ),
        ("ListTables", {"Limit": 0}, "com.amazon.coral.validate#ValidationException"),
        ("ListTables", b"{", SERIALIZATION),
        ("NoSuchThing", {}, "com.amazon.coral.service#UnknownOperationException"),
    ],
    ids=["not found", "validation", "serialization", "unknown operation"],
)
def test_the_type_of_an_error_names_its_family(wire: Wire, operation: str, body: Any, error_type: str) -> None:
    reply = wire.call(operation, body)
    assert reply.status == 400
    assert reply.json["__type"] == error_type


def test_an_errors_text_is_in_its_message(wire: Wire) -> None:
    reply = wire.call("GetItem", {"TableName": "nobody-at-all", "Key": KEY})
    assert reply.json["message"] == "Requested resource not found"


@pytest.mark.parametrize(
    "target",
    [
        "DynamoDB_20120810.",
        "DynamoDB_20120810.getitem",
        "DynamoDB_20120810.GetItem.GetItem",
        "DynamoDB_20991231.GetItem",
        "Nothing.GetItem",
        "GetItem",
        ".",
    ],
)
def test_unknown_targets_are_refused(empty: Table, wire: Wire, target: str) -> None:
    reply = wire.send(json.dumps({"TableName": empty.name, "Key": KEY}).encode(), {"X-Amz-Target": target})
    assert_refused(reply, "UnknownOperationException")


def test_a_missing_target_is_refused(wire: Wire) -> None:
    reply = wire.send(b"{}", {})
    assert reply.status in (400, 404)


def test_a_request_without_credentials_is_refused(empty: Table, wire: Wire) -> None:
    body = json.dumps({"TableName": empty.name, "Item": KEY}).encode()
    reply = wire.send(body, {"X-Amz-Target": TARGET_PREFIX + "PutItem"}, signed=False)
    assert_refused(reply, "MissingAuthenticationTokenException")
    assert reply.json["__type"] == "com.amazon.coral.service#MissingAuthenticationTokenException"
    assert reply.message == (
        "Request must contain either a valid (registered) AWS access key ID or X.509 certificate."
    )


# Bodies that are no JSON

NOT_JSON = {
    "an open brace": b"{",
    "a word": b"nope",
    "a comma too much": b'{"TableName": "%s",}',
    "single quotes": b"{'TableName': '%s'}",
    "no quotes": b"{TableName: 1}",
    "cut short": b'{"TableName": "%s", "Item": {"pk": {"S": "x"}',
    "a comment": b'{"TableName": "%s" /* here */, "Item": {"pk": {"S": "x"}}}',
    "a control character in a text": b'{"TableName": "%s", "Item": {"pk": {"S": "a\nb"}}}',
    "a bad escape": b'{"TableName": "%s", "Item": {"pk": {"S": "\\x"}}}',
    "half an escape": b'{"TableName": "%s", "Item": {"pk": {"S": "\\u12"}}}',
    "binary": bytes(range(256)),
    "a form": b"Action=PutItem&TableName=x",
    "xml": b"<PutItem/>",
    "zero bytes": b"\x00" * 100,
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_no_json_is_refused(empty: Table, wire: Wire, name: str) -> None:
    reply = wire.call("PutItem", NOT_JSON[name].replace(b"%s", empty.name.encode()))
    assert_refused(reply, "SerializationException")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"1", b'"text"', b"true", b"[{}]"], ids=repr)
def test_what_is_no_object_is_refused(wire: Wire, body: bytes) -> None:
    assert_refused(wire.call("PutItem", body), "SerializationException", "ValidationException")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"01", b"+1", b".5", b"0x1"])
def test_numbers_that_json_does_not_know_are_refused(wire: Wire, number: bytes) -> None:
    assert_refused(wire.call("ListTables", b'{"Limit": %s}' % number), "SerializationException")


BAD_UTF8 = {
    "a lone continuation": b"\x80",
    "a start without its rest": b"\xc3",
    "overlong": b"\xc0\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "beyond unicode": b"\xf4\x90\x80\x80",
    "latin-1": "é".encode("latin-1"),
    "never a byte": b"\xff",
}


@pytest.mark.parametrize("operation", ["DescribeTable", "PutItem", "Scan", "Query", "BatchGetItem", "CreateTable"])
def test_bad_utf8_in_a_member_that_nobody_knows_is_refused(wire: Wire, operation: str) -> None:
    assert_refused(wire.call(operation, b'{"\xffableName": "Tas"}'), "SerializationException")


@pytest.mark.parametrize("place", ["value", "name"])
@pytest.mark.parametrize("name", BAD_UTF8)
def test_bad_utf8_is_refused(empty: Table, wire: Wire, name: str, place: str) -> None:
    value = b'"pk": {"S": "a' + BAD_UTF8[name] + b'z"}'
    member = b'"pk": {"S": "k"}, "a' + BAD_UTF8[name] + b'z": {"S": "v"}'
    item = value if place == "value" else member
    reply = wire.call("PutItem", b'{"TableName": "%s", "Item": {%s}}' % (empty.name.encode(), item))
    assert_refused(reply, "SerializationException")


def test_half_a_pair_of_escapes_does_no_harm(empty: Table, wire: Wire) -> None:
    # JSON can spell what UTF-8 cannot. Whether it is taken is not known of the service; that it breaks nothing is.
    body = b'{"TableName": "%s", "Item": {"pk": {"S": "\\ud800"}}}' % empty.name.encode()
    reply = wire.call("PutItem", body)
    assert reply.status in (200, 400)
    for item in wire.call("Scan", {"TableName": empty.name, "ConsistentRead": True}).json["Items"]:
        assert wire.call("DeleteItem", {"TableName": empty.name, "Key": {"pk": item["pk"]}}).status == 200


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_write_nothing(empty: Table, wire: Wire, encoding: str) -> None:
    # JSON of 2006 allowed them; DynamoDB's protocol is UTF-8.
    body = json.dumps({"TableName": empty.name, "Key": KEY}).encode(encoding)
    reply = wire.call("DeleteItem", body)
    assert reply.status in (200, 400)


@pytest.mark.parametrize("text", ["a", "abc", "!!!!", "ab=c", "YQ", "YQ=", "é", "YQ==="])
def test_bad_base64_is_refused(empty: Table, wire: Wire, text: str) -> None:
    for value in ({"B": text}, {"BS": [text]}, {"L": [{"B": text}]}):
        reply = wire.call("PutItem", {"TableName": empty.name, "Item": {**KEY, "b": value}})
        assert_refused(reply, "SerializationException")


# Wrong types, everywhere in the service model

OPERATIONS = [
    "CreateTable", "DescribeTable", "ListTables", "DeleteTable", "UpdateTable", "PutItem", "GetItem", "UpdateItem",
    "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem", "TagResource", "UntagResource",
    "ListTagsOfResource",
]  # fmt: skip

WRONG_VALUES: dict[str, list[Any]] = {
    "string": [1, 1.5, True, [], {}],
    "boolean": ["true", 1, [], {}],
    "integer": ["1", True, [], {}],
    "long": ["1", True, [], {}],
    "blob": [1, True, [], {}],
    "list": ["text", 1, True, {}],
    "map": ["text", 1, True, []],
    "structure": ["text", 1, True, []],
}


def wrong_types(shape: Shape, levels: int) -> Iterator[tuple[str, Any]]:
    """(where, value) for each place within `levels` of this shape, with a value of a wrong type there."""
    for value in WRONG_VALUES[shape.type_name]:
        yield f"= {json.dumps(value)}", value
    if levels == 0:
        return
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            for where, value in wrong_types(member, levels - 1):
                yield f".{name} {where}", {name: value}
    elif isinstance(shape, ListShape):
        for where, value in wrong_types(shape.member, levels - 1):
            yield f"[0] {where}", [value]
    elif isinstance(shape, MapShape):
        for where, value in wrong_types(shape.value, levels - 1):
            yield f"{{x}} {where}", {"x": value}


# Parts of requests that this version does not look into; a table with an index is refused before (test_not_offered.py).
NOT_LOOKED_INTO = re.compile(
    r"\.(LocalSecondaryIndexes|GlobalSecondaryIndex\w*|StreamSpecification|SSESpecification|Replica\w*|GlobalTable\w*"
    r"|MultiRegion\w*|WarmThroughput|OnDemandThroughput|ResourcePolicy|Vector\w*|Expected|AttributeUpdates"
    r"|AttributesToGet|ConditionalOperator|KeyConditions|QueryFilter|ScanFilter|\w*Protection\w*)\b"
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_types_are_refused_wherever_they_stand(dynamodb: Any, wire: Wire, empty: Table, operation: str) -> None:
    model = dynamodb.meta.service_model.operation_model(operation).input_shape
    accepted = []
    for where, body in wrong_types(model, 4):
        if not isinstance(body, dict) or NOT_LOOKED_INTO.search(where):
            continue
        if "TableName" in model.members and "TableName" not in body:
            body = {"TableName": empty.name, **body}
        reply = wire.call(operation, body)
        assert reply.status == 400, f"{operation}{where}: {reply.status} {reply.body!r}"
        if reply.code != "SerializationException":
            accepted.append(f"{operation}{where}: {reply.code} {reply.message[:100]}")
    assert accepted == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"TableName": 1}, "NUMBER_VALUE cannot be converted to String"),
        ({"TableName": True}, "TRUE_VALUE cannot be converted to String"),
        ({"TableName": False}, "FALSE_VALUE cannot be converted to String"),
        ({"TableName": "abc", "Item": {"pk": {"N": 1}}}, "NUMBER_VALUE cannot be converted to String"),
        ({"TableName": "abc", "Item": {"pk": {"S": True}}}, "TRUE_VALUE cannot be converted to String"),
    ],
    ids=["number", "true", "false", "a number as a number", "true as text"],
)
def test_the_words_for_the_commonest_wrong_types(wire: Wire, body: dict[str, Any], text: str) -> None:
    reply = wire.call("PutItem", body)
    assert_refused(reply, "SerializationException")
    assert reply.json == {"__type": SERIALIZATION, "Message": text}


@pytest.mark.parametrize(
    "value",
    ["x", 1, [], {"S": 1}, {"S": {}}, {"N": 1}, {"N": 1.5}, {"B": 1}, {"BOOL": "true"}, {"BOOL": 1}, {"NULL": "true"},
     {"SS": "a"}, {"SS": [1]}, {"SS": {}}, {"NS": [1]}, {"BS": [1]}, {"L": {}}, {"L": "x"}, {"L": ["x"]}, {"L": [1]},
     {"M": []}, {"M": "x"}, {"M": {"a": "x"}}, {"M": {"a": 1}}, {"M": {"a": {"S": 1}}}, {"L": [{"N": 1}]}],
    ids=json.dumps,
)  # fmt: skip
def test_a_value_of_the_wrong_json_type_is_refused(empty: Table, wire: Wire, value: Any) -> None:
    reply = wire.call("PutItem", {"TableName": empty.name, "Item": {**KEY, "v": value}})
    assert_refused(reply, "SerializationException")
    reply = wire.call("PutItem", {"TableName": empty.name, "Item": {**KEY, "v": {"L": [{"M": {"x": value}}]}}})
    assert_refused(reply, "SerializationException")


@pytest.mark.parametrize("value", [{"X": "a"}, {"s": "a"}, {}, {"S": None}, {"": "a"}, None], ids=json.dumps)
def test_a_value_of_no_known_type_is_refused(empty: Table, wire: Wire, value: Any) -> None:
    reply = wire.call("PutItem", {"TableName": empty.name, "Item": {**KEY, "v": value}})
    assert_refused(reply, "ValidationException", "SerializationException")


# Absurd sizes


def nested_value(levels: int) -> bytes:
    return b'{"L":[' * levels + b'{"S":"x"}' + b"]}" * levels


@pytest.mark.parametrize("levels", [33, 500, 2_000, 100_000])
def test_absurdly_nested_values_are_refused(empty: Table, wire: Wire, levels: int) -> None:
    body = b'{"TableName": "%s", "Item": {"pk": {"S": "x"}, "v": %s}}' % (
        empty.name.encode(),
        nested_value(levels),
    )
    assert_refused(wire.call("PutItem", body), "ValidationException", "SerializationException")


@pytest.mark.parametrize("levels", [1_000, 100_000, 1_000_000])
@pytest.mark.parametrize("pair", [b"[]", b"{}"], ids=["lists", "objects"])
def test_absurdly_nested_json_is_no_reason_to_die(wire: Wire, pair: bytes, levels: int) -> None:
    opening = b"[" if pair == b"[]" else b'{"a":'
    body = b'{"Nobody": ' + opening * levels + b"1" + pair[1:] * levels + b"}"
    reply = wire.call("ListTables", body)
    assert reply.status in (200, 400)
    assert wire.call("ListTables", opening * levels).status == 400


@pytest.mark.parametrize("levels", [400, 1_365])
def test_absurdly_nested_expressions_are_no_reason_to_die(empty: Table, wire: Wire, levels: int) -> None:
    for expression in (
        "(" * levels + "a = b" + ")" * levels,
        "NOT " * levels + "a = b",
        "(a = b OR " * (levels // 4) + "a = b" + ")" * (levels // 4),
        "a" + "[0]" * levels + " = b",
        "size(" * (levels // 2) + "a" + ")" * (levels // 2) + " = b",
    ):
        body = {"TableName": empty.name, "Key": KEY, "ConditionExpression": expression[:4096]}
        reply = wire.call("DeleteItem", body)
        assert reply.status == 400, expression
        assert reply.code in ("ValidationException", "ConditionalCheckFailedException")


def test_a_body_of_more_than_sixteen_megabytes_is_refused(empty: Table, wire: Wire) -> None:
    body = b'{"TableName": "%s", "Item": {"pk": {"S": "x"}}, "Nobody": "%s"}' % (
        empty.name.encode(),
        b"x" * (16 * 1024 * 1024),
    )
    try:
        reply = wire.call("PutItem", body)
    except (ConnectionError, http.client.HTTPException):
        return  # hung up in the middle of it, which is an answer too
    assert reply.status in (400, 413)


def test_many_members_are_no_reason_to_die(empty: Table, wire: Wire) -> None:
    item = {**KEY, **{f"a{n}": {"BOOL": True} for n in range(100_000)}}
    assert_refused(wire.call("PutItem", {"TableName": empty.name, "Item": item}), "ValidationException")


def test_a_million_placeholders_are_no_reason_to_die(empty: Table, wire: Wire) -> None:
    names = {f"#n{n}": "a" for n in range(200_000)}
    body = {
        "TableName": empty.name,
        "Key": KEY,
        "ConditionExpression": "a = b",
        "ExpressionAttributeNames": names,
    }
    assert_refused(wire.call("DeleteItem", body), "ValidationException", "SerializationException")


# HTTP itself


def raw(wire: Wire, data: bytes, *, half_close: bool = False) -> bytes:
    """Send these bytes on a connection of their own and return all that comes back until it is closed."""
    parts = urlsplit(wire.endpoint)
    received = b""
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as connection:
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        except (TimeoutError, ConnectionError):
            pass
    return received


def request_bytes(wire: Wire, operation: str, body: dict[str, Any], *, close: bool = False) -> bytes:
    data = json.dumps(body).encode()
    headers = wire.sign("POST", "/", data, {"Content-Type": CONTENT_TYPE, "X-Amz-Target": TARGET_PREFIX + operation})
    headers["Host"] = urlsplit(wire.endpoint).netloc
    headers["Content-Length"] = str(len(data))
    if close:
        headers["Connection"] = "close"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + data


def test_a_connection_serves_one_request_after_another(empty: Table, wire: Wire) -> None:
    connection = wire.connect()
    for body in (
        {"TableName": empty.name, "Key": KEY},
        {"TableName": empty.name},
        {"TableName": empty.name, "Key": KEY},
    ):
        data = json.dumps(body).encode()
        headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": TARGET_PREFIX + "GetItem"}
        connection.request("POST", "/", body=data, headers=wire.sign("POST", "/", data, headers))
        response = connection.getresponse()
        response.read()
        assert response.status == (200 if "Key" in body else 400)
        assert not response.will_close
    connection.close()


def test_pipelined_requests_are_answered_in_their_order(empty: Table, wire: Wire) -> None:
    bodies = [
        ("GetItem", {"TableName": empty.name, "Key": KEY}),
        ("ListTables", {"Limit": 0}),
        ("DescribeTable", {"TableName": empty.name}),
    ]
    data = b"".join(request_bytes(wire, name, body, close=name == "DescribeTable") for name, body in bodies)
    answer = raw(wire, data)
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", answer)
    assert statuses == [b"200", b"400", b"200"]
    assert answer.index(b"ValidationException") < answer.index(b"KeySchema")


def test_a_request_may_come_byte_by_byte(empty: Table, wire: Wire) -> None:
    data = request_bytes(wire, "GetItem", {"TableName": empty.name, "Key": KEY}, close=True)
    parts = urlsplit(wire.endpoint)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(len(data)):
            connection.sendall(data[start : start + 1])
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    assert received.startswith(b"HTTP/1.1 200")


def test_a_body_in_chunks_is_put_together(empty: Table, wire: Wire) -> None:
    data = json.dumps({"TableName": empty.name, "Key": KEY}).encode()
    headers = wire.sign("POST", "/", data, {"Content-Type": CONTENT_TYPE, "X-Amz-Target": TARGET_PREFIX + "GetItem"})
    headers.pop("Content-Length", None)
    connection = wire.connect()
    chunks = (data[start : start + 7] for start in range(0, len(data), 7))
    connection.request("POST", "/", body=chunks, headers=headers, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.varley_only
def test_a_gzipped_body_is_unpacked(empty: Table, wire: Wire) -> None:
    body = gzip.compress(json.dumps({"TableName": empty.name, "Key": KEY}).encode())
    reply = wire.send(body, {"X-Amz-Target": TARGET_PREFIX + "GetItem", "Content-Encoding": "gzip"})
    assert reply.status == 200


@pytest.mark.varley_only
def test_a_gzipped_body_that_is_none_or_a_bomb_is_refused(empty: Table, wire: Wire) -> None:
    headers = {"X-Amz-Target": TARGET_PREFIX + "PutItem", "Content-Encoding": "gzip"}
    good = gzip.compress(json.dumps({"TableName": empty.name, "Item": KEY}).encode())
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    for body in (b"not gzip", good[:-4], good[:20], bomb):
        try:
            reply = wire.send(body, headers)
        except (ConnectionError, http.client.HTTPException):
            continue
        assert reply.status in (400, 413)


HTTP_NONSENSE = {
    "no http": b"hello\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "no method": b" / HTTP/1.1\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length that is no number": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "a length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a header of a megabyte": b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "ten thousand headers": b"POST / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n",
    "a control character in a header": b"POST / HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
    "http 0.9": b"GET /\r\n",
    "http 3": b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", HTTP_NONSENSE)
def test_nonsense_in_http_harms_nobody(wire: Wire, name: str) -> None:
    answer = raw(wire, HTTP_NONSENSE[name], half_close=True)
    assert b"Traceback" not in answer
    assert not answer.startswith(b"HTTP/1.1 5") or answer.startswith(b"HTTP/1.1 505")


def test_a_client_that_leaves_in_the_middle_writes_nothing(empty: Table, wire: Wire) -> None:
    data = request_bytes(wire, "PutItem", {"TableName": empty.name, "Item": KEY})
    for end in (10, len(data) // 2, len(data) - 1):
        parts = urlsplit(wire.endpoint)
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as connection:
            connection.sendall(data[:end])


def test_a_get_of_the_root_says_that_the_service_is_healthy(wire: Wire) -> None:
    reply = wire.send(b"", {}, method="GET", signed=False)
    assert reply.status == 200
    assert reply.body.startswith(b"healthy: ")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_do_nothing(empty: Table, wire: Wire, method: str) -> None:
    body = json.dumps({"TableName": empty.name, "Item": KEY}).encode()
    reply = wire.send(body, {"X-Amz-Target": TARGET_PREFIX + "PutItem"}, method=method)
    assert 400 <= reply.status < 500


def test_other_paths_are_not_found(empty: Table, wire: Wire) -> None:
    body = json.dumps({"TableName": empty.name, "Item": KEY}).encode()
    reply = wire.send(body, {"X-Amz-Target": TARGET_PREFIX + "PutItem"}, path="/no/such/path")
    assert 400 <= reply.status < 500
