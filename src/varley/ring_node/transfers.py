"""Transfers at one node: ranges that it was home of, offered to those who are home now (ring/transfer.py).

Offers go out OFFERS at a time to each node until they are accepted or not needed; an accepted one takes a slice of
background work until it is finished. If the joiner falls silent, what is under way is sent again when it can be
reached.
"""

from __future__ import annotations

import logging
from functools import partial

from varley.ring import transfer
from varley.ring.siblings import Siblings
from varley.ring.transfer import Incoming, Outgoing
from varley.ring_node import wire
from varley.ring_node.background import Background, Parts

logger = logging.getLogger("varley.ring")

OFFERS = 8
SILENCE_US_MAX = 5_000_000

Lot = tuple[int, str]       # range, to whom


class Transfers(Background):
    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.is_waiting = False     # an offer was accepted, and could not be acted on for want of a slice
        self._incoming = Incoming(SILENCE_US_MAX)
        self._offers: dict[Lot, None] = {}              # not yet finished, in order
        self._outgoing: dict[Lot, Outgoing] = {}        # accepted; each has a slice; keys of _offers
        self._stalled: set[Lot] = set()                 # of _outgoing: something was not acknowledged

    @property
    def count(self) -> int:
        return len(self._offers)

    def offer(self, range_id: int, to: frozenset[str]) -> None:
        if self._store.trees.get(range_id) is None:
            return      # nothing to give
        for node in sorted(to):
            self._offers[range_id, node] = None

    def place_anew(self) -> None:
        for range_id in self._members.ranges():
            if not self._members.is_home(range_id):
                self._incoming.no_longer_home(range_id)

    def tick(self) -> None:
        self.is_waiting = False
        sent: dict[str, int] = {}
        for lot in list(self._offers):
            range_id, node = lot
            if node not in self._members.homes(range_id):
                self._end(lot)
            elif lot in self._stalled and not self._peers.is_alive(node):
                self._break_off(lot)
            elif lot in self._stalled:
                self._stalled.discard(lot)
                self._do(lot, self._outgoing[lot], self._outgoing[lot].unanswered())
            elif lot in self._outgoing:
                pass
            elif self._peers.is_alive(node) and sent.setdefault(node, 0) < OFFERS:
                sent[node] += 1
                self._peers.send(node, wire.of_core(transfer.Offer(range_id)))

    def heard(self, sender: str, ring_key: bytes) -> None:
        """A row came from it: if it belongs to a transfer, that is alive."""
        self._incoming.heard(sender, self._members.range_of(ring_key), self._peers.now_us)

    def received(
        self, sender: str, message: transfer.Offer | transfer.Accept | transfer.Refuse | transfer.Finished
    ) -> None:
        match message:
            case transfer.Offer():
                is_home = self._members.is_home(message.partition)
                answer = self._incoming.offered(sender, message, is_home, self._peers.now_us)
                self._peers.send(sender, wire.of_core(answer))
            case transfer.Accept():
                self._accepted((message.partition, sender))
            case transfer.Refuse():
                if message.reason is transfer.Reason.HAVE:
                    self._end((message.partition, sender))
            case transfer.Finished():
                self._incoming.finished(sender, message)

    def _accepted(self, lot: Lot) -> None:
        if lot not in self._offers or lot in self._outgoing:
            return
        if not self._admission.take(self._peers.now_us):
            self.is_waiting = True      # it is offered again
            return
        self._numbers.add("transfers_begun")
        keys = [head.ring_key for head in self._rows_of_range(lot[0])]
        outgoing = self._outgoing[lot] = Outgoing(lot[0], keys)
        self._do(lot, outgoing, outgoing.accepted())

    def _do(self, lot: Lot, outgoing: Outgoing, effects: transfer.Effects) -> None:
        for key in effects.rows:
            self._deliveries.row(
                lot[1], key, partial(self._sent, lot, outgoing, key), partial(self._stall, lot, outgoing)
            )
        if effects.finished is not None and self._outgoing.get(lot) is outgoing:
            self._peers.send(lot[1], wire.of_core(effects.finished))
            self._numbers.add("transfers_finished")
            self._end(lot)
            if not self._offers:
                logger.info("all ranges that moved are transferred")

    def _sent(self, lot: Lot, outgoing: Outgoing, key: bytes, sent: Siblings) -> None:
        self._numbers.add("rows_transferred")
        self._numbers.add("row_bytes_transferred", len(sent.encode()))
        if self._outgoing.get(lot) is outgoing:
            self._loop.call_soon(lambda: self._do(lot, outgoing, outgoing.acknowledged(key)))

    def _stall(self, lot: Lot, outgoing: Outgoing) -> None:
        if self._outgoing.get(lot) is outgoing:
            self._stalled.add(lot)

    def _end(self, lot: Lot) -> None:
        self._offers.pop(lot, None)
        self._break_off(lot)

    def _break_off(self, lot: Lot) -> None:
        """Its slice is wanted elsewhere while the joiner is down. What is still offered is sent from the start."""
        self._stalled.discard(lot)
        if self._outgoing.pop(lot, None) is not None:
            self._admission.give_back()
