"""What a node does when it is asked for the sake of the cluster: the side of those who are asked.

Checks that only this node can make are made here, in the turn of the loop in which the thing is done: that the
configuration is still the one that the request was made from, that a member that is to end is not one that leads, or
has just begun, or knows a newer configuration than whoever wants it gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, assert_never

import msgspec

from varley.autoadmin.messages import (
    Answer,
    Begin,
    Change,
    Done,
    HandOver,
    Look,
    NodeReport,
    Refused,
    Request,
    Retire,
    decode_request,
    encode,
)
from varley.errors import WorldError
from varley.net.channels import ADMIN
from varley.paxos import events
from varley.paxos.membership import Configuration, Member

logger = logging.getLogger("varley.autoadmin")


class Hosted(Protocol):
    """What is needed of a node: see hosted.py."""

    async def report(self) -> NodeReport: ...

    def member_name(self, group: int) -> str | None:
        """Of the member of this group that is here."""
        ...

    def has(self, group: int) -> bool:
        """Whether something of this group is here, or is about to be, or not gone yet."""
        ...

    def configuration(self, group: int) -> tuple[int, Configuration]:
        """(epoch, the newest that is surely chosen), as far as the member here knows."""
        ...

    def is_leading(self, group: int) -> bool: ...

    def is_young(self, group: int) -> bool:
        """Whether the member here began not long ago."""
        ...

    def reconfigure(
        self, group: int, change: events.Change, then: Callable[[BaseException | None], None]
    ) -> str | None: ...

    def hand_over(self, group: int, to: str) -> str | None: ...

    async def begin(self, group: int, member: Member) -> None:
        """Begin this learner. Raises WorldError, and then it was not begun."""
        ...

    async def end(self, group: int) -> None:
        """Host the group no more, and remove what its member held."""
        ...


class ServesRequests(Protocol):
    def serve_requests(self, service: int, handler: Callable[[str, bytes, Callable[[bytes], None]], None]) -> None: ...


class Service:
    """Used from the event loop only. `start` runs what takes longer than a turn of the loop beside everything else."""

    def __init__(
        self, hosted: Hosted, links: ServesRequests, start: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._hosted = hosted
        self._start = start
        self._busy: set[int] = set()    # groups of which a member begins or ends here
        links.serve_requests(ADMIN, self._serve)

    def _serve(self, sender: str, payload: bytes, answer: Callable[[bytes], None]) -> None:
        try:
            request = decode_request(payload)
        except msgspec.DecodeError as error:
            logger.warning("a request of %s is refused: %s", sender, error)
            answer(encode(Refused("it is not understood here")))
            return
        self._answer(request, lambda answered: answer(encode(answered)))

    def _answer(self, request: Request, answer: Callable[[Answer], None]) -> None:
        match request:
            case Look():
                self._start(self._report(answer))
            case Change():
                self._change(request, answer)
            case HandOver():
                answer(_outcome(self._why_stale(request.group, request.epoch) or self._hand_over(request)))
            case Begin():
                self._begin(request, answer)
            case Retire():
                self._retire(request, answer)
            case _:
                assert_never(request)

    async def _report(self, answer: Callable[[Answer], None]) -> None:
        answer(await self._hosted.report())

    def _why_stale(self, group: int, epoch: int) -> str | None:
        hosted = self._hosted
        if hosted.member_name(group) is None or not hosted.is_leading(group):
            return "not led here"
        now, _ = hosted.configuration(group)
        return None if now == epoch else f"the configuration is that of slot {now}"

    def _hand_over(self, request: HandOver) -> str | None:
        return self._hosted.hand_over(request.group, request.to)

    def _change(self, request: Change, answer: Callable[[Answer], None]) -> None:
        refusal = self._why_stale(request.group, request.epoch)
        change = _event(request)
        if refusal is None and change is None:
            refusal = f"no such change: {request.kind}"
        if refusal is None:
            assert change is not None
            refusal = self._hosted.reconfigure(
                request.group, change, lambda error: answer(_outcome(None if error is None else str(error)))
            )
        if refusal is not None:
            answer(Refused(refusal))

    def _begin(self, request: Begin, answer: Callable[[Answer], None]) -> None:
        there = self._hosted.member_name(request.group)
        if there == request.member.name:
            answer(Done())
        elif there is not None:
            answer(Refused(f"{there} is here"))
        elif request.group in self._busy or self._hosted.has(request.group):
            answer(Refused("a member begins or ends here"))
        elif request.member.votes:
            answer(Refused("a member begins without a vote"))
        else:
            self._run(request.group, self._hosted.begin(request.group, request.member), answer)

    def _retire(self, request: Retire, answer: Callable[[Answer], None]) -> None:
        refusal = self._why_not_retire(request)
        if refusal is not None:
            answer(Refused(refusal))
        elif self._hosted.member_name(request.group) is None:
            answer(Done())
        else:
            self._run(request.group, self._hosted.end(request.group), answer)

    def _why_not_retire(self, request: Retire) -> str | None:
        hosted, group = self._hosted, request.group
        if group in self._busy:
            return "a member begins or ends here"
        there = hosted.member_name(group)
        if there is None:
            return None
        if there != request.name:
            return f"{there} is here"
        epoch, configuration = hosted.configuration(group)
        if hosted.is_leading(group):
            return "it leads"
        if hosted.is_young(group):
            return "it has just begun"
        if epoch > request.epoch and request.name in configuration.names:
            return f"it belongs to the group since slot {epoch}"
        return None

    def _run(self, group: int, work: Coroutine[Any, Any, None], answer: Callable[[Answer], None]) -> None:
        self._busy.add(group)
        self._start(self._finish(group, work, answer))

    async def _finish(self, group: int, work: Coroutine[Any, Any, None], answer: Callable[[Answer], None]) -> None:
        try:
            await work
        except WorldError as error:
            answer(Refused(str(error)))
        else:
            answer(Done())
        finally:
            self._busy.discard(group)


def _outcome(refusal: str | None) -> Answer:
    return Done() if refusal is None else Refused(refusal)


def _event(request: Change) -> events.Change | None:
    match request.kind, request.member:
        case "add", Member() as member:
            return events.AddLearner(member)
        case "promote", None:
            return events.Promote(request.name)
        case "remove", None:
            return events.Remove(request.name)
        case "replace", Member() as member:
            return events.Replace(request.name, member)
        case _:
            return None
