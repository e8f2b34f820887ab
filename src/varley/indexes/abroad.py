"""Deliveries to partitions of indexes that other nodes lead, and from those: service DELIVER.

    ["deliver", group, [[source, slot, is_filling, [[row key, value or nil], …]], …]]   ->  nil, once it is durable
    ["has", group, [source, …]]                                                         ->  [slot, …]
    ["filled", group, index id]       of a partition of the table                       ->  true, false

A batch may be sent again whenever nobody knows what became of it: the target knows what it has (delivery.py). So it is
asked as a read is, wherever the leader is by now.

Every replica of a table's partition applies what its leader carries to indexes; those that do not lead keep it, and ask
the targets, now and then, what they have of it (`has`). What has arrived is let go; the rest is what a new leader sends
first. It may send what the old one has sent already: that is passed over.

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
from varley.node.settled import Done, once_settled
from varley.remote.hosted import Hosted
from varley.remote.journey import ANSWER, not_here
from varley.remote.messages import Question, encode
from varley.remote.peers import Answer, Peers
from varley.table.outgoing import source_key, source_slot


class _Deliver(Question, frozen=True, tag="deliver"):
    batch: list[Arriving]


class _Has(Question, frozen=True, tag="has"):
    sources: list[int]


class _Filled(Question, frozen=True, tag="filled"):
    index: str


_decode = msgspec.msgpack.Decoder(_Deliver | _Has | _Filled).decode
_decode_bool = msgspec.msgpack.Decoder(bool).decode
_decode_slots = msgspec.msgpack.Decoder(list[int]).decode


class Abroad:
    """Used from the event loop only."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
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

    def ask_what_has_arrived(self, group: int, sources: list[int], then: Callable[[dict[int, int]], None]) -> None:
        """The last slot of each source that the target `group` has. Not called if nobody could be asked."""

        def heard(answer: bytes | ApiError) -> None:
            if not isinstance(answer, ApiError):
                then(dict(zip(sources, _decode_slots(answer), strict=True)))

        self._peers.inquire(DELIVER, _Has(group, sources), Need.LEADER, heard)

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
            answer(not_here(self._peers.leaders.find(group)))
            return
        partition, _ = found

        def settled(error: BaseException | None) -> None:
            if error is not None:    # nobody knows: it is sent again, to whoever leads then
                answer(not_here(self._peers.leaders.find(group)))
            elif isinstance(question, _Has):
                # Applied, so chosen: it will be there, whoever leads.
                slots = [source_slot(partition.get(source_key(source))) for source in question.sources]
                answer(ANSWER + encode(slots))
            else:
                answer(ANSWER + encode(None))

        if isinstance(question, _Filled):
            answer(ANSWER + encode(self.is_filled(group, question.index)))
            return
        if isinstance(question, _Deliver):
            if partition.is_under_pressure:
                settled(partition.overload())
            else:
                deliver(partition, question.batch, settled)
            return
        once_settled(partition.undecided_range(), settled)


def _nothing_is_filled(group: int, index: str) -> bool:
    return False
