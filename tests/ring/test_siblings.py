"""Versions against a model that keeps, for each write, the set of writes that its author had seen."""

from __future__ import annotations

import base64
import itertools
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varley.ring.siblings import (
    NONE,
    BadContext,
    Context,
    Mode,
    Siblings,
    decode,
    decode_context,
    put,
    reconcile,
)
from varley.ring.vector_clock import VectorClock

# A step: a client at replica `at` reads replicas `of` (empty: a blind put), and puts; or `at` hears from `of`.
steps = st.lists(
    st.tuples(st.sampled_from(["put", "hear"]), st.integers(0, 2), st.sets(st.integers(0, 2)), st.integers(1, 50)),
    max_size=25,
)


class Replicas:
    def __init__(self, mode: Mode = Mode.SIBLINGS) -> None:
        self.mode = mode
        self.held = [NONE] * 3
        self.modelled: list[frozenset[int]] = [frozenset()] * 3   # for each replica: writes that are there
        self.seen: dict[int, frozenset[int]] = {}                 # write -> what its author had seen, and so on back

    def run(self, script: list[tuple[str, int, set[int], int]]) -> Replicas:
        for number, (kind, at, of, now_us) in enumerate(script):
            if kind == "put":
                self._put(number, at, of, now_us)
            else:
                self.held[at] = reconcile([self.held[at], *(self.held[other] for other in of)], self.mode)
                self.modelled[at] = self._latest(self.modelled[at].union(*(self.modelled[other] for other in of)))
        return self

    def _put(self, number: int, at: int, of: set[int], now_us: int) -> None:
        context = reconcile([self.held[other] for other in of], self.mode).clock
        shown = self._latest(frozenset().union(*(self.modelled[other] for other in of)))
        self.seen[number] = shown.union(*(self.seen[write] for write in shown))
        self.held[at] = put(self.held[at], context, f"r{at}", now_us, str(number).encode(), self.mode)
        self.modelled[at] = self._latest(self.modelled[at] | {number})

    def _latest(self, writes: frozenset[int]) -> frozenset[int]:
        return frozenset(write for write in writes if not any(write in self.seen[other] for other in writes))


@given(steps)
@settings(deadline=None)
def test_what_is_left_is_what_nobody_has_seen_and_replaced(script: list[tuple[str, int, set[int], int]]) -> None:
    replicas = Replicas().run(script)
    for held, modelled in zip(replicas.held, replicas.modelled, strict=True):
        assert {int(value) for value in held.values} == modelled


@given(steps, st.sampled_from(Mode))
@settings(deadline=None)
def test_reconciling_takes_no_notice_of_order_and_repetition(
    script: list[tuple[str, int, set[int], int]], mode: Mode
) -> None:
    held = Replicas(mode).run(script).held
    whole = reconcile(held, mode)
    for order in itertools.permutations(held):
        one_by_one = NONE
        for siblings in (*order, *order):
            one_by_one = reconcile([one_by_one, siblings], mode)
        assert one_by_one == whole
        assert one_by_one.digest == whole.digest


@given(steps)
@settings(deadline=None)
def test_the_last_write_wins_over_all_that_its_author_saw(script: list[tuple[str, int, set[int], int]]) -> None:
    replicas = Replicas(Mode.LAST_WRITE_WINS).run(script)
    for siblings in replicas.held:
        assert len(siblings) <= 1
    for version in reconcile(replicas.held, Mode.LAST_WRITE_WINS):
        assert version.value is not None
        assert not any(int(version.value) in seen for seen in replicas.seen.values()), "an ancestor won"


def test_the_last_write_wins_also_over_one_with_the_same_number() -> None:
    first = put(NONE, VectorClock(), "a", 1, b"first", Mode.LAST_WRITE_WINS)
    other = put(NONE, VectorClock(), "b", 2, b"other", Mode.LAST_WRITE_WINS)
    later = put(other, other.clock, "a", 3, b"later", Mode.LAST_WRITE_WINS)     # "a" holds its first one no more
    assert later.versions[0].dot[:2] == first.versions[0].dot[:2]
    for sets in ([first, later], [later, first]):
        assert reconcile(sets, Mode.LAST_WRITE_WINS) == later


