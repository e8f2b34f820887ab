"""A client finds the same nodes for a key as the nodes do."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.ring.membership import History, Member
from varley.ring.placement import Placement
from varley.ring.siblings import Mode
from varley.ring.token_placement import TokenPlacement
from varley.ring_api.handler import placement_members
from varley.ring_client.placement import KnownPlacement
from varley.ring_node.keys import ring_key
from varley.ring_node.service import PlacementView
from varley.ring_node.settings import BucketSettings, RingSettings

SETTINGS = RingSettings(buckets={"sessions": BucketSettings(n=2, r=1, w=1, mode=Mode.LAST_WRITE_WINS)})
HISTORY = History()
for number, name in enumerate("abcdef"):
    HISTORY = HISTORY.join(name, Member(f"{name}:1", f"zone {number % 3}", 1.0 + number % 2), 1000 + number)
HISTORY = HISTORY.leave("c", 5000)


def told(placement: Placement | TokenPlacement) -> bytes:
    """As a node answers GET /ring/v1/placement."""
    view = PlacementView(
        version=placement.history.digest.hex(),
        strategy=1 if isinstance(placement, TokenPlacement) else 3,
        owners=placement.owners,
        positions=placement.ids if isinstance(placement, TokenPlacement) else None,
        zones={name: member.zone for name, member in placement.members.items()},
        endpoints={name: f"http://{name}" for name in placement.members},
        settings=SETTINGS.text,
    )
    return msgspec.json.encode(placement_members(view))


@pytest.mark.parametrize("placement", [Placement(HISTORY, 64), TokenPlacement(HISTORY, 8)], ids=["equal", "tokens"])
def test_the_preference_list_is_the_nodes_own(placement: Placement | TokenPlacement) -> None:
    known = KnownPlacement(told(placement))

    @given(bucket=st.sampled_from(["carts", "Käse"]), key=st.binary(min_size=1, max_size=40))
    def same(bucket: str, key: bytes) -> None:
        expected = placement.preference(placement.partition_of(ring_key(bucket, key)))
        assert known.preference(bucket, key) == expected

    same()


def test_quorums_are_the_buckets_own() -> None:
    known = KnownPlacement(told(Placement(HISTORY, 64)))
    assert known.quorum("sessions") == (2, 1, Mode.LAST_WRITE_WINS)
    assert known.quorum("carts") == (3, 2, Mode.SIBLINGS)


def test_a_ring_without_members_has_no_nodes_for_a_key() -> None:
    assert KnownPlacement(told(Placement(History(), 64))).preference("carts", b"7") == ()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"version": 7}'])
def test_what_is_no_placement_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not the placement of a ring"):
        KnownPlacement(body)
