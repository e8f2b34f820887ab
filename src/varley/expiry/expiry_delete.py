"""The deletion of an item whose time has come: no client's write, and nobody pays for it."""

from __future__ import annotations

from typing import Final

import msgspec

from varley.counters import TableCounters
from varley.errors import ConditionalCheckFailed
from varley.item.stored import HEADER_BYTES
from varley.node.partition import Outcome, Partition
from varley.router.routes import Route
from varley.table.expiry import expiry_of, item_key_of, seconds_of

_NOBODYS_UNITS: Final = TableCounters()
_decode = msgspec.json.decode


class ExpiryDelete:
    """The write: no item, if it still expires when the row that led to it says."""

    __slots__ = ("_attribute", "_partition", "_route", "_seconds", "counts", "is_row_wrong", "key")

    def __init__(self, row: bytes, attribute: str, route: Route, partition: Partition) -> None:
        """`row` is the key of the row that says when the item is to go; its time has passed."""
        self.key = item_key_of(row)
        self.counts = _NOBODYS_UNITS
        self.is_row_wrong = False    # the item does not say what the row says
        self._seconds = seconds_of(row)
        self._attribute = attribute
        self._route = route
        self._partition = partition

    def evaluate(self, old: bytes | None, timestamp_us: int) -> Outcome:
        """Raises ConditionalCheckFailed if the item is gone, was rescued, or never was to expire at this time."""
        if old is None or expiry_of(_decode(old[HEADER_BYTES:]), self._attribute) != self._seconds:
            self.is_row_wrong = True
            raise ConditionalCheckFailed(None)
        consequences = self._route.consequences
        assert consequences is not None, "a table whose items expire has consequences"
        following = consequences.of(
            self.key, old, None, self._partition.newest, timestamp_us, too_large="", is_expiry=True
        )
        return None, b"expired", following.rows
