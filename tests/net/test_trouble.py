"""Two nodes that dial each other, and everything that goes wrong with connections, drawn from a seed.

Judged from outside: each request has one outcome; what was not sent was not acted on; what was answered was acted on
once; nothing is acted on twice, or out of order among what arrives on one connection.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.net.linked_nodes import CHANNEL, ECHO, SILENT, World, run
from varley.net.outcome import NoAnswer, NotSent, Outcome

STEPS = 300


class Asker:
    """One node's requests and messages to the other, and what became of them."""

    def __init__(self, world: World, me: str, other: str, chance: Random) -> None:
        self._node = world.nodes[me]
        self._other = other
        self._chance = chance
        self.outcomes: dict[bytes, list[Outcome]] = {}
        self.sent: list[bytes] = []

    def ask(self) -> None:
        payload = b"%d" % len(self.outcomes) + b" " * self._chance.choice([0, 0, 0, 3000, 400_000])
        outcomes = self.outcomes[payload] = []
        service = SILENT if self._chance.random() < 0.05 else ECHO
        self._node.links.request(
            self._other, service, payload, outcomes.append, timeout_seconds=self._chance.uniform(0.1, 3)
        )
        assert outcomes == []

    def send(self) -> None:
        payload = b"%08d" % len(self.sent)
        self.sent.append(payload)
        self._node.links.send(self._other, CHANNEL, payload)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_to_connections(seed: int) -> None:
    chance = Random(seed)

    async def scenario(world: World) -> None:
        names = ("n1", "n2")
        for name in names:
            await world.node(name)
        world.nodes["n1"].knows(world.nodes["n2"])
        world.nodes["n2"].knows(world.nodes["n1"])
        askers = {"n1": Asker(world, "n1", "n2", chance), "n2": Asker(world, "n2", "n1", chance)}
        for _ in range(STEPS):
            me, other = chance.sample(names, 2)
            links = world.nodes[me].links
            trouble = chance.random()
            if trouble < 0.04:
                for connection in list(links._connections):
                    connection.cut_off()
            elif trouble < 0.06:
                links.cut(other, outgoing=chance.random() < 0.7, incoming=chance.random() < 0.7)
            elif trouble < 0.12:
                links.mend(other)
            elif trouble < 0.14:
                links.forget(other)
                world.nodes[me].knows(world.nodes[other])
            for _ in range(chance.randrange(6)):
                chance.choice([askers[me].ask, askers[me].send])()
            if chance.random() < 0.5:
                world.pass_time(chance.choice([0.01, 0.05, 0.3]))
            for _ in range(chance.randrange(8)):
                await asyncio.sleep(0)
        for me, other in (names, names[::-1]):
            world.nodes[me].links.mend(other)
        await world.pass_time_until(lambda: all(o for each in askers.values() for o in each.outcomes.values()))
        await world.pass_time_until(lambda: all(world.nodes[me].links.is_up(o) for me, o in (names, names[::-1])))
        await world.pass_time_until(lambda: all(len(node.links._connections) == 1 for node in world.nodes.values()))
        for me, other in (names, names[::-1]):
            judge(askers[me], world.nodes[other].asked, world.nodes[other].inbox)

    run(scenario)


def judge(asker: Asker, asked: list[tuple[str, bytes]], inbox: list[tuple[str, bytes]]) -> None:
    acted_on = [payload for _, payload in asked]
    assert len(acted_on) == len(set(acted_on))
    for payload, outcomes in asker.outcomes.items():
        [outcome] = outcomes
        if isinstance(outcome, NotSent):
            assert payload not in acted_on
        elif not isinstance(outcome, NoAnswer):
            assert outcome == payload
            assert payload in acted_on
    kinds = {type(outcome) for outcomes in asker.outcomes.values() for outcome in outcomes}
    assert bytes in kinds    # else nothing was tried
    received = [payload for _, payload in inbox]
    assert received == sorted(received)
    assert len(received) == len(set(received))
    assert received
