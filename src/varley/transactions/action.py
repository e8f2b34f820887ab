"""What a transaction wants with one item: one of the writes that there are anyway, or a check.

A write is evaluated by what evaluates it outside of transactions (api/put_item.py and its neighbours); only what
follows from it is asked for apart, since it is worked out again when the transaction is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from varley.item.stored import item_size
from varley.item.units import write_units_of
from varley.node.participant import DerivedRow, Evaluation, Follow, Newest
from varley.node.partition import Outcome
from varley.router.routes import Route

UNITS_FACTOR = 2    # [DG] one to prepare, one to commit; for the table, not for its indexes


class Evaluated(Protocol):
    """A write as a partition evaluates it; here only the first part of what it gives is used."""

    key: bytes

    def evaluate(self, old: bytes | None, timestamp_us: int) -> Outcome: ...


def written_bytes(evaluations: Iterable[Evaluation]) -> int:
    """What the items come to that these would leave: DynamoDB bytes."""
    return sum(
        item_size(new)
        for evaluation in evaluations
        for action, new in zip(evaluation.actions, evaluation.news, strict=True)
        if new is not None and not action.is_check
    )


class Action:
    """`is_check`: `write` gives back what it is given, or refuses."""

    __slots__ = (
        "collection_bytes", "index_units", "is_check", "key", "route", "table", "too_large", "units",
        "write",
    )  # fmt: skip

    def __init__(
        self, route: Route, write: Evaluated, *, is_check: bool = False, too_large: str = "", table: str | None = None
    ) -> None:
        """`too_large`: the text for who makes an item too large for an index. `table`: as the client named it."""
        self.route = route
        self.table = table or route.name
        self.write = write
        self.is_check = is_check
        self.key = write.key
        self.too_large = too_large
        # What it has come to, once it was evaluated.
        self.units = 0.0
        self.index_units: dict[str, float] = {}
        self.collection_bytes = 0

    def evaluate(self, old: bytes | None, timestamp_us: int) -> bytes | None:
        new = self.write.evaluate(old, timestamp_us)[0]
        self.units = UNITS_FACTOR * write_units_of(old, new)
        return new

    def follow(
        self, key: bytes, old: bytes | None, new: bytes | None, newest: Newest, timestamp_us: int
    ) -> Sequence[DerivedRow]:
        consequences = self.route.consequences
        if consequences is None:
            return ()
        following = consequences.of(key, old, new, newest, timestamp_us, too_large=self.too_large)
        self.index_units = following.index_units
        self.collection_bytes = following.collection_bytes
        return following.rows


def follow_of(route: Route) -> Follow:
    """What follows from a write to an item of this table that was decided: it cannot be refused any more."""

    def follow(
        key: bytes, old: bytes | None, new: bytes | None, newest: Newest, timestamp_us: int
    ) -> Sequence[DerivedRow]:
        consequences = route.consequences
        if consequences is None:
            return ()
        return consequences.of(key, old, new, newest, timestamp_us, too_large="", is_decided=True).rows

    return follow
