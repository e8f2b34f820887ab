from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varley.errors import Damaged, WorldError
from varley.metadata.group_members import FOUNDING_EPOCH, GroupMembers, Published
from varley.metadata.memory import MemoryStore
from varley.metadata.store import ABSENT, Change
from varley.paxos.ballot import NUMBER_MAX
from varley.paxos.membership import LOG, Configuration, Member

THREE = Configuration((Member("n1", 1), Member("n2", 2), Member("n3", 3, LOG)))
WITH_LEARNER = Configuration((*THREE.members[:2], Member("n3#2", 4, LOG, votes=False, joins=True)))

FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()


async def founded(store: MemoryStore, *groups: int) -> GroupMembers:
    members = GroupMembers(store, lambda groups: dict.fromkeys(groups, THREE))
    changes = members.founding(groups)
    version = await store.compare_and_set(changes)
    assert version is not None
    members.made(changes, version)
    return members


async def another(store: MemoryStore) -> GroupMembers:
    members = GroupMembers(store, lambda groups: {})
    members.see(await store.snapshot(""))
    return members


def test_what_was_published_is_read_by_others() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        members = await founded(store, 7)
        assert members.get(7) == Published(THREE, FOUNDING_EPOCH, 4, 1)
        assert await members.publish(7, WITH_LEARNER, 41)
        assert members.get(7) == (await another(store)).get(7) == Published(WITH_LEARNER, 41, 5, 2)

    asyncio.run(scenario())


def test_it_is_kept_as_it_is_drawn() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        members = await founded(store, 7)
        await members.publish(7, WITH_LEARNER, 41)
        [entry] = await store.list("")
        assert entry.value.decode() in FORMATS.replace("\n     ", "")
        assert (entry.key, entry.value) == (
            "members/7",
            b'{"format_version":1,"epoch":41,"next_number":5,"members":[{"name":"n1","number":1},'
            b'{"name":"n2","number":2},{"name":"n3#2","number":4,"kind":"log","votes":false,"joins":true}]}',
        )

    asyncio.run(scenario())


@settings(deadline=None)
@given(st.permutations(range(2, 8)))
def test_the_highest_epoch_wins_in_whatever_order_they_come(epochs: list[int]) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        all_members = [await founded(store, 7), await another(store)]
        best = FOUNDING_EPOCH
        for at, epoch in enumerate(epochs):
            configuration = Configuration((Member("n1", 1), Member(f"n{epoch}", 10 + epoch)))
            assert await all_members[at % 2].publish(7, configuration, epoch) == (epoch > best)
            best = max(best, epoch)
        there = (await another(store)).get(7)
        assert there is not None
        assert there.epoch == 7
        assert there.configuration.member("n7") is not None
        assert there.next_number == 18

    asyncio.run(scenario())


def test_the_same_again_changes_nothing_and_what_contradicts_it_is_our_mistake() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        members = await founded(store, 7)
        assert await members.publish(7, THREE, FOUNDING_EPOCH)
        assert members.get(7) == Published(THREE, FOUNDING_EPOCH, 4, 1)
        with pytest.raises(AssertionError, match="one slot of a log has one configuration"):
            await members.publish(7, WITH_LEARNER, FOUNDING_EPOCH)

    asyncio.run(scenario())


def test_what_is_gone_with_its_table_does_not_come_back() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        members = await founded(store, 7, 8)
        slow = await another(store)
        changes = members.removal([7])
        assert [change.key for change in changes] == ["members/7"]
        assert await store.compare_and_set(changes)
        assert not await slow.publish(7, WITH_LEARNER, 41)
        assert await slow.give_number(7) is None
        assert [entry.key for entry in await store.list("")] == ["members/8"]

    asyncio.run(scenario())


def test_no_number_is_given_twice() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        all_members = [await founded(store, 7), await another(store), await another(store)]
        numbers = await asyncio.gather(*(all_members[at % 3].give_number(7) for at in range(9)))
        assert sorted(numbers, key=str) == [10, 11, 12, 4, 5, 6, 7, 8, 9]
        # Also not by whoever publishes a configuration that was made before.
        assert await all_members[1].publish(7, WITH_LEARNER, 5)
        assert await all_members[2].give_number(7) == 13

    asyncio.run(scenario())


def test_numbers_end() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        members = await founded(store, 7)
        assert await members.publish(7, Configuration((Member("n1", NUMBER_MAX),)), 2)
        with pytest.raises(OverflowError, match="group 7"):
            await members.give_number(7)

    asyncio.run(scenario())


def test_listeners_are_told_of_each_change_once() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        members = await founded(store, 7)
        other = GroupMembers(store, lambda groups: {})
        told: dict[str, list[tuple[int, int | None, int | None]]] = {"one": [], "other": []}

        def listen(name: str, to: GroupMembers) -> None:
            def note(group: int, before: Published | None, after: Published | None) -> None:
                told[name].append((group, before and before.epoch, after and after.epoch))

            to.listeners.append(note)

        listen("one", members)
        listen("other", other)
        other.see(await store.snapshot(""))
        await members.publish(7, WITH_LEARNER, 41)
        for each in (members, other):
            each.see(await store.snapshot(""))
        assert told == {"one": [(7, 1, 41)], "other": [(7, None, 1), (7, 1, 41)]}
        await store.compare_and_set(members.removal([7]))
        other.see(await store.snapshot(""))
        assert told["other"][-1] == (7, 41, None)
        assert len(other) == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "wrong",
    [
        {"members": []},
        {"members": [{"name": "n1", "number": 1}, {"name": "n1", "number": 2}]},
        {"members": [{"name": "n1", "number": 1}, {"name": "n2", "number": 1}]},
        {"members": [{"name": "n1", "number": 4}]},
        {"members": [{"name": "n1", "number": 0}]},
        {"members": [{"name": "n1", "number": 1, "kind": "half"}]},
        {"epoch": "1"},
    ],
)
def test_what_cannot_be_members_is_damage(wrong: dict[str, Any]) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        await founded(store, 7)
        [entry] = await store.list("")
        value = json.dumps({**json.loads(entry.value), **wrong}).encode()
        assert await store.compare_and_set([Change("members/7", entry.version, value)])
        with pytest.raises(Damaged, match="members/7"):
            await another(store)

    asyncio.run(scenario())


def test_what_a_newer_varley_wrote_is_not_damage() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        assert await store.compare_and_set([Change("members/7", ABSENT, b'{"format_version":2}')])
        with pytest.raises(WorldError, match="newer Varley") as refusal:
            await another(store)
        assert not isinstance(refusal.value, Damaged)

    asyncio.run(scenario())
