"""What browsers are told."""

from __future__ import annotations

from collections.abc import Callable

from house import Answer, House, request

from varley.http.reception import FrontDoorSettings

PREFLIGHT = (
    b"OPTIONS / HTTP/1.1\r\nHost: h\r\nOrigin: http://page.example\r\nAccess-Control-Request-Method: POST\r\n"
    b"Access-Control-Request-Headers: authorization,content-type,x-amz-date,x-amz-target\r\n\r\n"
)


def cors_headers(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def test_preflight(house: House) -> None:
    answer = house.ask(PREFLIGHT)
    assert (answer.status, answer.body) == (200, b"")
    assert cors_headers(answer) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "authorization,content-type,x-amz-date,x-amz-target",
        "access-control-expose-headers": "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,x-amz-crc32,Date",
        "access-control-max-age": "172800",
    }


def test_answers_to_browsers_allow_their_origin(house: House) -> None:
    for data in (
        request(Origin="http://page.example"),
        request("DeleteItem", Origin="http://page.example"),
        request("Nonsense", Origin="http://page.example"),
        request(Origin="http://page.example", line="GET / HTTP/1.1"),
    ):
        assert cors_headers(house.ask(data))["access-control-allow-origin"] == "*"


def test_answers_to_others_say_nothing(house: House) -> None:
    assert cors_headers(house.ask(request())) == {}


def test_what_is_echoed_is_checked(house: House) -> None:
    answer = house.ask(PREFLIGHT.replace(b"authorization,", b"<script>,"))
    assert "access-control-allow-headers" not in answer.headers


def test_a_list_of_origins(open_house: Callable[..., House]) -> None:
    house = open_house(settings=FrontDoorSettings(cors_origins=("http://page.example",)))
    answer = house.ask(PREFLIGHT)
    assert answer.headers["access-control-allow-origin"] == "http://page.example"
    assert answer.headers["vary"] == "Origin"
    assert cors_headers(house.ask(PREFLIGHT.replace(b"page.", b"evil."))) == {}
    assert cors_headers(house.ask(request(Origin="http://evil.example"))) == {}


def test_no_origins(open_house: Callable[..., House]) -> None:
    house = open_house(settings=FrontDoorSettings(cors_origins=()))
    assert cors_headers(house.ask(PREFLIGHT)) == {}
