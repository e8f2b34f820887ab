"""The questions that this node asks others about groups that it does not lead, and where the answers are made.

Each is a Journey. If it ends with HERE (the group has come to this node meanwhile, or its leading has), this node asks
itself: the same handler that answers others answers it, so there is one way to read a row for somebody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Protocol

from varley.clock import Clock
from varley.errors import ApiError, InternalServerError, ServiceUnavailable
from varley.net.channels import FORWARD, RELAY, ROWS
from varley.node.elsewhere import Need
from varley.node.partition import Partition
from varley.remote import messages
from varley.remote.answers import RowsAnswers
from varley.remote.hosted import Hosted
from varley.remote.journey import ANSWER, End, Journey, Then
from varley.remote.memds_node import MemdsNode
from varley.remote.messages import CallWanted, Question, RangeWanted, SumsWanted, ValuesWanted
from varley.remote.relay import Ask, Relay
from varley.remote.remote_error import remote_error
from varley.remote.remote_rows import RemoteRows, Row
from varley.remote.routed_partition import routed
from varley.remote.sums import Sum, Sums

logger = logging.getLogger("varley.cluster")

# The headers that say who has signed a request, and for which Region (http/identity.py).
_IDENTITY: Final = (b"authorization", b"x-amz-date", b"date")
NEW_GROUP_SECONDS: Final = 5.0    # how long who makes a group waits for its first leader
_OWN_TRIES: Final = 20    # how often a question that came back to this node is sent out again

Answer = Callable[[bytes], None]
Handler = Callable[[str, bytes, Answer], None]    # who asks, what, and where the answer goes, once
Values = Mapping[int, Mapping[bytes, bytes]]      # group -> row key -> stored value; what is not there has no row


class Identified(Protocol):
    """A request, as far as it says who has signed it."""

    headers: dict[bytes, bytes]
    query: bytes


class _Nobody:
    """Whoever asks without being asked by a client."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.query = b""


NOBODY: Final = _Nobody()


def identity_of(headers: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: value for name in _IDENTITY if (value := headers.get(name)) is not None}


def unknown() -> ApiError:
    return InternalServerError("The node that was to do it has not answered: nobody knows whether it was done.")


def unreached() -> ApiError:
    return ServiceUnavailable("No node leads the partition at the moment; nothing was done. Try again.")


class Requests(Protocol):
    """What is asked of net.links.Links beside `request`."""

    def serve_requests(self, service: int, handler: Callable[[str, bytes, Answer], None]) -> None: ...


