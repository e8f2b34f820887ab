"""Gets and puts at the node that received them: the cores of both quorums, with stores, peers and timers.

    put   check ──> coordinator elsewhere? ──> forward once ──> its answer
                    here: PutQuorum: stamp, store to the others, answer at W
    get   check ──> GetQuorum: fetch from N, answer at R, linger, repair

What the client is told is certain or says that it is not: NotEnough (nothing was begun) against Unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from varley.clock import Clock
from varley.errors import WorldError
from varley.ring import get_quorum, put_quorum
from varley.ring import siblings as codec
from varley.ring.get_quorum import GetQuorum
from varley.ring.preference_list import PreferenceList, Target, coordinator
from varley.ring.put_quorum import PutQuorum
from varley.ring.siblings import Context, Siblings, Stamp, decode_context
from varley.ring.vector_clock import VectorClock
from varley.ring_node import service, wire
from varley.ring_node.keys import bucket_of, ring_key
from varley.ring_node.members import Members
from varley.ring_node.moving import Moving
from varley.ring_node.numbers import Numbers
from varley.ring_node.peers import Peers, Reply
from varley.ring_node.service import Got, Put, RingError, ThenGot, ThenPut, Value
from varley.ring_node.settings import (
    KEY_BYTES_MAX,
    SIBLINGS_MAX,
    VALUE_BYTES_MAX,
    BucketSettings,
    RingNodeSettings,
    RingSettings,
    is_bucket_name,
)  # fmt: skip
from varley.ring_node.store import Store, TooMany
from varley.ring_node.writer import Loop

logger = logging.getLogger("varley.ring")

_ERRORS: Final = {
    kind.__name__: kind
    for kind in (
        service.BadRequest, service.BadContext, service.TooLarge, service.TooManySiblings, service.NotEnough,
        service.Unknown, service.Unavailable,
    )
}  # fmt: skip


class _Put(NamedTuple):
    bucket: str
    key: bytes
    ring_key: bytes
    context: bytes | None
    value: bytes | None
    w: int
    settings: BucketSettings


class Requests:
    def __init__(
        self,
        own: RingNodeSettings,
        ring: RingSettings,
        loop: Loop,
        clock: Clock,
        store: Store,
        members: Members,
        peers: Peers,
        moving: Moving,
        numbers: Numbers,
        read: Callable[[float], None],
    ) -> None:
        """`read` is told how long each read of the own store took, in seconds, with the time it waited for its turn.

        Not how long gets took: those that wait for a node that is down are slow too, and it is just then that hints
        must go out. Section 6.5 takes "database read latency" as well.
        """
        self._own = own
        self._ring = ring
        self._loop = loop
        self._clock = clock
        self._store = store
        self._members = members
        self._peers = peers
        self._moving = moving
        self._numbers = numbers
        self._read = read

    # ---- Puts

    def put(
        self, bucket: str, key: bytes, context: bytes | None, value: bytes | None, w: int | None, then: ThenPut,
        *, is_forwarded: bool = False,
    ) -> None:  # fmt: skip
        """`then` is called in a later turn of the loop."""
        wrong = self._wrong(bucket, key, w, "w")
        if wrong is None and value is not None and len(value) > VALUE_BYTES_MAX:
            wrong = service.TooLarge(f"a value has at most {VALUE_BYTES_MAX} bytes, this one has {len(value)}")
        refusal = self._store.refusal
        if wrong is None and refusal is not None:
            wrong = service.Unavailable(refusal)
        try:
            seen = Context() if context is None else decode_context(context.decode("latin-1"))
        except codec.BadContext as error:
            wrong = wrong or service.BadContext(str(error))
        if wrong is not None:
            self._loop.call_soon(then, wrong)
            return
        settings = self._ring.bucket(bucket)
        put = _Put(bucket, key, ring_key(bucket, key), context, value, w or settings.w, settings)
        preference = self._members.preference(put.ring_key)
        if not preference:
            self._loop.call_soon(then, service.Unavailable("this node knows of no members: it has not joined a ring"))
            return
        name, is_alive = self._own.name, self._peers.is_alive
        by = coordinator(preference, settings.n, name, is_alive, seen.coordinator)
        if by == name or is_forwarded:
            self._coordinate(put, seen.clock, preference, then)
        else:
            self._forward(put, by, seen.clock, preference, then, frozenset({by}))

    def _forward(
        self, put: _Put, by: str, seen: VectorClock, preference: PreferenceList, then: ThenPut, tried: frozenset[str]
    ) -> None:
        """To `by`, who is among `tried`; and to others after it, as long as surely nothing was done."""
        self._numbers.add("puts_forwarded")
        is_told = False

        def answered(answer: wire.Answer) -> None:
            nonlocal is_told
            if not is_told:
                is_told = True
                told = _of_answer(answer, by)
                if isinstance(told, service.Unavailable):
                    elsewhere()
                else:
                    then(told)

        def failed(is_certain: bool) -> None:
            nonlocal is_told
            if is_told:
                return
            is_told = True
            if is_certain:
                elsewhere()
            else:
                then(service.Unknown(f"node {by} has not said what became of the put", 0, put.w))

        def elsewhere() -> None:
            is_left = lambda node: node not in tried and self._peers.is_alive(node)  # noqa: E731
            other = coordinator(preference, put.settings.n, self._own.name, is_left)
            if other == self._own.name:
                self._coordinate(put, seen, preference, then)
            else:
                self._forward(put, other, seen, preference, then, tried | {other})

        self._peers.ask(
            by, wire.ForwardedPut(put.bucket, put.key, put.context, put.value, put.w), answered, failed,
            timeout_seconds=self._own.request_timeout_seconds,
        )  # fmt: skip

    def _coordinate(self, put: _Put, seen: VectorClock, preference: PreferenceList, then: ThenPut) -> None:
        self._numbers.add("puts")
        now_us = self._store.stamp_time_us(int(self._clock.time() * 1e6))
        since_us = self._store.remembers_since_us(put.ring_key)
        stamp = Stamp(self._own.name, seen, put.value, now_us, put.settings.mode, since_us)
        quorum = PutQuorum(stamp, preference, put.settings.n, put.w, self._peers.is_alive)
        _PutDrive(self, put, quorum, then).begin()

    # ---- Gets

    def get(self, bucket: str, key: bytes, r: int | None, then: ThenGot) -> None:
        """`then` is called in a later turn of the loop."""
        wrong = self._wrong(bucket, key, r, "r")
        if wrong is not None:
            self._loop.call_soon(then, wrong)
            return
        self._numbers.add("gets")
        settings = self._ring.bucket(bucket)
        name = ring_key(bucket, key)
        preference = self._members.preference(name)
        if not preference:
            self._loop.call_soon(then, service.Unavailable("this node knows of no members: it has not joined a ring"))
            return
        r = r or settings.r
        quorum = GetQuorum(self._own.name, preference, settings.n, r, self._peers.is_alive, settings.mode)
        _GetDrive(self, name, preference[: settings.n], r, quorum, then).begin()

    # ---- What other nodes ask

    def store(self, request: wire.Store, reply: Reply) -> None:
        refusal = self._store.refusal
        if refusal is not None:
            reply(wire.Refused(refusal))
            return
        if request.hint_for not in (None, self._own.name):
            self._numbers.add("hints_stored")
        try:
            siblings = codec.decode_sent(request.siblings)
        except codec.BadSiblings as error:
            raise wire.BadMessage(str(error)) from None
        done = lambda: reply(wire.Done())  # noqa: E731
        self._store.merge(request.ring_key, siblings, request.hint_for, done, is_durable=request.is_durable)

    def fetch(
        self, name: bytes, then: Callable[[Siblings], None], failed: Callable[[], None], *, is_alone: bool = False
    ) -> None:
        """What this node has of a key, or has to know of it while homes change. One of the two is called, later."""
        began = self._clock.monotonic()

        def read() -> None:
            self._read(self._clock.monotonic() - began)
            try:
                siblings = self._store.shown(name)
            except WorldError:
                failed()    # the store has said so in the log, and what it says of itself from now on
                return
            others = frozenset() if is_alone else self._moving.others(name)
            if others:
                self._unite(name, siblings, others, then)
            else:
                then(siblings)

        self._loop.call_soon(read)

    def _unite(self, name: bytes, own: Siblings, others: frozenset[str], then: Callable[[Siblings], None]) -> None:
        """With what these have. One that does not answer is done without, in time for who waits for us."""
        self._numbers.add("fetches_united")
        sets = [own]
        lacking = set(others)

        def over(node: str) -> None:
            if node in lacking:
                lacking.discard(node)
                if not lacking:
                    then(codec.reconcile(sets, self._ring.bucket(bucket_of(name)).mode))

        def answered(node: str, answer: wire.Answer) -> None:
            siblings = _held(answer, node)
            if siblings is not None:
                sets.append(siblings)
            over(node)

        seconds = self._own.replica_timeout_seconds / 2
        for node in sorted(others):
            failed = partial(lambda node, _: over(node), node)
            self._peers.ask(node, wire.Fetch(name, True), partial(answered, node), failed, timeout_seconds=seconds)

    def forwarded(self, request: wire.ForwardedPut, reply: Reply) -> None:
        def then(answer: Put | RingError) -> None:
            reply(_to_answer(answer))

        self.put(
            request.bucket, request.key, request.context, request.value, request.w, then, is_forwarded=True
        )

    def _wrong(self, bucket: str, key: bytes, quorum: int | None, name: str) -> RingError | None:
        if not is_bucket_name(bucket):
            return service.BadRequest("the name of a bucket has 1 to 64 bytes, all of them printable")
        if not 1 <= len(key) <= KEY_BYTES_MAX:
            return service.BadRequest(f"a key has 1 to {KEY_BYTES_MAX} bytes, this one has {len(key)}")
        n = self._ring.bucket(bucket).n
        if quorum is not None and not 1 <= quorum <= n:
            return service.BadRequest(f"{name} is from 1 to n, which is {n} for bucket {bucket}, and not {quorum}")
        return None


class _PutDrive:
    """One put, until nobody is awaited."""

    def __init__(self, requests: Requests, put: _Put, quorum: PutQuorum, then: ThenPut) -> None:
        self._node = requests
        self._put = put
        self._quorum = quorum
        self._then = then
        self._is_durable_asked = False      # of one of the N, where this node itself has a write buffer

    def begin(self) -> None:
        self._deadline = self._node._loop.call_later(
            self._node._own.request_timeout_seconds, lambda: self._do(self._quorum.deadline())
        )
        self._do(self._quorum.begin())

    def _do(self, effects: put_quorum.Effects) -> None:
        if effects.stamp is not None:
            self._stamp(*effects.stamp)
        for target in effects.store:
            self._store(target)
        if effects.outcome is not None:
            self._deadline.cancel()
            self._node._loop.call_soon(self._then, self._answer(effects.outcome))

    def _stamp(self, stamp: Stamp, target: Target) -> None:
        node, put = self._node, self._put
        try:
            node._store.stamp(
                put.ring_key, stamp, target.hint_for, lambda siblings: self._do(self._quorum.stamped(siblings)),
                is_durable=self._quorum.is_alone,
            )  # fmt: skip
        except TooMany:
            self._refuse(service.TooManySiblings(
                f"the key has {SIBLINGS_MAX} versions, or versions of 16 MB: get it, and put with that context"
            ))  # fmt: skip
        except WorldError as error:     # in reading, which comes before anything is written
            self._refuse(service.Unavailable(f"this node's disk cannot be read: {error}"))
        else:
            if target.hint_for is not None:
                node._numbers.add("hints_stored")

    def _refuse(self, error: RingError) -> None:
        self._deadline.cancel()
        self._node._loop.call_soon(self._then, error)

    def _store(self, target: Target) -> None:
        siblings = self._quorum.siblings
        assert siblings is not None
        node, name = self._node, target.node
        is_durable = node._store.is_buffered and not self._is_durable_asked
        self._is_durable_asked = True

        def failed(_: bool) -> None:
            if is_durable:
                self._is_durable_asked = False      # whoever stands in for it
            self._do(self._quorum.failed(name))

        node._peers.ask(
            name,
            wire.Store(self._put.ring_key, siblings.encode(), target.hint_for, is_durable),
            lambda _: self._do(self._quorum.stored(name)),
            failed,
        )

    def _answer(self, outcome: put_quorum.Outcome) -> Put | RingError:
        w, own = self._put.w, self._node._own.name
        match outcome:
            case put_quorum.Written():
                clock = outcome.context
                return Put(None if clock is None else Context(clock, own).encode().encode(), own)
            case put_quorum.Unknown():
                self._node._numbers.add("puts_unknown")
                count = len(outcome.stored)
                return service.Unknown(f"{count} of {w} nodes are known to have the put", count, w)
            case put_quorum.Refused():
                self._node._numbers.add("puts_refused")
                return service.NotEnough(f"{outcome.reached} nodes can be reached, and W is {w}", outcome.reached, w)


class _GetDrive:
    """One get, until it has repaired."""

    def __init__(
        self, requests: Requests, name: bytes, homes: PreferenceList, r: int, quorum: GetQuorum, then: ThenGot
    ) -> None:
        self._node = requests
        self._name = name
        self._homes = homes
        self._r = r
        self._quorum = quorum
        self._then = then
        self._answered: list[str] = []

    def begin(self) -> None:
        self._deadline = self._node._loop.call_later(
            self._node._own.request_timeout_seconds, lambda: self._do(self._quorum.deadline())
        )
        self._do(self._quorum.begin())

    def _do(self, effects: get_quorum.Effects) -> None:
        for node in effects.fetch:
            self._fetch(node)
        if effects.outcome is not None:
            self._deadline.cancel()
            self._node._loop.call_soon(self._then, self._answer(effects.outcome))
            if not self._quorum.is_over and not effects.repair:
                linger_seconds = self._node._own.linger_seconds
                self._node._loop.call_later(linger_seconds, lambda: self._do(self._quorum.linger_is_over()))
        for node, siblings in effects.repair:
            self._repair(node, siblings)

    def _fetch(self, node: str) -> None:
        def fetched(siblings: Siblings) -> None:
            self._answered.append(node)
            self._do(self._quorum.fetched(node, siblings))

        def answered(answer: wire.Answer) -> None:
            siblings = _held(answer, node)
            if siblings is None:
                self._do(self._quorum.failed(node))
            else:
                fetched(siblings)

        if node == self._node._own.name:
            failed = lambda: self._do(self._quorum.failed(node))  # noqa: E731
            self._node.fetch(self._name, fetched, failed)
        else:
            self._node._peers.ask(
                node, wire.Fetch(self._name), answered, lambda _: self._do(self._quorum.failed(node))
            )

    def _repair(self, node: str, siblings: Siblings) -> None:
        self._node._numbers.add("repairs")
        logger.debug("a get repairs key %r at %s", self._name, node)
        if node == self._node._own.name:
            if self._node._store.refusal is None:
                self._node._store.merge(self._name, siblings, None, _nothing)
        else:
            request = wire.Store(self._name, siblings.encode(), None, False)
            self._node._peers.ask(node, request, _nothing, _nothing)

    def _answer(self, outcome: get_quorum.Outcome) -> Got | RingError:
        match outcome:
            case get_quorum.Found():
                values = tuple(Value(value, time_us / 1e6) for value, time_us in outcome.siblings.shown)
                context = outcome.context.encode().encode() if len(outcome.siblings) else None
                answered = tuple(self._answered)
                return Got(values, context, answered, not set(answered) <= set(self._homes))
            case get_quorum.NotEnough():
                self._node._numbers.add("gets_refused")
                count = len(outcome.answered)
                return service.NotEnough(f"{count} nodes have answered, and R is {self._r}", count, self._r)


def _held(answer: wire.Answer, node: str) -> Siblings | None:
    """What a node has; None if it does not read as that."""
    assert isinstance(answer, wire.Held)
    try:
        return codec.decode_sent(answer.siblings)
    except codec.BadSiblings as error:
        logger.error("node %s gave an answer that cannot be: %s", node, error)
        return None


def _to_answer(answer: Put | RingError) -> wire.PutAnswer:
    if isinstance(answer, Put):
        return wire.PutAnswer("", "", answer.context, 0, 0)
    counted, needed = 0, 0
    match answer:
        case service.NotEnough():
            counted, needed = answer.answered, answer.needed
        case service.Unknown():
            counted, needed = answer.stored, answer.needed
    return wire.PutAnswer(type(answer).__name__, answer.message, None, counted, needed)


def _of_answer(answer: wire.Answer, by: str) -> Put | RingError:
    assert isinstance(answer, wire.PutAnswer)
    if not answer.error:
        return Put(answer.context, by)
    kind = _ERRORS.get(answer.error, service.Unknown)
    if kind in (service.NotEnough, service.Unknown):
        return kind(answer.message, answer.counted, answer.needed)
    return kind(answer.message)


def _nothing(*_: object) -> None:
    pass