@given(steps)
@settings(deadline=None)
def test_what_is_encoded_is_decoded(script: list[tuple[str, int, set[int], int]]) -> None:
    for siblings in Replicas().run(script).held:
        assert decode(siblings.encode()) == siblings
        context = Context(siblings.clock, "n1")
        assert decode_context(context.encode()) == context


def test_two_puts_with_one_context_at_one_coordinator_are_siblings() -> None:
    first = put(NONE, VectorClock(), "a", 1, b"0")
    one = put(first, first.clock, "a", 2, b"1")
    both = put(one, first.clock, "a", 3, b"2")
    assert both.values == (b"1", b"2")


def test_a_value_that_was_put_twice_is_shown_once_and_replaced_at_once() -> None:
    first = put(NONE, VectorClock(), "a", 5, b"milk")
    both = reconcile([put(NONE, VectorClock(), "b", 7, b"milk"), first, put(NONE, VectorClock(), "c", 6, b"bread")])
    assert len(both) == 3
    assert dict(both.shown) == {b"milk": 7, b"bread": 6}
    assert put(both, both.clock, "a", 9, b"all").values == (b"all",)
    assert put(both, both.clock, "a", 9, None).shown == ()


def test_a_tombstone_replaces_what_it_saw_and_only_that() -> None:
    first = put(NONE, VectorClock(), "a", 1, b"1")
    deleted = put(first, first.clock, "a", 2, None)
    assert deleted.values == ()
    assert len(deleted) == 1, "the tombstone itself"
    beside = put(first, VectorClock(), "b", 3, b"2")
    assert reconcile([deleted, beside]).values == (b"2",)


@given(st.text(max_size=40))
def test_what_was_not_handed_out_is_refused(text: str) -> None:
    with pytest.raises(BadContext):
        decode_context(text)


@pytest.mark.parametrize("entries", [
    [("n", 1, 1), ("n", 2, 2)],
    [("n", 0, 1)],
    [("n", (1 << 64) - 1, 1)],
    [("n", 1, (1 << 64) - 1)],
    [("n~no number", 1, 1)],
    [("n~", 1, 1)],
])  # fmt: skip
def test_a_context_that_would_make_its_key_unwritable_is_refused(entries: list[tuple[str, int, int]]) -> None:
    body = struct.pack(">H", len(entries)) + b"".join(
        struct.pack(">H", len(actor)) + actor.encode() + struct.pack(">QQ", counter, time_us)
        for actor, counter, time_us in entries
    ) + bytes(2)  # fmt: skip
    with pytest.raises(BadContext):
        decode_context(base64.urlsafe_b64encode(struct.pack(">I", zlib.crc32(body)) + body).decode())


@given(st.integers(0, 400))
def test_a_changed_context_is_refused(bit: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(Context(VectorClock().increment("a~1", 5), "a").encode()))
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    with pytest.raises(BadContext):
        decode_context(base64.urlsafe_b64encode(raw).decode())


def test_bytes_of_one_version() -> None:
    siblings = put(NONE, VectorClock(), "a", 2, b"v")
    assert siblings.encode() == (
        b"\x01" b"\x00\x01"                                             # format, one version
        b"\x00\x01a" b"\0\0\0\0\0\0\0\x01" b"\0\0\0\0\0\0\0\x02"        # its dot: actor, counter, time
        b"\x00\x00"                                                     # it has seen nothing
        b"\x00" b"\0\0\0\x01v"                                          # no tombstone; its value
    )  # fmt: skip


def test_a_clock_stays_short_and_nothing_is_lost_by_that() -> None:
    held: Siblings = NONE
    for index in range(30):
        held = put(held, held.clock, f"actor {index}", index, str(index).encode())
        assert all(len(version.clock) <= 10 for version in held)
    assert held.values == (b"29",)
