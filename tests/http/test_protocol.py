"""HTTP/1.1 as a client sees it: one test per promise of http/protocol.py."""

from __future__ import annotations

import gc
import gzip
import logging
import re
from collections.abc import Callable

import pytest
from house import House, request

from varley.errors import ResourceInUse
from varley.http.call import Call
from varley.http.protocol import Connection
from varley.http.reception import FrontDoorSettings
from varley.http.routes import PlainRequest, PlainResponse


def test_an_answer_has_the_headers_of_aws(house: House) -> None:
    answer = house.ask(request(body=b'{"a":1}'))
    assert answer.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.body == b'{"a":1}'
    assert set(answer.headers) == {
        "server", "content-type", "date", "x-amzn-requestid", "x-amz-crc32", "content-length",
    }  # fmt: skip
    assert answer.headers["server"] == "Varley"
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert answer.headers["date"] == "Tue, 14 Nov 2023 22:30:00 GMT"
    assert re.fullmatch("[A-Z0-9]{52}", answer.headers["x-amzn-requestid"])


def test_request_ids_are_unique(house: House) -> None:
    wire = house.connect()
    ids = {wire.ask(request()).headers["x-amzn-requestid"] for _ in range(600)}
    assert len(ids) == 600


def test_the_date_follows_the_clock(house: House) -> None:
    house.pass_seconds(61)
    assert house.ask(request()).headers["date"] == "Tue, 14 Nov 2023 22:31:01 GMT"


def test_the_handler_sees_the_call(house: House) -> None:
    house.ask(request(body=b'{"TableName":"t"}', X_Extra="1"))
    (call,) = house.calls
    assert call.operation == "GetItem"
    assert call.body == b'{"TableName":"t"}'
    assert call.headers[b"x-extra"] == b"1"
    assert call.authorization is not None
    assert call.identity().region == "eu-west-1"


# ---- connections


def test_a_connection_is_kept(house: House) -> None:
    wire = house.connect()
    for number in range(5):
        assert wire.ask(request(body=b"%d" % number)).body == b"%d" % number
    assert house.door.connections == 1


def test_connection_close_is_honoured(house: House) -> None:
    wire = house.connect()
    answer = wire.ask(request(Connection="close"))
    assert answer.status == 200
    assert answer.headers["connection"] == "close"
    assert wire.is_closed()


def test_http_1_0_ends_with_the_answer(house: House) -> None:
    wire = house.connect()
    assert wire.ask(request(line="POST / HTTP/1.0")).headers["connection"] == "close"
    assert wire.is_closed()


def test_http_1_0_is_kept_if_it_asks(house: House) -> None:
    wire = house.connect()
    for _ in range(2):
        answer = wire.ask(request(line="POST / HTTP/1.0", Connection="keep-alive"))
        assert answer.headers["connection"] == "keep-alive"


def test_what_follows_a_last_request_is_not_answered(house: House) -> None:
    wire = house.connect()
    assert wire.ask(request(Connection="close") + request() + b"garbage").status == 200
    assert wire.is_closed()
    assert len(house.calls) == 1


def test_a_client_that_says_it_is_done_gets_the_answers_it_waits_for(house: House) -> None:
    wire = house.connect().send(request("Query"))
    house.wait_for_calls(1)
    wire.socket.shutdown(1)
    house.run(lambda: house.waiting[0].reply(b"late"))
    assert wire.receive().body == b"late"
    assert wire.is_closed()


def test_answers_to_a_client_that_has_gone_are_harmless(house: House) -> None:
    wire = house.connect().send(request("Query") * 3)
    house.wait_for_calls(3)
    wire.close()
    house.wires.remove(wire)
    house.run(lambda: house.waiting[0].reply(b"perhaps still written"))
    house.run(lambda: house.waiting[2].reply(b"late"))
    house.run(lambda: house.waiting[1].fail(ResourceInUse("late")))
    house.wait_for_connections(0)
    house.assert_alive()


def test_tolerates_empty_lines_between_requests(house: House) -> None:
    wire = house.connect()
    assert wire.ask(request()).status == 200
    assert wire.ask(b"\r\n" + request()).status == 200


