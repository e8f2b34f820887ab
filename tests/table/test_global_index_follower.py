"""What a write says shall become of its table's global indexes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.indexes.indexed_node import BY_G, BY_G_KEYS, index, table
from tests.table.tables import provisioned_table
from varley.errors import ProvisionedThroughputExceeded, Throttling, ValidationError
from varley.item import stored
from varley.item.size import item_size
from varley.table.consequences import Following, ItemWrite
from varley.table.global_index_follower import Backlog, Backlogs, GlobalIndexFollower
from varley.table.index_rows import Image
from varley.table.keys import KeyCodec
from varley.table.outgoing import THE_ITEM, outgoing_prefix, progress_key
from varley.table.schema import Table

KEYS = KeyCodec(table().key_schema)


def image(**attributes: str) -> Image:
    item: dict[str, Any] = {"pk": {"S": "p"}, **{name: {"S": text} for name, text in attributes.items()}}
    return Image(item, item_size(item), stored.pack(msgspec.json.encode(item), item_size(item), 1))


def followed(
    follower: GlobalIndexFollower, old: Image | None, new: Image | None, *, is_decided: bool = False
) -> Following:
    key = KEYS.row_key({"pk": {"S": "p"}})
    following = Following()
    follower.follow(ItemWrite(key, old, new, 7, "", False, is_decided), following)
    return following


def follower_of(made: Table, backlogs: dict[str, Backlog] | None = None) -> GlobalIndexFollower:
    return GlobalIndexFollower(made, KEYS, backlogs)


def test_rows_go_to_the_indexes_that_the_write_changes() -> None:
    follower = follower_of(table(BY_G, BY_G_KEYS))
    made = followed(follower, None, image(g="one", n="1"))
    (all_key, all_value), (keys_key, kept) = made.rows
    assert all_key.startswith(outgoing_prefix(BY_G.id))
    assert all_value == THE_ITEM
    assert keys_key.startswith(outgoing_prefix(BY_G_KEYS.id))
    assert kept is not None
    assert msgspec.json.decode(kept[stored.HEADER_BYTES :]) == {"pk": {"S": "p"}, "g": {"S": "one"}}
    assert made.index_units == {"by-g": 1.0, "by-g-keys": 1.0}
    changed = followed(follower, image(g="one", n="1"), image(g="one", n="2"))
    assert [key for key, _ in changed.rows] == [made.rows[0][0]]
    assert changed.index_units == {"by-g": 1.0}


def test_a_change_of_key_takes_the_old_row_away() -> None:
    follower = follower_of(table(BY_G))
    before = followed(follower, None, image(g="one")).rows[0][0]
    moved = followed(follower, image(g="one"), image(g="two"))
    assert moved.rows[0] == (before, None)
    assert moved.rows[1][1] == THE_ITEM and moved.rows[1][0] != before
    assert moved.index_units == {"by-g": 2.0}
    assert followed(follower, image(g="one"), image()).rows == [(before, None)]
    assert followed(follower, image(g="one"), None).rows == [(before, None)]


@pytest.mark.parametrize(
    ("old", "new"), [(image(), image(n="1")), (None, image(n="1")), (image(n="1"), None), (image(g="g"), image(g="g"))]
)
def test_what_the_index_does_not_see_costs_it_nothing(old: Image | None, new: Image | None) -> None:
    made = followed(follower_of(table(BY_G, BY_G_KEYS)), old, new)
    assert (made.rows, made.index_units) == ([], {})


def test_a_backlog_beyond_its_bound_refuses_what_would_add_to_it() -> None:
    backlog = Backlog(Backlogs(200))
    follower = follower_of(table(BY_G_KEYS), {BY_G_KEYS.id: backlog})
    backlog.add(1, 99)
    assert followed(follower, None, image(g="one")).rows
    backlog.add(1, 1)
    with pytest.raises(Throttling, match=r"^Throughput exceeds the current capacity for one or more global secondary"):
        followed(follower, None, image(g="one"))
    assert followed(follower, image(g="one", n="1"), image(g="one", n="2")).rows == []
    assert followed(follower, None, image(g="one"), is_decided=True).rows
    made = table(BY_G_KEYS)
    provisioned = provisioned_table(
        name=made.name, attribute_definitions=made.attribute_definitions, global_indexes=made.global_indexes
    )
    with pytest.raises(
        ProvisionedThroughputExceeded,
        match=r"^The level of configured provisioned throughput for one or more global secondary indexes of the table",
    ):
        followed(follower_of(provisioned, {BY_G_KEYS.id: backlog}), None, image(g="one"))


def test_indexes_share_one_bound_and_leave_room_for_each_other() -> None:
    together = Backlogs(1200)
    backlogs = [Backlog(together) for _ in range(5)]
    for count, one in enumerate(backlogs, 1):
        assert not one.is_full, "the others are stalled, and it is not"
        while any(not each.is_full for each in backlogs[:count]):
            next(each for each in backlogs[:count] if not each.is_full).add(1, 10)
        assert together.bytes <= 1200
    assert min(each.bytes for each in backlogs) > 0
    for one in backlogs:
        one.add(-one.changes, -one.bytes)
    assert together.bytes == 0


def test_the_first_index_by_name_says_what_is_wrong() -> None:
    follower = follower_of(table(index("zebra", 5), index("ant", 6)))
    wrong: dict[str, Any] = {"pk": {"S": "p"}, "g": {"N": "1"}}
    with pytest.raises(ValidationError, match="IndexName: ant"):
        follower.check_item(wrong)
    with pytest.raises(ValidationError, match="unsupported type"):
        follower.check_updated(wrong)


def test_progress_belongs_to_an_index_that_there_is() -> None:
    filling = index("by-g", 1, status="CREATING", is_backfilling=True)
    rows = {progress_key(filling.id): b""}

    def problems(*indexes: Any) -> list[bytes]:
        found = follower_of(table(*indexes)).problems(rows.get, lambda low, high: iter(rows.items()))
        return [key for key, _ in found]

    assert problems(filling) == []
    assert problems(BY_G) == []    # filled, and then the server was killed
    assert problems(index("by-g", 9)) == [progress_key(BY_G.id)]
