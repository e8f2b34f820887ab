"""What one node hosts, as the metadata changes: a real node in memory, and publications as others would make them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from varley.clock import SystemClock
from varley.cluster.hosting import Hosting
from varley.cluster.remembering import Remembering
from varley.metadata.group_members import GroupMembers
from varley.metadata.memory import MemoryStore
from varley.metadata.store import Changed
from varley.node.node import Node
from varley.paxos.membership import Configuration, Member
from varley.remote.hosted import Hosted
from varley.remote.memds_node import MemdsNode
from varley.storage.memory_log import MemoryLog
from varley.storage.tree_folder import NoFolder

GROUP = 7
FOUNDERS = Configuration((Member("a", 1), Member("b", 2), Member("c", 3)))
OTHERS = Configuration((Member("b", 2), Member("c", 3)))


class World:
    """Node "a"."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.store = store or MemoryStore()
        self.members = GroupMembers(self.store, lambda groups: dict.fromkeys(groups, FOUNDERS))
        self.node = Node(
            loop, SystemClock(), overlay_bytes_max=1 << 20, log_bytes_max=1 << 20, engines=NoFolder(), on_fatal=_fail,
            name="a",
        )  # fmt: skip
        self.node.start(MemoryLog(on_durable=self.node.log_is_durable))
        self.hosted = Hosted("a")
        self.memds = MemdsNode(loop, "a", lambda to, channel, payload: None, Random(1))
        self._tasks: set[asyncio.Task[None]] = set()
        self.remembering = Remembering(loop, None, self._keep)
        self.hosting = self._hosting(loop)

    def _hosting(self, loop: asyncio.AbstractEventLoop) -> Hosting:
        return Hosting(loop, self.node, self.members, self.hosted, self.memds, self.remembering, self._keep)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def found(self, founders: Configuration = FOUNDERS) -> None:
        """As whoever executes CreateTable does."""
        self.members._founders = lambda groups: dict.fromkeys(groups, founders)
        changes = self.members.founding([GROUP])
        version = await self.store.compare_and_set(changes)
        assert version is not None
        self.members.made(changes, version)

    async def publish(self, epoch: int, *members: Member) -> None:
        """As the group's leader does."""
        assert await self.members.publish(GROUP, Configuration(members), epoch)

    async def delete(self) -> None:
        changes = self.members.removal([GROUP])
        version = await self.store.compare_and_set(changes)
        assert version is not None
        self.members.made(changes, version)

    async def settle(self) -> str | None:
        """The name of the member that is here when all is done that was begun."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)
        member = self.node.members.by_group.get(GROUP)
        assert (member is not None) == (GROUP in self.hosted.partitions)
        return None if member is None else member.name


def _fail(error: BaseException) -> None:
    raise error


def run(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def tell() -> None:
        world = World()
        try:
            await story(world)
        finally:
            world.hosting.stop()
            await world.settle()
            await world.node.halt()

    asyncio.run(tell())


def test_a_founder_begins_with_the_founding_configuration() -> None:
    async def story(world: World) -> None:
        world.hosting.start({}, {}, groups_before=0)
        await world.found()
        assert await world.settle() == "a"
        assert world.node.members.by_group[GROUP].core.configuration == FOUNDERS
        assert world.memds.find(GROUP).members == ("a", "b", "c")

    run(story)


def test_what_others_found_is_not_here() -> None:
    async def story(world: World) -> None:
        world.hosting.start({}, {}, groups_before=0)
        await world.found(OTHERS)
        assert await world.settle() is None

    run(story)


def test_a_group_that_is_younger_than_the_folder_begins_at_the_start() -> None:
    async def story(world: World) -> None:
        await world.found()
        world.hosting.start({}, {}, groups_before=GROUP - 1)
        assert await world.settle() == "a"

    run(story)


def test_a_group_that_is_older_than_the_folder_has_lost_its_member() -> None:
    async def story(world: World) -> None:
        await world.found()
        world.hosting.start({}, {}, groups_before=GROUP)
        assert await world.settle() == "a#4"
        member = world.node.members.by_group[GROUP].member
        assert member.number == 4     # that nobody has had
        assert not member.votes and member.joins

    run(story)


def test_no_life_has_the_name_of_another_that_was_never_published() -> None:
    """The story at the top of hosting.py: its disk is lost twice before the metadata has heard of the life between."""

    async def story(world: World) -> None:
        await world.found()
        world.hosting.start({}, {}, groups_before=GROUP)
        first = await world.settle()
        again = World(world.store)
        again.members.see(await world.store.snapshot("members/"))
        again.hosting.start({}, {}, groups_before=GROUP)
        second = await again.settle()
        assert first is not None and second is not None and first != second
        again.hosting.stop()
        await again.node.halt()

    run(story)


def test_another_life_waits_for_its_place() -> None:
    async def story(world: World) -> None:
        await world.found()
        world.hosting.start({}, {}, groups_before=GROUP)
        await world.settle()
        await world.publish(9, *FOUNDERS.members)       # it is not known there yet
        assert await world.settle() == "a#4"
        await world.publish(10, Member("a#4", 4, votes=False, joins=True), *OTHERS.members)
        assert await world.settle() == "a#4"

    run(story)


def test_a_publication_of_yet_another_life_ends_the_one_that_is_here() -> None:
    async def story(world: World) -> None:
        await world.found()
        world.hosting.start({}, {}, groups_before=GROUP)
        await world.settle()
        await world.publish(9, Member("a#5", 5), *OTHERS.members)
        assert await world.settle() == "a#6"

    run(story)


def test_a_learner_that_is_published_begins() -> None:
    async def story(world: World) -> None:
        world.hosting.start({}, {}, groups_before=0)
        await world.found(OTHERS)
        await world.publish(5, *OTHERS.members, Member("a", 4, votes=False, joins=True))
        assert await world.settle() == "a"

    run(story)


def test_a_member_that_the_group_has_removed_goes() -> None:
    async def story(world: World) -> None:
        world.hosting.start({}, {}, groups_before=0)
        await world.found()
        await world.settle()
        await world.publish(5, *OTHERS.members)
        assert await world.settle() is None

    run(story)


def test_a_learner_that_was_begun_by_request_is_left_alone_until_it_was_named() -> None:
    async def story(world: World) -> None:
        world.hosting.start({}, {}, groups_before=0)
        await world.found(OTHERS)
        learner = Member("a", 4, votes=False, joins=True)
        await world.hosting.begin(GROUP, learner)
        await world.publish(5, *OTHERS.members)
        assert await world.settle() == "a"
        await world.publish(6, *OTHERS.members, learner)
        assert await world.settle() == "a"
        await world.publish(7, *OTHERS.members)
        assert await world.settle() is None

    run(story)


def test_all_goes_with_the_table() -> None:
    async def story(world: World) -> None:
        world.hosting.start({}, {}, groups_before=0)
        await world.found()
        await world.settle()
        await world.delete()
        assert await world.settle() is None

    run(story)


def test_a_founder_whose_table_went_at_once_is_not_left_behind() -> None:
    async def story(world: World) -> None:
        world.hosting.start({}, {}, groups_before=0)
        await world.found()
        await world.delete()
        assert await world.settle() is None

    run(story)


# Without etcd


def test_by_an_old_view_nothing_begins_and_nothing_is_removed() -> None:
    async def story(world: World) -> None:
        world.hosting.start({}, {}, groups_before=0, is_old=True)
        await world.found()
        assert await world.settle() is None
        world.hosting.see(Changed(9, [], []))
        assert await world.settle() == "a", "now it is not old"

    run(story)


def test_what_an_old_view_does_not_name_stays_until_it_is_not_old() -> None:
    async def story(world: World) -> None:
        world.hosting.start({}, {}, groups_before=0, is_old=True)
        partition = await world.node.create_member(GROUP, FOUNDERS.members[0], FOUNDERS)
        world.hosting.attach(GROUP, partition)
        world.hosting._published(GROUP, None, None)
        assert await world.settle() == "a", "an old view removes nothing"
        world.hosting.see(Changed(9, [], []))
        assert await world.settle() is None, "the group is gone"

    run(story)
