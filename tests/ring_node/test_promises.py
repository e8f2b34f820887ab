"""What a ring of nodes promises beyond put and get: joins, leaves, repair, comparison, tombstones, limits, modes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.ring_node.pretended import ForgetfulDisk, PretendedRing, Process, settings
from tests.ring_node.test_node import data
from varley.errors import BadSettings, WorldError
from varley.ring import gossip, hash_tree
from varley.ring.siblings import Mode
from varley.ring_node import peers, service, tombstones, wire
from varley.ring_node.engines.memory import MemoryEngine
from varley.ring_node.keys import ring_key
from varley.ring_node.service import Got, Put
from varley.ring_node.settings import BucketSettings, RingNodeSettings, RingSettings

KEYS = [b"%d" % index for index in range(40)]


def fill(ring: PretendedRing, keys: list[bytes] = KEYS) -> None:
    for key in keys:
        assert isinstance(ring.put("n0", key, b"v" + key), Put)


def holders(ring: PretendedRing, key: bytes) -> set[str]:
    name = ring_key("b", key)
    return {p.name for p in ring.processes.values() if p.is_up and len(p.node.store.row(name))}


def is_in_its_place(ring: PretendedRing, keys: list[bytes] = KEYS) -> bool:
    return all(holders(ring, key) == set(ring.homes(key)) for key in keys)


def total(ring: PretendedRing, name: str) -> int:
    return sum(process.node.counters().values[name] for process in ring.processes.values())


def newcomer(ring: PretendedRing, name: str, **own: Any) -> Process:
    process = ring.processes[name] = Process(
        name, ring.world, ring.network, ring.ring, **{"seeds": {"n0": ("n0", 1)}, **own}
    )
    process.start()
    return process


# ---- Membership


@pytest.mark.slow
def test_who_joins_is_offered_its_ranges_and_gets_each_row_once() -> None:
    ring = PretendedRing(3)
    fill(ring)
    newcomer(ring, "n3").node.join_now(None, None, lambda: None)
    ring.wait(lambda: all(len(p.node.status().members) == 4 for p in ring.processes.values()))
    ring.wait(lambda: is_in_its_place(ring))
    ring.wait(lambda: all(p.node.status().transfers == p.node.status().strays == 0 for p in ring.processes.values()))
    transferred, rows = total(ring, "rows_transferred"), ring["n3"].store.row_count
    assert rows > 0 and transferred <= 2 * rows, "each range comes from one donor (read repair may be faster)"
    assert total(ring, "strays_delivered") == rows, "what was given away is deleted where it was"


@pytest.mark.slow
def test_a_joiner_that_dies_keeps_nobody_from_other_background_work() -> None:
    ring = PretendedRing(3)
    fill(ring, [b"%d" % index for index in range(200)])
    joiner = newcomer(ring, "n3")
    joiner.node.join_now(None, None, lambda: None)
    ring.wait(lambda: total(ring, "transfers_begun") > 0)
    joiner.kill()
    ring.run(5)
    assert all(ring[name]._transfers.count > 0 and ring[name].admission.taken == 0 for name in ("n0", "n1", "n2"))
    joiner.start()
    ring.wait(lambda: is_in_its_place(ring, [b"%d" % index for index in range(200)]))


@pytest.mark.slow
def test_who_leaves_hands_everything_on() -> None:
    ring = PretendedRing(5)
    fill(ring)
    ring["n1"].members.leave("n4", lambda: None)
    ring.wait(lambda: is_in_its_place(ring) and ring["n4"].store.row_count == 0)
    assert next(m.state for m in ring["n0"].status().members if m.name == "n4") == "left"
    assert "n4" not in ring["n0"].placement().owners


@pytest.mark.slow
def test_one_that_is_dead_is_made_to_leave_and_the_others_make_up_for_it() -> None:
    ring = PretendedRing(5)
    fill(ring)
    ring.processes["n4"].kill()
    ring["n1"].members.leave("n4", lambda: None)
    ring.wait(lambda: is_in_its_place(ring))


def test_homes_stand_in_as_many_zones_as_there_are() -> None:
    ring = PretendedRing(1, zone="east")
    for name, zone in ("n1", "east"), ("n2", "west"), ("n3", "south"), ("n4", "east"):
        newcomer(ring, name, zone=zone).node.join_now(None, None, lambda: None)
        ring.run(0.2)
    ring.wait(lambda: len({p.node.placement().version for p in ring.processes.values()}) == 1)
    zones = ring["n0"].placement().zones
    assert all({zones[name] for name in ring.homes(key)} == {"east", "west", "south"} for key in KEYS)


def test_shares_follow_capacity_and_add_up() -> None:
    ring = PretendedRing(2)
    newcomer(ring, "n2", capacity=2.0).node.join_now(None, None, lambda: None)
    ring.wait(lambda: len(ring["n0"].status().members) == 3)
    shares = {member.name: member.share for member in ring["n0"].status().members}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == {"n0": 0.25, "n1": 0.25, "n2": 0.5}


def test_a_node_that_comes_back_elsewhere_says_so() -> None:
    ring = PretendedRing(3)
    ring.processes["n2"].kill()
    ring.processes["n2"].start()
    assert ring["n2"].status().is_member
    members = ring["n2"].members
    member = members.placement.members["n2"]
    members.join("n2", member._replace(address="moved:7"), lambda: None)
    ring.wait(lambda: ring["n0"].members.placement.members["n2"].address == "moved:7")
    ring.processes["n2"].kill()
    ring.processes["n2"].start()
    ring.wait(lambda: ring["n0"].members.placement.members["n2"].address == "n2:1")


def test_a_change_of_members_is_told_to_nobody_before_it_is_on_disk() -> None:
    """Told and then forgotten in a crash, it would be denied by the node that the administrator gave the command to."""
    ring = PretendedRing(2)
    node = ring["n0"]
    told: list[wire.OneWay] = []
    node.peers.send = lambda to, message: told.append(message)  # type: ignore[method-assign]
    node.members.leave("n1", lambda: None)
    node.members.received("n1", gossip.Greeting(b"of another history"))
    assert told == []
    ring.run(0.01)
    node.members.received("n1", gossip.Greeting(b"of another history"))
    leaves = [message.changes[-1][2] for message in told if isinstance(message, wire.News)]
    assert leaves == ["leave", "leave"], "at once, and to whoever asks"


# ---- Repair


def test_a_get_repairs_the_home_that_missed_a_put() -> None:
    ring = PretendedRing(3)
    name = ring_key("b", b"k")
    ring.put("n0", b"k", b"v")
    ring.run(1)
    ring["n2"].store.delete(name, None, ring["n2"].store.row(name).digest, 1)
    assert data(ring.get("n0", b"k")) == [b"v"]
    ring.wait(lambda: len(ring["n2"].store.row(name)) == 1, 2)
    assert ring["n0"].counters().values["repairs"] == 1


@pytest.mark.slow
def test_a_node_that_has_lost_its_disk_gets_everything_by_comparison() -> None:
    ring = PretendedRing(3)
    fill(ring)
    ring.processes["n1"].kill()
    ring.processes["n1"].disk = ForgetfulDisk()
    ring.processes["n1"].start()
    ring.wait(lambda: is_in_its_place(ring), 120)
    assert total(ring, "rows_exchanged") >= len(KEYS)


@pytest.mark.slow
def test_the_lag_of_comparison_is_known_once_all_pairs_have_agreed() -> None:
    ring = PretendedRing(3)
    fill(ring)
    ring.wait(lambda: ring["n0"].status().compared_seconds is not None, 120)
    ring.processes["n2"].kill()
    before = ring["n0"].status().compared_seconds
    ring.run(30)
    after = ring["n0"].status().compared_seconds
    assert before is not None and after is not None and after >= 25, "a home that is down cannot be compared with"


@pytest.mark.slow
def test_agreement_with_a_node_that_is_no_home_of_ours_is_not_counted() -> None:
    """It has heard less of the ring, or more: such a pair is never compared again, and would be the lag for ever."""
    ring = PretendedRing(5)
    ring.wait(lambda: ring["n0"].status().compared_seconds is not None)
    members = ring["n0"].members
    range_id = next(id_ for id_ in members.ranges() if members.is_home(id_) and "n4" not in members.homes(id_))
    ring["n0"]._received("n4", wire.of_core(hash_tree.begin(range_id, hash_tree.HashTree())))
    ring.run(60)
    lag = ring["n0"].status().compared_seconds
    assert lag is not None and lag < 20


@pytest.mark.slow
def test_background_work_gives_way_when_reads_become_slow() -> None:
    ring = PretendedRing(3)
    ring.run(30)
    many = ring["n0"].admission.slices
    assert many > 4
    for _ in range(6):
        ring["n0"]._was_read(0.2)
        ring.run(1.1)
    assert ring["n0"].admission.slices == 0


# ---- Tombstones


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones, "QUIET_SECONDS", 6.0)


def deleted(ring: PretendedRing) -> bytes:
    put = ring.put("n0", b"k", b"v")
    assert isinstance(ring.put("n0", b"k", None, put.context), Put)
    return ring_key("b", b"k")


@pytest.mark.slow
@pytest.mark.usefixtures("briefly")
def test_a_tombstone_is_collected_after_the_grace_time_once_all_members_know_it() -> None:
    ring = PretendedRing(4, tombstone_grace_seconds=60)
    name = deleted(ring)
    ring.run(50)
    assert len(holders(ring, b"k")) == 3, "not before"
    ring.run(10 + 3 * tombstones.QUIET_SECONDS)
    assert holders(ring, b"k") == set() and total(ring, "tombstones_collected") == 1
    assert ring.get("n1", b"k").context is None
    put = ring.put("n1", b"k", b"again")
    assert isinstance(put, Put) and data(ring.get("n2", b"k")) == [b"again"]
    assert name not in ring["n0"].store.tombstones


@pytest.mark.slow
@pytest.mark.usefixtures("briefly")
def test_a_tombstone_stays_while_a_member_is_down_which_may_hold_what_it_deletes() -> None:
    ring = PretendedRing(4, tombstone_grace_seconds=60)
    put = ring.put("n0", b"k", b"v")
    ring.run(1)
    late = ring.homes(b"k")[2]
    ring.processes[late].kill()
    ring.put(ring.homes(b"k")[0], b"k", None, put.context)
    ring.run(120)
    assert len(holders(ring, b"k")) == 2
    # Its hint is lost too: nobody tells it of the delete but the tombstone.
    for process in ring.processes.values():
        if process.is_up:
            store = process.node.store
            hint = store.hint(late, ring_key("b", b"k"))
            store.delete(ring_key("b", b"k"), late, hint.digest, 1)
    ring.processes[late].start()
    ring.wait(lambda: holders(ring, b"k") == set(), 1000)
    assert ring.get("n0", b"k").values == ()


@pytest.mark.slow
@pytest.mark.usefixtures("briefly")
def test_a_tombstone_stays_while_a_node_that_has_left_may_bring_something_back() -> None:
    ring = PretendedRing(4, tombstone_grace_seconds=60)
    deleted(ring)
    ring.run(40)
    ring.processes["n3"].kill()
    ring["n0"].members.leave("n3", lambda: None)
    ring.run(50)
    assert holders(ring, b"k") == set(ring.homes(b"k")), "n3 left 50 seconds ago, and has not said what it has"
    ring.wait(lambda: holders(ring, b"k") == set(), 200)


def test_a_hint_keeps_a_tombstone() -> None:
    ring = PretendedRing(4)
    name = deleted(ring)
    ring.run(2)
    node = ring["n0"]
    digest = node.store.row(name).digest if node.store.row(name) else ring[ring.homes(b"k")[0]].store.row(name).digest
    is_home = "n0" in ring.homes(b"k")
    assert node._tombstones.is_forgettable(name, digest)
    node.store.merge(name, ring[ring.homes(b"k")[0]].store.row(name), "elsewhere", lambda: None)
    assert not node._tombstones.is_forgettable(name, digest), is_home


@pytest.mark.slow
def test_what_was_said_of_an_earlier_tombstone_is_not_said_of_this_one() -> None:
    """1. B and C are asked about the first. C refuses.  2. The key is written and deleted again; both are asked about
    that.  3. B's answer to the first question comes late: B may have anything by now."""
    ring = PretendedRing(3)
    name = deleted(ring)
    ring.run(2)
    node = ring["n0"]
    asked: list[tuple[str, Any, Any]] = []
    node._tombstones._peers = SimpleNamespace(  # type: ignore[assignment]
        ask=lambda to, request, answered, failed, timeout_seconds: asked.append((to, answered, failed))
    )
    names = {"n0", "n1", "n2"}
    for _ in range(2):
        assert node.admission.take(node.peers.now_us)
        node._tombstones._ask(name, names)
        asked[1][2](True)
    late, _, again, _ = asked
    late[1](None)
    assert again[0] in node._tombstones._asking[name]


