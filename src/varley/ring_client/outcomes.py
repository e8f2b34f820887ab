"""What can become of a request, on the way and in the end.

    RingClientError
    ├── RingRefused         the request is wrong, and stays wrong: bad context, value too large, …
    ├── RingUnavailable     surely nothing was done: no node can be reached, or too few of those that store the key
    └── OutcomeUnknown      a put or delete that may have been done, and may be read later; also after all repeats

A put that is repeated leaves at worst an equal value beside the first, and a get shows the two as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from varley.net.outcome import NoAnswer, NotSent


class RingClientError(Exception):
    """`type`: as the server names it, or "NoAnswer"."""

    def __init__(self, message: str, type: str = "NoAnswer") -> None:
        super().__init__(message)
        self.type = type


class RingRefused(RingClientError):
    pass


class RingUnavailable(RingClientError):
    pass


class OutcomeUnknown(RingClientError):
    pass


# What comes of one request to one node


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[bytes, bytes]  # names in lower case
    body: bytes


Reply = Response | NotSent | NoAnswer
