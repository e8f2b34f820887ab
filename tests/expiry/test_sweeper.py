"""What expires is deleted, when its time has come and not before; what does not, never."""

from __future__ import annotations

import random

import pytest

from tests.expiry.swept_server import NOW, SweptServer
from tests.node.writes import Waiter
from varley.expiry.derived_entry import propose_derived
from varley.table.expiry import ROW_VALUE, TOO_OLD_SECONDS, row_key
from varley.table.followers import consequences_of

ENABLED = {
    "time_to_live_attribute": "expires",
    "time_to_live_changed_at": 1.0,
    "time_to_live_revision": 1,
}


@pytest.fixture
def server() -> SweptServer:
    server = SweptServer(**ENABLED)
    server.settle()
    return server


def test_an_item_goes_when_its_time_is_past(server: SweptServer) -> None:
    server.put("a", expires=NOW + 10)
    server.put("b", expires=NOW + 11)
    server.put("c")
    server.settle()
    server.pass_seconds(9)
    assert server.names() == {"a", "b", "c"}
    server.pass_seconds(1.5)
    assert server.names() == {"b", "c"}
    server.pass_seconds(1000)
    assert server.names() == {"c"}
    assert server.sweeper.expired == {"Music": 2}
    assert server.expiries() == 0


def test_one_written_with_a_time_that_is_past_goes_within_a_second(server: SweptServer) -> None:
    server.put("a", expires=NOW - 100)
    server.settle()
    server.pass_seconds(1)
    assert server.names() == set()


def test_a_time_five_years_back_is_a_mistake(server: SweptServer) -> None:
    server.put("a", expires=NOW - TOO_OLD_SECONDS - 1)
    server.put("b", expires=NOW - TOO_OLD_SECONDS + 100)
    server.put("c", expires=0)
    server.pass_seconds(2)
    assert server.names() == {"a", "c"}


def test_who_is_rescued_in_time_stays(server: SweptServer) -> None:
    server.put("a", expires=NOW + 10)
    server.put("b", expires=NOW + 10)
    server.settle()
    server.log.holds = True
    server.put("a", expires=NOW + 1000)    # undecided when the sweep comes by
    server.put("b")
    server.pass_seconds(20)
    server.log.release()
    server.settle()
    assert server.names() == {"a", "b"}
    assert server.expiries() == 1
    assert server.problems() == []
    server.pass_seconds(2000)
    assert server.names() == {"b"}


def test_a_time_that_is_not_decided_yet_is_not_forgotten(server: SweptServer) -> None:
    """The story at the top of sweeper.py."""
    server.put("late", expires=NOW + 5000)
    server.settle()
    server.log.holds = True
    server.put("early", expires=NOW + 2)
    server.pass_seconds(1)
    server.pass_seconds(2)    # due, and nothing applied to be found
    server.log.release()
    server.settle()
    server.pass_seconds(1)
    assert server.names() == {"late"}


def test_moving_the_clock_is_noticed_at_once(server: SweptServer) -> None:
    server.put("a", expires=NOW + 86_400)
    server.settle()
    server.clock.advance(86_401)
    server.loop.turns(10)    # and no timer
    assert server.names() == set()


def test_a_clock_that_goes_back_brings_old_times_into_reach(server: SweptServer) -> None:
    server.put("a", expires=NOW - TOO_OLD_SECONDS - 100)
    server.pass_seconds(2)
    assert server.names() == {"a"}
    server.clock.set(NOW - 1000)
    server.loop.turns(10)
    assert server.names() == set()


def test_items_may_be_kept_longer() -> None:
    server = SweptServer(delay_seconds=100, **ENABLED)
    server.put("a", expires=NOW + 10)
    server.settle()
    server.pass_seconds(109)
    assert server.names() == {"a"}
    server.pass_seconds(2)
    assert server.names() == set()


def test_many_go_in_slices_from_all_partitions() -> None:
    server = SweptServer(partitions=7, **ENABLED)
    for number in range(1000):
        server.put(f"n{number}", expires=NOW + 1 + number % 3)
    server.put("stays", expires=NOW + 10)
    server.settle()
    server.pass_seconds(5)
    assert server.names() == {"stays"}
    assert server.sweeper.expired == {"Music": 1000}
    assert server.problems() == []


