"""What nodes ask one another about single groups: one MessagePack array each, its first element the kind.

    service ROWS            ["range", group, strong, low, high, reverse, rows_max]  ->  [[[key, value], …], is_all]
                            ["values", group, strong, [key, …]]                     ->  [value or nil, …]
                            ["sums", group]                                         ->  [items, bytes, tallies]
    service FORWARD         ["call", group, operation, body, headers, query]        ->  [status, body]

Keys are row keys with their space byte, values stored values (item/stored.py). `strong`: the leader answers, from all
that was acknowledged before it was asked. Answers come behind the byte ANSWER of journey.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Question(msgspec.Struct, array_like=True, frozen=True, tag_field="kind"):
    """Base of them. `group`: about which."""

    group: int


class RangeWanted(Question, frozen=True, tag="range"):
    strong: bool
    low: bytes
    high: bytes | None
    reverse: bool
    rows_max: int


class ValuesWanted(Question, frozen=True, tag="values"):
    strong: bool
    keys: list[bytes]


class SumsWanted(Question, frozen=True, tag="sums"):
    pass


RowsQuestion = RangeWanted | ValuesWanted | SumsWanted


class RangeFound(msgspec.Struct, array_like=True, frozen=True):
    rows: list[tuple[bytes, bytes]]
    is_all: bool


class CallWanted(Question, frozen=True, tag="call"):
    """A request of a client, whole, as it came."""

    operation: str
    body: bytes
    headers: dict[bytes, bytes]
    query: bytes


class CallAnswered(msgspec.Struct, array_like=True, frozen=True):
    status: int     # of HTTP
    body: bytes


encode: Callable[[Any], bytes] = msgspec.msgpack.encode
decode_rows_question = msgspec.msgpack.Decoder(RowsQuestion).decode
decode_range_found = msgspec.msgpack.Decoder(RangeFound).decode
decode_values_found = msgspec.msgpack.Decoder(list[bytes | None]).decode
decode_sum_found = msgspec.msgpack.Decoder(tuple[int, int, bytes]).decode
decode_call = msgspec.msgpack.Decoder(CallWanted).decode
decode_call_answered = msgspec.msgpack.Decoder(CallAnswered).decode
