"""Transactions that write and have participants on other nodes: this one coordinates, since it leads the ledger.

    those here evaluate   ---- one refuses ---> the others are asked only whether they would too; the client hears all
          |
    all prepare, here and elsewhere ---> ledger ---> commits        as among partitions of one node (coordinator.py)
          |
          +--- one refuses ---> all cancel ---> the client hears of all
          +--- one finds the timestamp too early ---> all cancel ---> once more, with a later one

What single nodes do is in abroad.py, and so is why the ledger's node coordinates. A transaction of one partition that
is elsewhere is done there, in one slot; the ledger's record follows, as it does on one node.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from varley.errors import ApiError, IdempotentParameterMismatch, TransactionConflict
from varley.item.marker import Name
from varley.node.elsewhere import Elsewhere, Need
from varley.node.participant import Evaluation
from varley.node.partition import Partition
from varley.node.replica import Waiter
from varley.node.settled import Done, after_calls, reply_when_settled, when_settled
from varley.remote.peers import unreached
from varley.transactions import reasons, record
from varley.transactions.abroad import Abroad, Agreed, Cost, DoneBefore, Refused, TooEarly, Verdict, Work
from varley.transactions.action import Action
from varley.transactions.coordinator import State
from varley.transactions.drive import Drive, Part
from varley.transactions.ledger import Ledger
from varley.transactions.live import Live
from varley.transactions.partitions import Numbers
from varley.transactions.record import Record

MakeAnswer = Callable[[], bytes]
MakeRepeated = Callable[[Sequence[bytes | None]], bytes]    # of the stored values that its items have now


class AsSent(NamedTuple):
    """A request that writes, as it is sent on in parts."""

    operation: str
    encoded: Callable[[Sequence[int]], bytes]    # the JSON array of some of its actions, by number


class Asking(NamedTuple):
    """A request that writes, until it is answered."""

    transaction: bytes      # its id
    request: bytes          # 16 bytes that no other request has
    actions: Sequence[Action]
    numbers: Numbers
    waiter: Waiter
    answer: MakeAnswer
    repeated: MakeRepeated
    as_sent: AsSent


class Coordination:
    """Of one node. Used from the event loop only."""

    def __init__(
        self, abroad: Abroad, ledger: Ledger, live: Live, now_us: Callable[[], int],
        next_us: Callable[[Sequence[Partition], int], int], leave: Callable[[Name], None],
    ) -> None:  # fmt: skip
        """`next_us(partitions, after_us)`: a timestamp for a transaction with these participants here. `leave` is
        called with what somebody has to finish later."""
        self._abroad = abroad
        self.ledger = ledger
        self._live = live
        self._now_us = now_us
        self._next_us = next_us
        self._leave = leave

    def check_place(self, numbers: Numbers, token: str | None) -> None:
        """Raises Elsewhere if another node has to coordinate it."""
        is_single = len(numbers) == 1 and token is None
        group = next(iter(numbers)).group if is_single else self.ledger.partition.group
        if not self._abroad.is_led_here(group):
            raise Elsewhere(group, Need.WRITE)

    def is_away(self, partition: Partition) -> bool:
        return not self._abroad.is_led_here(partition.group)

    # Of one partition

    def write(self, asked: Asking) -> None:
        """Have it done by the one partition that it is about, which tells if that was done before."""
        transaction, first = asked.transaction, asked.actions[0]
        group = first.route.partition_of(first.key).group
        name = Name(transaction, self._next_us((), 0))
        self._live.begin(transaction, asked.request)

        def heard(verdict: Verdict | ApiError) -> None:
            match verdict:
                case Agreed():
                    _set_costs(asked.actions, verdict.costs)
                    self._note_done(Name(transaction, verdict.timestamp_us), asked.request, first, noted)
                case DoneBefore():
                    self._live.end(transaction)
                    timestamp_us, made = record.unpack_token(verdict.token)
                    self._note_done(Name(transaction, timestamp_us), made, first, _nothing)
                    if made == asked.request:
                        self.repeat(asked)
                    else:
                        asked.waiter.fail(IdempotentParameterMismatch())
                case _:
                    self._live.end(transaction)
                    asked.waiter.fail(_why_not(asked, {first.route.partition_of(first.key): verdict}))

        def noted(error: BaseException | None) -> None:
            self._live.end(transaction)
            reply_when_settled(asked.waiter, asked.answer)(error)

        work = Work(name, asked.as_sent.operation, asked.as_sent.encoded(range(len(asked.actions))))
        self._abroad.write(group, work, asked.request, heard)

    def _note_done(self, name: Name, request: bytes, first: Action, then: Done) -> None:
        """Have the ledger know of it."""
        done = Record(name, State.COMMITTED, request, ((first.route.name, first.key),), self._now_us())
        try:
            self.ledger.ask(done, lambda held: then(held if isinstance(held, BaseException) else None))
        except Elsewhere:    # the ledger has moved; that it was done, the token row says
            then(None)

    def repeat(self, asked: Asking, error: BaseException | None = None) -> None:
        """Answer a request that was done before, from its items as they are now."""
        away: dict[int, list[bytes]] = {}
        for action in asked.actions:
            partition = action.route.partition_of(action.key)
            if self.is_away(partition):
                away.setdefault(partition.group, []).append(action.key)

        def fetched(values: Mapping[int, Mapping[bytes, bytes]], error: BaseException | None) -> None:
            reply_when_settled(asked.waiter, lambda: asked.repeated(values_of(asked.actions, values)))(error)

        if error is not None or not away:
            fetched({}, error)
        else:
            self._abroad.values(away, fetched)

    # Of several

    def begin(self, asked: Asking, *, after_us: int = 0, evaluated: Collection[Partition] | None = None) -> None:
        """In the call stack in which the request arrived; or a second time, when those in `evaluated` were here then.

        Whoever was not is asked as if it were away, also if this node leads it by now: for the lease of this node is
        looked at for those only that it was asked about at first (gateway/asked.py).
        """
        actions, numbers = asked.actions, asked.numbers
        is_second = evaluated is not None
        here = [each for each in numbers if not self.is_away(each) and (evaluated is None or each in evaluated)]
        name = Name(asked.transaction, self._next_us(here, after_us))
        works = {
            partition: Work(name, asked.as_sent.operation, asked.as_sent.encoded(own))
            for partition, own in numbers.items()
            if partition not in here
        }
        evaluations: dict[Partition, Evaluation] = {}
        for partition in here:
            if partition.is_under_pressure:
                asked.waiter.fail(partition.overload())
                return
            own = [actions[number] for number in numbers[partition]]
            evaluations[partition] = partition.participant.evaluate(own, name.timestamp_us)
        if any(evaluation.is_refused for evaluation in evaluations.values()):
            self._refuse(asked, evaluations, works, is_second=is_second)
            return
        parts = {
            partition: Part(
                actions[own[0]].route, [actions[each].key for each in own], evaluations.get(partition),
                works.get(partition),
            )
            for partition, own in numbers.items()
        }  # fmt: skip
        rows = tuple((action.route.name, action.key) for action in actions)
        self._live.begin(name.id, asked.request)

        def then(outcome: State | BaseException) -> None:
            self._live.end(name.id)
            if isinstance(outcome, BaseException):
                asked.waiter.fail(outcome)
            elif outcome is State.COMMITTED:
                for partition, verdict in drive.verdicts.items():
                    assert isinstance(verdict, Agreed)
                    _set_costs([actions[each] for each in numbers[partition]], verdict.costs)
                reply_when_settled(asked.waiter, asked.answer)(None)
            elif drive.why_not is not None:
                asked.waiter.fail(drive.why_not)
            elif all(isinstance(each, Agreed) for each in drive.verdicts.values()):
                asked.waiter.fail(reasons.payload_too_large(drive.written_bytes))
            elif is_second or not self._is_begun_again(asked, here, drive.verdicts):
                asked.waiter.fail(_why_not(asked, drive.verdicts))

        begun = Record(name, State.COMMITTING, asked.request, rows)
        drive = Drive(self.ledger, begun, parts, self._now_us, then, self._leave, self._abroad)
        drive.begin()

    def _refuse(
        self, asked: Asking, evaluations: Mapping[Partition, Evaluation], works: Mapping[Partition, Work], *,
        is_second: bool,
    ) -> None:  # fmt: skip
        """A participant here refuses: ask the others only whether they would too."""
        observed = [each for evaluation in evaluations.values() for each in evaluation.observed]
        verdicts: dict[Partition, Verdict | ApiError] = {}

        def told(error: BaseException | None) -> None:
            if error is not None or is_second or not self._is_begun_again(asked, evaluations, verdicts):
                asked.waiter.fail(error or _why_not(asked, verdicts, evaluations))

        def heard(partition: Partition, verdict: Verdict | ApiError) -> None:
            verdicts[partition] = verdict
            done(None)

        done = after_calls(bool(observed) + len(works), told)
        if observed:
            when_settled(observed, done)
        for partition, work in works.items():
            self._abroad.evaluate(partition.group, work, functools.partial(heard, partition))

    def _is_begun_again(
        self, asked: Asking, here: Collection[Partition], verdicts: Mapping[Partition, Verdict | ApiError]
    ) -> bool:
        """Whether it is tried once more with a later timestamp, because participants have found it too early."""
        late_us = max((each.latest_us for each in verdicts.values() if isinstance(each, TooEarly)), default=None)
        if late_us is None or any(isinstance(each, ApiError) for each in verdicts.values()):
            return False
        self.begin(asked, after_us=late_us, evaluated=here)
        return True


def _why_not(
    asked: Asking,
    verdicts: Mapping[Partition, Verdict | ApiError],
    evaluations: Mapping[Partition, Evaluation] | None = None,
) -> BaseException:
    """What to tell of a transaction that was cancelled everywhere, or begun nowhere."""
    refusals: list[ApiError | None] = [None] * len(asked.actions)
    for partition, evaluation in (evaluations or {}).items():
        for number, refusal in zip(asked.numbers[partition], evaluation.refusals, strict=True):
            refusals[number] = refusal
    for partition, verdict in verdicts.items():
        own = asked.numbers[partition]
        if isinstance(verdict, Refused):
            told = verdict.refusals()
            if len(told) < len(own):    # it is not about single items: the node is under pressure
                return told[0] or unreached()
            for number, refusal in zip(own, told, strict=True):
                refusals[number] = refusal
        elif isinstance(verdict, TooEarly):
            for number in own:
                refusals[number] = TransactionConflict()
    if any(refusals):
        return reasons.canceled(refusals)
    # A participant could not be asked, or has not answered. Of a transaction of several that was cancelled nothing
    # was done; of one that was to be done by a single partition, the error says what is known.
    failed = next((each for each in verdicts.values() if isinstance(each, ApiError)), None)
    return failed if failed is not None and len(asked.numbers) == 1 else unreached()


def _set_costs(actions: Sequence[Action], costs: Sequence[Cost]) -> None:
    for action, cost in zip(actions, costs, strict=True):
        action.units = cost.units
        action.index_units = cost.index_units
        action.collection_bytes = cost.collection_bytes


def values_of(
    actions: Sequence[Action], fetched: Mapping[int, Mapping[bytes, bytes]] | None = None
) -> list[bytes | None]:
    """The stored values that the items have now; `fetched`: those of other nodes, by group."""
    values: list[bytes | None] = []
    for action in actions:
        partition = action.route.partition_of(action.key)
        found = None if fetched is None else fetched.get(partition.group)
        values.append(partition.get(action.key) if found is None else found.get(action.key))
    return values


def _nothing(error: BaseException | None) -> None:
    pass