@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_a_request_may_come_in_pieces(house: House, step: int) -> None:
    wire = house.connect()
    data = request(body=b'{"key":"value"}')
    for start in range(0, len(data), step):
        wire.send(data[start : start + step])
        if step > 1:
            house.run(lambda: None)
    assert wire.receive().body == b'{"key":"value"}'


def test_a_megabyte_goes_both_ways(house: House) -> None:
    body = bytes(range(256)) * 4096
    assert house.ask(request(body=body)).body == body


# ---- order


def test_pipelined_requests_are_answered_in_order(house: House) -> None:
    wire = house.connect().send(b"".join(request(body=b"%d" % number) for number in range(100)))
    assert [wire.receive().body for _ in range(100)] == [b"%d" % number for number in range(100)]


def test_late_answers_keep_the_order_of_the_requests(house: House) -> None:
    wire = house.connect()
    wire.send(request("Query") + request(body=b"second") + request("Query") + request("DeleteItem"))
    house.wait_for_calls(4)
    house.run(lambda: house.waiting[1].reply(b"third"))
    house.run(lambda: house.waiting[0].reply(b"first"))
    assert [wire.receive().body for _ in range(3)] == [b"first", b"second", b"third"]
    assert wire.receive().code == "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"


def test_a_page_waits_for_the_calls_before_it(house: House) -> None:
    wire = house.connect().send(request("Query") + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + b"bad\r\n\r\n")
    house.wait_for_calls(1)
    house.run(lambda: house.waiting[0].reply(b"first"))
    assert [wire.receive().body for _ in range(2)] == [b"first", b"alive"]
    assert wire.receive().status == 400


def test_a_handler_may_answer_inside_its_own_call(house: House) -> None:
    assert house.ask(request("PutItem")).body == b'{"Replied":"inside"}'


