"""What is chosen, as far as this member knows, and what of it was handed out to be applied.

    base <= applied <= chosen <= last of the log

A member learns in three ways: the leader in whose ballot it has accepted says how far its log is chosen; somebody sends
entries that are chosen (catching up); or a snapshot came. After a restart it is what is applied or was written down as
chosen (records.py: now and then), and the rest is learnt again.

Log members apply nothing; for them `applied` follows `chosen`.
"""

from __future__ import annotations

from varley.paxos.effects import Outbox
from varley.paxos.log import Log
from varley.paxos.membership import FULL


class Learner:
    __slots__ = ("_kind", "_log", "applied", "chosen")

    def __init__(self, log: Log, kind: str, applied: int, learnt: int) -> None:
        """`applied`: the slot of the state; `learnt`: up to here the log says by itself that it is chosen."""
        assert log.base <= applied <= log.last, "the state is not one that the log leads to"
        assert learnt <= log.last
        self._log = log
        self._kind = kind
        self.applied = applied
        self.chosen = max(applied, learnt)

    def learn(self, chosen: int) -> None:
        """Everything up to `chosen` is; never less than before."""
        assert chosen <= self._log.last, "chosen, and not there"
        self.chosen = max(chosen, self.chosen)

    def installed(self, slot: int) -> None:
        """The state up to `slot` came as a whole."""
        assert slot > self.chosen
        self.chosen = self.applied = slot

    def hand_out(self, out: Outbox) -> None:
        if self.applied < self.chosen:
            if self._kind == FULL:
                entries = self._log.after(self.applied, self.chosen - self.applied)
                out.apply.extend(enumerate(entries, self.applied + 1))
            self.applied = self.chosen
