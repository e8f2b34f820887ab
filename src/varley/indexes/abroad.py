"""Deliveries to partitions of indexes that other nodes lead, and from those: service DELIVER.

    ["deliver", group, [[source, slot, is_filling, [[row key, value or nil], …]], …]]   ->  nil, once it is durable
    ["filled", group, index id]       of a partition of the table                       ->  true, false
    ["open", group, parent, time, [[row key, value], …]]     of a child of a split: it has all     ->  nil

A batch may be sent again whenever nobody knows what became of it: the target knows what it has (delivery.py). So it is
asked as a read is, wherever the leader is by now.

What had not arrived when a leader went is in the logs of all who may lead next (node/member.py). So whoever does reads
it there and sends it first; some of it perhaps a second time, which is passed over.

An index that was added later is filled by each node from the partitions that it leads. Whoever leads the first one
of the table asks the others (`filled`), and makes the index ACTIVE when all are through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from varley.errors import ApiError
from varley.indexes.delivery import Arriving, deliver, open_child
from varley.indexes.propagation import Delivery, IndexRow
from varley.net.channels import DELIVER
from varley.node.elsewhere import Need
from varley.node.member_partition import MemberPartition
from varley.node.settled import Done
from varley.remote.hosted import Hosted
from varley.remote.journey import ANSWER, not_here
from varley.remote.messages import Question, encode
from varley.remote.peers import Answer, Peers
from varley.table.parting import Origin


class _Deliver(Question, frozen=True, tag="deliver"):
    batch: list[Arriving]


class _Open(Question, frozen=True, tag="open"):
    parent: int
    time_us: int
    rows: list[IndexRow]


class _Filled(Question, frozen=True, tag="filled"):
    index: str


_decode = msgspec.msgpack.Decoder(_Deliver | _Filled | _Open).decode
_decode_bool = msgspec.msgpack.Decoder(bool).decode


class Abroad:
    """Used from the event loop only."""

    def __init__(self, peers: Peers, is_current: Callable[[int], bool]) -> None:
        """`is_current(group)`: whether this node knows all indexes that leaders of a table's partition have known, of
        those that have not been deleted since."""
        self._peers = peers
        self.is_current = is_current
        self._hosted: Hosted = peers.hosted
        # Whether this node has read all of a partition that it leads, by group, for the index with this id.
        self.is_filled: Callable[[int, str], bool] = _nothing_is_filled
        peers.handlers[DELIVER] = self._asked

    def is_led_here(self, group: int) -> bool:
        return self._hosted.leads(group)

    def deliver(self, group: int, batch: Sequence[Delivery], done: Done) -> None:
        """To a partition that is led elsewhere, or serves nobody yet. As delivery.deliver."""
        closed = self._closed_here(group)
        if closed is not None:
            self._deliver_to_closed(*closed, batch, done)
            return
        arriving = [Arriving(each.source, each.slot, each.is_filling, each.rows) for each in batch]

        def heard(answer: bytes | ApiError) -> None:
            done(answer if isinstance(answer, ApiError) else None)

        self._inquire(_Deliver(group, arriving), heard)

    def open_child(self, group: int, origin: Origin, rows: Sequence[IndexRow], done: Done) -> None:
        """As delivery.open_child, wherever the child is led."""
        closed = self._closed_here(group)
        if closed is not None:
            open_child(closed[0], origin, rows, done)
            return

        def heard(answer: bytes | ApiError) -> None:
            done(answer if isinstance(answer, ApiError) else None)

        self._inquire(_Open(group, *origin, list(rows)), heard)

    def _inquire(self, question: Question, heard: Callable[[bytes | ApiError], None]) -> None:
        """Of a child of a split that does not serve yet no leader is known: then all its members are asked, in turn."""
        group = question.group
        is_open = group in self._hosted.partitions or self._peers.memds.find(group).leader is not None

        def is_here() -> bool:
            return self._closed_here(group) is not None

        need = Need.LEADER if is_open else Need.COPY
        self._peers.inquire(DELIVER, question, need, heard, also_here=is_here)

    def _closed_here(self, group: int) -> tuple[MemberPartition, int] | None:
        closed = self._hosted.closed.get(group)
        return closed if closed is not None and closed[0].is_leading else None

    def _deliver_to_closed(
        self, child: MemberPartition, parent: int, batch: Sequence[Delivery | Arriving], done: Done
    ) -> None:
        """To a child of a split that has not everything: it takes what its parent sends, and nothing that could
        overtake that."""
        if all(each.source == parent for each in batch):
            deliver(child, batch, done)
        else:
            done(child.not_leading())

    def ask_whether_filled(self, group: int, index: str, then: Callable[[bool], None]) -> None:
        """Whether all that the partition of `group` had has arrived at the index. False also if nobody can say."""

        def heard(answer: bytes | ApiError) -> None:
            then(not isinstance(answer, ApiError) and _decode_bool(answer))

        self._peers.inquire(DELIVER, _Filled(group, index), Need.LEADER, heard)

    def _asked(self, sender: str, payload: bytes, answer: Answer) -> None:
        question = _decode(payload)
        group = question.group
        closed = self._closed_here(group)
        found = self._hosted.partitions.get(group) if closed is None else (closed[0], closed[0])
        if found is None or not found[1].is_leading:
            answer(not_here(self._peers.memds.find(group)))
            return
        partition, _ = found

        def settled(error: BaseException | None) -> None:
            if error is not None:    # nobody knows: it is sent again, to whoever leads then
                answer(not_here(self._peers.memds.find(group)))
            else:
                answer(ANSWER + encode(None))

        if isinstance(question, _Filled):
            answer(ANSWER + encode(self.is_filled(group, question.index)))
            return
        if isinstance(question, _Open):
            open_child(partition, Origin(question.parent, question.time_us), question.rows, settled)
        elif partition.is_under_pressure:
            settled(partition.overload())
        elif closed is not None:
            self._deliver_to_closed(*closed, question.batch, settled)
        else:
            deliver(partition, question.batch, settled)


def _nothing_is_filled(group: int, index: str) -> bool:
    return False
