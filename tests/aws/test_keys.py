# Why: keys are limited to 2,048 and 1,024 bytes, and a store that is built on something with shorter keys must show
# that long ones keep their identity and their order all the same.

from collections.abc import Callable
from typing import Any

import pytest

from .refusals import PARTITION_KEY_TOO_LONG, SORT_KEY_TOO_LONG, invalid
from .table import Item, Table, sort_keys, unique

SORT_KEY_BYTES_MAX = 1024


def padded(text: str, size: int) -> str:
    """`text` filled up to `size` bytes of UTF-8."""
    return text + "x" * (size - len(text.encode()))


def test_a_partition_key_may_have_2048_bytes(table: Table) -> None:
    key = {"pk": {"S": padded(unique(), 2048)}}
    table.put({**key, "v": {"S": "x"}})
    assert table.item(key) == {**key, "v": {"S": "x"}}
    neighbour = {"pk": {"S": key["pk"]["S"][:-1] + "y"}}
    assert table.item(neighbour) is None


def test_a_sort_key_may_have_1024_bytes(sorted_table: Table) -> None:
    key = {"pk": {"S": unique()}, "sk": {"S": "s" * 1024}}
    sorted_table.put({**key, "v": {"S": "x"}})
    assert sorted_table.item(key) == {**key, "v": {"S": "x"}}


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
def test_bytes_are_counted_and_not_characters(table: Table, sorted_table: Table, letter: str) -> None:
    width = len(letter.encode())
    pk = {"S": letter * (2048 // width)}
    table.put({"pk": pk})
    assert table.item({"pk": pk}) == {"pk": pk}
    with invalid(PARTITION_KEY_TOO_LONG):
        table.put({"pk": {"S": letter * (2048 // width + 1)}})
    with invalid(SORT_KEY_TOO_LONG):
        sorted_table.put({"pk": {"S": unique()}, "sk": {"S": letter * (1024 // width + 1)}})


def requests(table: Table, key: Item) -> dict[str, Callable[[], Any]]:
    return {
        "get": lambda: table.get(key),
        "put": lambda: table.put(key),
        "update": lambda: table.update(key),
        "delete": lambda: table.delete(key),
        "batch get": lambda: table.client.batch_get_item(RequestItems={table.name: {"Keys": [key]}}),
        "batch put": lambda: table.client.batch_write_item(RequestItems={table.name: [{"PutRequest": {"Item": key}}]}),
        "batch delete": lambda: table.client.batch_write_item(
            RequestItems={table.name: [{"DeleteRequest": {"Key": key}}]}
        ),
    }


@pytest.mark.parametrize("operation", ["get", "put", "update", "delete", "batch get", "batch put", "batch delete"])
def test_no_operation_takes_a_longer_key(sorted_table: Table, operation: str) -> None:
    with invalid(PARTITION_KEY_TOO_LONG):
        requests(sorted_table, {"pk": {"S": "p" * 2049}, "sk": {"S": "s"}})[operation]()
    with invalid(SORT_KEY_TOO_LONG):
        requests(sorted_table, {"pk": {"S": unique()}, "sk": {"S": "s" * 1025}})[operation]()


def test_binary_keys_are_counted_before_base64(binary_sorted_table: Table) -> None:
    pk = {"S": unique()}
    binary_sorted_table.put({"pk": pk, "sk": {"B": b"\xff" * 1024}})
    assert binary_sorted_table.item({"pk": pk, "sk": {"B": b"\xff" * 1024}}) is not None
    with invalid(SORT_KEY_TOO_LONG):
        binary_sorted_table.put({"pk": pk, "sk": {"B": b"\xff" * 1025}})


def test_long_sort_keys_keep_their_order_and_identity(sorted_table: Table) -> None:
    # Prefixes of every length around 511 bytes (where LMDB's keys end), and the same with differing last bytes.
    pk = {"S": unique()}
    texts = {"a" * size for size in (1, 400, 470, 480, 490, 494, 495, 496, 500, 510, 511, 512, 513, 600, 1023, 1024)}
    for size in (300, 493, 494, 495, 511, 512, 1023):
        texts |= {"a" * size + last for last in "bcé" if size + len(last.encode()) <= SORT_KEY_BYTES_MAX}
    sorted_table.fill([{"pk": pk, "sk": {"S": text}, "n": {"N": str(len(text))}} for text in sorted(texts, key=hash)])
    ordered = sorted(texts, key=str.encode)

    def found(condition: str, **more: Any) -> list[str]:
        values = {":pk": pk, **more.pop("values", {})}
        pages = sorted_table.pages(
            "query",
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ConsistentRead=True,
            Limit=7,
            **more,
        )
        return [key for page in pages for key in sort_keys(page)]

    assert found("pk = :pk") == ordered
    assert found("pk = :pk", ScanIndexForward=False) == ordered[::-1]
    for edge in ("a" * 494, "a" * 511, "a" * 512 + "b", "a" * 1024):
        assert found("pk = :pk AND sk > :e", values={":e": {"S": edge}}) == [
            text for text in ordered if text.encode() > edge.encode()
        ]
        assert found("pk = :pk AND sk <= :e", values={":e": {"S": edge}}) == [
            text for text in ordered if text.encode() <= edge.encode()
        ]
        assert found("pk = :pk AND begins_with(sk, :e)", values={":e": {"S": edge}}) == [
            text for text in ordered if text.startswith(edge)
        ]


def test_a_partition_key_and_a_sort_key_do_not_run_into_each_other(sorted_table: Table) -> None:
    base = unique()
    one = {"pk": {"S": base + "ab"}, "sk": {"S": "c"}}
    other = {"pk": {"S": base + "a"}, "sk": {"S": "bc"}}
    sorted_table.put({**one, "v": {"S": "one"}})
    sorted_table.put({**other, "v": {"S": "other"}})
    assert (sorted_table.item(one) or {})["v"] == {"S": "one"}
    assert (sorted_table.item(other) or {})["v"] == {"S": "other"}


def test_a_key_may_hold_zero_bytes_anywhere(sorted_table: Table) -> None:
    pk = {"S": unique() + "\x00"}
    texts = ["\x00", "\x00\x00", "\x00a", "a", "a\x00", "a\x00b", "a\x01", "ab"]
    sorted_table.fill([{"pk": pk, "sk": {"S": text}} for text in reversed(texts)])
    answer = sorted_table.query("pk = :pk", ExpressionAttributeValues={":pk": pk}, ConsistentRead=True)
    assert sort_keys(answer) == texts
    assert (
        sorted_table.query("pk = :pk", ExpressionAttributeValues={":pk": {"S": pk["S"][:-1]}}, ConsistentRead=True)[
            "Items"
        ]
        == []
    )
