"""Deliveries to partitions of indexes that other nodes lead, and from those: service DELIVER.

    ["deliver", group, [[source, slot, is_filling, [[row key, value or nil], …]], …]]   ->  nil, once it is durable
    ["filled", group, index id]       of a partition of the table                       ->  true, false

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
from varley.indexes.delivery import Arriving, deliver
from varley.indexes.propagation import Delivery
from varley.net.channels import DELIVER
from varley.node.elsewhere import Need
from varley.node.settled import Done
from varley.remote.hosted import Hosted
from varley.remote.journey import ANSWER, not_here
from varley.remote.messages import Question, encode
from varley.remote.peers import Answer, Peers


class _Deliver(Question, frozen=True, tag="deliver"):
    batch: list[Arriving]


class _Filled(Question, frozen=True, tag="filled"):
    index: str


_decode = msgspec.msgpack.Decoder(_Deliver | _Filled).decode
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
        """To a partition that is led elsewhere. As delivery.deliver."""
        arriving = [Arriving(each.source, each.slot, each.is_filling, each.rows) for each in batch]

        def heard(answer: bytes | ApiError) -> None:
            done(answer if isinstance(answer, ApiError) else None)

        self._peers.inquire(DELIVER, _Deliver(group, arriving), Need.LEADER, heard)

    def ask_whether_filled(self, group: int, index: str, then: Callable[[bool], None]) -> None:
        """Whether all that the partition of `group` had has arrived at the index. False also if nobody can say."""

        def heard(answer: bytes | ApiError) -> None:
            then(not isinstance(answer, ApiError) and _decode_bool(answer))

        self._peers.inquire(DELIVER, _Filled(group, index), Need.LEADER, heard)

    def _asked(self, sender: str, payload: bytes, answer: Answer) -> None:
        question = _decode(payload)
        group = question.group
        found = self._hosted.partitions.get(group)
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
        if partition.is_under_pressure:
            settled(partition.overload())
        else:
            deliver(partition, question.batch, settled)


def _nothing_is_filled(group: int, index: str) -> bool:
    return False