@pytest.mark.slow
@pytest.mark.usefixtures("briefly")
def test_a_key_that_is_written_again_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = PretendedRing(3, tombstone_grace_seconds=5)
    deleted(ring)
    ring.wait(lambda: any(process.node._tombstones._agreed for process in ring.processes.values()))
    ring.put("n0", b"k", b"again", ring.get("n0", b"k").context)
    ring.run(30)
    assert not any(process.node._tombstones._agreed for process in ring.processes.values())


# ---- Limits and settings


def test_what_cannot_be_stored_is_refused_at_the_door() -> None:
    ring = PretendedRing(3)
    assert isinstance(ring.put("n0", b"", b"v"), service.BadRequest)
    assert isinstance(ring.put("n0", b"k" * 1025, b"v"), service.BadRequest)
    assert isinstance(ring.put("n0", b"k", b"v", bucket=""), service.BadRequest)
    assert isinstance(ring.put("n0", b"k", b"v", bucket="b" * 65), service.BadRequest)
    assert isinstance(ring.put("n0", b"k", b"v" * ((1 << 20) + 1)), service.TooLarge)
    assert isinstance(ring.put("n0", b"k", b"v", w=4), service.BadRequest)
    assert isinstance(ring.put("n0", b"k", b"v", w=0), service.BadRequest)
    assert isinstance(ring.get("n0", b"k", r=4), service.BadRequest)
    for context in b"", b"no context", b"\xff\xfe", ring.put("n0", b"other", b"v").context[:-2] + b"AA":
        assert isinstance(ring.put("n0", b"k", b"v", context), service.BadContext), context
    assert isinstance(ring.put("n0", b"k" * 1024, b"v" * (1 << 20), bucket="b" * 64), Put)
    assert total(ring, "puts") == 2, "nothing else was begun"


