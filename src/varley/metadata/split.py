"""That a partition shall be split, as the metadata store has it until nothing is left to do of it.

    splits/<id of the table or index>   {"format_version": 1, "table": "Music", "owner": "…", "parent": 7, "child": 12,
                                         "at": "8000…"}

How it is carried out is told in splits/splitting.py.
"""

from __future__ import annotations

from typing import Final

from varley.table.stored_format import Stored, stored_decoder

SPLITS: Final = "splits/"
FORMAT_VERSION: Final = 1


class Split(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """That a partition shall be split, until nothing is left to do of it. See splits/."""

    format_version: int
    table: str              # by name
    owner: str              # the id of the table, or of the global index, that the partition belongs to
    parent: int             # the partition's group, which keeps what is below `at`
    child: int              # a new group: it gets the rest
    at: str | None = None   # a location, in hexadecimal; None: in the middle, which the parent's leader finds

    @property
    def location(self) -> bytes | None:
        return None if self.at is None else bytes.fromhex(self.at)


decode_split = stored_decoder(Split, FORMAT_VERSION)
