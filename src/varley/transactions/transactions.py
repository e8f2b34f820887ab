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
and every second while that fails. How old it is does not matter, as it does in the paper, where nobody can know whether
a coordinator is still at work.

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
from typing import Final, NamedTuple

from varley.clock import Clock
from varley.cluster.peers import unreached
from varley.errors import (
    ApiError,
    IdempotentParameterMismatch,
    ReadOnly,
    ResourceNotFound,
    TransactionCanceled,
    TransactionConflict,
    TransactionInProgress,
    WorldError,
)
from varley.item.key_bytes import TOKEN_SPACE
from varley.item.marker import ID_BYTES, Marker, Name
from varley.node.elsewhere import Elsewhere, Need
from varley.node.participant import Evaluation, Participant, Version
from varley.node.partition import Partition
from varley.node.replica import Proposal, Waiter
from varley.node.settled import Told, reply_when_settled, when_settled
from varley.router.routes import GlobalIndexRoute, Route, Router
from varley.transactions import reasons, record
from varley.transactions.abroad import Abroad, Agreed, Cost, DoneBefore, Refused, TooEarly, Work
from varley.transactions.abroad import Verdict as Said
from varley.transactions.action import Action
from varley.transactions.coordinator import State
from varley.transactions.drive import Drive, Part
from varley.transactions.ledger import Ledger
from varley.transactions.reading import Reading, Verdict
from varley.transactions.record import Record

logger = logging.getLogger("varley.transactions")

_TICK_SECONDS: Final = 1.0      # how often old records and unfinished transactions are looked at

# Markers of other coordinators are older than this when somebody asks what has become of them: about as long as a
# transaction with many slow participants takes.
_OLD_SECONDS: Final = 10.0

MakeAnswer = Callable[[], bytes]
MakeRepeated = Callable[[Sequence[bytes | None]], bytes]    # of the stored values that its items have now
class AsSent(NamedTuple):
    """A request that writes, as it is sent on in parts."""

    operation: str
    encoded: Callable[[Sequence[int]], bytes]    # the JSON array of some of its actions, by number


Numbers = Mapping[Partition, Sequence[int]]     # which of the items of a request are in which partition


