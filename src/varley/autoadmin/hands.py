"""Doing a step: a few requests, each of which may be lost, in an order in which any may be the last.

To add a member:

    1. a number, which nobody had or will have in the group        metadata, compare-and-set
    2. the member begins on its node, alone, with nothing          Begin
    3. the leader takes it into the configuration                  Change

After 1 a number is wasted. After 2 there is a member that no configuration names: whoever looks next has it ended
(tidy.py), and begins another. A Begin after a Change that was made would be a member that is counted and is not there:
it has no vote, and is removed when it was not heard for a while; so would be one whose 3 comes so late that tidying
has been there before. Nothing here is undone by whoever began it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol, assert_never

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
    decode_answer,
    encode,
)
from varley.autoadmin.view import Add, LedBy, Reconfigured, Step, name_on
from varley.errors import WorldError
from varley.metadata.group_members import GroupMembers
from varley.net.channels import ADMIN
from varley.net.outcome import NoAnswer, NotSent, Outcome
from varley.paxos import events
from varley.paxos.membership import LOG, Member

logger = logging.getLogger("varley.autoadmin")

_LOOK_SECONDS: Final = 2.0
_CHANGE_SECONDS: Final = 5.0    # to have a change chosen, a member begun
_END_SECONDS: Final = 30.0      # to remove what a member held


class Requests(Protocol):
    def request(
        self, to: str, service: int, payload: bytes, then: Callable[[Outcome], None], *, timeout_seconds: float
    ) -> None: ...


class Hands:
    """Used from the event loop only."""

    def __init__(self, links: Requests, members: GroupMembers) -> None:
        self._links = links
        self._members = members

    async def look(self, node: str) -> NodeReport | None:
        """How a node is; None: it does not say."""
        answer = await self._ask(node, Look(), _LOOK_SECONDS)
        return answer if isinstance(answer, NodeReport) else None

    async def do(self, step: Step, leader: str) -> str | None:
        """Do it, by the node `leader` that leads the group. Why it was not done, or that nobody knows; None: it is
        done, or, of a hand-over, under way."""
        match step.action:
            case Add(node, kind):
                return await self._add(step, leader, node, kind)
            case Reconfigured(change):
                return await self._change(step, leader, change)
            case LedBy(member):
                return _refusal(await self._ask(leader, HandOver(step.group, step.epoch, member), _CHANGE_SECONDS))
            case _:
                assert_never(step.action)

    async def retire(self, node: str, group: int, name: str, epoch: int) -> str | None:
        """End a member that the configuration of slot `epoch` does not have."""
        return _refusal(await self._ask(node, Retire(group, name, epoch), _END_SECONDS))

    async def _add(self, step: Step, leader: str, node: str, kind: str) -> str | None:
        try:
            number = await self._members.give_number(step.group)
        except (WorldError, OverflowError) as error:
            return f"no number for a new member: {error}"
        if number is None:
            return "the group is gone"
        member = Member(name_on(node, number), number, kind, votes=False, joins=kind == LOG)
        begun = _refusal(await self._ask(node, Begin(step.group, member), _CHANGE_SECONDS))
        if begun is not None:
            return f"{node} does not begin a member: {begun}"
        return await self._change(step, leader, events.AddLearner(member))

    async def _change(self, step: Step, leader: str, change: events.Change) -> str | None:
        return _refusal(await self._ask(leader, _request(step, change), _CHANGE_SECONDS))

    async def _ask(self, node: str, request: Request, seconds: float) -> Answer:
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._links.request(
            node, ADMIN, encode(request), lambda outcome: _settle(answered, outcome), timeout_seconds=seconds
        )
        outcome = await answered
        if isinstance(outcome, NotSent | NoAnswer):
            return Refused(f"{node}: {outcome.why}")
        try:
            return decode_answer(outcome)
        except msgspec.DecodeError as error:
            return Refused(f"what {node} says is not understood: {error}")


def _settle(answered: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not answered.done():     # whoever waits may have been cancelled
        answered.set_result(outcome)


def _refusal(answer: Answer) -> str | None:
    match answer:
        case Done():
            return None
        case Refused(why):
            return why
        case NodeReport():
            return "an answer to another question"
        case _:
            assert_never(answer)


def _request(step: Step, change: events.Change) -> Change:
    match change:
        case events.AddLearner(member):
            return Change(step.group, step.epoch, "add", member.name, member)
        case events.Promote(name):
            return Change(step.group, step.epoch, "promote", name)
        case events.Remove(name):
            return Change(step.group, step.epoch, "remove", name)
        case events.Replace(name, member):
            return Change(step.group, step.epoch, "replace", name, member)
        case _:
            assert_never(change)
