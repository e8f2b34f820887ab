"""Where a page ends: at the limit, at the megabyte, at the end of the range; both ways, over several partitions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from varley.item import stored
from varley.limits import PAGE_BYTES_MAX
from varley.node.page import Page, Range
from varley.storage.log_format import ABSENT, PUT
from varley.storage.memory_engine import MemoryEngine
from varley.storage.tree import Tree

LOW, HIGH = b"\x00", b"\x01"
SLICES = (1, 3, 1000)    # rows looked at in one go: nobody must be able to tell


def tree_of(numbers: range, size: int = 10) -> Tree:
    """One row per number, in their order; each counts `size` bytes."""
    tree = Tree(MemoryEngine())
    for slot, number in enumerate(numbers, 1):
        text = json.dumps({"n": {"N": str(number)}}).encode()
        tree.apply(slot, [(PUT, LOW + b"%06d" % number, stored.pack(text, size, 1), ABSENT)])
    return tree


def whole(tree: Tree) -> Range:
    return tree, LOW, HIGH


def page_of(
    ranges: list[Range],
    slice_rows: int,
    *,
    reverse: bool = False,
    limit: int | None = None,
    passes: Callable[[Any], bool] | None = None,
    shape: Callable[[Any], bytes] | None = None,
) -> Page:
    page = Page(ranges, reverse=reverse, limit=limit, passes=passes, shape=shape)
    while not page.read(slice_rows):
        pass
    return page


def numbers_of(page: Page) -> list[int]:
    return [int(json.loads(row)["n"]["N"]) for row in page.rows]


def last_of(page: Page) -> int | None:
    return None if page.last is None else int(json.loads(page.last)["n"]["N"])


@pytest.mark.parametrize("slice_rows", SLICES)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_range_that_ends_first_has_no_last_row(slice_rows: int, reverse: bool) -> None:
    page = page_of([whole(tree_of(range(5)))], slice_rows, reverse=reverse)
    assert numbers_of(page) == sorted(range(5), reverse=reverse)
    assert (page.scanned, page.size, page.last) == (5, 50, None)


@pytest.mark.parametrize("slice_rows", SLICES)
def test_the_limit_counts_rows_that_were_looked_at_not_those_that_pass(slice_rows: int) -> None:
    page = page_of([whole(tree_of(range(20)))], slice_rows, limit=7, passes=lambda item: int(item["n"]["N"]) % 3 == 0)
    assert numbers_of(page) == [0, 3, 6]
    assert (page.scanned, page.size, last_of(page)) == (7, 70, 6)


@pytest.mark.parametrize("slice_rows", SLICES)
def test_a_limit_that_is_met_by_the_last_row_still_names_it(slice_rows: int) -> None:
    """DynamoDB does not look whether anything follows: the next page is empty."""
    page = page_of([whole(tree_of(range(5)))], slice_rows, limit=5)
    assert last_of(page) == 4


@pytest.mark.parametrize("slice_rows", SLICES)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_row_that_crosses_the_megabyte_belongs_to_the_page(slice_rows: int, reverse: bool) -> None:
    size = 300_000
    page = page_of([whole(tree_of(range(10), size))], slice_rows, reverse=reverse)
    rows = -(-PAGE_BYTES_MAX // size)
    assert numbers_of(page) == sorted(range(10), reverse=reverse)[:rows]
    assert (page.scanned, page.size) == (rows, rows * size)
    assert last_of(page) == numbers_of(page)[-1]


@pytest.mark.parametrize("slice_rows", SLICES)
def test_rows_that_fail_the_filter_count_for_the_megabyte(slice_rows: int) -> None:
    page = page_of([whole(tree_of(range(10), 300_000))], slice_rows, passes=lambda item: False)
    assert (page.rows, page.scanned, last_of(page)) == ([], 4, 3)


@pytest.mark.parametrize("slice_rows", SLICES)
@pytest.mark.parametrize("reverse", [False, True])
def test_partitions_follow_each_other_in_reading_order(slice_rows: int, reverse: bool) -> None:
    trees = [tree_of(range(4)), tree_of(range(4, 4)), tree_of(range(4, 9))]
    ranges = [whole(tree) for tree in (reversed(trees) if reverse else trees)]
    page = page_of(ranges, slice_rows, reverse=reverse)
    assert numbers_of(page) == sorted(range(9), reverse=reverse)
    assert page.last is None
    page = page_of(ranges, slice_rows, reverse=reverse, limit=6)
    assert numbers_of(page) == sorted(range(9), reverse=reverse)[:6]
    assert last_of(page) == numbers_of(page)[-1]


def test_pages_one_after_another_give_every_row_once() -> None:
    tree = tree_of(range(23))
    found: list[int] = []
    low = LOW
    while True:
        page = page_of([(tree, low, HIGH)], 3, limit=5)
        found += numbers_of(page)
        if page.last is None:
            break
        low = LOW + b"%06d" % found[-1] + b"\0"
    assert found == list(range(23))


def test_what_is_written_between_two_slices_is_in_the_page_or_not_and_nothing_else_changes() -> None:
    tree = tree_of(range(0, 20, 2))
    page = Page([whole(tree)], reverse=False, limit=None, passes=None, shape=None)
    assert not page.read(4)
    slot = tree.applied_slot
    for number in (1, 13):    # one behind us, one before us
        slot += 1
        text = json.dumps({"n": {"N": str(number)}}).encode()
        tree.apply(slot, [(PUT, LOW + b"%06d" % number, stored.pack(text, 10, 1), ABSENT)])
    while not page.read(4):
        pass
    assert numbers_of(page) == [0, 2, 4, 6, 8, 10, 12, 13, 14, 16, 18]


def test_a_projection_shapes_what_passes() -> None:
    page = page_of([whole(tree_of(range(5)))], 2, passes=lambda item: item["n"]["N"] != "3", shape=lambda item: b"x")
    assert page.rows == [b"x"] * 4