class Transactions:
    """Used from the event loop only."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, random: Random, router: Router,
        abroad: Abroad | None = None,
    ) -> None:  # fmt: skip
        """`abroad`: how participants on other nodes are asked; None: all are here."""
        self._abroad = abroad
        if abroad is not None:
            abroad.on_left = self._told_of_left
        self._ledger_ballot = 0     # in which this node leads the ledger, as far as `_tick` has seen
        self._loop = loop
        self._clock = clock
        self._random = random
        self._router = router
        self._ledger: Ledger | None = None
        self.why_no_ledger: WorldError = ReadOnly("The data folder is read-only", operation="write")
        # id -> request (None: nobody knows): whose client waits, or which is being finished
        self._live: dict[bytes, bytes | None] = {}
        self._left: set[Name] = set()           # to be finished at the next tick
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
        if self._abroad is None:
            self._left.update(self._marked())
        self._tick()

    async def stop(self) -> None:
        """Begin nothing by itself any more, and return when what is under way is over or has failed."""
        self.halt()
        await self.wait_idle()

    async def wait_idle(self) -> None:
        """Return when nothing is under way."""
        if self._live:
            self._is_idle = self._is_idle or self._loop.create_future()
            await self._is_idle

    def halt(self) -> None:
        """Begin nothing by itself any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ended(self, name: Name) -> None:
        del self._live[name.id]
        if not self._live and self._is_idle is not None:
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
            partition.tell_of_markers(self._met)

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

        `request`: 16 bytes that no other request has. `as_sent`: what others are asked who lead the items; needed in
        a cluster. `answer` makes the answer's body once all is done, `repeated`
        that of a request that was done before. Returns it if it is final already, else None: `waiter` gets it later.
        Raises ApiError, the client's fault, if that is final already: TransactionCanceled, TransactionInProgress,
        IdempotentParameterMismatch, Throttling. Raises `why_no_ledger` without a ledger, Elsewhere if another node has
        to coordinate it.
        """
        ledger = self._ledger
        if ledger is None:
            raise self.why_no_ledger.with_traceback(None)
        numbers = _by_partition([(action.route, action.key) for action in actions])
        if self._abroad is not None:
            self._check_coordinator(self._abroad, ledger, numbers, token)
        transaction = self._random.randbytes(ID_BYTES) if token is None else record.id_of_token(token)
        if token is not None:
            known = self._known(transaction, request, ledger)
            if known is not None and known.state is State.COMMITTING:    # and nobody is at it
                self._finish(known.name, self._marked(), lambda error: self._repeat(actions, waiter, repeated, error))
                return None
            # Of one partition, that partition is asked: what the ledger has promises nothing (see _write_both).
            if len(numbers) > 1:
                if known is not None:
                    self._repeat(actions, waiter, repeated)
                    return None
            elif self._is_away(next(iter(numbers))):
                assert as_sent is not None
                self._write_away(transaction, request, as_sent, actions, waiter, answer, repeated)
                return None
            elif self._is_done(transaction, request, actions[0]):
                return repeated(_values(actions))
        if any(self._is_away(partition) for partition in numbers):
            assert as_sent is not None
            spread = _Spread(actions, numbers, request, as_sent, waiter, answer)
            self._begin_spread(spread, transaction, self._next_timestamp(numbers))
            return None
        for partition in numbers:
            if partition.is_under_pressure:
                raise partition.overload()
        name = Name(transaction, self._next_timestamp(numbers))
        evaluations = {
            partition: partition.participant.evaluate([actions[number] for number in own], name.timestamp_us)
            for partition, own in numbers.items()
        }
        observed = _distinct(each for evaluation in evaluations.values() for each in evaluation.observed)
        refusal = _refusal(numbers, evaluations, len(actions))
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

    # Writing, with participants on other nodes

    def _check_coordinator(self, abroad: Abroad, ledger: Ledger, numbers: Numbers, token: str | None) -> None:
        """Raises Elsewhere if this is not the node to coordinate it: see abroad.py."""
        group = ledger.partition.group if len(numbers) > 1 or token is not None else next(iter(numbers)).group
        if not abroad.is_led_here(group):
            raise Elsewhere(group, Need.WRITE)

    def _is_away(self, partition: Partition) -> bool:
        return self._abroad is not None and not self._abroad.is_led_here(partition.group)

    def _repeat(
        self, actions: Sequence[Action], waiter: Waiter, repeated: MakeRepeated, error: BaseException | None = None
    ) -> None:
        """Answer a request that was done before, from its items as they are now."""
        away: dict[int, list[bytes]] = {}
        for action in actions:
            partition = action.route.partition_of(action.key)
            if self._is_away(partition):
                away.setdefault(partition.group, []).append(action.key)

        def fetched(values: Mapping[int, Mapping[bytes, bytes]], error: BaseException | None) -> None:
            _answering(waiter, lambda: repeated(_values(actions, values)))(error)

        if error is not None or not away:
            fetched({}, error)
        else:
            assert self._abroad is not None
            self._abroad.values(away, fetched)

    def _write_away(
        self, transaction: bytes, request: bytes, as_sent: AsSent, actions: Sequence[Action], waiter: Waiter,
        answer: MakeAnswer, repeated: MakeRepeated,
    ) -> None:  # fmt: skip
        """One with a token whose one partition is led elsewhere: that does it, and tells if it was done before."""
        abroad, ledger = self._abroad, self._ledger
        assert abroad is not None and ledger is not None
        first = actions[0]
        group = first.route.partition_of(first.key).group
        name = Name(transaction, self._next_timestamp(()))
        self._live[transaction] = request

        def heard(verdict: Said | ApiError) -> None:
            match verdict:
                case Agreed():
                    _set_costs(actions, verdict.costs)
                    self._note_done(Name(transaction, verdict.timestamp_us), request, first, then)
                    return
                case DoneBefore():
                    timestamp_us, made = record.unpack_token(verdict.token)
                    done = Record(Name(transaction, timestamp_us), State.COMMITTED, made, (), timestamp_us)
                    self._note_done(done.name, made, first, lambda error: None)
                    self._ended(name)
                    if made != request:
                        waiter.fail(IdempotentParameterMismatch())
                    else:
                        self._repeat(actions, waiter, repeated)
                case Refused():
                    self._ended(name)
                    waiter.fail(_canceled_elsewhere(verdict, len(actions)))
                case TooEarly():
                    self._ended(name)
                    waiter.fail(reasons.conflicts([True] * len(actions)))
                case ApiError():
                    self._ended(name)
                    waiter.fail(verdict)

        def then(error: BaseException | None) -> None:
            self._ended(name)
            _answering(waiter, answer)(error)

        work = Work(name, as_sent.operation, as_sent.encoded(range(len(actions))))
        abroad.write(group, work, request, heard)

    def _note_done(
        self, name: Name, request: bytes, first: Action, then: Callable[[BaseException | None], None]
    ) -> None:
        """Have the ledger know of a transaction of one partition."""
        assert self._ledger is not None
        done = Record(name, State.COMMITTED, request, ((first.route.name, first.key),), self._now_us())
        try:
            self._ledger.ask(done, lambda held: then(held if isinstance(held, BaseException) else None))
        except Elsewhere:    # the ledger has moved; that it was done, the token row says
            then(None)

    def _begin_spread(self, spread: _Spread, transaction: bytes, timestamp_us: int, *, is_second: bool = False) -> None:
        """A transaction with participants here and elsewhere. Those here say first whether they could take it."""
        name = Name(transaction, timestamp_us)
        actions, numbers = spread.actions, spread.numbers
        evaluations: dict[Partition, Evaluation] = {}
        works: dict[Partition, Work] = {}
        for partition, own in numbers.items():
            if self._is_away(partition):
                works[partition] = Work(name, spread.as_sent.operation, spread.as_sent.encoded(own))
            elif partition.is_under_pressure:
                spread.waiter.fail(partition.overload())
                return
            else:
                evaluations[partition] = partition.participant.evaluate([actions[each] for each in own], timestamp_us)
        if any(evaluation.is_refused for evaluation in evaluations.values()):
            self._refuse_spread(spread, transaction, evaluations, works, is_second=is_second)
            return
        parts = {
            partition: Part(
                actions[own[0]].route, [actions[each].key for each in own], evaluations.get(partition),
                works.get(partition),
            )
            for partition, own in numbers.items()
        }  # fmt: skip
        rows = tuple((action.route.name, action.key) for action in actions)
        begun = Record(name, State.COMMITTING, spread.request, rows)
        self._live[transaction] = spread.request

        def then(outcome: State | BaseException) -> None:
            self._ended(name)
            if isinstance(outcome, BaseException):
                spread.waiter.fail(outcome)
            elif outcome is State.COMMITTED:
                for partition, verdict in drive.verdicts.items():
                    assert isinstance(verdict, Agreed)
                    _set_costs([actions[each] for each in numbers[partition]], verdict.costs)
                _answering(spread.waiter, spread.answer)(None)
            elif not self._is_begun_again(spread, transaction, drive.verdicts, is_second=is_second):
                spread.waiter.fail(spread.why_not(drive.verdicts))

        assert self._ledger is not None
        drive = Drive(self._ledger, begun, parts, self._now_us, then, self._leave, self._abroad)
        drive.begin()

    def _is_begun_again(
        self, spread: _Spread, transaction: bytes, verdicts: Mapping[Partition, Said | ApiError], *, is_second: bool
    ) -> bool:
        """Whether it is tried once more with a later timestamp, because participants have found it too early."""
        late_us = max((each.latest_us for each in verdicts.values() if isinstance(each, TooEarly)), default=None)
        if late_us is None or is_second or any(isinstance(each, ApiError) for each in verdicts.values()):
            return False
        self._last_us = max(self._next_timestamp(()), late_us + 1)
        self._begin_spread(spread, transaction, self._last_us, is_second=True)
        return True

    def _refuse_spread(
        self, spread: _Spread, transaction: bytes, evaluations: Mapping[Partition, Evaluation],
        works: Mapping[Partition, Work], *, is_second: bool,
    ) -> None:  # fmt: skip
        """A participant here refuses: ask the others only whether they would too, for the client to be told of all."""
        assert self._abroad is not None
        observed = _distinct(each for evaluation in evaluations.values() for each in evaluation.observed)
        verdicts: dict[Partition, Said | ApiError] = {}
        left = len(works) + bool(observed)
        failure: BaseException | None = None

        def done(error: BaseException | None = None) -> None:
            nonlocal left, failure
            left -= 1
            failure = failure or error
            if left:
                return
            if failure is not None or not self._is_begun_again(spread, transaction, verdicts, is_second=is_second):
                spread.waiter.fail(failure or spread.why_not(verdicts, evaluations))

        def heard(partition: Partition, verdict: Said | ApiError) -> None:
            verdicts[partition] = verdict
            done()

        if observed:
            when_settled(observed, done)
        for partition, work in works.items():
            self._abroad.evaluate(
                partition.group, work, lambda verdict, partition=partition: heard(partition, verdict)  # type: ignore[misc]
            )

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
        here = (partition for partition in partitions if not self._is_away(partition))
        latest_us = max((partition.tree.last_timestamp_us for partition in here), default=0)
        self._last_us = max(self._now_us(), self._last_us + 1, latest_us + 1)
        return self._last_us

    def _now_us(self) -> int:
        return int(self._clock.time() * 1_000_000)

    # Finishing what was left

    def _met(self, marker: Marker) -> None:
        """A marker is in somebody's way. Nearly always its transaction is under way."""
        if self._abroad is not None and not self._is_old(marker.name):
            return
        if marker.name.id not in self._live and marker.name not in self._left:
            self._left.add(marker.name)
            self._loop.call_soon(self._finish_left)

    def _is_old(self, name: Name) -> bool:
        """Whether its coordinator should be through. Where coordinators are on other nodes, only age can tell."""
        return name.timestamp_us + _OLD_SECONDS * 1_000_000 < self._now_us()

    def _told_of_left(self, name: Name, items: Sequence[tuple[str, bytes]]) -> None:
        """Another node has old markers of a transaction. This one leads the ledger: nobody is at it but who is in
        `_live`. A coordinator that led the ledger before may still be; but it can decide nothing any more."""
        if name.id not in self._live:
            self._finish(name, {name: items})

    def _leave(self, name: Name) -> None:
        """To be finished later."""
        self._left.add(name)

    def _finish_left(self) -> None:
        if not self._left:
            return
        left, self._left = self._left, set()
        marked = self._marked()    # finishing one changes the markers of no other
        for name in left:
            if self._leads_ledger():
                self._finish(name, marked)
            elif name in marked:
                assert self._abroad is not None and self._ledger is not None
                self._abroad.tell_left(self._ledger.partition.group, name, marked[name])

    def _leads_ledger(self) -> bool:
        return self._abroad is None or self._ledger is None or self._abroad.is_led_here(self._ledger.partition.group)

    def _marked(self) -> dict[Name, list[tuple[str, bytes]]]:
        """Table and row key of all items that have a marker here, by transaction."""
        marked: dict[Name, list[tuple[str, bytes]]] = {}
        for route in self._router.routes():
            for partition in route.partitions:
                if self._is_away(partition):
                    continue
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
        Drive(self._ledger, begun, parts, self._now_us, then, self._leave, self._abroad).resume(state)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK_SECONDS, self._tick)
        if self._abroad is not None:
            self._left.update(name for name in self._marked() if name.id not in self._live and self._is_old(name))
            self._look_at_ledger(self._abroad)
        self._finish_left()
        if self._leads_ledger():
            self._purge()

    def _look_at_ledger(self, abroad: Abroad) -> None:
        """If this node leads the ledger since a moment ago: others have written to it meanwhile."""
        if self._ledger is not None and abroad.is_led_here(self._ledger.partition.group):
            ballot = abroad.ballot(self._ledger.partition.group)
            if ballot != self._ledger_ballot:
                self._ledger_ballot = ballot
                self._ledger = Ledger(self._ledger.partition)

    def _purge(self) -> None:
        if self._ledger is None:
            return
        purged = self._ledger.purge(self._clock.time(), self._purge_again)
        self._left.update(each.name for each in purged.unfinished if each.name.id not in self._live)
        tokens: dict[Partition, list[bytes]] = {}
        for each in purged.records:
            table, key = each.rows[0] if each.rows else ("", b"")
            if table in self._router:
                partition = self._router.route(table).partition_of(key)
                tokens.setdefault(partition, []).append(TOKEN_SPACE + each.name.id)
        for partition, keys in tokens.items():
            if self._is_away(partition):
                assert self._abroad is not None
                self._abroad.remove(partition.group, keys)
            else:
                partition.participant.remove(keys, _NOBODY)

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
        return _TwoRounds(items, waiter, answer, self._abroad).begin()


