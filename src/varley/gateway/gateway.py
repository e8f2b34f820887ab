"""Requests of clients of this node, and those that other nodes pass on.

    client ---> handle ---> Asked ---> operations.run
                              |             ^
                           pass_on          |
                              |           Asked
                              v             ^
                      the leader's node: passed_on     not led there either: back, with what that node knows

A request is passed on whole: operation, body, and the headers that say who has signed it. There it is run as if it had
come in by HTTP, and status and body come back as they are. It is passed on once, never further (remote/journey.py).

What may be asked again. That it was never begun (no connection, not led there) is certain: it is tried elsewhere. That
no answer came is not: a read is asked again, a write is told as InternalServerError, which says that nobody knows. So
no client is told of a failure of what was done, nor is a write done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from varley.errors import ApiError
from varley.gateway.asked import Asked
from varley.http.call import Call
from varley.http.wire import as_api_error, error_body
from varley.net.channels import FORWARD
from varley.node.elsewhere import Elsewhere
from varley.remote import messages
from varley.remote.journey import ANSWER, End, not_here
from varley.remote.messages import CallAnswered, CallWanted
from varley.remote.peers import Answer, Peers, identity_of, unknown, unreached
from varley.remote.remote_error import remote_error

logger = logging.getLogger("varley.cluster")

RunHere = Callable[[Call], bytes | None]


class Gateway:
    """Used from the event loop only."""

    def __init__(self, peers: Peers, run_here: RunHere) -> None:
        """`run_here`: runs a call on this node, as api.operations.run does."""
        self.peers = peers
        self.run_here = run_here
        peers.handlers[FORWARD] = self.passed_on

    def handle(self, call: Call) -> bytes | None:
        """The front door's handler. HOT PATH of a cluster."""
        return Asked(call, self, is_forwarded=False).run()

    # To others

    def pass_on(self, call: Call, away: Elsewhere, run_here: Callable[[], None]) -> None:
        """Have `call` answered by who can. `run_here` is called if that turns out to be this node."""
        def ended(answer: bytes | End) -> None:
            if answer is End.HERE:
                run_here()
            elif answer is End.UNREACHED:
                call.fail(unreached())
            elif answer is End.UNKNOWN:
                call.fail(unknown())
            else:
                _pass_back(call, answer)

        self.peers.travel(FORWARD, _wanted(call, away.group), away.need, ended)

    def send_back(self, call: Call, away: Elsewhere) -> None:
        """`call` was passed on by another node, and this one cannot answer it either."""
        assert isinstance(call, _PassedOn)
        # What it is about may have been split, and who asks has an old map: what is known of the other group is not
        # known of the one that was asked.
        group = away.group if call.about is None else call.about
        call.send_back(not_here(self.peers.memds.find(group)))

    # From others

    def passed_on(self, sender: str, payload: bytes, answer: Answer) -> None:
        """Service FORWARD."""
        call = _PassedOn(messages.decode_call(payload), answer)
        try:
            body = Asked(call, self, is_forwarded=True).run()
        except Exception as error:    # it has no caller: the client is its caller
            call.fail(error)
        else:
            if body is not None:
                call.reply(body)


def _pass_back(call: Call, answer: bytes) -> None:
    try:
        answered = messages.decode_call_answered(answer)
        refusal = None if answered.status == 200 else remote_error(answered)
    except msgspec.MsgspecError as error:    # of another version, or ours: the client must not wait for ever
        logger.error("what %s was answered elsewhere cannot be read: %s", call.operation, error)
        call.fail(unknown())
        return
    if refusal is None:
        call.reply(answered.body)
    else:
        call.fail(refusal)


def _wanted(call: Call, group: int) -> CallWanted:
    return CallWanted(group, call.operation, call.body, identity_of(call.headers), call.query)


class _PassedOn(Call):
    """A request that came from another node: its answer goes back there."""

    __slots__ = ("_answer", "about")

    about: int | None

    def __init__(self, wanted: CallWanted, answer: Answer) -> None:
        super().__init__(
            _Back(answer), wanted.operation, wanted.body, wanted.headers, wanted.headers.get(b"authorization"), 0.0
        )
        self.query = wanted.query
        self.about = wanted.group
        self._answer = answer

    def send_back(self, answer: bytes) -> None:
        assert self.answer is None, "this call was answered before"
        self.answer = answer
        self._answer(answer)


class _Back:
    """The connection of a call that came from another node. See http.call.Answering."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def success(self, call: Call, body: bytes) -> bytes:
        self._answer(ANSWER + messages.encode(CallAnswered(200, body)))
        return body

    def failure(self, call: Call, error: BaseException) -> bytes:
        told: ApiError = as_api_error(error)
        body = error_body(told)
        self._answer(ANSWER + messages.encode(CallAnswered(told.status, body)))
        return body

    def settle(self, call: Call) -> None:
        pass
