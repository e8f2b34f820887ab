"""Trust is lost at once and comes back slowly."""

from __future__ import annotations

from varley.autoadmin.health import Health, Trust
from varley.autoadmin.view import Condition

TRUST = Trust(lost_seconds=60, trust_seconds=10)


def looked(*looks: tuple[float, bool]) -> Health[str]:
    health: Health[str] = Health(TRUST)
    for now, is_well in looks:
        health.look({"n1": is_well}, now)
    return health


def test_what_is_well_at_the_first_look_is_trusted() -> None:
    assert looked((5, True)).condition("n1", 5) is Condition.TRUSTED


def test_what_was_never_looked_at_is_lost() -> None:
    assert looked((5, True)).condition("n2", 5) is Condition.LOST


def test_what_fails_is_away_and_then_lost() -> None:
    health = looked((0, True), (10, False))
    assert health.condition("n1", 69) is Condition.AWAY
    assert health.condition("n1", 70) is Condition.LOST


def test_what_is_back_is_trusted_after_a_while() -> None:
    health = looked((0, True), (10, False), (15, True), (24, True))
    assert health.condition("n1", 24) is Condition.RETURNED
    health.look({"n1": True}, 25)
    assert health.condition("n1", 25) is Condition.TRUSTED


def test_each_failure_that_is_remembered_doubles_the_while() -> None:
    health = looked((0, True), (10, False), (15, True), (25, True), (26, False), (30, True), (45, True))
    assert health.condition("n1", 45) is Condition.RETURNED
    health.look({"n1": True}, 50)
    assert health.condition("n1", 50) is Condition.TRUSTED


def test_what_failed_many_times_is_trusted_within_a_minute_all_the_same() -> None:
    looks = [(float(now), now % 20 >= 7 or now > 200) for now in range(240)]
    assert looked(*looks).condition("n1", 239) is Condition.RETURNED
    assert looked(*looks, (240, True), (241, True)).condition("n1", 241) is Condition.TRUSTED


def test_failures_of_long_ago_are_forgotten() -> None:
    health = looked((0, True), (10, False), (15, True), (25, True), (2000, False), (2001, True), (2011, True))
    assert health.condition("n1", 2011) is Condition.TRUSTED


def test_what_comes_and_goes_for_long_is_lost_though_it_answers() -> None:
    looks = [(float(now), now % 20 >= 7) for now in range(1, 400)]
    assert looked(*looks).condition("n1", 399) is Condition.LOST


def test_a_name_that_is_forgotten_begins_anew() -> None:
    health = looked((0, False))
    health.forget(lambda name: name == "n1")
    assert health.known() == frozenset()
    health.look({"n1": True}, 5)
    assert health.condition("n1", 5) is Condition.TRUSTED