def test_a_handler_may_answer_earlier_calls_of_the_same_connection(
    open_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gathers as many calls as may wait, and answers them all from inside the last."""
    house = open_house(settings=FrontDoorSettings(pipelined_max=4))
    wire = house.connect()
    count = 40

    def gather(house: House, call: object) -> None:
        house.waiting.append(call)  # type: ignore[arg-type]
        if len(house.waiting) == 4:
            for number, waiting in enumerate(reversed(house.waiting)):
                waiting.reply(b"%d" % (3 - number))
            house.waiting.clear()

    monkeypatch.setattr("conftest.handle", gather)
    for _ in range(count // 8):
        wire.send(request() * 8)
        assert [wire.receive().body for _ in range(8)] == [b"0", b"1", b"2", b"3"] * 2


def test_answers_behind_a_call_that_waits_are_limited_too(open_house: Callable[..., House]) -> None:
    house = open_house(settings=FrontDoorSettings(pipelined_max=3))
    wire = house.connect().send(request("Query"))
    for _ in range(10):
        wire.send(request())
        house.run(lambda: None)
    assert len(house.calls) == 3
    house.run(lambda: house.waiting[0].reply(b"first"))
    assert [wire.receive().body for _ in range(11)] == [b"first"] + [b"{}"] * 10


def test_answering_twice_is_our_bug(house: House) -> None:
    house.connect().send(request("Query"))
    house.wait_for_calls(1)
    house.run(lambda: house.waiting[0].reply(b"once"))
    with pytest.raises(AssertionError):
        house.run(lambda: house.waiting[0].reply(b"twice"))


# ---- bodies


def test_chunked_bodies(house: House) -> None:
    wire = house.connect()
    head = request(drop=("Content-Length",), Transfer_Encoding="chunked").removesuffix(b"{}")
    assert wire.ask(head + b"3\r\n{\"a\r\n5;ext=1\r\n\":12}\r\n0\r\n\r\n").body == b'{"a":12}'
    assert wire.ask(request(body=b"next")).body == b"next"


def test_trailers_are_not_headers(house: House) -> None:
    head = request(drop=("Content-Length", "Authorization"), Transfer_Encoding="chunked").removesuffix(b"{}")
    answer = house.ask(head + b"2\r\n{}\r\n0\r\nAuthorization: AWS4-HMAC-SHA256 Credential=x\r\n\r\n")
    assert answer.code.endswith("MissingAuthenticationTokenException")


CHUNKED = request(drop=("Content-Length",), Transfer_Encoding="chunked").removesuffix(b"{}") + b"2\r\n{}\r\n"


def test_trailers_are_not_kept(house: House) -> None:
    """Nor do they, or names that come twice among them, do harm."""
    wire = house.connect()
    trailers = b"Host: a\r\n" * 2 + b"".join(b"X-%d: 1\r\n" % number for number in range(1000))
    assert wire.ask(CHUNKED + b"0\r\n" + trailers + b"\r\n").body == b"{}"
    assert wire.ask(request(body=b"next")).body == b"next"
    assert not any(name.startswith(b"x-") and name[2:].isdigit() for name in house.calls[0].headers)
    assert not any(name.startswith(b"x-") and name[2:].isdigit() for name in house.calls[1].headers)


@pytest.mark.parametrize(
    "piece",
    [b"x: " + b"a" * 997 + b"\r\n", b"a" * 1000],
    ids=["a name again and again", "one without end"],
)
@pytest.mark.parametrize("start", [b"0\r\n", b"0\r\nx:", b"2;extension="], ids=["0", "field", "extension"])
def test_too_large_trailers_are_refused(house: House, start: bytes, piece: bytes) -> None:
    if start.endswith(b"=") and b"\r" in piece:
        piece = piece.replace(b"\r\n", b"..").replace(b": ", b"..")
    wire = house.connect().send(CHUNKED + start)
    house.run(lambda: None)
    wire.send(piece * 100)
    answer = wire.receive()
    assert (answer.status, answer.headers["connection"]) == (431, "close")
    assert wire.is_closed()
    assert house.calls == []
    house.assert_alive()


def test_a_body_in_small_chunks_is_more_framing_than_body(house: House) -> None:
    """It is taken: what counts is how much comes without any body in between."""
    wire = house.connect().send(CHUNKED)
    for _ in range(10):
        wire.send(b"1;why=because\r\nx\r\n" * 2000)
    assert wire.ask(b"0\r\n\r\n").body == b"{}" + b"x" * 20_000


def test_continue_is_sent_to_who_waits_for_it(house: House) -> None:
    data = request(body=b"{}", Expect="100-continue")
    wire = house.connect()
    assert wire.ask(data[:-2]).status == 100
    assert wire.ask(data[-2:]).body == b"{}"
    assert wire.ask(data[:-2]).status == 100
    assert wire.ask(data[-2:]).body == b"{}"


def test_continue_is_not_sent_when_the_body_is_there(house: House) -> None:
    assert house.ask(request(Expect="100-continue")).status == 200


def test_continue_waits_for_earlier_answers(house: House) -> None:
    data = request(body=b"{}", Expect="100-continue")
    wire = house.connect().send(request("Query") + data[:-2])
    house.wait_for_calls(1)
    house.run(lambda: house.waiting[0].reply(b"first"))
    assert wire.receive().body == b"first"
    assert wire.receive().status == 100
    assert wire.ask(data[-2:]).body == b"{}"


def test_continue_is_not_sent_after_the_body(house: House) -> None:
    data = request("Query", Expect="100-continue")
    wire = house.connect().send(data + data[:-2])
    house.wait_for_calls(1)
    wire.send(data[-2:])
    house.wait_for_calls(2)
    house.run(lambda: house.waiting[0].reply(b"first"))
    house.run(lambda: house.waiting[1].reply(b"second"))
    assert [wire.receive().body for _ in range(2)] == [b"first", b"second"]


def test_too_large_a_body_is_refused_before_it_is_sent(house: House) -> None:
    wire = house.connect()
    answer = wire.ask(request(body=b"", Content_Length=str(16 * 1024**2 + 1), Expect="100-continue"))
    assert answer.status == 413
    assert answer.code == "com.amazon.coral.service#RequestEntityTooLargeException"
    assert answer.headers["connection"] == "close"
    assert wire.is_closed()
    house.assert_alive()


def test_the_largest_body_is_taken(house: House) -> None:
    body = bytes(16 * 1024**2)
    wire = house.connect()
    wire.send(request("Query", body))
    house.wait_for_calls(1)
    assert len(house.calls[0].body) == len(body)


def test_a_chunked_body_without_end_is_refused(house: House) -> None:
    head = request(drop=("Content-Length",), Transfer_Encoding="chunked").removesuffix(b"{}")
    wire = house.connect().send(head)
    chunk = b"%x\r\n" % 2**20 + bytes(2**20) + b"\r\n"
    for _ in range(17):
        wire.send(chunk)
    assert wire.receive().status == 413
    house.assert_alive()


# ---- HTTP that is not, or has two meanings


MALFORMED = {
    "garbage": b"\x00\x01\x02\xff\xfe garbage\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": request(line="POST / HTTP/3.7"),
    "no version": b"GET /\r\n\r\n",
    "unknown method": request(line="BREW / HTTP/1.1"),
    "both length and chunks": request(Transfer_Encoding="chunked"),
    "two lengths": request().replace(b"Host:", b"Content-Length: 7\r\nHost:"),
    "the same length twice": request().replace(b"Host:", b"Content-Length: 2\r\nHost:"),
    "negative length": request(Content_Length="-2"),
    "length of letters": request(Content_Length="two"),
    "length beyond 64 bits": request(Content_Length="99999999999999999999999"),
    "chunk length of letters": request(drop=("Content-Length",), Transfer_Encoding="chunked", body=b"zz\r\n"),
    "chunks of another coding": request(
        drop=("Content-Length",), Transfer_Encoding="gzip, chunked", body=b"0\r\n\r\n"
    ),
    "chunked twice": request(drop=("Content-Length",), Transfer_Encoding="chunked, chunked", body=b"0\r\n\r\n"),
    "unknown coding": request(drop=("Content-Length",), Transfer_Encoding="smoke"),
    "space before the colon": request().replace(b"Host:", b"Host :"),
    "folded header": request().replace(b"Host:", b"X-A: 1\r\n more\r\nTransfer-Encoding\r\n : chunked\r\nHost:"),
    "bare line feeds": request().replace(b"\r\n", b"\n"),
    "no Host": request(drop=("Host",)),
    "two Hosts": request().replace(b"X-Amz-Date", b"Host: other\r\nX-Amz-Date"),
    "two targets": request().replace(b"X-Amz-Date", b"x-amz-target: DynamoDB_20120810.Query\r\nX-Amz-Date"),
    "two signatures": request().replace(b"X-Amz-Date", b"authorization: AWS4-x\r\nX-Amz-Date"),
    "zero byte in a header": request(X_Zero="a\0b"),
    "upgrade with a body": request(Connection="Upgrade", Upgrade="h2c"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_refused_and_the_connection_ends(house: House, name: str) -> None:
    wire = house.connect()
    answer = wire.ask(MALFORMED[name])
    assert answer.status == 400
    assert answer.code == "com.amazon.coral.service#MalformedHttpRequestException"
    assert answer.headers["connection"] == "close"
    assert wire.is_closed()
    assert house.calls == []
    house.assert_alive()


def test_a_refusal_reaches_a_client_that_is_still_sending(house: House) -> None:
    """Closing at once would make the kernel send a reset, and the client might never see why."""
    wire = house.connect()
    wire.send(b"garbage" + bytes(100_000))
    house.run(lambda: None)
    wire.send(bytes(100_000))
    assert wire.receive().status == 400
    assert wire.is_closed()
    assert house.door.connections == 1
    house.pass_seconds(4)
    house.wait_for_connections(0)


def test_an_upgrade_without_a_body_is_ignored(house: House) -> None:
    upgrade = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    wire = house.connect()
    wire.send(upgrade + upgrade + request(body=b"next"))
    assert [wire.receive().body for _ in range(3)] == [b"healthy: h", b"healthy: h", b"next"]


def test_connect_is_unknown(house: House) -> None:
    assert house.ask(b"CONNECT example.com:443 HTTP/1.1\r\nHost: h\r\n\r\n").status == 404


def test_too_large_a_head_is_refused(house: House) -> None:
    wire = house.connect()
    wire.send(b"POST / HTTP/1.1\r\nHost: h\r\n" + b"X-Filler: 0123456789\r\n" * 4000)
    answer = wire.receive()
    assert answer.status == 431
    assert wire.is_closed()
    house.assert_alive()


def test_an_endless_header_is_refused(house: House) -> None:
    wire = house.connect()
    wire.send(b"POST / HTTP/1.1\r\nX-Endless: " + b"x" * 100_000)
    assert wire.receive().status == 431


def test_a_large_head_is_taken(house: House) -> None:
    assert house.ask(request(X_Large="x" * 60_000)).status == 200


def test_the_request_line_may_name_the_whole_url(house: House) -> None:
    assert house.ask(request(line="POST http://localhost:8000/ HTTP/1.1")).status == 200
    assert house.ask(b"GET http://localhost:8000 HTTP/1.1\r\nHost: a\r\n\r\n").body == b"healthy: a"


# ---- errors


def test_an_api_error_is_answered_with_its_members(house: House) -> None:
    wire = house.connect()
    answer = wire.ask(request("DeleteItem"))
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert answer.json == {
        "__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
        "message": "Requested resource not found",
    }
    assert wire.ask(request()).status == 200


def test_the_worlds_failure_is_told_without_paths(house: House, caplog: pytest.LogCaptureFixture) -> None:
    answer = house.ask(request("Scan"))
    assert answer.status == 500
    assert answer.json == {
        "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError",
        "message": "The disk is full. Make room",
    }
    assert "/secret/path" in caplog.text


def test_the_worlds_failures_do_not_flood_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        house.ask(request("Scan"))
    assert len(caplog.records) == 1
    house.pass_seconds(1)
    house.ask(request("Scan"))
    assert len(caplog.records) == 2


def test_our_own_failure_is_logged_and_told_to_nobody(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    wire = house.connect()
    answer = wire.ask(request("ListTables"))
    assert answer.status == 500
    assert answer.code == "com.amazonaws.dynamodb.v20120810#InternalServerError"
    assert "bug of ours" not in answer.body.decode()
    (record,) = caplog.records
    assert record.name == "varley.http"
    assert record.levelno == logging.ERROR
    assert "ZeroDivisionError: a bug of ours" in caplog.text
    assert "Traceback" in caplog.text
    assert wire.ask(request()).status == 200


def test_a_late_failure_is_answered_too(house: House) -> None:
    wire = house.connect().send(request("Query"))
    house.wait_for_calls(1)
    house.run(lambda: house.waiting[0].fail(ResourceInUse("Transaction is ongoing for the item")))
    assert wire.receive().code == "com.amazonaws.dynamodb.v20120810#ResourceInUseException"


# ---- other paths


def test_root_says_healthy_and_the_host(house: House) -> None:
    answer = house.ask(b"GET / HTTP/1.1\r\nHost: localhost:8000\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"healthy: localhost:8000")


def test_health_and_readiness(open_house: Callable[..., House]) -> None:
    ready = False
    house = open_house(is_ready=lambda: ready)
    assert house.ask(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n").status == 200
    assert house.ask(b"GET /ready HTTP/1.1\r\nHost: h\r\n\r\n").status == 503
    ready = True
    assert house.ask(b"GET /ready HTTP/1.1\r\nHost: h\r\n\r\n").status == 200


def test_head_is_get_without_the_body(house: House) -> None:
    wire = house.connect()
    answer = wire.ask(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", has_body=False)
    assert (answer.status, answer.headers["content-length"]) == (200, str(len("healthy: h")))
    answer = wire.ask(b"HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", has_body=False)
    assert answer.status == 404
    assert wire.ask(request()).status == 200


@pytest.mark.parametrize(
    "line", ["GET /nowhere", "PUT /", "DELETE /", "PATCH /", "OPTIONS /", "POST /nowhere", "OPTIONS *"]
)
def test_what_is_neither_a_call_nor_a_page_is_unknown(house: House, line: str) -> None:
    wire = house.connect()
    answer = wire.ask(request(line=f"{line} HTTP/1.1"))
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")
    assert "content-type" not in answer.headers
    assert wire.ask(request()).status == 200


def test_routes(open_house: Callable[..., House]) -> None:
    def echo(request: PlainRequest) -> PlainResponse:
        text = f"{request.method} {request.path} {request.query.decode()} {request.body.decode()}"
        return PlainResponse(201, text.encode(), headers={"X-Route": request.headers[b"x-key"].decode()})

    def fail(request: PlainRequest) -> PlainResponse:
        raise RuntimeError("a bug in a route")

    house = open_house(routes={"/ring/v1/": echo, "/ring/v1/fail": fail})
    answer = house.ask(b"PUT /ring/v1/a%20b?n=1 HTTP/1.1\r\nHost: h\r\nX-Key: k\r\nContent-Length: 1\r\n\r\n!")
    assert (answer.status, answer.body) == (201, b"PUT /ring/v1/a%20b n=1 !")
    assert answer.headers["x-route"] == "k"
    assert house.ask(b"GET /ring/v1/fail HTTP/1.1\r\nHost: h\r\n\r\n").status == 500
    assert house.ask(b"GET /ring/v1 HTTP/1.1\r\nHost: h\r\n\r\n").status == 404


# ---- cost


USUAL = {
    "boto3": request(
        User_Agent="Boto3/1.44", Accept_Encoding="identity", amz_sdk_invocation_id="5e7a", amz_sdk_request="1"
    ),
    "JavaScript": request(
        host="h", drop=("Host",), Connection="keep-alive", x_amz_user_agent="aws-sdk-js/3", x_amz_content_sha256="0"
    ),
    "Java": request(Connection="Keep-Alive", User_Agent="aws-sdk-java/2"),
    "temporary credentials": request(X_Amz_Security_Token="token"),
    "JSON 1.1": request(Content_Type="application/x-amz-json-1.1"),
}


@pytest.mark.parametrize("client", USUAL)
def test_what_sdks_send_takes_the_short_way(
    house: House, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be answered on the long way too, in twice the time, and nobody would notice."""
    monkeypatch.setattr(Connection, "_answer_unusual", lambda *_: pytest.fail("not the short way"))
    assert house.ask(USUAL[client]).status == 200


def test_requests_leave_no_work_for_the_cycle_collector(house: House) -> None:
    """Its pauses would be the slowest requests of all."""

    def burst() -> None:
        for _ in range(20):
            wire = house.connect()
            for operation in ("GetItem", "PutItem", "DeleteItem", "Nonsense"):
                wire.ask(request(operation))
            wire.ask(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            wire.ask(b"garbage\r\n\r\n")
            house.wires.remove(wire)
            wire.close()
        house.wait_for_connections(0)

    burst()
    gc.collect()
    gc.disable()
    try:
        burst()
        assert gc.collect() < 20
    finally:
        gc.enable()


# ---- counters


def test_answers_are_counted_by_operation(house: House) -> None:
    wire = house.connect()
    for _ in range(3):
        wire.ask(request())
    wire.ask(request("DeleteItem"))
    wire.ask(request("Nonsense"))
    traffic = house.door.traffic
    assert traffic.requests("GetItem") == 3
    assert traffic.requests("DeleteItem") == 1
    assert 0 < traffic.seconds["GetItem"] < 1
    assert traffic.failures == {("DeleteItem", 400, "ResourceNotFoundException"): 1}
    assert traffic.refusals == {"UnknownOperationException": 1}


# ---- large bodies


def test_bodies_of_megabytes_are_handled_without_the_cyclic_collector(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding them makes millions of lists and maps, and it looks through all of them again and again."""
    was_on: list[bool] = []

    def handle(house: House, call: Call) -> bytes:
        was_on.append(gc.isenabled())
        if len(was_on) == 4:
            raise ResourceInUse("a failure")
        return b"%d" % len(call.body)

    monkeypatch.setattr("conftest.handle", handle)
    large = b" " * 2_000_000
    packed = gzip.compress(large)
    wire = house.connect()
    assert wire.ask(request(body=b"small")).body == b"5"
    assert wire.ask(request(body=large)).body == b"2000000"
    assert wire.ask(request(body=packed, Content_Encoding="gzip")).body == b"2000000"
    assert wire.ask(request(body=large)).status == 400
    assert wire.ask(request(body=b"small")).body == b"5"
    assert was_on == [True, False, False, False, True]
    assert gc.isenabled()
