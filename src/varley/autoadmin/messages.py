"""What nodes are asked, for the sake of the cluster, and what they say: service ADMIN of Links.

    Look        how are you, and what do you host?           NodeReport
    Begin       begin a member without a vote                Done | Refused
    Change      change who belongs to a group that you lead  Done (it is chosen) | Refused
    HandOver    let that member lead                         Done (it is under way) | Refused
    Retire      end a member that nobody counts any more     Done | Refused

Each may be sent twice. Change and HandOver name the configuration that they were made from, by its slot: if another is
in force, they are refused, so that nobody acts on what was so a minute ago.
"""

from __future__ import annotations

from typing import Final

import msgspec

from varley.paxos.membership import Configuration, Member


class Peer(msgspec.Struct, frozen=True, array_like=True):
    """Another member of a group, as its leader sees it."""

    name: str
    silent_seconds: float | None    # since it was last heard of; None: never, since the leader's node is up
    lag: int | None                 # slots that it lacks; None: not known


class MemberReport(msgspec.Struct, frozen=True, array_like=True):
    """A member that a node hosts."""

    group: int
    name: str
    kind: str
    is_young: bool                  # begun not long ago: it need not be in any configuration yet
    ballot: int = 0                 # of its leadership; 0: it does not lead, and what follows is not told
    led_seconds: float = 0.0
    epoch: int = 0                  # slot of `configuration`
    configuration: Configuration = Configuration()      # the newest that is chosen
    bytes: int = 0
    load: float = 0.0               # units per second: see hosted.py
    peers: tuple[Peer, ...] = ()
    taken: int = 0                  # bytes of a state that it is being given, as far as that has come; of any member
    writes: float = 0.0             # of `load`, what every replica has to do


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Any of those below."""


class Look(Message, frozen=True):
    pass


class Begin(Message, frozen=True):
    group: int
    member: Member


class Change(Message, frozen=True):
    group: int
    epoch: int
    kind: str                       # "add", "promote", "remove", "replace"
    name: str                       # of whom; of "add" the same as the member's
    member: Member | None = None    # who comes


class HandOver(Message, frozen=True):
    group: int
    epoch: int
    to: str


class Retire(Message, frozen=True):
    """The leader's configuration of slot `epoch` is chosen, and this member is not in it."""

    group: int
    name: str
    epoch: int


Request = Look | Begin | Change | HandOver | Retire


class NodeReport(Message, frozen=True):
    node: str
    trouble: str                    # why nothing should rely on its disk; "" if nothing is known
    members: tuple[MemberReport, ...]
    free_bytes: int | None = None   # on the disk of its data; None: not known, or in memory


class Done(Message, frozen=True):
    pass


class Refused(Message, frozen=True):
    """It was not done."""

    why: str


Answer = NodeReport | Done | Refused

_ENCODER: Final = msgspec.msgpack.Encoder()
_REQUESTS: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Request)
_ANSWERS: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)


def encode(message: Request | Answer) -> bytes:
    return _ENCODER.encode(message)


def decode_request(payload: bytes) -> Request:
    """Raises msgspec.DecodeError."""
    return _REQUESTS.decode(payload)


def decode_answer(payload: bytes) -> Answer:
    """Raises msgspec.DecodeError."""
    return _ANSWERS.decode(payload)
