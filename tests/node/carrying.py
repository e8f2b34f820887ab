"""Whoever takes what the entries of a group carry elsewhere, and says by hand what has arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from varley.storage.log_format import Row

Rows = Callable[[int], Iterator[tuple[int, Sequence[Row]]]]


class Carrying:
    def __init__(self, arrived: int | None) -> None:
        """`arrived`: up to this slot; None: everything."""
        self.arrived = arrived
        self.oldest: int | None = None
        self.begun: list[tuple[int, list[tuple[int, Sequence[Row]]]]] = []    # (from where, what the log had then)

    def chosen(self, slot: int, rows: Sequence[Row]) -> None:
        pass

    def begins(self, kept: int, applied_rows: Rows) -> None:
        self.begun.append((kept, list(applied_rows(kept))))

    def ends(self) -> None:
        pass

    def kept_after(self, applied: int) -> int:
        return applied if self.arrived is None else self.arrived