class _TwoRounds:
    """One transaction that reads: asks the partitions, and tells its `Reading`.

    A partition is read at once, or once its undecided writes to these items are decided: each of its own time.
    """

    __slots__ = ("_abroad", "_answer", "_has_failed", "_items", "_numbers", "_reading", "_waiter")

    def __init__(
        self,
        items: Sequence[tuple[Route, bytes]],
        waiter: Waiter,
        answer: Callable[[Sequence[bytes | None]], bytes],
        abroad: Abroad | None,
    ) -> None:
        self._abroad = abroad
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
            if self._abroad is not None and not self._abroad.is_led_here(partition.group):
                self._abroad.versions(
                    partition.group, keys, lambda found, own=own: self._heard(own, found)  # type: ignore[misc]
                )
                continue
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
        self._go_on(error, lambda: self._read(partition, own))

    def _heard(self, own: Sequence[int], found: Sequence[Version] | ApiError) -> None:
        """Of a partition that is elsewhere."""
        if isinstance(found, ApiError):
            self._go_on(found, lambda: None)
        else:
            self._go_on(None, lambda: self._reading.found(zip(own, found, strict=True)))

    def _go_on(self, error: BaseException | None, read: Callable[[], Verdict | None]) -> None:
        if self._has_failed:
            return
        try:
            if error is not None:
                raise error
            verdict = read()
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


