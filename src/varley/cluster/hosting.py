"""The replicas on this node: what the metadata says is here is here, some milliseconds later.

    members/<group> names a member on this node        and it is here: nothing to do
                                                       founding, and new: it begins with the first records
                                                       a learner, and new: it begins with nothing
                                                       and its log is lost: another life, under another name
    members/<group> names none, or is gone             and one is here: it is removed

One look at a group at a time; whatever changes meanwhile leads to another look. A look compares what is there with what
should be, so it does not matter what was missed while this node, or etcd, was away.

A lost log. A member whose log is gone or damaged has forgotten what it promised, and must not vote again under its
name. It begins another life as a learner, with a number that nobody had, and a name that has this number: "n1#4" after
"n1". It tells the others, and whoever leads lets it take the old one's place (paxos/membership.py). The metadata names
the old life until that is chosen and published: so a member here that is of a later life than the published one is as
it should be. If the published one is of another life than the one that was said to be lost, the group has moved on
meanwhile, and a further life begins.
Rejected: counting lives from the published one, "n1#2" after "n1". Story: 1. n1 is lost; n1#2 takes its place, gets a
vote, promises; that is chosen, and not yet published. 2. n1#2 is lost too, and with it the knowledge that there was a
second life. 3. What begins is "n1#2" again, which the group counts as the voter that it has, and which has promised
nothing.

A group that came of a split has nothing at first that anybody may see: its replicas are begun as any, but are not where
requests find them (`Hosted.closed`) before their own rows say that they have all (splits/).

Without etcd. A node that was started by what it remembers (remembering.py) goes on with all members that its log has,
and looks at nothing until it is told what the metadata is now.

Removal. A member that is not in its group's newest configuration any more hears of that by the publication, which comes
after it was chosen, and never goes back to an older one. A learner that was begun here by request (`begin`), before the
group has taken it in, was never in a publication, and is left alone: whoever has begun it takes it away again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from varley.cluster.remembering import Remembering
from varley.errors import WorldError
from varley.metadata.group_members import FOUNDING_EPOCH, GroupMembers, Published
from varley.metadata.store import Told
from varley.node.member import member_name, node_of
from varley.node.member_partition import MemberPartition
from varley.node.node import Node
from varley.paxos.membership import Configuration, Member
from varley.remote.by_quorum import by_lease
from varley.remote.hosted import Hosted, Lead
from varley.remote.memds_node import MemdsNode
from varley.router.memds import Group
from varley.storage.member_log import RecoveredMember
from varley.storage.tree import Tree

logger = logging.getLogger("varley.cluster")

_AGAIN_SECONDS: Final = 1.0    # after what disk or etcd have refused


class Hosting:
    """Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        node: Node,
        members: GroupMembers,
        hosted: Hosted,
        memds: MemdsNode,
        remembering: Remembering,
        keep: Callable[[Coroutine[Any, Any, None]], None],
        lead_of: Callable[[MemberPartition], Lead] = by_lease,
    ) -> None:
        """`keep` runs a coroutine, and says aloud if it fails. `lead_of`: what says whether a partition is surely led
        here, when it has answered."""
        self._remembering = remembering
        self._loop = loop
        self._node = node
        self._members = members
        self._hosted = hosted
        self._memds = memds
        self._keep = keep
        self._lead_of = lead_of
        self._lost: set[int] = set()        # groups whose member here must not go on under its name
        self._lost_names: dict[int, str] = {}   # group -> the life that this process has told the group is lost
        self._named: set[int] = set()       # groups of which a publication has named a member on this node
        self._busy: set[int] = set()        # groups that are being looked at
        self._again: set[int] = set()       # of these, those that have changed meanwhile
        self._is_stopping = False
        # Told when a replica that leads its group knows that it has all; and asked what maps say of parents.
        self.on_opened: Callable[[MemberPartition, int], None] = _nobody_told
        self.parent_in_map: Callable[[int], int | None] = _no_parent
        self._is_old = False                # what is known of the metadata may be: nothing begins, nothing is removed
        members.listeners.append(self._published)
        for group, published in members.items().items():
            self._know_members(group, published)

    def start(
        self,
        recovered: Mapping[int, RecoveredMember],
        trees: Mapping[int, Tree],
        *,
        groups_before: int,
        is_old: bool = False,
    ) -> None:
        """Go on with the lives that are in the log. `groups_before`: groups up to this one may have had members here in
        another data folder (storage/node_folder.py). `is_old`: the metadata is what was remembered, until `see`."""
        self._is_old = is_old
        if is_old:
            self._go_on_unnamed(recovered, trees)
        for group, published in self._members.items().items():
            mine = self._mine(published.configuration)
            each = recovered.get(group)
            if mine is None:
                continue
            if each is not None and each.why_lost is None:
                self._go_on(each, trees.get(group))
                continue
            is_absent = each is None or each.is_absent
            if is_absent and group > groups_before and published.epoch == FOUNDING_EPOCH:
                continue    # it never began: the first look at it lets it
            why = "it was in another folder" if each is None else each.why_lost
            logger.warning("group %d: the log of member %s is lost: %s", group, mine.name, why)
            self._lost.add(group)
        for group, tree in trees.items():
            if group not in self._node.members.by_group:
                tree.close()    # the group has gone while this node was starting
        for group in list(self._members):
            self._look_at(group)

    def _go_on(self, each: RecoveredMember, tree: Tree | None) -> None:
        if each.group in self._node.members.by_group:
            return
        assert each.member is not None
        if each.before is not None:
            self._lost_names[each.group] = each.before.lost
        self.attach(each.group, self._node.open_member(each, tree))

    def _go_on_unnamed(self, recovered: Mapping[int, RecoveredMember], trees: Mapping[int, Tree]) -> None:
        """Members that began after the metadata was remembered: the log knows of them, what is remembered does not."""
        for group, each in recovered.items():
            if each.why_lost is None and each.member is not None:
                self._go_on(each, trees.get(group))

    def see(self, told: Told) -> None:
        """As the last view of the metadata (metadata/following.py): if what was known of it was old, now it is not."""
        if self._is_old:
            self._is_old = False
            for group in {*self._members, *self._node.members.by_group}:
                self._look_at(group)

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_stopping = True

    async def begin(self, group: int, member: Member) -> None:
        """Begin this learner, which the group takes in next. Raises WorldError, and then it was not begun."""
        await self._remembering.hosts(group)
        self.attach(group, await self._node.create_learner(group, member))

    async def end(self, group: int) -> None:
        """Host the group no more, which has a member here, and remove what that held."""
        # Story: 1. n3#2 is begun here. 2. Somebody who does not find it in the group's configuration has it ended.
        # 3. The leader has taken it in meanwhile, and it may even have voted. It must not begin again under its name.
        self._lost.add(group)
        await self._remove(group)

    def attach(self, group: int, partition: MemberPartition | None) -> None:
        """From now on requests find it here. None: a log member, which answers nothing. May be called again."""
        if partition is None or group in self._hosted.partitions or group in self._hosted.closed:
            return
        parent = self._parent_of(group)
        if parent is None or partition.tree.origin is not None:
            self._hosted.attach(group, partition, self._lead_of(partition))
            return
        self._hosted.closed[group] = partition, parent
        partition.tree.on_split = lambda: self._may_open(group, partition)

    def _may_open(self, group: int, partition: MemberPartition) -> None:
        """The rows of a replica that came of a split have changed: perhaps it knows now that it has all."""
        if group not in self._hosted.closed or partition.tree.origin is None:
            return
        del self._hosted.closed[group]
        partition.tree.on_split = None
        self._hosted.attach(group, partition, self._lead_of(partition))
        if partition.is_leading:
            partition.begins_with_all()
            self.on_opened(partition, partition.ballot)

    def _parent_of(self, group: int) -> int | None:
        """Of a group that came of a split."""
        return self._members.parents.get(group) or self.parent_in_map(group)

    def members_of(self, group: int) -> tuple[int, Sequence[str]]:
        """The slot of the newest configuration of a group that has a member here, and where its members are."""
        epoch, configuration = self._node.members.by_group[group].configuration
        return epoch, nodes_of(configuration)

    # What the metadata says

    def _published(self, group: int, before: Published | None, after: Published | None) -> None:
        self._know_members(group, after)
        self._look_at(group)

    def _know_members(self, group: int, published: Published | None) -> None:
        if published is None:
            self._memds.forget(group)
            return
        if self._mine(published.configuration) is not None:
            self._named.add(group)
        self._memds.learn(group, Group(published.epoch, nodes_of(published.configuration)))

    def _mine(self, configuration: Configuration) -> Member | None:
        own = self._hosted.name
        return next((each for each in configuration.members if node_of(each.name) == own), None)

    def _look_at(self, group: int) -> None:
        if self._is_stopping or self._is_old:
            return
        if group in self._busy:
            self._again.add(group)
        elif not self._is_right(group):
            self._busy.add(group)
            self._keep(self._put_right(group))

    def _is_right(self, group: int) -> bool:
        published = self._members.get(group)
        mine = None if published is None else self._mine(published.configuration)
        hosted = self._node.members.by_group.get(group)
        if mine is None or hosted is None:
            return mine is None and (hosted is None or (published is not None and group not in self._named))
        return hosted.name == mine.name or self._lost_names.get(group) == mine.name

    async def _put_right(self, group: int) -> None:
        try:
            while not self._is_stopping and not self._is_right(group):
                self._again.discard(group)
                await self._step(group)
        except WorldError as error:
            logger.warning("group %d is put right later: %s", group, error)
            self._loop.call_later(_AGAIN_SECONDS, self._look_at, group)
        finally:
            self._busy.discard(group)
            if group in self._again:
                self._again.discard(group)
                self._loop.call_soon(self._look_at, group)

    async def _step(self, group: int) -> None:
        published = self._members.get(group)
        mine = None if published is None else self._mine(published.configuration)
        hosted = self._node.members.by_group.get(group)
        if hosted is not None:
            if mine is not None:    # of another life than the one that is here has taken the place of
                self._lost.add(group)
            await self._remove(group)
            return
        assert published is not None and mine is not None
        is_lost = group in self._lost
        if not is_lost and published.epoch == FOUNDING_EPOCH:
            logger.info("group %d begins, with %s", group, ", ".join(sorted(published.configuration.names)))
            await self._remembering.hosts(group)
            self.attach(group, await self._node.create_member(group, mine, published.configuration))
        elif not is_lost and not mine.votes:
            logger.info("group %d: %s joins", group, mine.name)
            await self._remembering.hosts(group)
            self.attach(group, await self._node.create_learner(group, mine))
        else:
            await self._begin_another_life(group, mine, published.configuration)

    async def _begin_another_life(self, group: int, mine: Member, configuration: Configuration) -> None:
        number = await self._members.give_number(group)
        if number is None:
            return      # the group is gone
        name = member_name(self._hosted.name, number)
        known = [each.name for each in configuration.members if each.name != mine.name]
        logger.warning("group %d: %s comes back as %s", group, mine.name, name)
        member = Member(name, number, mine.kind, votes=False, joins=True)
        self._lost_names[group] = mine.name
        await self._remembering.hosts(group)
        self.attach(group, await self._node.create_learner(group, member, lost=mine.name, known=known))
        self._lost.discard(group)

    async def _remove(self, group: int) -> None:
        logger.info("group %d is not here any more", group)
        self._lost_names.pop(group, None)
        self._named.discard(group)
        if group in self._hosted.partitions:
            self._hosted.detach(group)
        self._hosted.closed.pop(group, None)
        await self._node.remove_group(group)
        self._remembering.hosts_no_more(group)


def _nobody_told(partition: MemberPartition, ballot: int) -> None:
    pass


def _no_parent(group: int) -> int | None:
    return None


def nodes_of(configuration: Configuration) -> tuple[str, ...]:
    return tuple(node_of(member.name) for member in configuration.members)
