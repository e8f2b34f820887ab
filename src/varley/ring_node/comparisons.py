"""Anti-entropy at one node: its trees against those of the other homes, one range and one home at a time.

The pair that agreed longest ago is compared next, as many pairs at once as there are slices of background work; no
pair sooner than ROUND_SECONDS after it agreed. One that agrees costs two messages of some 60 bytes. One that does not
goes down the levels (hash_tree.py); what then has to be sent goes WINDOW sets at a time. A pair whose exchange is not
over after EXCHANGE_SECONDS is given up, and compared again in its turn.

`compared_seconds` is the lag: how long ago the pair agreed that is worst off. Pairs that one side cannot reach count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from varley.ring import hash_tree
from varley.ring.hash_tree import HashTree
from varley.ring.siblings import Siblings
from varley.ring.transfer import Outgoing
from varley.ring_node import wire
from varley.ring_node.background import Background, Parts

EXCHANGE_SECONDS = 2.0
ROUND_SECONDS = 5.0
_EMPTY = HashTree()

Pair = tuple[int, str]      # range, other home


class Comparisons(Background):
    def __init__(self, parts: Parts, go_on: Callable[[], None]) -> None:
        """`go_on`: a slice is free again. It calls `tick` if nobody else wants it."""
        super().__init__(parts)
        self._go_on = go_on
        self._queue: deque[Pair] = deque()              # each pair once, the next first
        self._pairs: frozenset[Pair] = frozenset()      # those in the queue
        self._agreed_us: dict[Pair, int] = {}           # of pairs in the queue, monotonic
        self._under_way: dict[Pair, Callable[[], None]] = {}    # each has a slice; called when it is over
        self._sending: dict[Pair, Outgoing] = {}        # each has a slice

    def place_anew(self) -> None:
        pairs = [
            (range_id, node)
            for range_id in self._members.ranges()
            if self._members.is_home(range_id)
            for node in self._members.homes(range_id)
            if node != self._own
        ]
        new = [pair for pair in pairs if pair not in self._pairs]
        kept = self._pairs = frozenset(pairs)
        # New ones first, in any order: not all nodes are to begin with the same.
        new.sort(key=lambda _: self._chance.getrandbits(32))
        self._queue = deque([*new, *(pair for pair in self._queue if pair in kept)])
        self._agreed_us = {pair: at_us for pair, at_us in self._agreed_us.items() if pair in kept}

    @property
    def compared_seconds(self) -> float | None:
        if len(self._agreed_us) < len(self._queue):
            return None
        return (self._peers.now_us - min(self._agreed_us.values(), default=self._peers.now_us)) / 1e6

    def tick(self) -> None:
        recent_us = self._peers.now_us - int(ROUND_SECONDS * 1e6)
        for _ in range(len(self._queue)):
            pair = self._queue[0]
            is_due = self._agreed_us.get(pair, recent_us) <= recent_us
            if is_due and pair not in self._under_way and self._peers.is_alive(pair[1]):
                if not self._admission.take(self._peers.now_us):
                    return
                self._begin(pair)
            self._queue.rotate(-1)

    def received(self, sender: str, message: hash_tree.Message) -> None:
        pair = (message.partition, sender)
        tree = self._store.trees.get(message.partition, _EMPTY)
        if isinstance(message, hash_tree.Compare) and not self._members.is_home(message.partition):
            return      # one of us does not know who is: it will be asked again
        answer = hash_tree.answer(tree, partial(self._digests, message.partition), message)
        if isinstance(message, hash_tree.Agree) or isinstance(answer.message, hash_tree.Agree):
            self._agree(pair)
        if isinstance(message, hash_tree.Rows) and message.wants_answer is False:
            self._end(pair)
        if answer.message is not None:
            self._send(sender, answer.message)
        if answer.versions:
            self._numbers.add("comparisons_differing")
            self._send_rows(pair, answer.versions)

    # ---- One pair

    def _begin(self, pair: Pair) -> None:
        self._numbers.add("comparisons")
        timer = self._loop.call_later(EXCHANGE_SECONDS, self._end, pair)
        self._under_way[pair] = timer.cancel
        range_id, node = pair
        self._send(node, hash_tree.begin(range_id, self._store.trees.get(range_id, _EMPTY)))

    def _agree(self, pair: Pair) -> None:
        if pair in self._pairs:     # the other may take itself for a home, having heard less of the ring, or more
            self._agreed_us[pair] = self._peers.now_us
        if pair in self._under_way:
            self._end(pair)
            self._loop.call_soon(self._go_on)

    def _end(self, pair: Pair) -> None:
        cancel = self._under_way.pop(pair, None)
        if cancel is not None:
            cancel()
            self._admission.give_back()

    def _send(self, to: str, message: hash_tree.Message) -> None:
        core = wire.of_core(message)
        self._numbers.add("comparison_bytes", wire.size_of(core))
        self._peers.send(to, core)

    def _digests(self, range_id: int, buckets: frozenset[int]) -> dict[bytes, bytes]:
        return {
            head.ring_key: head.digest
            for head in self._rows_of_range(range_id)
            if hash_tree.bucket_of(head.ring_key) in buckets
        }

    # ---- What differs

    def _send_rows(self, pair: Pair, keys: tuple[bytes, ...]) -> None:
        if pair in self._sending or not self._admission.take(self._peers.now_us):
            return      # an earlier exchange is being brought to its end; or the next one, in its turn, brings it
        sending = self._sending[pair] = Outgoing(pair[0], keys)
        self._do(pair, sending, sending.accepted().rows)

    def _do(self, pair: Pair, sending: Outgoing, keys: tuple[bytes, ...]) -> None:
        for key in keys:
            self._deliveries.row(
                pair[1], key, partial(self._sent, pair, sending, key), partial(self._give_up, pair, sending)
            )
        if sending.is_over:
            self._give_up(pair, sending)

    def _sent(self, pair: Pair, sending: Outgoing, key: bytes, sent: Siblings) -> None:
        self._numbers.add("rows_exchanged")
        self._numbers.add("row_bytes_exchanged", len(sent.encode()))
        if self._sending.get(pair) is sending:
            self._loop.call_soon(lambda: self._do(pair, sending, sending.acknowledged(key).rows))

    def _give_up(self, pair: Pair, sending: Outgoing) -> None:
        if self._sending.get(pair) is sending:
            del self._sending[pair]
            self._admission.give_back()