def test_nobody_pays_for_it(server: SweptServer) -> None:
    server.put("a", expires=NOW + 1)
    server.pass_seconds(3)
    assert server.names() == set()
    counted = {key: counts.consumed_write_units for key, counts in server.router.counters}
    assert counted == {("PutItem", "Music", ""): 1.0}


def test_a_disk_that_takes_nothing_makes_it_late(server: SweptServer) -> None:
    server.put("a", expires=NOW + 1)
    server.settle()
    server.log.is_full = True
    server.pass_seconds(3)
    assert server.names() == {"a"}
    server.log.is_full = False
    server.pass_seconds(1)
    assert server.names() == set()


def test_a_row_that_no_item_asks_for_is_removed_and_nothing_else(server: SweptServer) -> None:
    server.put("a", expires=NOW + 500)
    server.settle()
    key = server.route.keys.row_key({"pk": {"S": "a"}})
    nobody = server.route.keys.row_key({"pk": {"S": "nobody"}})
    [partition] = server.route.partitions
    wrong = [(row_key(key, NOW + 1), ROW_VALUE), (row_key(nobody, NOW + 1), ROW_VALUE)]
    propose_derived(partition, wrong, Waiter())
    server.settle()
    server.clock.advance(5)
    server.settle()
    assert server.names() == {"a"}
    assert server.problems() == []


def test_the_deletion_says_that_no_client_did_it(server: SweptServer) -> None:
    seen = []

    class Witness:
        def check_item(self, item: object) -> None: ...

        def check_updated(self, item: object) -> None: ...

        def follow(self, write: object, following: object) -> None:
            seen.append((write.new is None, write.is_expiry))    # type: ignore[attr-defined]

        def problems(self, get: object, scan: object) -> list[object]:
            return []

    consequences = consequences_of(server.described.table, server.route.keys)
    assert consequences is not None
    assert server.route.consequences is not None
    server.route.consequences.followers += (Witness(),)    # type: ignore[assignment]
    server.put("a", expires=NOW + 1)
    server.put("b", expires=NOW + 1)
    server.delete("b")
    server.pass_seconds(3)
    assert seen == [(False, False), (False, False), (True, False), (True, True)]


def test_a_table_that_is_deleted_meanwhile_is_left_alone(server: SweptServer) -> None:
    for number in range(500):
        server.put(f"n{number}", expires=NOW + 1)
    server.settle()
    server.clock.advance(2)
    server.loop.turns(2)    # a sweep has begun
    server.loop.run(server.router.close_partitions(server.described))
    server.settle()
    server.pass_seconds(2)
    assert server.sweeper._tables == {}


def test_after_it_stopped_nothing_expires(server: SweptServer) -> None:
    server.put("a", expires=NOW + 1)
    server.settle()
    server.sweeper.stop()
    server.sweeper.stop()    # does no harm
    server.clock.advance(10)
    server.pass_seconds(10)
    assert server.names() == {"a"}


# When the definition changes


def test_items_that_are_there_begin_to_expire() -> None:
    server = SweptServer(partitions=3)
    for number in range(700):
        server.put(f"n{number}", expires=NOW + 10 + number)
    server.put("stays")
    server.settle()
    server.expire_by("expires")
    assert not server.sweeper.is_settled(server.described, server.route)
    server.put("n5", expires=NOW + 9000)    # while the rows are added
    server.delete("n6")
    server.settle()
    assert server.settled.done()
    assert server.sweeper.is_settled(server.described, server.route)
    assert server.expiries() == 699
    assert server.problems() == []
    server.pass_seconds(1000)
    assert server.names() == {"n5", "stays"}


def test_items_cease_to_expire(server: SweptServer) -> None:
    for number in range(300):
        server.put(f"n{number}", expires=NOW + 10)
    server.settle()
    server.expire_by(None)
    assert not server.sweeper.is_settled(server.described, server.route)
    server.delete("n1")
    server.settle()
    assert server.settled.done()
    assert server.sweeper.is_settled(server.described, server.route)
    assert server.expiries() == 0
    server.clock.advance(100)
    server.settle()
    assert len(server.names()) == 299


