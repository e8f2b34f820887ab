"""Records of the ledger, byte by byte, as docs/formats.md draws them; and which gives way to which."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.item import stored
from varley.item.marker import Name
from varley.item.value import check_item
from varley.table.keys import KeyCodec
from varley.transactions.coordinator import FOLLOWS, State
from varley.transactions.record import (
    Record,
    holds_after,
    id_of_token,
    ledger_table,
    pack,
    pack_token,
    parse_purge_key,
    purge_key,
    record_key,
    unpack,
    unpack_token,
)

NAME = Name(b"*" * 16, 1_735_689_600_000_000)
ROWS = (("Music", b"\x00" + b"h" * 16 + b"\xff"), ("a.table-of_255", b"\x00" + b"g" * 16))
records = st.builds(
    Record,
    st.builds(Name, st.binary(min_size=16, max_size=16), st.integers(1, 2**60)),
    st.sampled_from(State),
    st.binary(min_size=16, max_size=16),
    st.lists(st.tuples(st.from_regex(r"[a-zA-Z0-9_.-]{3,20}", fullmatch=True), st.binary(max_size=40))).map(tuple),
    st.integers(0, 2**60),
)


@given(records, st.integers(1, 2**60))
def test_a_record_comes_back_and_is_an_item_like_any_other(record: Record, timestamp_us: int) -> None:
    value = pack(record, timestamp_us)
    assert unpack(value) == record
    assert stored.verify(value)
    text = value[stored.HEADER_BYTES :]
    item = msgspec.json.decode(text)
    assert check_item(item) == stored.item_size(value)
    assert msgspec.json.encode(item) == text
    assert KeyCodec(ledger_table("x", 0.0).key_schema).row_key_of_item(item) == record_key(record.name.id)


def test_the_example_in_the_documentation() -> None:
    record = Record(NAME, State.COMMITTING, bytes(16), (("Music", b"\x00" + b"h" * 16),))
    text = pack(record, 0)[stored.HEADER_BYTES :].decode()
    documentation = "".join((Path(__file__).parents[2] / "docs" / "formats.md").read_text().split())
    assert text in documentation
    assert record_key(NAME.id).hex() in documentation
    assert purge_key(record.due, NAME.id).hex() in documentation


@given(st.binary(min_size=16, max_size=16))
def test_a_token_row_comes_back_and_is_an_item(request: bytes) -> None:
    value = pack_token(NAME, request)
    assert unpack_token(value) == (NAME.timestamp_us, request)
    assert stored.verify(value)
    assert check_item(msgspec.json.decode(value[stored.HEADER_BYTES :])) == stored.item_size(value)


def test_purge_keys_come_in_the_order_of_time() -> None:
    keys = [purge_key(due, bytes((9 - due,)) * 16) for due in range(9)]
    assert keys == sorted(keys)
    assert [parse_purge_key(key) for key in keys] == [(due, bytes((9 - due,)) * 16) for due in range(9)]


@pytest.mark.parametrize(("found", "wanted"), list(product([None, *State], State)))
def test_of_one_transaction_only_what_may_follow_is_taken(found: State | None, wanted: State) -> None:
    before = None if found is None else Record(NAME, found, bytes(16), ())
    after = Record(NAME, wanted, bytes(16), ())
    held = holds_after(before, after)
    assert held is (after if wanted in FOLLOWS[found] else before)


@pytest.mark.parametrize(("found", "wanted"), list(product(State, State)))
def test_a_later_transaction_with_the_same_token_waits_until_the_earlier_is_over(found: State, wanted: State) -> None:
    early = Record(NAME, found, bytes(16), ())
    late = Record(Name(NAME.id, NAME.timestamp_us + 1), wanted, bytes(16), ())
    assert holds_after(early, late) is (late if found.is_over else early)
    assert holds_after(late, early) is late, "and never gives way to it"


def test_a_record_is_kept_for_ten_minutes() -> None:
    done = Record(NAME, State.COMMITTED, bytes(16), (), over_us=NAME.timestamp_us + 5_000_000)
    assert done.is_kept(done.over_us + 599_999_999)
    assert not done.is_kept(done.over_us + 600_000_000)
    assert done.due == 1_735_689_600 + 5 + 601
    assert Record(NAME, State.COMMITTING, bytes(16), ()).is_kept(2**60)


def test_ids_of_tokens_differ() -> None:
    assert len({id_of_token(token) for token in ("a", "b", "", "é", "a" * 36)}) == 5