class Peers:
    """Used from the event loop only."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, hosted: Hosted, memds: MemdsNode, ask: Ask
    ) -> None:
        self._loop = loop
        self._ask = ask
        self.hosted = hosted
        self.memds = memds
        self.sums = Sums(clock, self._fetch_sum)
        self.relay = Relay(ask, memds.is_up)
        self.handlers: dict[int, Handler] = {    # by service
            ROWS: RowsAnswers(hosted, memds).asked,
            RELAY: self.relay.asked,
        }

    def serve(self, links: Requests) -> None:
        """Answer what others ask. To be called when all handlers are there."""
        for service, handler in self.handlers.items():
            links.serve_requests(service, handler)

    # Partitions

    def partition(self, group: int) -> Partition:
        """For routes."""
        return routed(group, self.hosted, self.sums)

    def forget(self, group: int) -> None:
        """The group is there no more, on no node."""
        self.hosted.unwatch(group)
        self.sums.forget(group)

    def is_here(self, group: int, need: Need) -> bool:
        """Whether this node can answer by itself."""
        return self.hosted.copy(group) is not None if need is Need.COPY else self.hosted.leads(group)

    async def know_sums(self, groups: Iterable[int]) -> None:
        """Return when items and bytes of all these groups are known."""
        known = self._loop.create_future()
        away = [group for group in groups if not self.is_here(group, Need.COPY)]
        self.sums.refresh(away, lambda error: None if known.done() else known.set_result(None))    # who asked has gone
        await known

    # Who leads

    async def wait_for_leaders(self, groups: Iterable[int], seconds: float = NEW_GROUP_SECONDS) -> bool:
        """Return when each of these groups, which are new, is known to have a leader: True; or after so long: False.

        Whoever asks for something in a group without a leader waits for one by himself (journey.py); this is for who
        has made it, and would not have others wait.
        """
        try:
            async with asyncio.timeout(seconds):
                for group in groups:
                    while self.memds.find(group).leader is None:
                        await self._learnt(group)
        except TimeoutError:
            return False
        return True

    async def _learnt(self, group: int) -> None:
        learnt = asyncio.Event()
        tell = learnt.set
        self.memds.when_learnt(group, tell)
        try:
            await learnt.wait()
        finally:
            self.memds.forget_waiting(group, tell)

    # Questions

    def travel(
        self, service: int, question: Question, need: Need, then: Then,
        also_here: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """Ask whoever can answer. `then` gets the answer, or how it ended without one; HERE perhaps at once, also if
        the group has another part of its table by now."""
        group = question.group
        splits = self.memds.splits(group)

        def is_here() -> bool:
            return self.is_here(group, need) or self.memds.splits(group) != splits or also_here()

        Journey(
            self._loop, self.memds, self._ask, group, need, service, messages.encode(question), is_here, then,
        ).begin()  # fmt: skip

    def inquire(
        self,
        service: int,
        question: Question,
        need: Need,
        then: Callable[[bytes | ApiError], None],
        *,
        tries: int = _OWN_TRIES,
        also_here: Callable[[], bool] = lambda: False,
    ) -> None:
        """The same for a question that this node asks itself if it can answer it. An error says which is the case:
        InternalServerError, nobody knows; ServiceUnavailable, surely nothing was done. `also_here`: whether it can
        besides, although the group is not served.
        """

        def ended(answer: bytes | End) -> None:
            if answer is End.HERE:
                self._ask_here(service, question, own, then)
            elif isinstance(answer, End):
                then(unknown() if answer is End.UNKNOWN else unreached())
            else:
                then(answer)

        def own(answer: bytes) -> None:
            if answer.startswith(ANSWER):
                then(answer[1:])
            elif tries:    # it leads no more
                self._loop.call_later(0.02, again)
            else:
                then(unreached())

        def again() -> None:
            self.inquire(service, question, need, then, tries=tries - 1, also_here=also_here)

        self.travel(service, question, need, ended, also_here)

    def _ask_here(
        self, service: int, question: Question, own: Answer, then: Callable[[bytes | ApiError], None]
    ) -> None:
        """As net.link.Link does for others: an error of ours is no reason that whoever asks waits for ever."""
        is_answered = False

        def answer(payload: bytes) -> None:
            nonlocal is_answered
            is_answered = True
            own(payload)

        try:
            self.handlers[service](self.hosted.name, messages.encode(question), answer)
        except Exception:
            logger.exception("a question of this node to itself, service %d, could not be handled", service)
            if not is_answered:
                then(unknown())

    def rows(
        self, group: int, need: Need, rows_max: int, item_key: Callable[[bytes], bytes] | None
    ) -> RemoteRows:
        """The rows of a range of a partition elsewhere, `rows_max` at a time."""
        strong = need is not Need.COPY

        def fetch_range(
            low: bytes, high: bytes | None, reverse: bool, then: Callable[[list[Row], bool, ApiError | None], None]
        ) -> None:
            def heard(answer: bytes | ApiError) -> None:
                if isinstance(answer, ApiError):
                    then([], False, answer)
                else:
                    found = messages.decode_range_found(answer)
                    then(found.rows, found.is_all, None)

            self.inquire(ROWS, RangeWanted(group, strong, low, high, reverse, rows_max), need, heard)

        def fetch_items(keys: list[bytes], then: Callable[[dict[bytes, bytes], ApiError | None], None]) -> None:
            def heard(values: Values, error: ApiError | None) -> None:
                then(dict(values.get(group, {})), error)

            self.values({group: keys}, need, heard)

        return RemoteRows(fetch_range, fetch_items, item_key)

    def values(
        self, wanted: Mapping[int, list[bytes]], need: Need, then: Callable[[Values, ApiError | None], None]
    ) -> None:
        """The stored values of rows, by group. `then` is called once, and not inside this."""
        values: dict[int, Mapping[bytes, bytes]] = {}
        failure: ApiError | None = None
        left = len(wanted)
        assert left

        def heard(group: int, keys: list[bytes], answer: bytes | ApiError) -> None:
            nonlocal left, failure
            left -= 1
            if isinstance(answer, ApiError):
                failure = failure or answer
            else:
                found = messages.decode_values_found(answer)
                values[group] = {key: each for key, each in zip(keys, found, strict=True) if each is not None}
            if not left:
                then(values, failure)

        for group, keys in wanted.items():
            question = ValuesWanted(group, need is not Need.COPY, keys)
            self.inquire(ROWS, question, need, partial(heard, group, keys))

    def _fetch_sum(self, group: int, then: Callable[[Sum | None], None]) -> None:
        def heard(answer: bytes | ApiError) -> None:
            then(None if isinstance(answer, ApiError) else Sum(*messages.decode_sum_found(answer)))

        self.inquire(ROWS, SumsWanted(group), Need.COPY, heard)

    def part(
        self, of: Identified, group: int, need: Need, operation: str, body: bytes,
        then: Callable[[bytes | ApiError], None],
    ) -> None:  # fmt: skip
        """A request of its own that is part of another, signed as that is; it is about `group` and nothing else.

        `then` gets what a client would have got, and errors as `inquire` has them. Perhaps inside this.
        """

        def heard(answer: bytes | ApiError) -> None:
            if not isinstance(answer, ApiError):
                answered = messages.decode_call_answered(answer)
                answer = answered.body if answered.status == 200 else remote_error(answered)
            then(answer)

        self.inquire(FORWARD, CallWanted(group, operation, body, identity_of(of.headers), of.query), need, heard)
