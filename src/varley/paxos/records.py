"""What a member must not forget: the records that it has written, in their order, are its whole durable state.

A record is durable wholly or not at all, and records become durable in the order in which they were given; a crash
leaves the first so many of them. For `Adopted`, "wholly" is what safety rests on. Story, members A, B, C: 1. Slots 5
and 6 are chosen in ballot 1, by A and B. 2. C leads in ballot 2 with B, and takes over 5 and 6. 3. B writes down slot 5
in ballot 2, whereby 6, of ballot 1, is no longer its own word; the power goes before it writes 6. 4. C is gone, A leads
next with B: B's log is of the higher ballot and ends at 5. Slot 6, chosen, is lost. A store whose unit is smaller than
such a record must write a seal behind the parts, and ignore parts without it.

What was chosen need not be remembered: it is learnt again. Only what Learnt says counts as chosen for ever after:
acceptor.py tells why what it brought must.

Learnt may also bring nothing, and only say so. Nobody's safety needs that, but a group that starts again as a whole
does. Story: 1. The power goes on all machines; since the last checkpoint 100 MB were written. 2. Nobody knows that any
of it is chosen: that would be learnt from a leader, and there is none. 3. Who stands for election has to be promised
all of it, and whoever leads has to send all of it to each of the others, in one message. So each chunk that was chosen
is noted, and what such messages have to carry is a chunk, and what was under way.
"""

from __future__ import annotations

import msgspec

from varley.paxos.membership import Configuration
from varley.paxos.messages import Entry


class Promised(msgspec.Struct, frozen=True, tag=True, array_like=True):
    ballot: int


class Adopted(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """All after slot `after` is dropped; in its place come `entries`; and that is accepted in `ballot`."""

    ballot: int
    after: int
    entries: tuple[Entry, ...]


class Appended(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """More, in the ballot of the last Adopted."""

    first: int
    entries: tuple[Entry, ...]


class Learnt(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """These are chosen, and all before `first`. From the first one on that differs from what is there, all that is
    there is dropped."""

    first: int
    entries: tuple[Entry, ...]


class Based(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The log begins after `slot`, with `configuration` in force there: it was trimmed, or a snapshot came.

    What is behind the slot stays if the log had the entry of this origin there, and is dropped if not.
    """

    slot: int
    origin: int
    configuration: Configuration


Record = Promised | Adopted | Appended | Learnt | Based
