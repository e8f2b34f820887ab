"""What the admin port answers about splits of partitions.

    GET  /splits     those that are under way, and what this node is doing for each:
                     {"splits": [{"table": "Music", "parent": 7, "child": 12, "at": "80…", "doing": "copying"}]}
    POST /split      {"table": "Music"}: have the largest partition split in the middle of its bytes; with "index" one
                     of that global index, with "group" that partition, with "at" (the hash of a partition key, 32
                     hexadecimal digits) at that place. Answers, when it is ordered,
                     {"refused": null, "parent": 7, "child": 12}

In a cluster any node can be asked: an order is written into the metadata, and whoever leads the partition finds it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from varley.admin.pages import Page, PageMaker, Request, json_page, problem_page
from varley.errors import ApiError, WorldError
from varley.splits.splits import Splits

# From the groups of a table to when it is known how large they are.
KnowSums = Callable[[Sequence[int]], Awaitable[None]]


class _Wish(msgspec.Struct, forbid_unknown_fields=True):
    table: str
    index: str | None = None
    group: int | None = None
    at: str | None = None


class SplitPages:
    """Used from the event loop only."""

    def __init__(self, splits: Splits, know_sums: KnowSums | None = None) -> None:
        """`know_sums`: to be awaited before the largest partition is looked for; None: all are here."""
        self._splits = splits
        self._know_sums = know_sums

    def pages(self) -> Mapping[str, Mapping[str, PageMaker]]:
        return {"/splits": {"GET": self._under_way}, "/split": {"POST": self._split}}

    def _under_way(self, request: Request) -> Page:
        told = [
            {"table": split.table, "parent": split.parent, "child": split.child, "at": split.at, "doing": doing}
            for split, doing in self._splits.under_way()
        ]
        return json_page(200, {"splits": told})

    async def _split(self, request: Request) -> Page:
        if "origin" in request.headers:
            return problem_page(403, "A web page may not do that")
        try:
            wish = msgspec.json.decode(request.body, type=_Wish)
            at = None if wish.at is None else bytes.fromhex(wish.at)
        except (msgspec.DecodeError, ValueError) as error:
            return problem_page(400, f'{error}. Send {{"table": "Music"}}')
        try:
            if self._know_sums is not None:
                await self._know_sums(self._splits.groups_of(wish.table))
            split = await self._splits.order(wish.table, wish.index, wish.group, at)
        except ApiError as refusal:
            return json_page(409, {"refused": refusal.message})
        except WorldError as error:
            return problem_page(503, str(error))
        return json_page(200, {"refused": None, "parent": split.parent, "child": split.child})

