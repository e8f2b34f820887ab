"""Transactions whose items other nodes lead: what a coordinator asks a participant elsewhere. Service PARTICIPANT.

    ["evaluate", group, work]               what its actions come to; nothing is done
    ["prepare", group, work]                the same, and if all can be, markers are written
    ["write", group, work, request]         the same for a transaction that is in this partition alone: it is done
        -> what each action has cost, once that is durable, and the timestamp that it has; or why it cannot be; or that
           its timestamp is too early (and which was not); or, of "write", that it was done before; or that nobody
           knows, since the leader was replaced meanwhile
    ["finish", group, name, table, keys, is_commit]     commit or cancel      -> nil, once that is durable
    ["versions", group, keys]                           for a read            -> [[timestamp, value or nil, marked], …]
    ["remove", group, keys]                             token rows that are over   -> nil
    ["left", group of the ledger, name, [[table, key], …]]      markers that are old: see Transactions

`work`: [[id, timestamp], operation, actions]; the actions travel as the JSON of the request, so that the participant's
node evaluates them as it would its own, with its own definition of the table.

Who coordinates: a transaction of several partitions, or one with a token, is coordinated by the node that leads the
ledger. So the ledger is never far from who asks it, and whoever leads it knows all transactions that are under way:
what it does not know, and what is old, was left by a coordinator that is none any more. A transaction of one partition
without a token is done where that is led. Rejected: coordinators anywhere (the paper's way), which needs a ledger that
answers from afar in the middle of each step; it pays once the ledger has several partitions.

Timestamps. The coordinator's clock may be behind a participant's: then an item has been written "later" than the
transaction. The participant tells how late, and the coordinator tries once more with a time behind that. A transaction
that is in one partition alone takes its time there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from varley.errors import ApiError, NotLeading
from varley.item.key_bytes import TOKEN_SPACE
from varley.item.marker import Name
from varley.limits import TRANSACTION_BYTES_MAX
from varley.net.channels import PARTICIPANT
from varley.node.elsewhere import Elsewhere, Need
from varley.node.participant import Version
from varley.node.partition import Partition
from varley.node.replica import Proposal
from varley.node.settled import Done, Told, when_settled
from varley.remote.hosted import Lead
from varley.remote.journey import ANSWER, not_here
from varley.remote.messages import Question, encode
from varley.remote.peers import Answer, Peers, unknown
from varley.remote.remote_error import RemoteError
from varley.router.routes import Router
from varley.transactions import reasons, record
from varley.transactions.action import Action, follow_of, written_bytes

# From an operation and the JSON of some of its actions to what they are here. Raises ApiError.
Bind = Callable[[str, bytes], Sequence[Action]]


class Work(msgspec.Struct, array_like=True, frozen=True):
    """What a transaction wants of one partition."""

    name: Name
    operation: str
    actions: bytes    # a JSON array


class _Evaluate(Question, frozen=True, tag="evaluate"):
    work: Work


class _Prepare(Question, frozen=True, tag="prepare"):
    work: Work


class _Write(Question, frozen=True, tag="write"):
    work: Work
    request: bytes      # 16 bytes that no other request has


class _Finish(Question, frozen=True, tag="finish"):
    name: Name
    table: str
    keys: list[bytes]
    is_commit: bool


class _Versions(Question, frozen=True, tag="versions"):
    keys: list[bytes]


class _Remove(Question, frozen=True, tag="remove"):
    keys: list[bytes]


class _Left(Question, frozen=True, tag="left"):
    name: Name
    items: list[tuple[str, bytes]]


class Cost(msgspec.Struct, array_like=True, frozen=True):
    """What one action has come to. See Action."""

    units: float
    index_units: dict[str, float]
    collection_bytes: int


class Agreed(msgspec.Struct, array_like=True, frozen=True, tag="agreed"):
    costs: list[Cost]
    timestamp_us: int
    written_bytes: int = 0    # what its items come to


class Refused(msgspec.Struct, array_like=True, frozen=True, tag="refused"):
    """By action: the members of its error; None: it was not it."""

    reasons: list[dict[str, Any] | None]

    def refusals(self) -> list[ApiError | None]:
        return [None if each is None else RemoteError(400, each) for each in self.reasons]


class TooEarly(msgspec.Struct, array_like=True, frozen=True, tag="early"):
    latest_us: int    # a later timestamp is not


class DoneBefore(msgspec.Struct, array_like=True, frozen=True, tag="done"):
    token: bytes    # the value of its token row


class Unknown(msgspec.Struct, array_like=True, frozen=True, tag="unknown"):
    """The leader was replaced before it was decided."""


Verdict = Agreed | Refused | TooEarly | DoneBefore

_decode = msgspec.msgpack.Decoder(_Evaluate | _Prepare | _Write | _Finish | _Versions | _Remove | _Left).decode
_decode_verdict = msgspec.msgpack.Decoder(Verdict | Unknown).decode
_decode_versions = msgspec.msgpack.Decoder(list[Version]).decode

Heard = Callable[[Verdict | ApiError], None]


class Abroad:
    """Used from the event loop only."""

    def __init__(self, peers: Peers, router: Router, bind: Bind) -> None:
        self._peers = peers
        self._router = router
        self._bind = bind
        self.on_left: Callable[[Name, Sequence[tuple[str, bytes]]], None] = _ignore_left
        peers.handlers[PARTICIPANT] = self._asked

    def is_led_here(self, group: int) -> bool:
        return self._peers.hosted.leads(group)

    def ballot(self, group: int) -> int:
        """In which this node leads `group`."""
        return self._peers.hosted.partitions[group][1].ballot

    # Asking others

    def evaluate(self, group: int, work: Work, then: Heard) -> None:
        self._ask_for_verdict(_Evaluate(group, work), Need.LEADER, then)

    def prepare(self, group: int, work: Work, then: Heard) -> None:
        """An error: nobody knows whether it was prepared."""
        self._ask_for_verdict(_Prepare(group, work), Need.WRITE, then)

    def write(self, group: int, work: Work, request: bytes, then: Heard) -> None:
        self._ask_for_verdict(_Write(group, work, request), Need.WRITE, then)

    def _ask_for_verdict(self, question: Question, need: Need, then: Heard) -> None:
        def heard(answer: bytes | ApiError) -> None:
            verdict = answer if isinstance(answer, ApiError) else _decode_verdict(answer)
            then(unknown() if isinstance(verdict, Unknown) else verdict)

        self._peers.inquire(PARTICIPANT, question, need, heard)

    def finish(self, group: int, name: Name, table: str, keys: Sequence[bytes], *, is_commit: bool, then: Done) -> None:
        """A repeat does nothing, so it is asked until it is answered."""
        self._tell(_Finish(group, name, table, list(keys), is_commit), then)

    def remove(self, group: int, keys: Sequence[bytes]) -> None:
        self._tell(_Remove(group, list(keys)), _ignore)

    def tell_left(self, ledger: int, name: Name, items: Sequence[tuple[str, bytes]]) -> None:
        """The markers of `name` at `items` are old: whoever leads the ledger knows whether anybody is at it."""
        self._tell(_Left(ledger, name, list(items)), _ignore)

    def _tell(self, question: Question, then: Done) -> None:
        def heard(answer: bytes | ApiError) -> None:
            then(answer if isinstance(answer, ApiError) else None)

        self._peers.inquire(PARTICIPANT, question, Need.LEADER, heard)

    def versions(
        self, group: int, keys: Sequence[bytes], then: Callable[[Sequence[Version] | ApiError], None]
    ) -> None:
        def heard(answer: bytes | ApiError) -> None:
            then(answer if isinstance(answer, ApiError) else _decode_versions(answer))

        self._peers.inquire(PARTICIPANT, _Versions(group, list(keys)), Need.LEADER, heard)

    def values(
        self, wanted: Mapping[int, list[bytes]], then: Callable[[Mapping[int, Mapping[bytes, bytes]], Any], None]
    ) -> None:
        """Stored values, as an eventual read has them."""
        self._peers.values(wanted, Need.COPY, then)

    # Being asked

    def _asked(self, sender: str, payload: bytes, answer: Answer) -> None:
        question = _decode(payload)
        try:
            self._answer(question, answer)
        except Elsewhere:
            answer(not_here(self._peers.memds.find(question.group)))

    def _answer(self, question: Any, answer: Answer, *, is_confirmed: bool = False) -> None:
        group = question.group
        found = self._peers.hosted.partitions.get(group)
        if found is None or not found[1].is_leading:
            raise Elsewhere(group, Need.WRITE)
        partition, lead = found
        told = _Telling(answer, not_here(self._peers.memds.find(group)), lead, is_confirmed=is_confirmed)
        told.again = lambda: self._answer_again(question, answer)
        match question:
            case _Evaluate(work=work) | _Prepare(work=work) | _Write(work=work):
                self._work(question, work, partition, told)
            case _Finish():
                self._finish(question, partition, told)
            case _Versions(keys=keys):
                self._versions(keys, partition, lead, told)
            case _Remove(keys=keys):
                partition.participant.remove(keys, Told(_ignore))
                told.tell(None)
            case _Left(name=name, items=items):
                self.on_left(name, items)
                told.tell(None)

    def _answer_again(self, question: Any, answer: Answer) -> None:
        """A quorum has confirmed that this node leads."""
        try:
            self._answer(question, answer, is_confirmed=True)
        except Elsewhere:
            answer(not_here(self._peers.memds.find(question.group)))

    def _work(self, question: Any, work: Work, partition: Partition, told: _Telling) -> None:
        participant, name = partition.participant, work.name
        if isinstance(question, _Write):
            before = partition.newest(TOKEN_SPACE + name.id)
            if before is not None and record.is_token_kept(before, name.timestamp_us):
                told.tell_when(_all(partition), DoneBefore(before))
                return
        if partition.is_under_pressure:
            told.tell(Refused([_members(partition.overload())]))
            return
        actions = self._bind(work.operation, work.actions)
        if isinstance(question, _Write):
            name = Name(name.id, max(name.timestamp_us, partition.tree.last_timestamp_us + 1))
        latest_us = participant.latest_us([action.key for action in actions])
        if name.timestamp_us <= latest_us:
            told.tell_when(_all(partition), TooEarly(latest_us))
            return
        evaluation = participant.evaluate(actions, name.timestamp_us)
        if evaluation.is_refused:
            refused = Refused([None if each is None else _members(each) for each in evaluation.refusals])
            told.tell_if_leading(evaluation.observed, refused)
            return
        costs = [Cost(each.units, each.index_units, each.collection_bytes) for each in actions]
        written = written_bytes([evaluation])
        agreed = Agreed(costs, name.timestamp_us, written)
        if isinstance(question, _Write) and written > TRANSACTION_BYTES_MAX:
            told.tell_if_leading(evaluation.observed, Refused([_members(reasons.payload_too_large(written))]))
            return
        if isinstance(question, _Evaluate):
            told.tell(agreed)
        elif isinstance(question, _Prepare):
            participant.prepare(name, evaluation, told.when_chosen(agreed))
        else:
            token = record.pack_token(name, question.request)
            is_proposed = participant.write(name, evaluation, token, told.when_chosen(agreed))
            assert is_proposed, "there is a token row at least"

    def _finish(self, question: _Finish, partition: Partition, told: _Telling) -> None:
        participant, name, keys = partition.participant, question.name, question.keys
        waiter = told.when_finished()
        if question.is_commit:
            follow = follow_of(self._router.route(question.table)) if question.table in self._router else None
            done = follow is not None and participant.commit(name, [(key, follow) for key in keys], waiter)
        else:
            done = participant.cancel(name, keys, waiter)
        if not done:    # it was done before, perhaps in a slot that is not decided yet
            told.tell_when(_all(partition), None)

    def _versions(self, keys: Sequence[bytes], partition: Partition, lead: Lead, told: _Telling) -> None:
        waited_for = {id(each): each for key in keys if (each := partition.undecided(key)) is not None}

        def settled(error: BaseException | None) -> None:
            if error is not None or not lead.is_leading:
                told.go_away()
                return
            told.tell_if_leading([], [partition.participant.version(key) for key in keys])

        if waited_for:
            when_settled(list(waited_for.values()), settled)
        else:
            settled(None)


def _all(partition: Partition) -> list[Proposal]:
    newest = partition.undecided_range()
    return [] if newest is None else [newest]


def _members(refusal: ApiError) -> dict[str, Any]:
    members = {"__type": refusal.namespace + refusal.code, "message": refusal.message}
    item = getattr(refusal, "item", None)
    return members if item is None else {**members, "Item": item}


class _Telling:
    """The answer to one question."""

    __slots__ = ("_answer", "_ballot", "_is_confirmed", "_lead", "_not_here", "again")

    def __init__(self, answer: Answer, not_here: bytes, lead: Lead, *, is_confirmed: bool) -> None:
        self._answer = answer
        self._not_here = not_here
        self._lead = lead
        self._ballot = lead.ballot
        self._is_confirmed = is_confirmed    # a quorum has said that this node leads, since it was asked
        self.again: Callable[[], None]      # ask once more, with that

    def tell(self, told: Any) -> None:
        self._answer(ANSWER + encode(told))

    def go_away(self) -> None:
        self._answer(self._not_here)

    def when_chosen(self, told: Any) -> Told:
        """Who waits for a slot that is not to be proposed twice."""

        def settled(error: BaseException | None) -> None:
            if isinstance(error, NotLeading):
                self.go_away()    # it surely was not proposed
            else:
                self.tell(told if error is None else Unknown())

        return Told(settled)

    def when_finished(self) -> Told:
        """Who waits for a slot that may be proposed again by who leads then."""
        return Told(lambda error: self.tell(None) if error is None else self.go_away())

    def tell_when(self, waited_for: Sequence[Proposal], told: Any) -> None:
        def settled(error: BaseException | None) -> None:
            if error is None:
                self.tell(told)
            else:
                self.go_away()

        if waited_for:
            when_settled(waited_for, settled)
        else:
            self.tell(told)

    def tell_if_leading(self, waited_for: Sequence[Proposal], told: Any) -> None:
        """What was computed from the state as it is here: only if this node surely leads still. It changed nothing."""

        def settled(error: BaseException | None) -> None:
            if error is not None:
                self.go_away()
            elif self._is_confirmed or self._lead.may_answer(self._ballot):
                self.tell(told)
            else:
                self._lead.confirm(confirmed)

        def confirmed(error: BaseException | None) -> None:
            if error is None:
                self.again()
            else:
                self.go_away()

        if waited_for:
            distinct = {id(each): each for each in waited_for}
            when_settled(list(distinct.values()), settled)
        else:
            settled(None)


def _ignore(error: BaseException | None) -> None:
    pass


def _ignore_left(name: Name, items: Sequence[tuple[str, bytes]]) -> None:
    pass
