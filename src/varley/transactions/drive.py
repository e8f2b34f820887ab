"""One transaction that writes in several partitions, on its way: does what its coordinator says, and tells it what
happened. The coordinator knows its participants by their partitions.

What goes wrong, and what becomes of it:

    the disk refuses a step                     what was decided, and what was prepared, stays for who finishes it
    in a cluster, a participant moves away      it is told where it is; one that has not prepared surely, refuses
                  the ledger does, too early    nobody can decide any more that this is to be done: all cancel
                  the ledger does, after that   it is done, and noted when somebody looks at the record
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from varley.errors import ApiError, NotLeading
from varley.item.marker import Name
from varley.limits import TRANSACTION_BYTES_MAX
from varley.node.elsewhere import Elsewhere
from varley.node.participant import Evaluation
from varley.node.partition import Partition
from varley.node.settled import Told
from varley.remote.peers import unknown, unreached
from varley.router.routes import Route
from varley.transactions.abroad import Abroad, Agreed, Verdict, Work
from varley.transactions.action import follow_of, written_bytes
from varley.transactions.coordinator import Coordinator, Effects, State
from varley.transactions.ledger import Ledger
from varley.transactions.record import Record

Tell = Callable[[Partition], Effects[Partition]]


class Part(NamedTuple):
    """What a transaction has in one partition."""

    route: Route
    keys: Sequence[bytes]               # row keys of the items
    evaluation: Evaluation | None       # None: another coordinator has prepared it, or not; or it is elsewhere
    work: Work | None = None            # what is asked of the node that leads it, if that is another one


class Drive:
    """Call `begin`, or `resume`, once, and in the call stack in which the parts were evaluated."""

    __slots__ = (
        "_abroad", "_asked", "_coordinator", "_is_left", "_leave_behind", "_ledger", "_now_us", "_parts", "_record",
        "_then", "verdicts", "why_not",
    )  # fmt: skip

    def __init__(
        self,
        ledger: Ledger,
        record: Record,
        parts: Mapping[Partition, Part],
        now_us: Callable[[], int],
        then: Callable[[State | BaseException], None],
        leave: Callable[[Name], None],
        abroad: Abroad | None = None,
    ) -> None:
        """`record`: of the transaction; its state does not matter.

        `then` is called once: with COMMITTED or CANCELLED when that is so everywhere, or with why nobody can know yet.
        `leave` is called if somebody has to finish it later: perhaps after `then`, if only the ledger does not know.
        `abroad`: how participants on other nodes are asked; None: there are none.
        """
        self._abroad = abroad
        self.verdicts: dict[Partition, Verdict | ApiError] = {}    # what participants elsewhere have said
        self.why_not: ApiError | None = None    # why it was cancelled, if no participant is to blame
        self._ledger = ledger
        self._record = record
        self._parts = parts
        self._asked = sum(part.work is not None for part in parts.values())     # so many verdicts come from elsewhere
        self._now_us = now_us
        self._then = then
        self._leave_behind = leave
        self._is_left = False
        self._coordinator: Coordinator[Partition] = Coordinator(parts)

    def begin(self) -> None:
        self._perform(self._coordinator.begin())

    def resume(self, found: State | None) -> None:
        self._perform(self._coordinator.resume(found))

    def _perform(self, effects: Effects[Partition]) -> None:
        try:
            for partition in effects.prepare:
                self._prepare(partition)
            if effects.record is not None:
                self._ask_ledger(effects.record)
            for partition in effects.commit:
                self._commit(partition)
            for partition in effects.cancel:
                self._cancel(partition)
        except Exception as error:    # this is called by those who apply the log: nobody else would tell the client
            self._leave(error)
        if effects.outcome is not None and not self._is_left:
            self._then(effects.outcome)

    def _ask_ledger(self, state: State) -> None:
        recorded = functools.partial(self._recorded, state)
        try:
            self._ledger.ask(self._record_of(state), recorded)
        except Elsewhere as error:
            recorded(error)

    def _record_of(self, state: State) -> Record:
        name, _, request, rows, _ = self._record
        return Record(name, state, request, (), self._now_us()) if state.is_over else Record(name, state, request, rows)

    def _prepare(self, partition: Partition) -> None:
        part = self._parts[partition]
        name: Name = self._record.name
        if part.work is not None:
            assert self._abroad is not None
            self._abroad.prepare(partition.group, part.work, lambda verdict: self._verdict(partition, verdict))
            return
        assert part.evaluation is not None
        partition.participant.prepare(name, part.evaluation, Told(functools.partial(self._prepared, partition)))

    def _prepared(self, partition: Partition, error: BaseException | None) -> None:
        """A participant of this node has prepared; or nobody knows, as its node leads it no longer."""
        if error is not None and self._abroad is None:
            self._leave(error)
        elif not self._is_left:
            if error is not None:
                self.why_not = unreached()    # since it is cancelled
            self._perform((self._coordinator.prepared if error is None else self._coordinator.refused)(partition))

    def _verdict(self, partition: Partition, verdict: Verdict | ApiError) -> None:
        """A participant on another node has prepared, or not, or nobody knows: then it too is told to cancel."""
        self.verdicts[partition] = verdict
        is_agreed = isinstance(verdict, Agreed)
        if is_agreed and len(self.verdicts) == self._asked:     # the last one: before it, nothing can be decided
            is_agreed = self.written_bytes <= TRANSACTION_BYTES_MAX
        if not self._is_left:
            tell = self._coordinator.prepared if is_agreed else self._coordinator.refused
            self._perform(tell(partition))

    @property
    def written_bytes(self) -> int:
        """What the items come to that it would leave, as far as participants have said."""
        here = written_bytes(part.evaluation for part in self._parts.values() if part.evaluation is not None)
        return here + sum(each.written_bytes for each in self.verdicts.values() if isinstance(each, Agreed))

    def _is_abroad(self, partition: Partition) -> bool:
        return self._abroad is not None and not self._abroad.is_led_here(partition.group)

    def _finish_abroad(self, partition: Partition, *, is_commit: bool) -> None:
        assert self._abroad is not None
        part = self._parts[partition]
        heard = self._when(self._coordinator.done, partition)

        def then(error: BaseException | None) -> None:
            if error is None:
                heard.reply(b"")
            else:    # it is decided, and done later
                heard.fail(unknown())

        name, table = self._record.name, part.route.name
        self._abroad.finish(partition.group, name, table, part.keys, is_commit=is_commit, then=then)

    def _commit(self, partition: Partition) -> None:
        route, keys = self._parts[partition][:2]
        if self._is_abroad(partition) and not route.is_closed:
            self._finish_abroad(partition, is_commit=True)
            return
        follow = follow_of(route)
        heard = self._when(self._coordinator.done, partition)
        items = [(key, follow) for key in keys]
        if route.is_closed or not partition.participant.commit(self._record.name, items, heard):
            heard.reply(b"")

    def _cancel(self, partition: Partition) -> None:
        route, keys = self._parts[partition][:2]
        if self._is_abroad(partition) and not route.is_closed:
            self._finish_abroad(partition, is_commit=False)
            return
        heard = self._when(self._coordinator.done, partition)
        if route.is_closed or not partition.participant.cancel(self._record.name, keys, heard):
            heard.reply(b"")

    def _when(self, tell: Tell, partition: Partition) -> Told:
        """Who waits for a step of one participant."""

        def then(error: BaseException | None) -> None:
            if error is not None:
                self._leave(error)
            elif not self._is_left:
                self._perform(tell(partition))

        return Told(then)

    def _recorded(self, asked: State, held: State | BaseException) -> None:
        """What the ledger holds after it was asked for a state; or why nobody can know."""
        if isinstance(held, State):
            if not self._is_left:
                self._perform(self._coordinator.recorded(held))
        elif self._coordinator.is_over:    # and that was told, or will be
            self._leave_behind(self._record.name)
        elif asked is State.COMMITTING and isinstance(held, Elsewhere | NotLeading):
            # It has not got there, this coordinator will not ask again, and others ask for CANCELLED only. So nobody
            # decides that this is to be done. (Not so if CANCELLED has not got there: who had begun may yet ask.)
            self.why_not = unreached()
            self._perform(self._coordinator.recorded(State.CANCELLED))
        else:
            self._leave(held)

    def _leave(self, error: BaseException) -> None:
        """A step was refused, or nobody knows. What was decided, and what was prepared, stays for who finishes it."""
        if not self._is_left:
            self._is_left = True
            # Whoever is told that something surely was not done does it again: of this as a whole that cannot be said.
            self._then(unknown() if isinstance(error, Elsewhere | NotLeading) else error)
            self._leave_behind(self._record.name)