def test_another_attribute_makes_other_items_expire(server: SweptServer) -> None:
    for number in range(300):
        server.put(f"n{number}", expires=NOW + 10, until=NOW + 10 + number)
    server.settle()
    server.expire_by(None)
    server.expire_by("until")
    server.settle()
    assert server.problems() == []
    server.pass_seconds(50)
    assert server.names() == {f"n{number}" for number in range(40, 300)}


def test_definitions_that_change_at_every_moment_leave_the_rows_right() -> None:
    for seed in range(30):
        chance = random.Random(seed)
        server = SweptServer(partitions=2)
        for _ in range(chance.randrange(400)):
            server.put(f"n{chance.randrange(300)}", a=NOW + chance.randrange(50), b=NOW + chance.randrange(50))
        attribute = None
        for _ in range(6):
            attribute = None if attribute else chance.choice("ab")
            server.expire_by(attribute)
            for _ in range(chance.randrange(6)):
                server.put(f"n{chance.randrange(300)}", a=NOW + chance.randrange(50), b=NOW + chance.randrange(50))
                server.delete(f"n{chance.randrange(300)}")
                server.loop.turns(chance.randrange(3))
                if chance.random() < 0.3:
                    server.loop.advance(0.001)
            if chance.random() < 0.3:
                server.sweeper.stop()
                server.new_sweeper()    # which finds the work half done
        server.settle()
        assert server.sweeper.is_settled(server.described, server.route), seed
        if attribute is None:
            assert server.expiries() == 0, seed
        else:
            assert server.problems() == [], seed


def test_a_disk_that_takes_nothing_delays_the_change() -> None:
    server = SweptServer()
    server.put("a", expires=NOW + 10)
    server.settle()
    server.log.is_full = True
    server.expire_by("expires")
    server.settle()
    assert not server.settled.done()
    server.log.is_full = False
    server.pass_seconds(1)
    assert server.settled.done()
    assert server.problems() == []


def test_a_sweep_reads_what_it_has_deleted_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a checkpoint they stand in the tree as rows that are gone: each slice must not go over all of them."""
    server = SweptServer(**ENABLED)
    for number in range(1000):
        server.put(f"item-{number}", expires=NOW + 10)
    server.settle()
    overlay = server.route.partitions[0].tree._overlay
    seen = 0

    def counted(*bounds: object, range_of: object = type(overlay).range) -> object:
        nonlocal seen
        for row in range_of(*bounds):    # type: ignore[operator]
            seen += 1
            yield row

    monkeypatch.setattr(type(overlay), "range", counted)
    server.pass_seconds(20)
    assert server.names() == set()
    assert seen < 10 * 1000


def test_a_sweep_does_not_go_over_what_earlier_ones_have_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SweptServer(**ENABLED)
    for number in range(1000):
        server.put(f"item-{number}", expires=NOW + 10)
    for number in range(5):
        server.put(f"later-{number}", expires=NOW + 30 + number)
    server.settle()
    server.pass_seconds(20)
    assert len(server.names()) == 5
    overlay = server.route.partitions[0].tree._overlay
    seen = 0

    def counted(*bounds: object, range_of: object = type(overlay).range) -> object:
        nonlocal seen
        for row in range_of(*bounds):    # type: ignore[operator]
            seen += 1
            yield row

    with monkeypatch.context() as patch:
        patch.setattr(type(overlay), "range", counted)
        for _ in range(20):
            server.pass_seconds(1)
    assert server.names() == set()
    assert seen < 100


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_written_while_sweeps_are_under_way_expires(seed: int) -> None:
    """With times before those that a sweep has passed, and decided only later."""
    chance = random.Random(seed)
    server = SweptServer(**ENABLED)
    for _ in range(60):
        for _ in range(chance.randrange(8)):
            server.put(f"item-{chance.randrange(40)}", expires=server.clock.time() + chance.randrange(-30, 60))
        server.log.holds = chance.random() < 0.5
        for _ in range(chance.randrange(6)):
            server.loop.turns(chance.randrange(4))
            server.clock._base._epoch_seconds += 0.5    # type: ignore[attr-defined]
            server.loop.advance(0.5)
        server.log.release()
        server.loop.turns(chance.randrange(4))
    server.pass_seconds(70)
    server.pass_seconds(1)
    assert server.names() == set()
    assert server.problems() == []
