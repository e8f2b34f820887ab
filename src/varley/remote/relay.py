"""A request to a node that this one cannot reach, through one that perhaps can.

    n1 --x--> n3          n1 and n3 have lost each other, and only each other: n3 goes on leading, for n2 hears both
    n1 ---> n2 ---> n3    service RELAY: [to, service, payload, seconds]
    n1 <--- n2 <--- n3    [0, answer], [1, why it was surely not acted on], or [2, why nobody knows]

Once: whoever relays asks the node that is named, and nobody else. So nothing goes round in circles, and what is told of
the outcome is as certain as if the request had gone straight: NotSent from either half is surely not acted on, and of a
request that was lost behind the first half nobody knows.

Source: Amazon DynamoDB (ATC 2022), section 6.2, which names routers that cannot reach a leader that its followers can
reach among the gray failures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import msgspec

from varley.net.channels import RELAY
from varley.net.outcome import Answer, NoAnswer, NotSent, Outcome, Then

_MARGIN_SECONDS: Final = 0.5    # for the way to the node that relays, and back


class Ask(Protocol):
    """net.links.Links.request."""

    def __call__(self, to: str, service: int, payload: bytes, then: Then, *, timeout_seconds: float) -> None:
        """`then` is called once, and not inside this."""
        ...


class _Wanted(msgspec.Struct, frozen=True, array_like=True):
    to: str
    service: int
    payload: bytes
    seconds: float


class _Came(msgspec.Struct, frozen=True, array_like=True):
    kind: int
    answer: bytes


_ANSWERED: Final = 0
_NOT_SENT: Final = 1
_NO_ANSWER: Final = 2

_encode: Callable[[object], bytes] = msgspec.msgpack.encode
_decode_wanted = msgspec.msgpack.Decoder(_Wanted).decode
_decode_came = msgspec.msgpack.Decoder(_Came).decode


def ask_through(
    ask: Ask, via: str, to: str, service: int, payload: bytes, then: Then, *, timeout_seconds: float
) -> None:
    """As `ask`, through the node `via`."""

    def heard(outcome: Outcome) -> None:
        then(_came(outcome) if isinstance(outcome, bytes) else outcome)

    wanted = _encode(_Wanted(to, service, payload, timeout_seconds))
    ask(via, RELAY, wanted, heard, timeout_seconds=timeout_seconds + _MARGIN_SECONDS)


class Relay:
    """What this node passes on for others. Used from the event loop only."""

    def __init__(self, ask: Ask, is_up: Callable[[str], bool]) -> None:
        """`is_up`: whether there is a connection with another node."""
        self._ask = ask
        self._is_up = is_up
        self.count = 0

    def asked(self, sender: str, payload: bytes, answer: Answer) -> None:
        """Service RELAY."""
        self.count += 1
        wanted = _decode_wanted(payload)
        if not self._is_up(wanted.to):
            _tell(answer, NotSent(f"{wanted.to} is not connected here either"))
            return
        self._ask(wanted.to, wanted.service, wanted.payload, partial(_tell, answer), timeout_seconds=wanted.seconds)


def _tell(answer: Answer, outcome: Outcome) -> None:
    match outcome:
        case NotSent(why):
            came = _Came(_NOT_SENT, why.encode())
        case NoAnswer(why):
            came = _Came(_NO_ANSWER, why.encode())
        case _:
            came = _Came(_ANSWERED, outcome)
    answer(_encode(came))


def _came(told: bytes) -> Outcome:
    try:
        came = _decode_came(told)
    except msgspec.MsgspecError as error:
        return NoAnswer(f"what was relayed cannot be read: {error}")
    if came.kind == _ANSWERED:
        return came.answer
    why = came.answer.decode(errors="replace")
    return NotSent(why) if came.kind == _NOT_SENT else NoAnswer(why)
