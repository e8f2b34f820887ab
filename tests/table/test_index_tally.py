"""The row that says how much local indexes hold in one partition: with the example of docs/formats.md."""

from __future__ import annotations

from varley.item import stored
from varley.table.index_tally import index_tally, sizes_of, tally_after

US = 1_700_000_000_000_000


def row(size: int) -> bytes:
    return stored.pack(b"{}", size, US)


def test_a_tally_is_as_the_formats_say() -> None:
    tally = index_tally({"by-x": (2, 154), "by-n": (0, 0)}, US)
    assert tally[stored.HEADER_BYTES :] == b'{"by-x":{"S":"2 154"},"by-n":{"S":"0 0"}}'
    assert stored.verify(tally) and stored.timestamp(tally) == US
    assert list(sizes_of(tally).items()) == [("by-x", (2, 154)), ("by-n", (0, 0))]


def test_rows_count_for_the_index_of_their_space_whatever_its_name() -> None:
    tally = index_tally({"z": (2, 154), "a": (0, 0), "m": (1, 5)}, US)
    changes = [
        (b"\x01one", row(100), row(90)),
        (b"\x01two", row(54), None),
        (b"\x02one", None, row(7)),
        (b"\x02two", None, row(8)),
        (b"\x03one", row(5), None),
    ]
    after = tally_after(tally, changes, US + 1)
    assert list(sizes_of(after).items()) == [("z", (1, 90)), ("a", (2, 15)), ("m", (0, 0))]
    assert stored.timestamp(after) == US + 1
