from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.errors import ValidationError
from varley.item.key_bytes import partition_hash, sort_bytes
from varley.table.keys import HASH_TOO_LONG, KEY_MISMATCH, RANGE_TOO_LONG, KeyCodec
from varley.table.schema import KeySchema

KINDS = ("S", "N", "B")
INVALID = "One or more parameter values were invalid: "
hash_only = KeyCodec(KeySchema(hash_name="pk", hash_kind="S"))
with_range = KeyCodec(KeySchema(hash_name="pk", hash_kind="S", range_name="sk", range_kind="S"))


def text_of(kind: str) -> st.SearchStrategy[str]:
    """Normalised, non-empty key values."""
    if kind == "S":
        return st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
    if kind == "N":
        return st.integers(-(10**30), 10**30).map(str)
    return st.binary(min_size=1, max_size=300).map(lambda raw: b64encode(raw).decode())


def b64(size: int) -> str:
    return b64encode(b"x" * size).decode()


@pytest.mark.parametrize("hash_kind", KINDS)
@given(data=st.data())
def test_a_row_key_is_the_space_then_the_hash(hash_kind: Any, data: st.DataObject) -> None:
    codec = KeyCodec(KeySchema(hash_name="pk", hash_kind=hash_kind))
    text = data.draw(text_of(hash_kind))
    row = b"\x00" + partition_hash(hash_kind, text)
    assert codec.row_key({"pk": {hash_kind: text}}) == row
    assert codec.row_key_of_item({"other": {"BOOL": True}, "pk": {hash_kind: text}}) == row
    assert codec.item_collection({hash_kind: text}) == row


@pytest.mark.parametrize("hash_kind", KINDS)
@pytest.mark.parametrize("range_kind", KINDS)
@given(data=st.data())
def test_a_sort_key_follows_the_hash(hash_kind: Any, range_kind: Any, data: st.DataObject) -> None:
    codec = KeyCodec(
        KeySchema(hash_name="pk", hash_kind=hash_kind, range_name="sk", range_kind=range_kind)
    )
    text, sort = data.draw(text_of(hash_kind)), data.draw(text_of(range_kind))
    row = b"\x00" + partition_hash(hash_kind, text) + sort_bytes(range_kind, sort)
    key = {"sk": {range_kind: sort}, "pk": {hash_kind: text}}
    assert codec.row_key(key) == row
    assert codec.row_key_of_item({**key, "other": {"NULL": True}}) == row
    assert codec.item_collection({hash_kind: text}) + codec.range_bytes({range_kind: sort}) == row


def test_the_key_of_an_item_is_in_the_order_of_the_schema() -> None:
    item = {"a": {"N": "1"}, "sk": {"S": "2"}, "pk": {"S": "1"}}
    assert list(with_range.key_of(item).items()) == [("pk", {"S": "1"}), ("sk", {"S": "2"})]


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"pk": {"S": "x"}},
        {"pk": {"S": "x"}, "other": {"S": "y"}},
        {"pk": {"S": "x"}, "sk": {"S": "y"}, "other": {"S": "z"}},
        {"pk": {"N": "1"}, "sk": {"S": "y"}},
        {"pk": {"S": "x"}, "sk": {"B": "eQ=="}},
        {"pk": {"NULL": True}, "sk": {"S": "y"}},
    ],
)
def test_a_key_that_is_not_the_tables_key_is_refused(key: Any) -> None:
    with pytest.raises(ValidationError) as refusal:
        with_range.row_key(key)
    assert refusal.value.message == KEY_MISMATCH


@pytest.mark.parametrize("key", [{}, {"pk": {"N": "1"}}, {"a": {"S": "x"}}, {"pk": {"S": "x"}, "a": {"S": "x"}}])
def test_so_is_one_in_a_table_without_a_sort_key(key: Any) -> None:
    with pytest.raises(ValidationError) as refusal:
        hash_only.row_key(key)
    assert refusal.value.message == KEY_MISMATCH


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"sk": {"S": "y"}}, f"{INVALID}Missing the key pk in the item"),
        ({"pk": {"S": "x"}}, f"{INVALID}Missing the key sk in the item"),
        (
            {"pk": {"N": "1"}, "sk": {"S": "y"}},
            f"{INVALID}Type mismatch for key pk expected: S actual: N",
        ),
        (
            {"pk": {"S": "x"}, "sk": {"SS": ["y"]}},
            f"{INVALID}Type mismatch for key sk expected: S actual: SS",
        ),
    ],
)
def test_an_item_without_the_tables_key_is_refused(item: Any, text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        with_range.row_key_of_item(item)
    assert refusal.value.message == text


@pytest.mark.parametrize(("kind", "noun"), [("S", "string"), ("B", "binary")])
@pytest.mark.parametrize("name", ["pk", "sk"])
def test_an_empty_key_value_is_refused(kind: Any, noun: str, name: str) -> None:
    codec = KeyCodec(KeySchema(hash_name="pk", hash_kind=kind, range_name="sk", range_kind=kind))
    item = {"pk": {kind: "eQ=="}, "sk": {kind: "eQ=="}, name: {kind: ""}}
    for row_key in (codec.row_key, codec.row_key_of_item):
        with pytest.raises(ValidationError) as refusal:
            row_key(item)
        assert refusal.value.message == (
            "One or more parameter values are not valid. "
            f"The AttributeValue for a key attribute cannot contain an empty {noun} value. Key: {name}"
        )


@pytest.mark.parametrize(
    ("kind", "longest", "longer"),
    [
        ("S", "x" * 2048, "x" * 2049),
        ("S", "\N{EURO SIGN}" * 682 + "xx", "\N{EURO SIGN}" * 683),
        ("S", "\N{GRINNING FACE}" * 512, "\N{GRINNING FACE}" * 512 + "x"),
        ("B", b64(2048), b64(2049)),
    ],
)
def test_a_partition_key_has_at_most_2048_bytes(kind: Any, longest: str, longer: str) -> None:
    codec = KeyCodec(KeySchema(hash_name="pk", hash_kind=kind))
    for row_key in (codec.row_key, codec.row_key_of_item):
        assert row_key({"pk": {kind: longest}}) == b"\x00" + partition_hash(kind, longest)
        with pytest.raises(ValidationError) as refusal:
            row_key({"pk": {kind: longer}})
        assert refusal.value.message == HASH_TOO_LONG


@pytest.mark.parametrize(
    ("kind", "longest", "longer"),
    [
        ("S", "x" * 1024, "x" * 1025),
        ("S", "\N{GRINNING FACE}" * 256, "\N{GRINNING FACE}" * 257),
        ("B", b64(1024), b64(1025)),
    ],
)
def test_a_sort_key_has_at_most_1024_bytes(kind: Any, longest: str, longer: str) -> None:
    codec = KeyCodec(KeySchema(hash_name="pk", hash_kind="S", range_name="sk", range_kind=kind))
    for row_key in (codec.row_key, codec.row_key_of_item):
        assert row_key({"pk": {"S": "x"}, "sk": {kind: longest}})[17:] == sort_bytes(kind, longest)
        with pytest.raises(ValidationError) as refusal:
            row_key({"pk": {"S": "x"}, "sk": {kind: longer}})
        assert refusal.value.message == RANGE_TOO_LONG


def test_the_texts_are_the_services_own() -> None:
    assert f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes" == HASH_TOO_LONG
    assert (
        f"{INVALID}Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
    ) == RANGE_TOO_LONG
