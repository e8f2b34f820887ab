from __future__ import annotations

import hashlib
from base64 import b64decode
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from varley.item import number
from varley.item.key_bytes import ITEM_SPACE, key_text, partition_hash, row_key, sort_bytes

from .strategies import binaries, normals, texts

keys = st.one_of(
    st.tuples(st.just("S"), texts), st.tuples(st.just("N"), normals), st.tuples(st.just("B"), binaries)
)


@given(keys)
def test_the_partition_hash_is_blake2b_of_type_and_key_bytes(key: tuple[str, str]) -> None:
    kind, text = key
    raw = {"S": text.encode, "N": lambda: number.key_bytes(text), "B": lambda: b64decode(text)}[kind]()
    assert partition_hash(kind, text) == hashlib.blake2b(kind.encode() + raw, digest_size=16).digest()


@given(keys, keys)
def test_a_row_key_is_space_hash_and_sort_bytes(partition: tuple[str, str], sort: tuple[str, str]) -> None:
    assert row_key(*partition) == ITEM_SPACE + partition_hash(*partition)
    assert row_key(*partition, *sort) == ITEM_SPACE + partition_hash(*partition) + sort_bytes(*sort)


@given(keys)
def test_sort_bytes_lead_back_to_the_key(key: tuple[str, str]) -> None:
    kind, text = key
    assert key_text(kind, sort_bytes(kind, text)) == text


@given(st.lists(texts))
def test_strings_are_ordered_by_utf8_bytes(keys: list[str]) -> None:
    assert sorted(keys, key=lambda text: sort_bytes("S", text)) == sorted(keys)


@given(st.lists(normals))
def test_numbers_are_ordered_by_value(keys: list[str]) -> None:
    assert sorted(keys, key=lambda text: sort_bytes("N", text)) == sorted(keys, key=Decimal)


@given(st.lists(binaries))
def test_binaries_are_ordered_by_unsigned_bytes(keys: list[str]) -> None:
    assert sorted(keys, key=lambda text: sort_bytes("B", text)) == sorted(keys, key=b64decode)


def test_the_same_bytes_as_another_type_are_another_partition() -> None:
    assert partition_hash("S", "abc") != partition_hash("B", "YWJj")


def test_the_place_of_a_row_never_changes() -> None:
    # Data folders hold these bytes; a change here needs a new format version.
    assert row_key("S", "user#7", "N", "-1.5").hex() == (
        "00" + hashlib.blake2b(b"Suser#7", digest_size=16).hexdigest() + "3e994aff"
    )
    assert partition_hash("S", "user#7").hex() == "24a1f8ea454800a42434b3140b40de97"
    assert partition_hash("N", "7").hex() == "78141b02f06665651654f958513dfd69"
    assert partition_hash("B", "Bw==").hex() == "60d9319e15f11be05b9116cb4083a75b"
