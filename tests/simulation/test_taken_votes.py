"""A vote that is taken from a member, which stays, and is given back: one change each, in bad weather.

That is what is done for a node that is not heard (autoadmin/repair.py, decision 0100): the member keeps its name, its
number and its log, so what it promised before it lost its vote stands, and counts for nobody meanwhile.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.paxos_cluster import FAULTS, SECOND, Cluster, Weather, add_member, remove_member
from tests.simulation.paxos_judges import Broken
from varley.paxos.events import Reconfigure, Replace
from varley.paxos.membership import Member

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "200"))
taken = 0


def take_vote(cluster: Cluster) -> None:
    """From somebody; it joins again as soon as it is heard and has caught up, at the latest when all are healed."""
    global taken
    leaders = cluster.leaders()
    if len(leaders) != 1:
        return
    leader = leaders[0]
    voters = [one for one in leader.replica.configuration.members if one.votes and one.name != leader.name]
    if len(voters) < 2:
        return
    one = cluster.random.choice(voters)
    same = Member(one.name, one.number, one.kind, votes=False, joins=True)
    if leader.step(Reconfigure(Replace(one.name, same))).refusal is None:
        taken += 1


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_votes_that_are_taken_and_given_back_change_nothing_that_was_chosen(part: int) -> None:
    global taken
    taken = 0
    # Without lost logs: the simulator has those only where everybody votes.
    faults = [fault for fault in FAULTS if fault.__name__ != "lose_log"]
    for seed in range(part, SEEDS, 4):
        full, logs = ((3, 0), (2, 1), (5, 0), (3, 2))[seed // 4 % 4]
        cluster = Cluster(
            seed, full=full, logs=logs, weather=Weather(fault_every_us=200_000),
            troubles=[*faults, *[take_vote] * 8, add_member, remove_member],
        )  # fmt: skip
        try:
            cluster.live(3 * SECOND)
            cluster.calm_down()
        except (Broken, AssertionError) as error:
            pytest.fail(f"seed {seed}: {type(error).__name__}: {error}")
    assert taken > SEEDS // 40
