"""All transactions of this server: begins them, answers repeats, finishes what a crash left, looks after the ledger.

    write    all items in one partition     evaluated together and logged as one entry; beside it the ledger gets its
                                            record, which a repeat of the request is answered from
             in several                     prepares; ledger: COMMITTING; commits: three group commits until the client
                                            is answered; ledger: COMMITTED, which nobody waits for
    read     two rounds, nothing is logged

Before anything of a transaction is written, every partition evaluates its part, since all are on this node: so a
condition that fails costs no more than it does outside of transactions, and cancelling is left to crashes and to disks
that refuse.

Timestamps. A transaction's is later than that of every write in its partitions, and than that of every transaction
before it: the clock's, or one more than the latest of those. So a clock that was set back refuses nobody. (The paper
takes the coordinator's clock as it is; where partitions are elsewhere, they would answer with theirs.)

What is under way is in `_live`, in memory: its client waits here. Everything else that has a marker, or a record that
is not over, was left by a crash or by a disk that was full: it is finished at the start, when it is in somebody's way,
and every second while that fails: some at a time, since a crash may leave thousands, and not while the disk refuses
writes, which the node finds out by itself. How old it is does not matter, as it does in the paper, where nobody can
know whether a coordinator is still at work.

A token's record is kept for ten minutes after the transaction was over, and then removed. The row that tells of a
transaction of one partition (its token row) goes with it. It is there for this case: the entry of the partition is
durable and the power goes before the ledger's is; then the repeated request finds it. And for its reverse: the disk
refuses the partition's entry, which is large, and has room for the ledger's behind it. So of a transaction of one
partition the token row decides, and the ledger's record sees to it that both go in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Final

from varley.clock import Clock
from varley.errors import (
    ApiError,
    IdempotentParameterMismatch,
    ReadOnly,
    ResourceNotFound,
    TransactionCanceled,
    TransactionInProgress,
    ValidationError,
    WorldError,
)
from varley.item.key_bytes import TOKEN_SPACE
from varley.item.marker import ID_BYTES, Marker, Name
from varley.item.stored import item_size
from varley.limits import ITEM_BYTES_MAX, TRANSACTION_BYTES_MAX
from varley.node.participant import Evaluation, Participant
from varley.node.partition import Partition
from varley.node.replica import Proposal, Waiter
from varley.node.settled import Told, reply_when_settled, when_settled
from varley.router.routes import GlobalIndexRoute, Route, Router
from varley.transactions import reasons, record
from varley.transactions.action import Action
from varley.transactions.coordinator import State
from varley.transactions.drive import Drive, Part
from varley.transactions.ledger import Ledger
from varley.transactions.reading import Reading, Verdict
from varley.transactions.record import Record

logger = logging.getLogger("varley.transactions")

_TICK_SECONDS: Final = 1.0      # how often old records and unfinished transactions are looked at
_FINISHED_AT_ONCE: Final = 32   # in one turn of the loop: some milliseconds
_ACTIONS_THAT_FIT: Final = TRANSACTION_BYTES_MAX // ITEM_BYTES_MAX    # whatever the sizes of their items

MakeAnswer = Callable[[], bytes]
Numbers = Mapping[Partition, Sequence[int]]     # which of the items of a request are in which partition


class Transactions:
    """Used from the event loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, random: Random, router: Router) -> None:
        self._loop = loop
        self._clock = clock
        self._random = random
        self._router = router
        self._ledger: Ledger | None = None
        self.why_no_ledger: WorldError = ReadOnly("The data folder is read-only", operation="write")
        # id -> request (None: nobody knows): whose client waits, or which is being finished
        self._live: dict[bytes, bytes | None] = {}
        self._left: set[Name] = set()           # to be finished at the next tick
        self._next: list[Name] = []             # to be finished in the next turns of the loop
        self._last_us = 0                       # the latest timestamp that was given to a transaction
        self._timer: asyncio.TimerHandle | None = None
        self._is_idle: asyncio.Future[None] | None = None    # while somebody waits for that
        router.watchers.append(self)

    # Lifetime

    def open_ledger(self, partition: Partition) -> None:
        """What the ledger is kept in. Without one, on a folder that never could be written to, there are only reads."""
        self._ledger = Ledger(partition)

    def start(self) -> None:
        """Begin to finish what the last run left, and look after the ledger from now on. The log is open."""
        for route in self._router.routes():
            for partition in route.partitions:
                self._left.update(marker.name for marker in partition.participant.markers.values())
        self._tick()

    async def stop(self) -> None:
        """Begin nothing by itself any more, and return when what is under way is over or has failed."""
        self.halt()
        await self.wait_idle()

    async def wait_idle(self) -> None:
        """Return when nothing is under way."""
        if self._live or self._next:
            self._is_idle = self._is_idle or self._loop.create_future()
            await self._is_idle

    def halt(self) -> None:
        """Begin nothing by itself any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._left.update(self._next)
        self._next = []

    def _ended(self, name: Name) -> None:
        del self._live[name.id]
        self._tell_if_idle()

    def _tell_if_idle(self) -> None:
        if not (self._live or self._next) and self._is_idle is not None:
            self._is_idle.set_result(None)
            self._is_idle = None

    async def forget(self) -> None:
        """Forget all that was done, as if ten minutes had passed. There are no tables any more."""
        if self._ledger is None:
            return
        partition = self._ledger.partition
        while True:
            done = self._loop.create_future()
            told = Told(lambda error, done=done: done.set_result(error))  # type: ignore[misc]
            undecided = partition.undecided_range()
            if undecided is not None:
                undecided.hold(done.set_result)
            elif not self._ledger.clear(told):
                return
            if await done is not None:
                return    # the disk refuses: they stay for their ten minutes

    def opened(self, route: Route) -> None:
        for partition in route.partitions:
            partition.participant.met = self._met

    def index_closed(self, index: GlobalIndexRoute) -> None:
        pass

    def closed(self, route: Route) -> None:
        pass

    # Writing

    def write(
        self,
        actions: Sequence[Action],
        token: str | None,
        request: bytes,
        waiter: Waiter,
        *,
        answer: MakeAnswer,
        repeated: MakeAnswer,
    ) -> bytes | None:
        """Do all of `actions`, each on an item of its own, or none.

        `request`: 16 bytes that no other request has. `answer` makes the answer's body once all is done, `repeated`
        that of a request that was done before. Returns it if it is final already, else None: `waiter` gets it later.
        Raises ApiError, the client's fault, if that is final already: TransactionCanceled, TransactionInProgress,
        IdempotentParameterMismatch, Throttling; ValidationError if the items come to more than 4 MB. Raises
        `why_no_ledger` without a ledger.
        """
        ledger = self._ledger
        if ledger is None:
            raise self.why_no_ledger.with_traceback(None)
        numbers = _by_partition([(action.route, action.key) for action in actions])
        transaction = self._random.randbytes(ID_BYTES) if token is None else record.id_of_token(token)
        if token is not None:
            known = self._known(transaction, request, ledger)
            if known is not None and known.state is State.COMMITTING:    # and nobody is at it
                self._finish(known.name, self._marked(), _answering(waiter, repeated))
                return None
            # Of one partition, that partition is asked: what the ledger has promises nothing (see _write_both).
            if self._is_done(transaction, request, actions[0]) if len(numbers) == 1 else known is not None:
                return repeated()
        for partition in numbers:
            if partition.is_under_pressure:
                raise partition.overload()
        name = Name(transaction, self._next_timestamp(numbers))
        evaluations = {
            partition: partition.participant.evaluate([actions[number] for number in own], name.timestamp_us)
            for partition, own in numbers.items()
        }
        observed = _distinct(each for evaluation in evaluations.values() for each in evaluation.observed)
        refusal = _refusal(numbers, evaluations, len(actions)) or _excess(evaluations.values(), len(actions))
        if refusal is not None:
            if not observed:
                raise refusal
            when_settled(observed, lambda error: waiter.fail(error or refusal))
            return None
        if len(evaluations) > 1:
            rows = tuple((action.route.name, action.key) for action in actions)
            parts = {
                partition: Part(actions[own[0]].route, [actions[number].key for number in own], evaluations[partition])
                for partition, own in numbers.items()
            }
            self._begin(Record(name, State.COMMITTING, request, rows), parts, waiter, answer)
            return None
        [(partition, evaluation)] = evaluations.items()
        if token is not None:
            rows = ((actions[0].route.name, actions[0].key),)
            done = Record(name, State.COMMITTED, request, rows, self._now_us())
            self._write_both(done, partition.participant, evaluation, waiter, answer)
            return None
        told = _answering(waiter, answer)
        if partition.participant.write(name, evaluation, None, Told(told)):
            return None
        if not observed:
            return answer()
        when_settled(observed, told)
        return None

    def _begin(
        self, begun: Record, parts: Mapping[Partition, Part], waiter: Waiter, answer: MakeAnswer
    ) -> None:
        """A transaction of several partitions."""
        assert self._ledger is not None
        name = begun.name
        self._live[name.id] = begun.request

        def then(outcome: State | BaseException) -> None:
            self._ended(name)
            if isinstance(outcome, BaseException):
                waiter.fail(outcome)
            else:
                # Every partition had agreed, and nobody else finishes what is live.
                assert outcome is State.COMMITTED
                _answering(waiter, answer)(None)

        Drive(self._ledger, begun, parts, self._now_us, then, self._leave).begin()

    def _write_both(
        self, done: Record, participant: Participant, evaluation: Evaluation, waiter: Waiter, answer: MakeAnswer
    ) -> None:
        """A transaction of one partition that may be asked for again: its entry, and beside it the ledger's."""
        assert self._ledger is not None
        name = done.name
        self._live[name.id] = done.request
        left = 2
        failure: BaseException | None = None

        def then(error: BaseException | None) -> None:
            nonlocal left, failure
            left -= 1
            failure = failure or error
            if left == 0:
                self._ended(name)
                _answering(waiter, answer)(failure)

        participant.write(name, evaluation, record.pack_token(name, done.request), Told(then))
        # Both in one frame, nearly always, and so at the price of one. The log may take either without the other.
        self._ledger.ask(done, lambda held: then(held if isinstance(held, BaseException) else None))

    def _known(self, transaction: bytes, request: bytes, ledger: Ledger) -> Record | None:
        """What the ledger knows of a request with this token that was to be done before; None: there was none.

        Raises TransactionInProgress or IdempotentParameterMismatch, the client's fault.
        """
        if transaction in self._live:
            _check_same(self._live[transaction] or request, request)
            raise TransactionInProgress
        found = ledger.find(transaction)
        if found is None or found.state is State.CANCELLED or not found.is_kept(self._now_us()):
            return None
        _check_same(found.request, request)
        return found

    def _is_done(self, transaction: bytes, request: bytes, first: Action) -> bool:
        """Whether its one partition knows that it was done: the ledger does not if a crash came between the two.

        Raises IdempotentParameterMismatch, the client's fault.
        """
        value = first.route.partition_of(first.key).newest(TOKEN_SPACE + transaction)
        if value is None:
            return False
        timestamp_us, made = record.unpack_token(value)
        rows = ((first.route.name, first.key),)
        done = Record(Name(transaction, timestamp_us), State.COMMITTED, made, rows, timestamp_us)
        assert self._ledger is not None
        self._ledger.ask(done, _nothing)    # now it knows, and the row goes in its time
        if not done.is_kept(self._now_us()):
            return False
        _check_same(made, request)
        return True

    def _next_timestamp(self, partitions: Iterable[Partition]) -> int:
        latest_us = max(partition.tree.last_timestamp_us for partition in partitions)
        self._last_us = max(self._now_us(), self._last_us + 1, latest_us + 1)
        return self._last_us

    def _now_us(self) -> int:
        return int(self._clock.time() * 1_000_000)

    # Finishing what was left

    def _met(self, marker: Marker) -> None:
        """A marker is in somebody's way. Nearly always its transaction is under way."""
        if self._timer is None:    # not on a folder that is read-only: whatever was tried there would be refused
            return
        if marker.name.id not in self._live and marker.name not in self._left:
            self._left.add(marker.name)
            self._loop.call_soon(self._finish_left)

    def _leave(self, name: Name) -> None:
        """To be finished later."""
        self._left.add(name)

    def _finish_left(self) -> None:
        if not self._left or self._next or self._router.refusal is not None:
            return
        self._next, self._left = list(self._left), set()
        # One look for all slices: finishing one changes the markers of no other, and one that is finished by somebody
        # else meanwhile is found to be over.
        self._finish_next(self._marked())

    def _finish_next(self, marked: Mapping[Name, Sequence[tuple[str, bytes]]]) -> None:
        """A slice."""
        slice, self._next = self._next[:_FINISHED_AT_ONCE], self._next[_FINISHED_AT_ONCE:]
        for name in slice:
            self._finish(name, marked)
        if self._next:
            self._loop.call_soon(self._finish_next, marked)
        self._tell_if_idle()

    def _marked(self) -> dict[Name, list[tuple[str, bytes]]]:
        """Table and row key of all items that have a marker, by transaction."""
        marked: dict[Name, list[tuple[str, bytes]]] = {}
        for route in self._router.routes():
            for partition in route.partitions:
                for key, marker in partition.participant.markers.items():
                    marked.setdefault(marker.name, []).append((route.name, key))
        return marked

    def _finish(
        self,
        name: Name,
        marked: Mapping[Name, Sequence[tuple[str, bytes]]],
        told: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Commit it or cancel it, as was decided; cancel it if nothing was. `told` hears when that is done."""
        if self._ledger is None:
            return
        if name.id in self._live:    # or it is another one with the same token
            self._left.add(name)
            return
        found = self._ledger.find(name.id)
        if found is not None and found.name != name:
            found = None
        items = dict.fromkeys((*(() if found is None else found.rows), *marked.get(name, ())))
        if not items and (found is None or found.state.is_over):
            return    # the disk refused all of it: nothing was prepared, and nothing can come late on one node
        keys: dict[Partition, list[bytes]] = {}
        routes: dict[Partition, Route] = {}
        for table, key in items:
            try:
                route = self._router.route(table)
            except ResourceNotFound:
                continue    # the table was deleted, and its markers with it
            partition = route.partition_of(key)
            keys.setdefault(partition, []).append(key)
            routes[partition] = route
        state = None if found is None else found.state
        logger.info("finishing a transaction that is %s", "unknown" if state is None else state.value)
        self._live[name.id] = None if found is None else found.request

        def then(outcome: State | BaseException) -> None:
            self._ended(name)
            if told is not None:
                told(outcome if isinstance(outcome, BaseException) else None)

        begun = found or Record(name, State.CANCELLED, bytes(ID_BYTES), tuple(items))
        parts = {partition: Part(routes[partition], own, None) for partition, own in keys.items()}
        Drive(self._ledger, begun, parts, self._now_us, then, self._leave).resume(state)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK_SECONDS, self._tick)
        if self._router.refusal is None:
            self._finish_left()
            self._purge()

    def _purge(self) -> None:
        if self._ledger is None:
            return
        purged = self._ledger.purge(self._clock.time(), self._purge_again)
        self._left.update(each.name for each in purged.unfinished if each.name.id not in self._live)
        tokens: dict[Participant, list[bytes]] = {}
        for each in purged.records:
            table, key = each.rows[0] if each.rows else ("", b"")
            if table in self._router:
                participant = self._router.route(table).partition_of(key).participant
                tokens.setdefault(participant, []).append(TOKEN_SPACE + each.name.id)
        for participant, keys in tokens.items():
            participant.remove(keys, _NOBODY)

    def _purge_again(self) -> None:
        if self._timer is not None:
            self._loop.call_soon(self._purge)

    # Reading

    def read(
        self,
        items: Sequence[tuple[Route, bytes]],
        waiter: Waiter,
        answer: Callable[[Sequence[bytes | None]], bytes],
    ) -> bytes | None:
        """Read all of `items`, given by their row keys, as they were at one moment.

        `answer` makes the answer's body of their stored values. Returns it if it is final already, else None: `waiter`
        gets it later. Raises TransactionCanceled, the client's fault, if items are being written, if that is final.
        """
        return _TwoRounds(items, waiter, answer).begin()


class _TwoRounds:
    """One transaction that reads: asks the partitions, and tells its `Reading`.

    A partition is read at once, or once its undecided writes to these items are decided: each of its own time.
    """

    __slots__ = ("_answer", "_has_failed", "_items", "_numbers", "_reading", "_waiter")

    def __init__(
        self,
        items: Sequence[tuple[Route, bytes]],
        waiter: Waiter,
        answer: Callable[[Sequence[bytes | None]], bytes],
    ) -> None:
        self._items = items
        self._numbers = _by_partition(items)
        self._reading = Reading(len(items))
        self._waiter = waiter
        self._answer = answer
        self._has_failed = False    # and that was told; other partitions may still be waited for

    def begin(self) -> bytes | None:
        verdict: Verdict | None = Verdict.AGAIN
        try:
            while verdict is Verdict.AGAIN:
                verdict = self._round()
        except Exception:
            self._has_failed = True
            raise
        return None if verdict is None else self._result(verdict)

    def _round(self) -> Verdict | None:
        """Read all items. None: some have to be waited for."""
        verdict = None
        for partition, own in self._numbers.items():
            keys = [self._items[number][1] for number in own]
            undecided = _distinct(each for key in keys if (each := partition.undecided(key)) is not None)
            if undecided:
                when_settled(undecided, lambda error, partition=partition, own=own: self._waited(partition, own, error))  # type: ignore[misc]
            else:
                verdict = self._read(partition, own)
        return verdict

    def _read(self, partition: Partition, own: Sequence[int]) -> Verdict | None:
        version = partition.participant.version
        return self._reading.found([(number, version(self._items[number][1])) for number in own])

    def _waited(self, partition: Partition, own: Sequence[int], error: BaseException | None) -> None:
        if self._has_failed:
            return
        try:
            if error is not None:
                raise error
            verdict = self._read(partition, own)
            while verdict is Verdict.AGAIN:
                verdict = self._round()
            if verdict is not None:
                answer = self._result(verdict)
        except Exception as failure:
            self._has_failed = True
            self._waiter.fail(failure)
        else:
            if verdict is not None:
                self._waiter.reply(answer)

    def _result(self, verdict: Verdict) -> bytes:
        if verdict is Verdict.CONFLICT:
            raise reasons.conflicts(self._reading.conflicts)
        return self._answer(self._reading.values)


class _Nobody:
    """Waits for what is done again if it fails."""

    def reply(self, body: bytes) -> None:
        pass

    def fail(self, error: BaseException) -> None:
        pass


_NOBODY: Final = _Nobody()


def _nothing(held: State | BaseException) -> None:
    pass


def _answering(waiter: Waiter, answer: MakeAnswer) -> Callable[[BaseException | None], None]:
    """What to call when all is done, or when nobody can know."""

    return reply_when_settled(waiter, answer)


def _by_partition(items: Sequence[tuple[Route, bytes]]) -> dict[Partition, list[int]]:
    numbers: dict[Partition, list[int]] = {}
    for number, (route, key) in enumerate(items):
        numbers.setdefault(route.partition_of(key), []).append(number)
    return numbers


def _refusal(
    numbers: Numbers, evaluations: Mapping[Partition, Evaluation], count: int
) -> TransactionCanceled | None:
    """Why the transaction cannot be, with a reason for each of its `count` actions; None: it can."""
    for evaluation in evaluations.values():
        if evaluation.is_refused:
            break
    else:
        return None
    refusals: list[ApiError | None] = [None] * count
    for partition, own in numbers.items():
        for number, refusal in zip(own, evaluations[partition].refusals, strict=True):
            refusals[number] = refusal
    return reasons.canceled(refusals)


def _excess(evaluations: Iterable[Evaluation], count: int) -> ValidationError | None:
    """Why the items that `count` actions would leave are too much for one transaction; None: they are not."""
    if count <= _ACTIONS_THAT_FIT:
        return None
    written = sum(
        item_size(new)
        for evaluation in evaluations
        for action, new in zip(evaluation.actions, evaluation.news, strict=True)
        if new is not None and not action.is_check
    )
    return reasons.payload_too_large(written) if written > TRANSACTION_BYTES_MAX else None


def _check_same(made: bytes, request: bytes) -> None:
    if made != request:
        raise IdempotentParameterMismatch


def _distinct(proposals: Iterable[Proposal]) -> list[Proposal]:
    return list({id(proposal): proposal for proposal in proposals}.values())