def test_too_many_siblings_are_refused_until_somebody_reconciles_them() -> None:
    ring = PretendedRing(3)
    answers = [ring.put("n0", b"k", b"%d" % index) for index in range(65)]
    assert isinstance(answers[-1], service.TooManySiblings) and isinstance(answers[-2], Put)
    both = ring.get("n0", b"k")
    assert len(both.values) == 64
    assert isinstance(ring.put("n0", b"k", b"one", both.context), Put)


def test_last_write_wins_keeps_one() -> None:
    ring = PretendedRing(3, ring=settings(mode=Mode.LAST_WRITE_WINS))
    ring.put("n0", b"k", b"1")
    ring.run(0.1)
    ring.put("n1", b"k", b"2")
    got = ring.get("n2", b"k")
    assert data(got) == [b"2"]


@pytest.mark.slow
def test_buckets_have_settings_of_their_own() -> None:
    ring = PretendedRing(5, ring=RingSettings(partitions=16, buckets={
        "wide": BucketSettings(n=5, r=1, w=5), "single": BucketSettings(n=1, r=1, w=1),
    }))  # fmt: skip
    for bucket, n in ("wide", 5), ("single", 1), ("other", 3):
        assert isinstance(ring.put("n0", b"k", b"v", bucket=bucket), Put)
        ring.wait(lambda bucket=bucket, n=n: sum(  # type: ignore[misc]
            len(p.node.store.row(ring_key(bucket, b"k"))) for p in ring.processes.values()
        ) == n)  # fmt: skip
        assert isinstance(ring.get("n3", b"k", bucket=bucket), Got)
    ring.run(30)
    assert total(ring, "rows_exchanged") == total(ring, "strays_delivered") == 0, "trees of one N are of one N"


