"""What the paper says, sentence by sentence, and that it is so here.

"Dynamo: Amazon's Highly Available Key-value Store", SOSP 2007. Each test says which section it is about and what that
says, in our own words. Where Varley does otherwise, the test says so, and a page in docs/decisions says why.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from random import Random

from tests.ring.test_hash_tree import Side, exchange
from varley.ring import hash_tree
from varley.ring.admission import BackgroundAdmission
from varley.ring.balance import strategy_1_efficiency, strategy_3_efficiency
from varley.ring.failure_detection import FailureDetector
from varley.ring.get_quorum import Found, GetQuorum, NotEnough, Repair
from varley.ring.gossip import Gossip
from varley.ring.hints import Hint, HintDelivery
from varley.ring.membership import History, Member
from varley.ring.placement import Placement
from varley.ring.preference_list import Target, coordinator, healthy, walk
from varley.ring.put_quorum import PutQuorum, Written
from varley.ring.siblings import NONE, Context, Mode, Siblings, Stamp, decode_context, put, reconcile
from varley.ring.tokens import draw_tokens, position_of, range_of, rebalance, ring_of
from varley.ring.transfer import Accept, Incoming, Offer, Reason, Refuse
from varley.ring.vector_clock import VectorClock

EMPTY = VectorClock()
LIST = ("A", "B", "C", "D", "E")


def everybody(node: str) -> bool:
    return True


def members(count: int, zones: int = 1, capacity: float = 1.0) -> History:
    history = History()
    for index in range(count):
        history = history.join(f"n{index}", Member("", f"zone {index % zones}", capacity), index)
    return history


# ---- 4.1 Interface


def test_4_1_get_returns_one_object_or_several_in_conflict_along_with_a_context() -> None:
    quorum = GetQuorum("A", LIST, n=3, r=1, is_alive=everybody)
    quorum.begin()
    both = reconcile([put(NONE, EMPTY, "A", 1, b"1"), put(NONE, EMPTY, "B", 2, b"2")])
    outcome = quorum.fetched("B", both).outcome
    assert isinstance(outcome, Found)
    assert outcome.siblings.values == (b"1", b"2")
    assert isinstance(outcome.context, Context)


def test_4_1_the_context_is_opaque_to_the_caller_and_can_be_verified() -> None:
    context = Context(EMPTY.increment("Sx~1", 5), "B")
    assert "Sx" not in context.encode()
    assert decode_context(context.encode()) == context


def test_4_1_keys_are_placed_by_the_128_bits_of_their_md5() -> None:
    assert position_of(b"key") == int(hashlib.md5(b"key", usedforsecurity=False).hexdigest(), 16)


# ---- 4.2 Partitioning


def test_4_2_a_key_is_assigned_to_the_first_node_with_a_larger_position_and_the_ring_wraps() -> None:
    ring = ((position_of(b"k"), "A"), (position_of(b"k") + 1, "B"))
    assert ring[range_of(b"k", ring)][1] == "B", "larger, not equal"
    assert range_of(b"k", ((0, "A"), (1, "B"))) == 0


def test_4_2_departure_or_arrival_affects_the_neighbours_only() -> None:
    tokens = [draw_tokens(name, 1, 4, Random(name)) for name in "ABCDE"]
    before, after = ring_of(tokens), ring_of(tokens[1:])
    keys = [str(index).encode() for index in range(300)]
    changed = [key for key in keys if before[range_of(key, before)] != after[range_of(key, after)]]
    assert changed
    assert all(before[range_of(key, before)][1] == "A" for key in changed)


def test_4_2_each_node_has_several_points_on_the_ring() -> None:
    assert len({position for position, _ in draw_tokens("A", 1, 16, Random(1))}) == 16


def test_4_2_load_of_a_node_that_goes_is_dispersed_evenly_over_the_others() -> None:
    owners = Placement(members(5), 200).owners
    after = rebalance(owners, dict.fromkeys(["n0", "n1", "n2", "n3"], 1.0), 200, "leave")
    gained = Counter(new for old, new in zip(owners, after, strict=True) if old == "n4")
    assert gained == {"n0": 10, "n1": 10, "n2": 10, "n3": 10}


def test_4_2_a_node_that_comes_takes_roughly_as_much_from_each_of_the_others() -> None:
    owners = Placement(members(4), 200).owners
    after = rebalance(owners, dict.fromkeys(["n0", "n1", "n2", "n3", "n4"], 1.0), 200, "join")
    lost = Counter(old for old, new in zip(owners, after, strict=True) if new == "n4")
    assert lost == {"n0": 10, "n1": 10, "n2": 10, "n3": 10}


def test_4_2_how_many_points_a_node_has_follows_its_capacity() -> None:
    assert len(draw_tokens("A", 2, 16, Random(1))) == 32
    big = members(3).join("big", Member("", "zone 0", 3.0), 9)
    assert Counter(Placement(big, 60).owners) == {"big": 30, "n0": 10, "n1": 10, "n2": 10}


# ---- 4.3 Replication


def test_4_3_each_key_is_at_its_coordinator_and_the_n_minus_1_successors() -> None:
    ring = ["A", "B", "C", "D"]
    assert walk(ring, 1, dict.fromkeys(ring, ""))[:3] == ("B", "C", "D")


def test_4_3_every_node_can_tell_who_is_in_the_list_of_any_key() -> None:
    one, other = (Placement(History().reconcile(members(6)), 64) for _ in range(2))
    assert [one.preference(part) for part in range(64)] == [other.preference(part) for part in range(64)]


def test_4_3_the_list_has_more_than_n_nodes() -> None:
    assert len(Placement(members(6), 64).preference(0)) == 6


def test_4_3_the_list_skips_positions_so_that_it_has_distinct_physical_nodes_only() -> None:
    ring = ["A", "A", "B", "A", "C"]
    assert walk(ring, 0, dict.fromkeys(ring, "")) == ("A", "B", "C")


# ---- 4.4 Versioning


def test_4_4_a_put_may_return_before_all_replicas_have_it() -> None:
    quorum = PutQuorum(Stamp("A", EMPTY, b"v", 1), LIST, n=3, w=1, is_alive=everybody)
    quorum.begin()
    assert isinstance(quorum.stamped(put(NONE, EMPTY, "A", 1, b"v")).outcome, Written)
    assert not quorum.is_over


def test_4_4_each_modification_is_a_new_and_immutable_version() -> None:
    first = put(NONE, EMPTY, "A", 1, b"1")
    beside = put(first, EMPTY, "A", 2, b"2")
    assert set(first.versions) < set(beside.versions)


def test_4_4_new_versions_mostly_subsume_old_ones_and_the_system_can_tell_by_itself() -> None:
    first = put(NONE, EMPTY, "A", 1, b"1")
    second = put(first, first.clock, "A", 2, b"2")
    assert reconcile([first, second]) == second


def test_4_4_branches_are_kept_for_the_client_to_collapse() -> None:
    first = put(NONE, EMPTY, "A", 1, b"1")
    branches = reconcile([put(first, first.clock, "A", 2, b"a"), put(first, first.clock, "B", 2, b"b")])
    assert branches.values == (b"a", b"b")
    assert put(branches, branches.clock, "A", 3, b"ab").values == (b"ab",)


def test_4_4_an_add_to_cart_is_never_forgotten_and_a_deleted_item_may_resurface() -> None:
    cart = put(NONE, EMPTY, "A", 1, b"book,pen")
    added = put(cart, cart.clock, "A", 2, b"book,cup,pen")
    removed = put(cart, cart.clock, "B", 2, b"book")
    merged = set().union(*(value.split(b",") for value in reconcile([added, removed]).values))
    assert merged == {b"book", b"cup", b"pen"}


def test_4_4_a_clock_descends_if_no_counter_is_less() -> None:
    older, newer = EMPTY.increment("Sx", 1), EMPTY.increment("Sx", 1).increment("Sy", 2)
    assert newer.descends(older)
    assert not older.descends(newer)


def test_4_4_figure_3_d1_to_d5() -> None:
    d1 = put(NONE, EMPTY, "Sx", 1, b"D1")
    assert clocks(d1) == ["[(Sx,1)]"]
    d2 = put(d1, d1.clock, "Sx", 2, b"D2")
    assert clocks(d2) == ["[(Sx,2)]"]
    assert reconcile([d1, d2]) == d2, "D2 overwrites D1 wherever it arrives"
    d3 = put(d2, d2.clock, "Sy", 3, b"D3")
    assert clocks(d3) == ["[(Sx,2),(Sy,1)]"]
    d4 = put(d2, d2.clock, "Sz", 4, b"D4")
    assert clocks(d4) == ["[(Sx,2),(Sz,1)]"]
    assert reconcile([d1, d4]) == reconcile([d2, d4]) == d4, "who knows D1 or D2 can drop them for D4"
    both = reconcile([d3, d4])
    assert both.values == (b"D3", b"D4"), "there is no relation between them: both are kept"
    assert str(both.clock) == "[(Sx,2),(Sy,1),(Sz,1)]", "the context that a read of both gives"
    d5 = put(both, both.clock, "Sx", 5, b"D5")
    assert clocks(d5) == ["[(Sx,3),(Sy,1),(Sz,1)]"]
    assert reconcile([d3, d4, d5]) == d5


def clocks(siblings: Siblings) -> list[str]:
    return [str(version.clock) for version in siblings]


def test_4_4_an_entry_has_the_time_of_its_last_update_and_the_oldest_goes_beyond_ten() -> None:
    clock = EMPTY
    for index in range(12):
        clock = clock.increment(f"S{index}", 100 - index)
    short = clock.truncate()
    assert len(short) == 10
    assert {"S10", "S11"}.isdisjoint(short.counters)


# ---- 4.5 Execution of get and put


def test_4_5_a_node_outside_the_top_n_forwards_to_the_first_of_them() -> None:
    assert coordinator(LIST, 3, "D", everybody) == "A"


def test_4_5_operations_involve_the_first_n_healthy_nodes_skipping_those_that_are_down() -> None:
    assert [target.node for target in healthy(LIST, 3, lambda node: node != "B")] == ["A", "C", "D"]


def test_4_5_a_put_makes_the_clock_writes_locally_then_sends_to_the_n_highest_ranked_reachable() -> None:
    quorum = PutQuorum(Stamp("A", EMPTY, b"v", 1), LIST, n=3, w=2, is_alive=everybody)
    effects = quorum.begin()
    assert effects.stamp is not None
    assert not effects.store
    assert quorum.stamped(put(NONE, EMPTY, "A", 1, b"v")).store == (Target("B", None), Target("C", None))


def test_4_5_a_put_is_successful_if_w_minus_1_others_respond() -> None:
    quorum = PutQuorum(Stamp("A", EMPTY, b"v", 1), LIST, n=3, w=3, is_alive=everybody)
    quorum.begin()
    assert quorum.stamped(put(NONE, EMPTY, "A", 1, b"v")).outcome is None
    assert quorum.stored("B").outcome is None
    assert isinstance(quorum.stored("C").outcome, Written)


def test_4_5_a_get_waits_for_r_and_returns_all_versions_that_are_causally_unrelated() -> None:
    quorum = GetQuorum("A", LIST, n=3, r=2, is_alive=everybody)
    quorum.begin()
    assert quorum.fetched("A", put(NONE, EMPTY, "A", 1, b"1")).outcome is None
    outcome = quorum.fetched("B", put(NONE, EMPTY, "B", 1, b"2")).outcome
    assert isinstance(outcome, Found)
    assert outcome.siblings.values == (b"1", b"2")


# ---- 4.6 Hinted handoff


def test_4_6_if_a_is_down_its_replica_goes_to_d_with_a_hint_that_says_a() -> None:
    assert Target("D", "A") in healthy(LIST, 3, lambda node: node != "A")


def test_4_6_when_a_has_recovered_d_delivers_and_may_delete_only_then() -> None:
    hint = Hint("A", b"key", b"digest")
    delivery = HintDelivery([(hint, ("A",))])
    assert delivery.begin().delete == ()
    assert delivery.delivered("A", hint).delete == (hint,)


def test_4_6_with_w_1_a_write_is_rejected_only_if_all_nodes_are_unavailable() -> None:
    quorum = PutQuorum(Stamp("E", EMPTY, b"v", 1), LIST, n=3, w=1, is_alive=lambda node: False)
    effects = quorum.begin()
    assert effects.stamp is not None
    assert effects.stamp[1] == Target("E", "A")
    assert isinstance(quorum.stamped(put(NONE, EMPTY, "E/A", 1, b"v")).outcome, Written)


def test_4_6_lists_are_spread_over_data_centres() -> None:
    placement = Placement(members(6, zones=3), 64)
    for partition in range(64):
        assert len({placement.members[node].zone for node in placement.homes(partition, 3)}) == 3


# ---- 4.7 Replica synchronization


def test_4_7_if_two_roots_are_equal_nothing_more_is_exchanged() -> None:
    rows = {str(index).encode(): b"d" * 16 for index in range(100)}
    assert exchange(Side(rows), Side(rows)) == (2, 0)


def test_4_7_otherwise_children_are_compared_down_to_the_keys_that_are_out_of_sync() -> None:
    rows = {str(index).encode(): b"d" * 16 for index in range(2000)}
    one, other = Side(rows), Side(rows | {b"5": b"e" * 16})
    assert exchange(one, other)[1] <= 2
    assert one.rows == other.rows


def test_4_7_each_branch_can_be_checked_without_the_whole_tree() -> None:
    one, other = Side({b"1": b"d" * 16}), Side({b"1": b"e" * 16})
    reply = hash_tree.answer(other.tree, other.in_buckets, hash_tree.begin(7, one.tree)).message
    assert isinstance(reply, hash_tree.Compare)
    assert (reply.level, len(reply.hashes)) == (1, hash_tree.FAN_OUT)


# ---- 4.8 Membership and failure detection


def test_4_8_1_an_outage_is_no_departure_and_moves_nothing() -> None:
    placement = Placement(members(5), 64)
    detector = FailureDetector(failures_max=1)
    detector.unanswered("n0", 0)
    assert not detector.is_alive("n0")
    assert "n0" in placement.members


def test_4_8_1_changes_are_persisted_with_their_time_and_form_a_history() -> None:
    gossip = Gossip("A", [], History())
    history = History().join("B", Member("", "", 1.0), 5).leave("B", 9).join("B", Member("", "", 1.0), 12)
    effects = gossip.changed(history)
    assert effects.persist == history
    assert [(change.kind, change.time_us) for change in history.changes] == [("join", 5), ("leave", 9), ("join", 12)]


def test_4_8_1_each_node_contacts_a_peer_at_random_and_the_two_reconcile() -> None:
    gossip = Gossip("n0", [], members(5))
    random = Random(4)
    asked = {to for _ in range(100) for to, _ in gossip.tick(random).send}
    assert asked == {"n1", "n2", "n3", "n4"}


def test_4_8_1_mappings_of_tokens_are_reconciled_by_the_same_exchange() -> None:
    """Varley has nothing to exchange here: docs/decisions/0071-owners-follow-from-history.md."""
    ours, theirs = members(3), members(3).join("n9", Member("", "", 1.0), 99)
    assert Placement(ours.reconcile(theirs), 64).owners == Placement(theirs, 64).owners


def test_4_8_2_seeds_are_known_from_settings_and_asked_though_no_member_knows_of_them() -> None:
    gossip = Gossip("A", ["seed"], History().join("A", Member("", "", 1.0), 1))
    assert [to for to, _ in gossip.tick(Random(1)).send] == ["seed"]


def test_4_8_3_failure_is_what_a_sees_even_if_b_answers_c() -> None:
    a, c = FailureDetector(failures_max=1), FailureDetector(failures_max=1)
    a.unanswered("B", 0)
    c.answered("B")
    assert (a.is_alive("B"), c.is_alive("B")) == (False, True)


def test_4_8_3_b_is_retried_periodically_to_see_whether_it_has_recovered() -> None:
    detector = FailureDetector(failures_max=1, retry_us=10)
    detector.unanswered("B", 0)
    assert [bool(detector.due(now_us)) for now_us in (5, 10, 15, 20)] == [False, True, False, True]


def test_4_8_3_without_requests_nobody_needs_to_know() -> None:
    assert FailureDetector().due(10**12) == ()


# ---- 4.9 Adding and removing nodes


def test_4_9_the_joiner_confirms_and_no_range_is_sent_twice() -> None:
    incoming = Incoming(silence_us_max=100)
    answers = [incoming.offered(donor, Offer(1), is_home=True, now_us=1) for donor in "ABC"]
    assert answers == [Accept(1), Refuse(1, Reason.BUSY), Refuse(1, Reason.BUSY)]


# ---- 5 Implementation


def test_5_too_few_replies_in_time_fail_the_request() -> None:
    quorum = GetQuorum("A", LIST, n=3, r=2, is_alive=everybody)
    quorum.begin()
    quorum.fetched("A", NONE)
    assert quorum.deadline().outcome == NotEnough(frozenset("A"))


def test_5_the_context_subsumes_all_the_remaining_versions() -> None:
    both = reconcile([put(NONE, EMPTY, "A", 1, b"1"), put(NONE, EMPTY, "B", 1, b"2")])
    assert all(both.clock.descends(version.clock) for version in both)


def test_5_after_the_reply_it_waits_for_the_others_and_repairs_stale_replicas() -> None:
    quorum = GetQuorum("A", LIST, n=3, r=1, is_alive=everybody)
    quorum.begin()
    newest = put(NONE, EMPTY, "A", 1, b"1")
    assert quorum.fetched("A", newest).outcome is not None
    assert quorum.fetched("B", NONE).repair == ()
    assert quorum.linger_is_over().repair == (Repair("B", newest),)


def test_5_any_of_the_top_n_may_coordinate_a_write() -> None:
    assert [coordinator(LIST, 3, own, everybody) for own in "ABC"] == ["A", "B", "C"]


def test_5_a_write_goes_to_who_answered_the_read_before_it_fastest() -> None:
    quorum = GetQuorum("A", LIST, n=3, r=1, is_alive=everybody)
    quorum.begin()
    outcome = quorum.fetched("C", NONE).outcome
    assert isinstance(outcome, Found)
    assert coordinator(LIST, 3, "B", everybody, outcome.context.coordinator) == "C"


# ---- 6 Experiences


def test_6_reconciliation_by_time_the_last_write_wins() -> None:
    one, other = put(NONE, EMPTY, "A", 5, b"late"), put(NONE, EMPTY, "B", 3, b"early")
    assert reconcile([one, other], Mode.LAST_WRITE_WINS).values == (b"late",)


def test_6_1_r_and_w_of_one_are_possible_and_need_a_single_answer() -> None:
    quorum = GetQuorum("A", LIST, n=3, r=1, is_alive=everybody)
    quorum.begin()
    assert isinstance(quorum.fetched("C", NONE).outcome, Found)


def test_6_2_strategy_3_gives_each_node_q_over_s_tokens() -> None:
    assert set(Counter(Placement(members(8), 64).owners).values()) == {8}


def test_6_2_strategy_3_keeps_that_when_nodes_leave_and_join() -> None:
    history = members(8).leave("n3", 20).leave("n5", 21).join("n9", Member("", "", 1.0), 22)
    assert set(Counter(Placement(history, 70).owners).values()) == {10}


def test_6_2_strategy_3_is_the_more_efficient_at_equal_metadata() -> None:
    third = strategy_3_efficiency(30, 30 * 16, 3, Random(1))
    assert third > strategy_1_efficiency(30, 16, 3, Random(1))


def test_6_5_background_work_gives_way_when_the_99th_percentile_comes_near_50_ms() -> None:
    admission = BackgroundAdmission()
    slices = []
    for second in range(6):
        admission.foreground(10_000 if second < 3 else 60_000, second * 1_000_000)
        if admission.take(second * 1_000_000):
            admission.give_back()
        slices.append(admission.slices)
    assert slices == [2, 3, 4, 2, 1, 0]
