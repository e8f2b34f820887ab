"""The ring's HTTP: what is asked, what is answered, and what is refused in which words.

Real front doors on loopback, the real cores of the ring behind them, no disk.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
from collections.abc import Iterator
from urllib.parse import quote_from_bytes

import pytest

from tests.ring_api.doors import Answer, Street, street
from tests.ring_api.pretended_ring import PretendedRing
from varley.ring.siblings import Mode, decode
from varley.ring_node import service

BYTES = "application/octet-stream"


@pytest.fixture
def doors() -> Iterator[Street]:
    with street(PretendedRing("abcde")) as made:
        yield made


def put(doors: Street, path: str, value: bytes, context: str | None = None, **more: str) -> Answer:
    return doors.ask("PUT", path, {"value": base64.b64encode(value).decode(), "context": context}, **more)


def values(answer: Answer) -> list[bytes]:
    return [base64.b64decode(each["value"]) for each in answer.json["values"]]


# Getting and putting


def test_what_was_put_is_got_with_a_context_and_a_time(doors: Street) -> None:
    written = put(doors, "/ring/v1/carts/7", b"milk")
    assert written.status == 200
    assert written.headers["content-type"] == "application/json"
    got = doors.ask("GET", "/ring/v1/carts/7", node="b")
    assert got.status == 200
    assert values(got) == [b"milk"]
    assert got.json["context"] == got.headers["x-varley-context"]
    assert got.json["values"][0]["modified"] > 1_700_000_000
    assert set(got.json) == {"context", "values", "answered", "sloppy"}


def test_a_put_with_the_context_replaces_and_one_without_makes_a_sibling(doors: Street) -> None:
    context = put(doors, "/ring/v1/carts/7", b"1").json["context"]
    context = put(doors, "/ring/v1/carts/7", b"2", context).json["context"]
    assert values(doors.ask("GET", "/ring/v1/carts/7")) == [b"2"]
    beside = put(doors, "/ring/v1/carts/7", b"3")
    assert beside.json["context"] is None    # there is one that this client has not seen
    assert "x-varley-context" not in beside.headers
    got = doors.ask("GET", "/ring/v1/carts/7")
    assert sorted(values(got)) == [b"2", b"3"]
    put(doors, "/ring/v1/carts/7", b"both", got.json["context"])
    assert values(doors.ask("GET", "/ring/v1/carts/7")) == [b"both"]


def test_without_a_context_the_newest_remains_where_the_last_write_wins(doors: Street) -> None:
    doors.ring.modes["sessions"] = Mode.LAST_WRITE_WINS
    put(doors, "/ring/v1/sessions/7", b"1")
    assert put(doors, "/ring/v1/sessions/7", b"2").json["context"]
    assert values(doors.ask("GET", "/ring/v1/sessions/7")) == [b"2"]


def test_what_was_never_there_has_no_context_and_what_was_deleted_has_one(doors: Street) -> None:
    never = doors.ask("GET", "/ring/v1/carts/7")
    assert (never.status, never.error, never.json["context"], never.json["values"]) == (404, "NotFound", None, [])
    assert "x-varley-context" not in never.headers
    context = put(doors, "/ring/v1/carts/7", b"milk").json["context"]
    assert doors.ask("DELETE", "/ring/v1/carts/7", {"context": context}).status == 200
    deleted = doors.ask("GET", "/ring/v1/carts/7")
    assert (deleted.status, deleted.error, deleted.json["values"]) == (404, "NotFound", [])
    assert deleted.json["context"] == deleted.headers["x-varley-context"]
    put(doors, "/ring/v1/carts/7", b"again", deleted.json["context"])
    assert values(doors.ask("GET", "/ring/v1/carts/7")) == [b"again"]


@pytest.mark.parametrize("where", ["body", "query", "header"])
def test_a_delete_takes_its_context_from_wherever_it_stands(doors: Street, where: str) -> None:
    context = put(doors, "/ring/v1/carts/7", b"milk").json["context"]
    if where == "body":
        answer = doors.ask("DELETE", "/ring/v1/carts/7", {"context": context})
    elif where == "query":
        answer = doors.ask("DELETE", f"/ring/v1/carts/7?context={context.replace('=', '%3D')}")
    else:
        answer = doors.ask("DELETE", "/ring/v1/carts/7", X_Varley_Context=context)
    assert answer.status == 200
    assert doors.ask("GET", "/ring/v1/carts/7").status == 404


def test_a_delete_removes_what_its_context_has_seen_and_nothing_else(doors: Street) -> None:
    context = put(doors, "/ring/v1/carts/7", b"1").json["context"]
    put(doors, "/ring/v1/carts/7", b"2")
    doors.ask("DELETE", "/ring/v1/carts/7", {"context": context})
    assert values(doors.ask("GET", "/ring/v1/carts/7")) == [b"2"]


@pytest.mark.parametrize(
    "key", [b"7", b"a/b", b"a b+c?d#e%f", bytes(range(256)), "Käse".encode(), b"..", b"\x00", b"k" * 1024]
)
def test_a_key_is_any_bytes(doors: Street, key: bytes) -> None:
    path = f"/ring/v1/carts/{quote_from_bytes(key, safe='')}"
    put(doors, path, key)
    assert values(doors.ask("GET", path)) == [key]
    assert values(doors.ask("GET", "/ring/v1/carts/" + "".join(f"%{byte:02x}" for byte in key))) == [key]


def test_slashes_of_a_key_may_stand_as_they_are(doors: Street) -> None:
    put(doors, "/ring/v1/carts/a/b", b"1")
    assert values(doors.ask("GET", "/ring/v1/carts/a%2Fb")) == [b"1"]


def test_buckets_are_apart(doors: Street) -> None:
    put(doors, "/ring/v1/carts/7", b"1")
    assert doors.ask("GET", "/ring/v1/wishes/7").status == 404


# Bytes as they are


def test_a_value_as_it_is(doors: Street) -> None:
    raw = bytes(range(256))
    written = doors.ask("PUT", "/ring/v1/carts/7", raw, Content_Type=BYTES)
    got = doors.ask("GET", "/ring/v1/carts/7", Accept=BYTES)
    assert (got.status, got.body, got.headers["content-type"]) == (200, raw, BYTES)
    assert got.headers["x-varley-context"]
    assert float(got.headers["x-varley-modified"]) > 1_700_000_000
    assert got.headers["last-modified"].endswith("GMT")
    again = doors.ask(
        "PUT", "/ring/v1/carts/7", b"2", Content_Type=BYTES, X_Varley_Context=written.headers["x-varley-context"]
    )
    assert again.status == 200
    assert doors.ask("GET", "/ring/v1/carts/7", Accept=BYTES).body == b"2"


def test_an_empty_value_is_a_value(doors: Street) -> None:
    doors.ask("PUT", "/ring/v1/carts/7", b"", Content_Type=BYTES)
    got = doors.ask("GET", "/ring/v1/carts/7", Accept=BYTES)
    assert (got.status, got.body) == (200, b"")


def test_several_values_as_they_are_come_as_multipart(doors: Street) -> None:
    raw = {b"1\r\n--x", bytes(range(256)), b""}
    for value in raw:
        doors.ask("PUT", "/ring/v1/carts/7", value, Content_Type=BYTES)
    got = doors.ask("GET", "/ring/v1/carts/7", Accept=f"{BYTES}, multipart/mixed")
    head = f"Content-Type: {got.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + got.body, policy=email.policy.HTTP)
    assert got.headers["content-type"].startswith("multipart/mixed; boundary=")
    parts = list(message.iter_parts())
    assert len(parts) == 3
    boundary = b"--" + got.headers["content-type"].partition("boundary=")[2].encode()
    pieces = got.body.split(boundary)[1:-1]
    assert {piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces} == raw
    assert all(part["X-Varley-Modified"] for part in parts)


@pytest.mark.parametrize(
    ("accept", "as_bytes"),
    [
        ("*/*", False), ("application/json", False), ("application/*", False), (f"{BYTES};q=0.1, */*;q=0.5", False),
        (BYTES, True), ("multipart/mixed", True), (f"application/json;q=0.5, {BYTES}", True), (f"{BYTES}, */*", True),
    ],
)  # fmt: skip
def test_accept_chooses(doors: Street, accept: str, as_bytes: bool) -> None:
    put(doors, "/ring/v1/carts/7", b"1")
    assert (doors.ask("GET", "/ring/v1/carts/7", Accept=accept).headers["content-type"] == BYTES) is as_bytes


def test_head_is_get_without_the_body(doors: Street) -> None:
    put(doors, "/ring/v1/carts/7", b"1")
    got, head = (doors.ask(method, "/ring/v1/carts/7", Accept=BYTES) for method in ("GET", "HEAD"))
    assert head.body == b""
    assert (head.status, head.headers["x-varley-context"]) == (200, got.headers["x-varley-context"])
    assert head.headers["content-length"] == "1"
    assert doors.ask("HEAD", "/ring/v1/carts/8").status == 404
    assert doors.ask("HEAD", "/ring/v1/carts/8?r=x").body == b""


# What is refused


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "error", "words"),
    [
        ("PUT", "/ring/v1/carts/7", b"{}", {"Content-Type": "application/json"}, 400, "BadRequest", "value"),
        ("PUT", "/ring/v1/carts/7", b"{", {"Content-Type": "application/json"}, 400, "BadRequest", "<base64>"),
        ("PUT", "/ring/v1/carts/7", b'{"value":"?"}', {"Content-Type": "application/json"}, 400, "BadRequest", "64"),
        (
            "PUT", "/ring/v1/carts/7", b'{"value":"","contxt":""}', {"Content-Type": "application/json"},
            400, "BadRequest", "contxt",
        ),
        ("PUT", "/ring/v1/carts/7", b"x", {}, 400, "BadRequest", "<base64>"),
        ("PUT", "/ring/v1/carts/7", b"x", {"Content-Type": "text/plain"}, 415, "UnsupportedMediaType", BYTES),
        (
            "PUT", "/ring/v1/carts/7", b"x", {"Content-Type": BYTES, "X-Varley-Context": "???"},
            400, "BadContext", "handed",
        ),
        ("PUT", "/ring/v1/carts/7?w=0", b"x", {"Content-Type": BYTES}, 400, "BadRequest", "from 1 to N"),
        ("PUT", "/ring/v1/carts/7?r=1", b"x", {"Content-Type": BYTES}, 400, "BadRequest", "there are w"),
        ("GET", "/ring/v1/carts/7?r=two", None, {}, 400, "BadRequest", "'two'"),
        ("GET", "/ring/v1/carts/7?r=4", None, {}, 400, "BadRequest", "at most 3"),
        ("GET", "/ring/v1/carts/7?r=1&r=2", None, {}, 400, "BadRequest", "twice"),
        ("GET", "/ring/v1/carts/7%2", None, {}, 400, "BadRequest", "%25"),
        ("GET", "/ring/v1/carts/", None, {}, 400, "BadRequest", "1 to 1024 bytes"),
        ("GET", "/ring/v1/carts/" + "k" * 1025, None, {}, 400, "BadRequest", "has 1025"),
        ("GET", "/ring/v1//7", None, {}, 400, "BadRequest", "bucket"),
        ("GET", "/ring/v1/%ff/7", None, {}, 400, "BadRequest", "UTF-8"),
        ("GET", "/ring/v1/" + "b" * 65 + "/7", None, {}, 400, "BadRequest", "1 to 64"),
        ("GET", "/ring/v1/carts/7", None, {"Accept": "image/png"}, 406, "NotAcceptable", "application/json"),
        ("POST", "/ring/v1/carts/7", b"", {}, 405, "MethodNotAllowed", "GET, HEAD, PUT, DELETE"),
        ("PUT", "/ring/v1/placement", b"", {}, 405, "MethodNotAllowed", "GET"),
        ("GET", "/ring/v1/carts", None, {}, 404, "NotFound", "{bucket}/{key}"),
        ("GET", "/nowhere", None, {}, 404, "NotFound", "{bucket}/{key}"),
        ("POST", "/", b"{}", {"X-Amz-Target": "DynamoDB_20120810.ListTables"}, 404, "NotFound", "{bucket}/{key}"),
        ("DELETE", "/ring/v1/carts/7?context=a", b"", {"X-Varley-Context": "b"}, 400, "BadRequest", "differ"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    doors: Street, method: str, path: str, body: bytes, headers: dict[str, str], status: int, error: str, words: str
) -> None:
    answer = doors.ask(method, path, body, **headers)
    assert (answer.status, answer.error) == (status, error)
    assert words in answer.json["error"]["message"]
    assert answer.headers["content-type"] == "application/json"
    assert sum(map(len, doors.ring.rows.values())) == 0


def test_a_method_that_is_not_offered_comes_with_those_that_are(doors: Street) -> None:
    assert doors.ask("POST", "/ring/v1/carts/7").headers["allow"] == "GET, HEAD, PUT, DELETE, OPTIONS"


def test_values_end_at_a_megabyte(doors: Street) -> None:
    assert doors.ask("PUT", "/ring/v1/carts/7", b"x" * 1048576, Content_Type=BYTES).status == 200
    answer = doors.ask("PUT", "/ring/v1/carts/7", b"x" * 1048577, Content_Type=BYTES)
    assert (answer.status, answer.error) == (400, "TooLarge")
    answer = put(doors, "/ring/v1/carts/7", b"x" * 1048577)
    assert (answer.status, answer.error) == (400, "TooLarge")


def test_what_the_front_door_refuses_is_worded_like_the_rest(doors: Street) -> None:
    answer = doors.ask("GET", "/ring/v1/carts/7", Content_Length="99999999")
    assert (answer.status, answer.error) == (413, "RequestEntityTooLarge")
    answer = doors.ask("PUT", "/ring/v1/carts/7", b"x", Content_Encoding="br", Content_Type=BYTES)
    assert (answer.status, answer.error) == (400, "MalformedHttpRequest")


@pytest.mark.parametrize(
    ("error", "status", "name", "members"),
    [
        (service.NotEnough("too few", 1, 2), 503, "NotEnough", {"answered": 1, "needed": 2}),
        (service.Unavailable("stopping"), 503, "Unavailable", {}),
        (service.Unknown("perhaps", 1, 2), 504, "OutcomeUnknown", {"stored": 1, "needed": 2}),
        (service.TooManySiblings("too many"), 409, "TooManySiblings", {}),
        (service.TooLarge("too large"), 400, "TooLarge", {}),
    ],
)
def test_what_the_ring_cannot_do_says_whether_it_was_done(
    doors: Street, error: service.RingError, status: int, name: str, members: dict[str, int]
) -> None:
    doors.ring.nodes["a"].next_error = error
    answer = put(doors, "/ring/v1/carts/7", b"1")
    assert answer.status == status
    assert answer.json == {"error": {"type": name, "message": error.message, **members}}
    assert ("retry-after" in answer.headers) == (status == 503)


def test_too_few_nodes(doors: Street) -> None:
    doors.ring.down = set("bcde")
    answer = put(doors, "/ring/v1/carts/7", b"1")
    assert (answer.status, answer.json["error"]["answered"], answer.json["error"]["needed"]) == (503, 1, 2)
    assert put(doors, "/ring/v1/carts/7?w=1", b"1").status == 200
    assert doors.ask("GET", "/ring/v1/carts/7").error == "NotEnough"
    assert values(doors.ask("GET", "/ring/v1/carts/7?r=1")) == [b"1"]


# The ring


def test_status_tells_members_and_ownership(doors: Street) -> None:
    for path in ("/ring/v1", "/ring/v1/"):
        status = doors.ask("GET", path).json
        assert [member["name"] for member in status["members"]] == list("abcde")
        assert sum(member["share"] for member in status["members"]) == pytest.approx(1)
        assert status["name"] == "a"


def test_placement_tells_who_stores_what_once(doors: Street) -> None:
    placement = doors.ask("GET", "/ring/v1/placement").json
    assert set(placement["owners"]) == set("abcde")
    assert placement["endpoints"] == doors.ring.endpoints
    unchanged = doors.ask("GET", f"/ring/v1/placement?version={placement['version']}")
    assert (unchanged.status, unchanged.body) == (304, b"")


def test_a_node_hands_out_what_it_alone_holds(doors: Street) -> None:
    put(doors, "/ring/v1/carts/7", b"1")
    held = {
        name: decode(doors.ask("GET", "/ring/v1/carts/7?replica", node=name).body).values for name in "abcde"
    }
    assert [name for name, kept in held.items() if kept == (b"1",)] == sorted(doors.ring.homes("carts", b"7"))


def test_a_client_with_another_placement_is_told_so(doors: Street) -> None:
    version = doors.ask("GET", "/ring/v1/placement").json["version"]
    same = doors.ask("GET", "/ring/v1/carts/7?replica", X_Varley_Placement=version)
    assert "x-varley-placement" not in same.headers
    other = doors.ask("GET", "/ring/v1/carts/7?replica", X_Varley_Placement="older")
    assert other.headers["x-varley-placement"] == version


def test_joining_and_leaving(doors: Street) -> None:
    assert doors.ask("POST", "/ring/v1/join", {"zone": "east", "capacity": 2}).status == 200
    assert doors.ring.nodes["a"].joined == [("east", 2.0)]
    assert doors.ask("POST", "/ring/v1/leave", {"name": "e"}).status == 200
    assert "e" not in doors.ring.placement.members
    gone = doors.ask("POST", "/ring/v1/leave", {"name": "e"})
    assert (gone.status, gone.error) == (404, "NoMember")
    assert doors.ask("POST", "/ring/v1/join", {"capacity": 0}).error == "BadRequest"
    assert doors.ask("POST", "/ring/v1/leave", b"name=b").error == "UnsupportedMediaType"
    page = doors.ask("POST", "/ring/v1/leave", {"name": "d"}, Origin="http://evil.example")
    assert (page.status, "d" in doors.ring.placement.members) == (403, True)


def test_health_is_the_front_doors(doors: Street) -> None:
    assert doors.ask("GET", "/health").status == 200
    assert doors.ask("GET", "/ready").status == 200
    doors.ring.down.add("a")
    assert doors.ask("GET", "/ready").status == 503


def test_web_pages_may_call_and_read_the_context(doors: Street) -> None:
    asked = doors.ask(
        "OPTIONS", "/ring/v1/carts/7", Origin="http://page.example", Access_Control_Request_Method="PUT",
        Access_Control_Request_Headers="x-varley-context",
    )  # fmt: skip
    assert (asked.status, asked.headers["access-control-allow-methods"]) == (200, "PUT")
    assert asked.headers["access-control-allow-headers"] == "x-varley-context"
    got = doors.ask("GET", "/ring/v1/carts/7", Origin="http://page.example")
    assert got.headers["access-control-allow-origin"] == "*"
    assert "X-Varley-Context" in got.headers["access-control-expose-headers"]


def test_requests_are_counted_by_operation_and_error(doors: Street) -> None:
    put(doors, "/ring/v1/carts/7", b"1")
    doors.ask("GET", "/ring/v1/carts/8")
    doors.ask("GET", "/ring/v1/carts/8?r=0")
    traffic = doors.doors["a"].traffic
    assert traffic.requests("RingPut") == 1
    assert traffic.requests("RingGet") == 2
    assert traffic.failures == {("RingGet", 404, "NotFound"): 1, ("RingGet", 400, "BadRequest"): 1}


@pytest.mark.parametrize("said", [{}, {"Content-Type": "application/x-www-form-urlencoded"}])
def test_a_body_of_which_nothing_is_said_is_json(doors: Street, said: dict[str, str]) -> None:
    """As `curl -d` and urllib send it."""
    written = doors.ask("PUT", "/ring/v1/carts/7", b'{"value": "bWlsaw==", "context": null}', **said)
    assert written.status == 200
    context = json.dumps({"context": written.json["context"]}).encode()
    assert doors.ask("DELETE", "/ring/v1/carts/7", context, **said).status == 200
    assert doors.ask("GET", "/ring/v1/carts/7").status == 404