def test_one_of_the_n_is_asked_to_be_durable_where_puts_are_acknowledged_from_memory() -> None:
    """Section 6.1: so the loss of a node's memory, or of the coordinator's, loses no write that the others have."""
    ring = PretendedRing(3, write_buffer_bytes=1 << 20)
    answers: list[Any] = []
    ring["n0"].put("b", b"k", None, b"v", w=None, then=answers.append)
    ring.run(0.03)      # less than until a buffer is flushed
    assert isinstance(answers[0], Put)
    for process in ring.processes.values():
        process.kill()
    for process in ring.processes.values():
        process.start()
    assert len(holders(ring, b"k")) == 1
    ring.wait(lambda: len(holders(ring, b"k")) == 3, 120)
    assert data(ring.get("n1", b"k")) == [b"v"]


def test_who_stands_in_for_the_durable_one_is_the_durable_one() -> None:
    ring = PretendedRing(5, write_buffer_bytes=1 << 20)
    by, absent, *_ = ring.homes(b"k")
    asked: list[bool] = []
    for process in ring.processes.values():
        store = process.node._requests.store
        process.node._requests.store = (  # type: ignore[method-assign]
            lambda request, reply, store=store: (asked.append(request.is_durable), store(request, reply))  # type: ignore
        )
    ring.processes[absent].kill()
    assert isinstance(ring.put(by, b"k", b"v"), Put)
    ring.run(1)
    assert sorted(asked) == [False, True], "one of the two that have it beside the coordinator"


