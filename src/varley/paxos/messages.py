"""What members send each other, and the entries that the log consists of. Frozen, and each encodes by its tag.

    asking first         Ask -> Answer          is there a leader that has shown you a lease?      (election.py)
    being elected        Prepare -> Promise | Refused
    proposing            Accept -> Accepted | Behind | Refused                                     (leader.py)
    lease, read-index    Beat -> Granted | Refused
    catching up          Fetch -> Learn, Learn -> Behind, Begin -> Behind                          (learner.py)
    hand-over            Yield
    losing the lease     Resigned
    a second life        Reborn

Each may be lost, late, repeated and out of order. Who sent it is known from the connection, and comes with the event.
A refusal is a message of its own, so that nothing that says no can be counted as a yes.

What arrives is refused here if it is no message (`decode`), before any member acts on it. What is one, and still breaks
an assert of the core, was said by a member that is wrong, or is understood by one that is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from varley.paxos.membership import Configuration, Member, decoded

VALUE: Final = 0            # bytes of the proposer
NOTHING: Final = 1          # what a leader begins with
CONFIGURATION: Final = 2    # a configuration, from this slot on

KEPT_BY_NOBODY: Final = 2**63 - 1   # as Beat.kept: no entry is needed for more than bringing others up to date


Count = Annotated[int, msgspec.Meta(ge=0)]      # ballots, slots, times, numbers of questions


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What one slot holds.

    Slot and origin name it: a leader proposes one thing per slot, and an entry keeps its origin when later leaders
    take it over. As logs are taken over whole, two logs that have an entry in common have all before it in common.
    """

    origin: Count     # the ballot in which it was proposed first
    kind: Annotated[int, msgspec.Meta(ge=VALUE, le=CONFIGURATION)]      # VALUE, NOTHING or CONFIGURATION
    value: bytes


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Any of those below."""


class Ask(Message, frozen=True):
    """I hear no leader. Do you?"""

    number: Count       # of the question; the answer repeats it


class Answer(Message, frozen=True):
    number: Count
    is_healthy: bool    # the leader has shown me a lease, renewed by a quorum, that still runs
    chosen: Count       # as far as I know
    gives_from: Count   # I can give what comes after this slot; 0: all, if need be as a snapshot


class Prepare(Message, frozen=True):
    """Sent once `ballot` is durably the sender's own promise, so that it is never used again."""

    ballot: Count
    chosen: Count       # the sender needs what comes after this slot
    yielded: Count      # the ballot whose leader asked the sender to take over; 0: none did


class Promise(Message, frozen=True):
    """I accept nothing in a lower ballot any more. Sent once that is durable."""

    ballot: Count
    accepted_ballot: Count          # of everything that I have after `chosen`
    chosen: Count
    base: Count                     # what I have begins after this slot, which is chosen
    base_origin: Count              # and whose entry has this origin
    last: Count                     # and ends here
    entries: tuple[Entry, ...]      # after Prepare.chosen, or after base if that is later


class Accept(Message, frozen=True):
    """Take these, in this ballot. The first of a ballot replaces everything after the receiver's chosen slot."""

    ballot: Count
    first: Count                    # slot of the first entry
    before: Count                   # origin of the entry before that, in the leader's log
    entries: tuple[Entry, ...]
    adopted_last: Count             # the last slot that the leader took over: the first Accept must reach as far
    chosen: Count
    held: Count                     # enough full members hold all up to here: log members may drop it


class Accepted(Message, frozen=True):
    """All slots up to `last` are durable here as the leader of `ballot` has them."""

    ballot: Count
    last: Count


class Behind(Message, frozen=True):
    """That does not fit onto what I have; also the answer to Learn and Begin. Says where I am."""

    ballot: Count
    level: Count        # the ballot whose leader's log mine is the beginning of; 0: none
    chosen: Count
    last: Count


class Refused(Message, frozen=True):
    """No: I have promised `promised`, which is higher, or am bound to another leader's lease (`is_bound`)."""

    ballot: Count       # of what is refused
    promised: Count
    is_bound: bool


class Beat(Message, frozen=True):
    """I lead. Grant me a lease (again)."""

    ballot: Count
    sequence: Count     # ascending within the ballot; reads wait for the answers to one of them
    sent_at: Count      # by the leader's clock; the answer repeats it, and the lease counts from it
    lease_left: Count   # microseconds that the leader's lease surely runs on; 0: it has none to show
    chosen: Count
    held: Count
    kept: Count = KEPT_BY_NOBODY    # who may lead later keeps what comes after: what it carries has not arrived


class Granted(Message, frozen=True):
    """For as long as a lease lasts, from when your Beat arrived, I promise nothing to anybody else."""

    ballot: Count
    sequence: Count
    sent_at: Count
    level: Count        # as in Behind
    chosen: Count
    last: Count


class Fetch(Message, frozen=True):
    """Send me what you know to be chosen after this slot."""

    chosen: Count


class Learn(Message, frozen=True):
    """These are chosen."""

    ballot: Count       # the sender's, if it leads and wants an answer; else 0
    first: Count
    before: Count       # origin of the entry before the first
    entries: tuple[Entry, ...]
    chosen: Count       # of the sender: there is more, if this is more


class Begin(Message, frozen=True):
    """To a log member: your log begins after this slot, whose entry has this origin; it is all chosen."""

    ballot: Count
    slot: Count
    origin: Count
    configuration: Configuration


class Yield(Message, frozen=True):
    """I have stopped leading in `ballot` and shall not use its lease again: stand for election now."""

    ballot: Count


class Resigned(Message, frozen=True):
    """I have stopped leading in `ballot`, since nobody renews my lease, and shall not use it again. Whoever hears this
    need not wait for the end of what it granted."""

    ballot: Count


class Reborn(Message, frozen=True):
    """The member `lost` has lost its log, and is now `member`."""

    lost: str
    member: Member


AnyMessage = (
    Ask | Answer | Prepare | Promise | Accept | Accepted | Behind | Refused | Beat | Granted | Fetch | Learn | Begin
    | Yield | Resigned | Reborn
)  # fmt: skip

_WITH_ENTRIES: Final = (Accept, Learn, Promise)
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[AnyMessage]] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: AnyMessage) -> bytes:
    return _ENCODER.encode(message)


def decode(message: bytes) -> AnyMessage:
    """Raises msgspec.DecodeError for what is no message."""
    found = _DECODER.decode(message)
    if isinstance(found, _WITH_ENTRIES):
        for entry in found.entries:
            if entry.kind == CONFIGURATION:
                decoded(entry.value)    # it is read while a step is under way, too late to refuse it
    return found


def configurations_in(entries: Iterable[Entry]) -> list[Configuration]:
    return [decoded(entry.value) for entry in entries if entry.kind == CONFIGURATION]
