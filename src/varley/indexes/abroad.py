"""Deliveries to partitions of indexes that other nodes lead, and from those: service DELIVER.

    ["deliver", group, [[source, slot, is_filling, [[row key, value or nil], …]], …]]   ->  nil, once it is durable
    ["has", group, [source, …]]                                                         ->  [slot, …]

A batch may be sent again whenever nobody knows what became of it: the target knows what it has (delivery.py). So it is
asked as a read is, wherever the leader is by now.

Every replica of a table's partition applies what its leader carries to indexes; those that do not lead keep it, and ask
the targets, now and then, what they have of it (`has`). What has arrived is let go; the rest is what a new leader sends
first. It may send what the old one has sent already: that is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from varley.cluster.hosted import Hosted
from varley.cluster.journey import ANSWER, not_here
from varley.cluster.messages import Question, encode
from varley.cluster.peers import Answer, Peers
from varley.errors import ApiError
from varley.indexes.delivery import Arriving, deliver
from varley.indexes.propagation import Delivery
from varley.net.channels import DELIVER
from varley.node.elsewhere import Need
from varley.node.settled import Done, once_settled
from varley.table.outgoing import source_key, source_slot


class _Deliver(Question, frozen=True, tag="deliver"):
    batch: list[Arriving]


class _Has(Question, frozen=True, tag="has"):
    sources: list[int]


_decode = msgspec.msgpack.Decoder(_Deliver | _Has).decode
_decode_slots = msgspec.msgpack.Decoder(list[int]).decode


class Abroad:
    """Used from the event loop only."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._hosted: Hosted = peers.hosted
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

        if isinstance(question, _Deliver):
            if partition.is_under_pressure:
                settled(partition.overload())
            else:
                deliver(partition, question.batch, settled)
            return
        once_settled(partition.undecided_range(), settled)
