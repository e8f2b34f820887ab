"""One question on its way to a node that can answer it.

    the leader, if one is known ---> answered
            |
            +--- "not I, but n3 in ballot 7" ---> n3            nobody knows ---> two nodes are asked who leads
            |
            +--- surely not acted on (no connection) ---> through each other node, once (relay.py); then the same
            |
            +--- nobody knows (no answer) ---> a read is asked again; of a write nobody can say

It goes to nobody who is not known to lead: to ask who leads is a question of its own (memds_node.py, `look_up`), which
costs nothing if it is lost, while a write that was sent to a node that falls silent has an outcome that nobody knows.
What any replica can answer goes from one member to the next.

All have been asked, and none leads: an election is under way. Then it waits, until a leader is heard of, or a moment,
and begins anew. So a client sees slowness in a failover, not errors, as long as the outcome is certain; and an error
that says that nothing was done once `PATIENCE_SECONDS` are over.

An answer begins with one byte: ANSWER and what was asked for, or NOT_HERE and what that node knows of the group. A node
that is asked never asks another in turn: whoever asked goes on. So no question can go round in circles.

How long one node is waited for. A connection that is lost, or silent for two seconds, ends what was asked on it at
once. On one that is not, something is lost only in the moment in which a network breaks and mends. A leader that is
slow is waited for: it is replaced when its lease ends, and says so; so WRITE_SECONDS is a few leases and elections, and
nothing that still works takes longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final

import msgspec

from varley.net.outcome import NoAnswer, NotSent, Outcome
from varley.node.elsewhere import Need
from varley.remote.memds_node import MemdsNode
from varley.remote.relay import Ask, ask_through
from varley.router.memds import UNKNOWN, Group

PATIENCE_SECONDS: Final = 8.0       # longer than an election, and shorter than clients wait for an answer
ANSWER_SECONDS: Final = 5.0         # for one node to answer a read
WRITE_SECONDS: Final = 10.0         # the same for a write, which cannot be sent to another
_PAUSE_SECONDS: Final = 0.05
_PAUSE_SECONDS_MAX: Final = 0.4

ANSWER: Final = b"\x00"
NOT_HERE: Final = b"\x01"

_encode = msgspec.msgpack.encode
_decode_group = msgspec.msgpack.Decoder(Group).decode


class End(Enum):
    """How a journey ends that brings no answer."""

    HERE = "here"               # this node can answer it: ask it
    UNKNOWN = "unknown"         # a write was sent, and nobody can say what became of it
    UNREACHED = "unreached"     # surely nobody acted on it


Then = Callable[[bytes | End], None]


def not_here(known: Group) -> bytes:
    """The answer of a node that cannot do what is asked of it."""
    return NOT_HERE + _encode(known)


def _known(told: bytes) -> Group:
    try:
        return _decode_group(told)
    except msgspec.MsgspecError:    # of a newer version: that it is not there is all that we understand
        return UNKNOWN


class Journey:
    """Call `begin` once; `then` is called once, perhaps inside `begin`, with HERE."""

    __slots__ = (
        "_ask", "_asked", "_deadline", "_group", "_is_here", "_loop", "_memds", "_need", "_own_name", "_pause",
        "_payload", "_service", "_then", "_timer", "_tried",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        memds: MemdsNode,
        ask: Ask,
        group: int,
        need: Need,
        service: int,
        payload: bytes,
        is_here: Callable[[], bool],
        then: Then,
    ) -> None:
        """`is_here`: whether this node can answer by itself now."""
        self._loop = loop
        self._memds = memds
        self._own_name = memds.name
        self._ask = ask
        self._group = group
        self._need = need
        self._service = service
        self._payload = payload
        self._is_here = is_here
        self._then = then
        # In this round: each node, and the ballot that was known then. It is asked once more if a later one is told of,
        # since it may have been asked before it was elected; so two who point at each other do not keep it going.
        self._asked: dict[str, int] = {}
        self._tried: dict[str, int] = {}    # who has relayed it, and to the leader of which ballot
        self._pause = _PAUSE_SECONDS
        self._deadline = loop.time() + PATIENCE_SECONDS
        self._timer: asyncio.TimerHandle | None = None    # not None while it waits for an election

    def begin(self) -> None:
        self._step()

    def _step(self) -> None:
        if self._is_here():
            self._then(End.HERE)
            return
        to = self._next()
        if to is None:
            self._wait()
            return
        self._asked[to] = self._memds.find(self._group).ballot
        if self._memds.is_up(to):
            self._ask(to, self._service, self._payload, partial(self._heard, to), timeout_seconds=self._seconds)
        else:   # to ask it all the same would be to wait for an attempt to connect: seconds, if a network is silent
            self._send_through_another(to)

    @property
    def _seconds(self) -> float:
        return WRITE_SECONDS if self._need is Need.WRITE else ANSWER_SECONDS

    def _next(self) -> str | None:
        """Whom to ask now; None: all were asked in this round."""
        known = self._memds.find(self._group)
        leader = known.leader
        if leader is not None and leader != self._own_name and self._asked.get(leader, -1) < known.ballot:
            return leader
        if self._need is not Need.COPY:
            return None
        return next((each for each in known.members if each not in self._asked and self._memds.is_up(each)), None)

    def _heard(self, sent_to: str | None, answer: Outcome) -> None:
        """`sent_to`: None, if it came through another node."""
        if isinstance(answer, NoAnswer) and self._need is Need.WRITE:
            self._then(End.UNKNOWN)
        elif isinstance(answer, NotSent) and sent_to is not None and self._need is not Need.COPY:
            self._send_through_another(sent_to)
        elif isinstance(answer, NotSent | NoAnswer):
            self._step()
        elif answer[:1] == NOT_HERE:
            self._memds.learn(self._group, _known(answer[1:]))
            self._step()
        else:
            self._then(answer[1:])

    def _send_through_another(self, to: str) -> None:
        """Through each once: if the leader has gone, those who wait for the next one would be sent around all the time.
        """
        ballot = self._asked[to]
        ways = (each for each in self._memds.reachable(self._group) if self._tried.get(each, -1) < ballot)
        via = next((each for each in ways if each != to), None)
        if via is None:
            self._step()
            return
        self._tried[via] = ballot
        ask_through(
            self._ask, via, to, self._service, self._payload, partial(self._heard, None),
            timeout_seconds=self._seconds,
        )  # fmt: skip

    def _wait(self) -> None:
        if self._loop.time() >= self._deadline:
            self._then(End.UNREACHED)
            return
        self._memds.when_learnt(self._group, self._again)
        self._memds.look_up(self._group)
        self._timer = self._loop.call_later(self._pause, self._again)
        self._pause = min(self._pause * 2, _PAUSE_SECONDS_MAX)

    def _again(self) -> None:
        """Somebody was elected, or it is time to ask all once more."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._memds.forget_waiting(self._group, self._again)
        self._asked.clear()
        # Not in this call stack: whoever tells of a leader may be in the middle of becoming it.
        self._loop.call_soon(self._step)
