"""One transaction that reads, on its way: asks the partitions, and tells its `Reading` what was found.

A partition is read at once, or when its undecided writes to these items are decided: each of its own time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from varley.errors import ApiError
from varley.node.participant import Version
from varley.node.partition import Partition
from varley.node.replica import Waiter
from varley.node.settled import when_settled
from varley.router.routes import Route
from varley.transactions import reasons
from varley.transactions.abroad import Abroad
from varley.transactions.partitions import by_partition
from varley.transactions.reading import Reading, Verdict


class TwoRounds:
    """Call `begin` once."""

    __slots__ = ("_abroad", "_answer", "_away", "_has_failed", "_items", "_numbers", "_reading", "_waiter")

    def __init__(
        self,
        items: Sequence[tuple[Route, bytes]],
        waiter: Waiter,
        answer: Callable[[Sequence[bytes | None]], bytes],
        abroad: Abroad | None,
    ) -> None:
        """`items`: tables and row keys; `answer` makes the answer's body of their stored values (None: no item).
        `abroad`: how partitions are asked that other nodes lead; None: there are none."""
        self._abroad = abroad
        self._items = items
        self._numbers = by_partition(items)
        # Asked as another node is, whoever leads them by the second round: this node's lease is looked at for those
        # only that it was asked about in the call stack in which the request arrived (gateway/asked.py).
        self._away = {each for each in self._numbers if abroad is not None and not abroad.is_led_here(each.group)}
        self._reading = Reading(len(items))
        self._waiter = waiter
        self._answer = answer
        self._has_failed = False    # and that was told; other partitions may still be waited for

    def begin(self) -> bytes | None:
        """The answer if it is final already, else None: `waiter` gets it later.

        Raises TransactionCanceled, the client's fault, if items are being written, if that is final.
        """
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
            if partition in self._away:
                assert self._abroad is not None
                self._abroad.versions(partition.group, keys, functools.partial(self._heard, own))
                continue
            undecided = [each for key in keys if (each := partition.undecided(key)) is not None]
            if undecided:
                when_settled(undecided, functools.partial(self._waited, partition, own))
            else:
                verdict = self._read(partition, own)
        return verdict

    def _read(self, partition: Partition, own: Sequence[int]) -> Verdict | None:
        version = partition.participant.version
        return self._reading.found([(number, version(self._items[number][1])) for number in own])

    def _waited(self, partition: Partition, own: Sequence[int], error: BaseException | None) -> None:
        self._go_on(error, lambda: self._read(partition, own))

    def _heard(self, own: Sequence[int], found: Sequence[Version] | ApiError) -> None:
        """Of a partition that another node leads."""
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