class _Spread:
    """A request of several partitions, not all of them here, until it is answered."""

    __slots__ = ("actions", "answer", "as_sent", "numbers", "request", "waiter")

    def __init__(
        self, actions: Sequence[Action], numbers: Numbers, request: bytes, as_sent: AsSent, waiter: Waiter,
        answer: MakeAnswer,
    ) -> None:  # fmt: skip
        self.actions = actions
        self.numbers = numbers
        self.request = request
        self.as_sent = as_sent
        self.waiter = waiter
        self.answer = answer

    def why_not(
        self,
        verdicts: Mapping[Partition, Said | ApiError],
        evaluations: Mapping[Partition, Evaluation] | None = None,
    ) -> BaseException:
        """Of a transaction that was cancelled everywhere, or begun nowhere."""
        refusals: list[ApiError | None] = [None] * len(self.actions)
        for partition, evaluation in (evaluations or {}).items():
            for number, refusal in zip(self.numbers[partition], evaluation.refusals, strict=True):
                refusals[number] = refusal
        for partition, verdict in verdicts.items():
            own = self.numbers[partition]
            if isinstance(verdict, Refused):
                if len(verdict.reasons) < len(own):    # not about single items: the node is under pressure
                    return verdict.refusals()[0] or unreached()
                for number, refusal in zip(own, verdict.refusals(), strict=True):
                    refusals[number] = refusal
            elif isinstance(verdict, TooEarly):
                for number in own:
                    refusals[number] = TransactionConflict()
        return reasons.canceled(refusals) if any(refusals) else unreached()


def _canceled_elsewhere(verdict: Refused, count: int) -> ApiError:
    refusals = verdict.refusals()
    return reasons.canceled(refusals) if len(refusals) == count else refusals[0] or unreached()


def _set_costs(actions: Sequence[Action], costs: Sequence[Cost]) -> None:
    for action, cost in zip(actions, costs, strict=True):
        action.units = cost.units
        action.index_units = cost.index_units
        action.collection_bytes = cost.collection_bytes


def _values(
    actions: Sequence[Action], fetched: Mapping[int, Mapping[bytes, bytes]] | None = None
) -> list[bytes | None]:
    """The stored values that the items have now."""
    values: list[bytes | None] = []
    for action in actions:
        partition = action.route.partition_of(action.key)
        found = None if fetched is None else fetched.get(partition.group)
        values.append(partition.get(action.key) if found is None else found.get(action.key))
    return values


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


def _check_same(made: bytes, request: bytes) -> None:
    if made != request:
        raise IdempotentParameterMismatch


def _distinct(proposals: Iterable[Proposal]) -> list[Proposal]:
    return list({id(proposal): proposal for proposal in proposals}.values())