def test_a_set_that_is_too_large_to_be_sent_makes_nobody_look_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = PretendedRing(3)
    put = ring.put("n0", b"k", b"v" * 20_000)
    ring.run(1)
    monkeypatch.setattr(peers, "PAYLOAD_BYTES_MAX", 10_000)
    assert isinstance(ring.put("n0", b"k", b"w" * 20_000, put.context), service.Unknown), "W are not to be had"
    assert len(ring.get("n0", b"k", r=1).values) == 1
    assert isinstance(ring.get("n0", b"k", r=3), service.NotEnough)
    ring.run(20)
    assert all(member.state == "up" for name in ring.processes for member in ring[name].status().members)
    monkeypatch.undo()
    ring.wait(lambda: all(data(ring.get(name, b"k", r=1)) == [b"w" * 20_000] for name in ring.processes))


def test_a_coordinator_with_a_write_buffer_and_nobody_else_writes_durably_itself() -> None:
    ring = PretendedRing(1, ring=settings(n=1, r=1, w=1), write_buffer_bytes=1 << 20)
    answers: list[Any] = []
    ring["n0"].put("b", b"k", None, b"v", w=None, then=answers.append)
    while not answers:
        ring.run(0.0001)
    ring.processes["n0"].kill()
    ring.processes["n0"].start()
    assert data(ring.get("n0", b"k")) == [b"v"]


@pytest.mark.slow
def test_a_ring_of_memory_engines_outlives_each_of_its_nodes() -> None:
    ring = PretendedRing(3)
    for process in ring.processes.values():
        process.kill()
        process.disk = MemoryEngine()
        process.start()
    for process in ring.processes.values():
        process.node.join_now(None, None, lambda: None)
    ring.run(5)
    fill(ring)
    for process in ring.processes.values():
        process.kill()
        process.start()
        ring.wait(lambda: is_in_its_place(ring), 120)


def test_a_node_whose_disk_has_failed_says_so_and_the_others_go_on() -> None:
    ring = PretendedRing(4)
    fill(ring, KEYS[:5])
    node = ring["n1"]
    node.store._writer.failure = WorldError("broken", path="p", operation="write", hint="")  # type: ignore[attr-defined]
    for key in KEYS:
        ring.put("n0", key, b"w")
    ring.wait(lambda: node.status().failed is not None)
    assert not node.is_ready() and isinstance(ring.put("n1", b"k", b"v"), service.Unavailable)
    assert isinstance(ring.put("n0", b"k", b"v"), Put) and isinstance(ring.get("n2", b"k"), Got)


@pytest.mark.parametrize(
    "own", [{"name": "a/b"}, {"name": "~"}, {"name": ""}, {"engine": "x"}, {"data_dir": None}, {"capacity": 0},
            {"capacity": float("inf")}, {"capacity": float("nan")}]
)
def test_settings_that_cannot_be_are_refused(own: dict[str, Any]) -> None:
    with pytest.raises(BadSettings):
        RingNodeSettings(**{"name": "a", "data_dir": "x", **own})
    for bad in {"n": 0}, {"r": 4}, {"w": 0}:
        with pytest.raises(BadSettings):
            BucketSettings(**bad)
