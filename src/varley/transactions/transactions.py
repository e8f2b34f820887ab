"""All transactions of this server: begins them, and answers requests that come again. The rest is recovery.py.

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

A token's record is kept for ten minutes after the transaction was over, and then removed. The row that tells of a
transaction of one partition (its token row) goes with it. It is there for this case: the entry of the partition is
durable and the power goes before the ledger's is; then the repeated request finds it. And for its reverse: the disk
refuses the partition's entry, which is large, and has room for the ledger's behind it. So of a transaction of one
partition the token row decides, and the ledger's record sees to it that both go in time.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Final

from varley.clock import Clock, time_us
from varley.errors import (
    ApiError,
    IdempotentParameterMismatch,
    ReadOnly,
    TransactionCanceled,
    TransactionInProgress,
    ValidationError,
    WorldError,
)
from varley.item.key_bytes import TOKEN_SPACE
from varley.item.marker import ID_BYTES, Marker, Name
from varley.limits import ITEM_BYTES_MAX, TRANSACTION_BYTES_MAX
from varley.node.participant import Evaluation, Participant
from varley.node.partition import Partition
from varley.node.replica import Waiter
from varley.node.settled import Told, after_calls, reply_when_settled, when_settled
from varley.router.routes import GlobalIndexRoute, Route, Router
from varley.transactions import reasons, record
from varley.transactions.abroad import Abroad
from varley.transactions.action import Action, written_bytes
from varley.transactions.coordinator import State
from varley.transactions.drive import Drive, Part
from varley.transactions.ledger import Ledger
from varley.transactions.live import Live
from varley.transactions.partitions import Numbers, by_partition
from varley.transactions.record import Record
from varley.transactions.recovery import Recovery
from varley.transactions.spread import Asking, AsSent, Coordination, MakeAnswer, MakeRepeated, values_of
from varley.transactions.two_rounds import TwoRounds

_ACTIONS_THAT_FIT: Final = TRANSACTION_BYTES_MAX // ITEM_BYTES_MAX    # whatever the sizes of their items


class Transactions:
    """Used from the event loop only."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, random: Random, router: Router,
        abroad: Abroad | None = None,
    ) -> None:  # fmt: skip
        """`abroad`: how participants are asked that other nodes lead; None: there are none."""
        self._abroad = abroad
        self._spread: Coordination | None = None    # with them; together with the ledger
        self._loop = loop
        self._clock = clock
        self._now_us = functools.partial(time_us, clock)
        self._random = random
        self._router = router
        self._ledger: Ledger | None = None      # they come together
        self._recovery: Recovery | None = None
        self.why_no_ledger: WorldError = ReadOnly("The data folder is read-only", operation="write")
        self._live = Live(loop)
        self._last_us = 0                       # the latest timestamp that was given to a transaction
        router.watchers.append(self)

    # Lifetime

    def open_ledger(self, partition: Partition) -> None:
        """What the ledger is kept in. Without one, on a folder that never could be written to, there are only reads."""
        self._ledger = Ledger(partition)
        self._recovery = Recovery(self._loop, self._clock, self._router, self._ledger, self._live, self._abroad)
        if self._abroad is not None:
            self._spread = Coordination(
                self._abroad, self._ledger, self._live, self._now_us, self._next_timestamp, self._recovery.leave
            )

    def start(self) -> None:
        """Begin to finish what the last run left, and look after the ledger from now on. The log is open."""
        if self._recovery is not None:
            self._recovery.start()

    async def stop(self) -> None:
        """Begin nothing by itself any more, and return when what is under way is over or has failed."""
        self.halt()
        await self.wait_idle()

    async def wait_idle(self) -> None:
        """Return when nothing is under way."""
        await self._live.wait_idle()

    def halt(self) -> None:
        """Begin nothing by itself any more."""
        if self._recovery is not None:
            self._recovery.halt()

    async def forget(self) -> None:
        """Forget all that was done, as if ten minutes had passed, if this node leads the ledger. No table is left."""
        if self._ledger is None or not self._ledger.partition.is_leading:
            return
        partition = self._ledger.partition
        while True:
            done: asyncio.Future[BaseException | None] = self._loop.create_future()
            undecided = partition.undecided_range()
            if undecided is not None:
                undecided.hold(done.set_result)
            elif not self._ledger.clear(Told(done.set_result)):
                return
            if await done is not None:
                return    # the disk refuses: they stay for their ten minutes

    def opened(self, route: Route) -> None:
        for partition in route.partitions:
            partition.tell_of_markers(self._met)

    def _met(self, marker: Marker) -> None:
        if self._recovery is not None:
            self._recovery.met(marker)

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
        repeated: MakeRepeated,
        as_sent: AsSent | None = None,
    ) -> bytes | None:
        """Do all of `actions`, each on an item of its own, or none.

        `request`: 16 bytes that no other request has. `answer` makes the answer's body once all is done, `repeated`
        that of a request that was done before. Returns it if it is final already, else None: `waiter` gets it later.
        Raises ApiError, the client's fault, if that is final already: TransactionCanceled, TransactionInProgress,
        IdempotentParameterMismatch, Throttling; ValidationError if the items come to more than 4 MB. Raises
        `why_no_ledger` without a ledger, Elsewhere if another node has to coordinate it. `as_sent`: what others are
        asked who lead items; needed in a cluster.
        """
        ledger, recovery = self._ledger, self._recovery
        if ledger is None or recovery is None:
            raise self.why_no_ledger.with_traceback(None)
        numbers = by_partition([(action.route, action.key) for action in actions])
        spread = self._spread
        if spread is not None:
            spread.check_place(numbers, token)
        transaction = self._random.randbytes(ID_BYTES) if token is None else record.id_of_token(token)

        def asked_again(error: BaseException | None) -> None:
            """It was done before."""
            if spread is None:
                reply_when_settled(waiter, lambda: repeated(values_of(actions)))(error)
            else:
                assert as_sent is not None
                spread.repeat(
                    Asking(transaction, request, actions, numbers, waiter, answer, repeated, as_sent), error
                )

        if token is not None:
            known = self._known(transaction, request, ledger)
            if known is not None and known.state is State.COMMITTING:    # and nobody is at it
                recovery.finish(known.name, asked_again)
                return None
            # Of one partition, that partition is asked: what the ledger has promises nothing (see _write_both).
            if spread is not None and len(numbers) == 1 and spread.is_away(next(iter(numbers))):
                assert as_sent is not None
                spread.write(Asking(transaction, request, actions, numbers, waiter, answer, repeated, as_sent))
                return None
            if self._is_done(transaction, request, actions[0]) if len(numbers) == 1 else known is not None:
                asked_again(None)
                return None
        if spread is not None and any(spread.is_away(partition) for partition in numbers):
            assert as_sent is not None
            spread.begin(Asking(transaction, request, actions, numbers, waiter, answer, repeated, as_sent))
            return None
        for partition in numbers:
            if partition.is_under_pressure:
                raise partition.overload()
        name = Name(transaction, self._next_timestamp(numbers))
        evaluations = {
            partition: partition.participant.evaluate([actions[number] for number in own], name.timestamp_us)
            for partition, own in numbers.items()
        }
        observed = [each for evaluation in evaluations.values() for each in evaluation.observed]
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
        told = reply_when_settled(waiter, answer)
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
        assert self._ledger is not None and self._recovery is not None
        name = begun.name
        self._live.begin(name.id, begun.request)

        def then(outcome: State | BaseException) -> None:
            self._live.end(name.id)
            if isinstance(outcome, BaseException):
                waiter.fail(outcome)
            elif outcome is State.CANCELLED:    # every partition had agreed, and nobody else finishes what is live
                assert drive.why_not is not None
                waiter.fail(drive.why_not)
            else:
                reply_when_settled(waiter, answer)(None)

        drive = Drive(self._ledger, begun, parts, self._now_us, then, self._recovery.leave, self._abroad)
        drive.begin()

    def _write_both(
        self, done: Record, participant: Participant, evaluation: Evaluation, waiter: Waiter, answer: MakeAnswer
    ) -> None:
        """A transaction of one partition that may be asked for again: its entry, and beside it the ledger's."""
        assert self._ledger is not None
        name = done.name
        self._live.begin(name.id, done.request)
        answered = reply_when_settled(waiter, answer)

        def both(error: BaseException | None) -> None:
            self._live.end(name.id)
            answered(error)

        then = after_calls(2, both)
        participant.write(name, evaluation, record.pack_token(name, done.request), Told(then))
        # Both in one frame, nearly always, and so at the price of one. The log may take either without the other.
        self._ledger.ask(done, lambda held: then(held if isinstance(held, BaseException) else None))

    def _known(self, transaction: bytes, request: bytes, ledger: Ledger) -> Record | None:
        """What the ledger knows of a request with this token that was to be done before; None: there was none.

        Raises TransactionInProgress or IdempotentParameterMismatch, the client's fault.
        """
        if transaction in self._live:
            _check_same(self._live.request_of(transaction) or request, request)
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

    def _next_timestamp(self, partitions: Iterable[Partition], after_us: int = 0) -> int:
        latest_us = max((partition.tree.last_timestamp_us for partition in partitions), default=0)
        self._last_us = max(self._now_us(), self._last_us + 1, latest_us + 1, after_us + 1)
        return self._last_us

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
        return TwoRounds(items, waiter, answer, self._abroad).begin()


def _nothing(held: State | BaseException) -> None:
    pass


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
    written = written_bytes(evaluations)
    return reasons.payload_too_large(written) if written > TRANSACTION_BYTES_MAX else None


def _check_same(made: bytes, request: bytes) -> None:
    if made != request:
        raise IdempotentParameterMismatch
