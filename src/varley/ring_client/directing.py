"""Who coordinates a request: a node of the ring, or the client (section 6.4 of the paper).

*Server-driven*: a request goes to any node. If that is no home of the key, it forwards the request to one that is: one
hop more, which the client need not know of.

*Client-driven*: the client knows the placement, downloads it again every 10 s, and at once when a node tells it that it
has another. It runs the state machine of a get itself (`ring/get_quorum.py`, the same that nodes run): asks the N homes
for their copies, waits for R, reconciles. A put it sends to a home. The paper has it so: with vector clocks only a node
of the preference list can stamp a version, since it is the one who counts (`ring/vector_clock.py`).

What a client cannot do is write to a single replica, and need not: when the copies that it read differ, it asks a home
to get the key as well, and that one repairs. If its own get fails, perhaps because what it knows is old, any node is
asked.

Retries. Another node is tried after whatever surely did nothing: no connection, or an answer that says so. After
silence too: a get has no effects, and a put may be repeated, for in a ring that leaves at worst an equal value beside
the first, which gets show as one (decision 0107). How often, the application says; with 0 it is told of the first
silence.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from varley.net.outcome import NoAnswer, NotSent
from varley.ring import get_quorum
from varley.ring.get_quorum import GetQuorum
from varley.ring.siblings import BadContext, BadSiblings, decode_context, decode_sent
from varley.ring_client.found import Found, Sibling
from varley.ring_client.outcomes import (
    OutcomeUnknown,
    Reply,
    Response,
    RingClientError,
    RingRefused,
    RingUnavailable,
)
from varley.ring_client.placement import KnownPlacement
from varley.ring_client.pool import Pool
from varley.ring_client.protocol import (
    PLACEMENT_HEADER,
    error_of,
    fetch_request,
    found_of,
    get_request,
    put_of,
    request,
    write_request,
)

POLL_SECONDS: Final = 10.0      # section 6.4
TRIES_MAX: Final = 8            # of one request, at as many nodes
REPEATS: Final = 2              # of a put whose outcome is unknown

GetThen = Callable[[Found | Exception], None]
PutThen = Callable[[str | Exception | None], None]


class Attempts:
    """One request, at one node after the other, until there is an answer that stands, or no time is left.

    `repeats`: how often it may be sent again although nobody knows what became of it; None: it is no write, and may be
    sent anywhere. Where there is but one endpoint, of a load balancer perhaps, it is asked again.

    A node that says nothing gets half of the time that is left, unless nobody is asked after it. With the usual ten
    seconds that is five, and a node that is well answers within two, one way or the other.
    """

    def __init__(
        self,
        pool: Pool,
        endpoints: Sequence[str],
        request: bytes,
        *,
        repeats: int | None,
        then: Callable[[Response | RingClientError], None],
        until: float | None = None,
    ) -> None:
        self._pool = pool
        self._endpoints = list(endpoints)[:TRIES_MAX]
        self._left = list(self._endpoints)
        self._request = request
        self._is_write = repeats is not None
        self._repeats_left = repeats or 0
        self._until = pool.deadline() if until is None else until
        self._then = then
        self._failure: RingClientError = RingUnavailable("no node of the ring is known")
        self._unknown: OutcomeUnknown | None = None     # what an earlier attempt left open, no later failure can close

    def next(self) -> None:
        seconds = self._until - self._pool.now()
        if not self._left or seconds <= 0:
            self._then(self._unknown or self._failure)
            return
        endpoint = self._left.pop(0)
        is_last = not self._repeats_left if self._is_write else not self._left
        self._pool.ask(endpoint, self._request, self._told, seconds if is_last else seconds / 2)

    def _told(self, reply: Reply) -> None:
        match reply:
            case NotSent(why):
                self._failure = RingUnavailable(why)
            case NoAnswer(why) if self._is_write:
                self._failure = OutcomeUnknown(f"{why}; the value may have been written")
            case NoAnswer(why):
                self._failure = RingUnavailable(why)
            case Response() if reply.status < 500:
                # A repeat that is refused says nothing of what came before it.
                self._then(reply if reply.status < 400 or self._unknown is None else self._unknown)
                return
            case Response():
                self._failure = error_of(reply, is_write=self._is_write)
        if isinstance(self._failure, OutcomeUnknown):
            self._unknown = self._failure
            if not self._repeats_left:
                self._left.clear()
            elif not self._left:
                self._left = list(self._endpoints)
            self._repeats_left -= 1
        self.next()


class ServerDriven:
    """Any node, by lot: no node gets more of the work than another."""

    def __init__(
        self, pool: Pool, endpoints: Sequence[str], chance: random.Random, *, repeats: int = REPEATS
    ) -> None:
        self._pool = pool
        self._endpoints = tuple(endpoints)
        self._chance = chance
        self._repeats = repeats

    def get(self, bucket: str, key: bytes, r: int | None, then: GetThen, until: float | None = None) -> None:
        """`until`: the end of its time, if it has begun already."""
        self._attempt(get_request(bucket, key, r), partial(_told_found, then), repeats=None, until=until)

    def write(
        self, bucket: str, key: bytes, value: bytes | None, context: str | None, w: int | None, then: PutThen
    ) -> None:
        """`value` None: delete. Raises RingRefused for a context that cannot be one."""
        asked = write_request(bucket, key, value, context, w, None)
        self._attempt(asked, partial(_told_put, then), repeats=self._repeats)

    def close(self) -> None:
        pass

    def _attempt(
        self, asked: bytes, then: Callable[[Response | RingClientError], None], *, repeats: int | None,
        until: float | None = None,
    ) -> None:  # fmt: skip
        Attempts(self._pool, self.in_turn(), asked, repeats=repeats, then=then, until=until).next()

    def in_turn(self) -> list[str]:
        """All of them, those that did not answer lately last."""
        drawn = self._chance.sample(self._endpoints, len(self._endpoints))
        return sorted(drawn, key=self._pool.is_avoided)


class ClientDriven:
    """See the top of the file."""

    def __init__(
        self,
        pool: Pool,
        endpoints: Sequence[str],
        chance: random.Random,
        poll_seconds: float = POLL_SECONDS,
        *,
        repeats: int = REPEATS,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._repeats = repeats
        self._pool = pool
        self._chance = chance
        self._given = ServerDriven(pool, endpoints, chance)
        self._poll_seconds = poll_seconds
        self._placement: KnownPlacement | None = None
        self._waiting: list[Callable[[], None]] = []        # requests that came before there was a placement
        self._is_asking = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._failure: RingClientError = RingUnavailable("no node has told the placement")
        self.refresh()

    def get(self, bucket: str, key: bytes, r: int | None, then: GetThen) -> None:
        if self._placement is None:
            self._when_known(lambda: self.get(bucket, key, r, then), then)
            return
        n, usual, mode = self._placement.quorum(bucket)
        wanted = usual if r is None else r
        if not 1 <= wanted <= n:
            self._loop.call_soon(then, RingRefused(f"r is from 1 to N = {n}, not {wanted}", "BadRequest"))
            return
        preference = self._placement.preference(bucket, key)
        quorum = GetQuorum("", preference, n, wanted, self._is_alive(preference, wanted), mode)
        _Get(self, quorum, bucket, key, r, self._pool.deadline(), then).begin()

    def write(
        self, bucket: str, key: bytes, value: bytes | None, context: str | None, w: int | None, then: PutThen
    ) -> None:
        """`value` None: delete. To the home that answered the get fastest, if the context names one."""
        if self._placement is None:
            self._when_known(lambda: self.write(bucket, key, value, context, w, then), then)
            return
        placement = self._placement
        n, _, _ = placement.quorum(bucket)
        preference = list(placement.preference(bucket, key))
        homes, others = preference[:n], preference[n:]
        remembered = _coordinator_of(context)
        nodes = sorted(homes, key=lambda node: node != remembered) + others
        endpoints = [placement.endpoints[node] for node in nodes if node in placement.endpoints]
        endpoints.sort(key=self._pool.is_avoided)
        asked = write_request(bucket, key, value, context, w, placement.version)

        def told(reply: Response | RingClientError) -> None:
            if isinstance(reply, Response):
                self.note(reply)
            else:
                self.refresh()
            _told_put(then, reply)

        Attempts(self._pool, endpoints, asked, repeats=self._repeats, then=told).next()

    def close(self) -> None:
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._failure = RingUnavailable("the client was closed")
        self._go_on()

    # ---- What a get needs

    def fetch(self, node: str, bucket: str, key: bytes, until: float, then: Callable[[Reply], None]) -> None:
        """A node that says nothing gets half of the time that is left: after it another one may be asked."""
        assert self._placement is not None
        endpoint = self._placement.endpoints.get(node)
        if endpoint is None:    # a new placement since, without it
            self._loop.call_soon(then, NotSent(f"{node} has no endpoint"))
            return
        seconds = (until - self._pool.now()) / 2
        self._pool.ask(endpoint, fetch_request(bucket, key, self._placement.version), then, seconds)

    def get_anywhere(self, bucket: str, key: bytes, r: int | None, until: float, then: GetThen) -> None:
        """A node coordinates, after all."""
        self.refresh()
        self._given.get(bucket, key, r, then, until)

    def let_a_home_repair(self, node: str, bucket: str, key: bytes) -> None:
        endpoint = None if self._placement is None or self._is_closed else self._placement.endpoints.get(node)
        if endpoint is not None:
            self._pool.ask(endpoint, get_request(bucket, key, None), lambda reply: None)

    def note(self, response: Response) -> None:
        """A node that has another placement than we says so."""
        version = response.headers.get(PLACEMENT_HEADER)
        if version is not None and self._placement is not None and version.decode("latin-1") != self._placement.version:
            self.refresh()

    def _is_alive(self, preference: Sequence[str], wanted: int) -> Callable[[str], bool]:
        """Nodes that did not answer lately are left out, as long as there are enough others."""
        assert self._placement is not None
        endpoints = self._placement.endpoints
        known = {node for node in preference if node in endpoints}
        answering = {node for node in known if not self._pool.is_avoided(endpoints[node])}
        return (answering if len(answering) >= wanted else known).__contains__

    # ---- The placement

    def refresh(self) -> None:
        """Ask any node for it, unless that is under way; and again in POLL_SECONDS."""
        if self._is_asking or self._is_closed:
            return
        self._is_asking = True
        known = () if self._placement is None else tuple(self._placement.endpoints.values())
        endpoints = list(dict.fromkeys([*self._chance.sample(known, len(known)), *self._given.in_turn()]))
        endpoints.sort(key=self._pool.is_avoided)
        version = "" if self._placement is None else f"?version={self._placement.version}"
        asked = request("GET", f"/ring/v1/placement{version}")
        Attempts(self._pool, endpoints, asked, repeats=None, then=self._told_placement).next()

    def _told_placement(self, reply: Response | RingClientError) -> None:
        self._is_asking = False
        if self._is_closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._poll_seconds, self.refresh)
        if isinstance(reply, Response) and reply.status == 200:
            try:
                self._placement = KnownPlacement(reply.body)
            except ValueError as error:
                self._failure = RingUnavailable(str(error))
        elif isinstance(reply, RingClientError):
            self._failure = reply
        self._go_on()

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for known in waiting:
            known()

    def _when_known(self, go_on: Callable[[], None], then: Callable[[Exception], None]) -> None:
        def known() -> None:
            if self._placement is None:
                then(self._failure)
                return
            try:
                go_on()
            except (RingClientError, ValueError) as error:  # it is told to who asked, not to all that wait with it
                then(error)

        self._waiting.append(known)
        self.refresh()


class _Get:
    """One get that the client coordinates: carries out what the quorum says."""

    def __init__(
        self, ring: ClientDriven, quorum: GetQuorum, bucket: str, key: bytes, r: int | None, until: float,
        then: GetThen,
    ) -> None:  # fmt: skip
        self._ring = ring
        self._quorum = quorum
        self._bucket = bucket
        self._key = key
        self._r = r
        self._until = until     # the end of its time, for a node that coordinates after all too
        self._then = then

    def begin(self) -> None:
        self._do(self._quorum.begin())

    def _do(self, effects: get_quorum.Effects) -> None:
        for node in effects.fetch:
            self._ring.fetch(node, self._bucket, self._key, self._until, partial(self._fetched, node))
        match effects.outcome:
            case get_quorum.Found() as found:
                self._then(_as_found(found))
            case get_quorum.NotEnough():
                self._ring.get_anywhere(self._bucket, self._key, self._r, self._until, self._then)
        if effects.repair:
            self._ring.let_a_home_repair(effects.repair[0].node, self._bucket, self._key)

    def _fetched(self, node: str, reply: Reply) -> None:
        if isinstance(reply, Response) and reply.status == 200:
            self._ring.note(reply)
            try:
                self._do(self._quorum.fetched(node, decode_sent(reply.body)))
                return
            except BadSiblings:
                pass    # a proxy's page, perhaps
        self._do(self._quorum.failed(node))


def _as_found(found: get_quorum.Found) -> Found:
    siblings = tuple(Sibling(value, time_us / 1_000_000) for value, time_us in found.siblings.shown)
    return Found(siblings, found.context.encode() if found.siblings.versions else None)


def _coordinator_of(context: str | None) -> str | None:
    if not context:
        return None
    try:
        return decode_context(context).coordinator
    except BadContext:
        return None     # the node will say so


def _told_found(then: GetThen, reply: Response | RingClientError) -> None:
    if isinstance(reply, Response):
        try:
            then(found_of(reply))
        except RingClientError as error:
            then(error)
    else:
        then(reply)


def _told_put(then: PutThen, reply: Response | RingClientError) -> None:
    if isinstance(reply, Response):
        try:
            then(put_of(reply)[0])
        except RingClientError as error:
            then(error)
    else:
        then(reply)
