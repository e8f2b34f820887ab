"""They stand outside and watch: what was chosen, what clients were told, who holds a lease."""

from __future__ import annotations

from varley.paxos.messages import VALUE, Entry
from varley.paxos.replica import FIRST_SLOT, Replica


class Broken(Exception):
    """A rule was broken; the text says which."""


class Stuck(Broken):
    """Nothing wrong was done, and nothing right either."""


class Judges:
    def __init__(self) -> None:
        self.chosen: dict[int, Entry] = {}          # slot -> what somebody took as chosen there
        self.by_name: dict[str, int] = {}           # how far each member's chosen log was looked at
        self.acknowledged: dict[int, bytes] = {}    # slot -> what a client was told is written
        self.completed_slot = 0                     # the highest slot that some client knows of
        self.writes = 0
        self.reads = 0

    def look(self, name: str, replica: Replica) -> None:
        """One value per slot for ever, and each member's chosen log a beginning of the same log."""
        log = replica.log
        for slot in range(max(self.by_name.get(name, 0), log.base) + 1, replica.chosen + 1):
            entry = log.entry(slot)
            known = self.chosen.setdefault(slot, entry)
            if known != entry:
                raise Broken(f"slot {slot}: chosen is {known}, and for {name} {entry}")
        self.by_name[name] = replica.chosen

    def restarted(self, name: str, replica: Replica) -> None:
        """A member may have forgotten what was chosen, but not have other things there."""
        self.by_name[name] = 0

    def leases(self, holders: list[str]) -> None:
        if len(holders) > 1:
            raise Broken(f"{holders} hold a lease at the same time")

    def wrote(self, slot: int, value: bytes) -> None:
        known = self.chosen.get(slot)
        if known is None or known.value != value:
            raise Broken(f"slot {slot}: {value!r} was acknowledged, chosen is {known}")
        self.acknowledged[slot] = value
        self.completed_slot = max(slot, self.completed_slot)
        self.writes += 1

    def read(self, began_at_slot: int, observed_slot: int) -> None:
        """Linearizable: the state that a read shows has all that any client knew of when it began. The states are
        prefixes of one log, so this is all there is to compare."""
        if observed_slot < began_at_slot:
            raise Broken(f"a read saw slot {observed_slot}, though slot {began_at_slot} was known when it began")
        self.completed_slot = max(observed_slot, self.completed_slot)
        self.reads += 1

    def at_end(self, states: dict[str, tuple[int, tuple[bytes, ...]]]) -> None:
        """`states`: (applied slot, values applied) of each full member, after all is healed."""
        for name, (slot, values) in states.items():
            entries = [self.chosen[at] for at in range(FIRST_SLOT + 1, slot + 1)]
            expected = tuple(entry.value for entry in entries if entry.kind == VALUE)
            if values != expected:
                raise Broken(f"{name} has applied something else up to slot {slot}")
        reached = max(slot for slot, _ in states.values())
        if self.acknowledged and reached < max(self.acknowledged):
            raise Broken("an acknowledged write is lost")
