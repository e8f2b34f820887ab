"""What Query and Scan have in common once they know their range of rows: read a page of it, and answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from varley.api import capacity
from varley.api.expressions import Shape
from varley.errors import ValidationError
from varley.http.call import Call
from varley.item.key_bytes import ITEM_SPACE, PARTITION_HASH_BYTES
from varley.item.value import Item, check_item
from varley.node.page import Page, read_page
from varley.node.settled import when_settled
from varley.router.routes import Route

_encode = msgspec.json.encode
_decode_item = msgspec.json.decode

ITEMS_END = b"\x01"    # the first key after the item space
COLLECTION_BYTES = len(ITEM_SPACE) + PARTITION_HASH_BYTES    # what all row keys of one partition key begin with


@dataclass(frozen=True, slots=True)
class RangeRead:
    """One page to read: rows of `route` in [low, high), row keys with their space byte."""

    route: Route
    low: bytes
    high: bytes
    reverse: bool
    limit: int | None
    consistent: bool
    passes: Callable[[Item], bool] | None
    shape: Shape | None
    count_only: bool
    capacity_mode: str | None

    def run(self, call: Call) -> bytes | None:
        """The answer, or None if a strong read has to wait for undecided writes; `call` gets it then."""
        if self.consistent:
            undecided = [
                proposal
                for partition in self.route.partitions_over(self.low, self.high)
                if (proposal := partition.undecided_range()) is not None
            ]
            if undecided:
                when_settled(undecided, lambda error: self._reply(call, error))
                return None
        return self._answer()

    def _reply(self, call: Call, error: BaseException | None) -> None:
        if error is not None:
            call.fail(error)
            return
        try:
            answer = self._answer()
        except Exception as failure:    # it has no caller: the client is its caller
            call.fail(failure)
        else:
            call.reply(answer)

    def _answer(self) -> bytes:
        page = read_page(
            [
                (partition.tree, self.low, self.high)
                for partition in self.route.partitions_over(self.low, self.high, reverse=self.reverse)
            ],
            reverse=self.reverse,
            limit=self.limit,
            passes=self.passes,
            shape=self.shape,
        )
        return self._body(page)

    def _body(self, page: Page) -> bytes:
        parts = [b'{"Count":%d' % len(page.rows)]
        if not self.count_only:
            parts += (b',"Items":[', b",".join(page.rows), b"]")
        parts.append(b',"ScannedCount":%d' % page.scanned)
        if page.last is not None:
            last_key = self.route.keys.key_of(_decode_item(page.last))
            parts += (b',"LastEvaluatedKey":', _encode(last_key))
        if self.capacity_mode is not None:
            units = capacity.read_units(page.size, self.consistent)
            parts.append(capacity.member(self.route.name, units, self.capacity_mode))
        parts.append(b"}")
        return b"".join(parts)


def after(row_key: bytes) -> bytes:
    """The least key greater than `row_key`."""
    return row_key + b"\x00"


def check_start_key(start_key: Item) -> None:
    """What can be said of an ExclusiveStartKey before the table is known. Raises ValidationError."""
    try:
        check_item(start_key)
    except ValidationError as error:
        raise ValidationError(f"The provided starting key is invalid: {error.message}") from None


def start_row(route: Route, start_key: Item) -> bytes:
    """The row key of an ExclusiveStartKey. Raises ValidationError if it cannot be a key of the table."""
    try:
        return route.keys.row_key(start_key)
    except ValidationError as error:
        raise ValidationError(f"The provided starting key is invalid: {error.message}") from None


def check_select(
    select: str | None,
    *,
    projection_expression: str | None,
    attributes_to_get: list[str] | None,
    index_name: str | None,
) -> bool:
    """Whether only the count is wanted. Raises ValidationError where Select and the projection disagree."""
    asked = (
        "ProjectionExpression" if projection_expression is not None
        else "AttributesToGet" if attributes_to_get is not None
        else None
    )  # fmt: skip
    if select in ("ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "COUNT") and asked is not None:
        choice = {"COUNT": "only the Count"}.get(select, select)
        raise ValidationError(f"Cannot specify the {asked} when choosing to get {choice}")
    if select == "SPECIFIC_ATTRIBUTES" and asked is None:
        raise ValidationError(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        )
    if select == "ALL_PROJECTED_ATTRIBUTES" and index_name is None:
        raise ValidationError("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    return select == "COUNT"
