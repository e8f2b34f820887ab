"""Transactions whose items several nodes lead: coordinators that go away, answers that are lost, times that differ."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from tests.remote.machines import Body, Cluster, Machine
from varley.clock import MovableClock, StoppedClock
from varley.errors import LeaderReplaced, NotLeading
from varley.net.channels import PARTICIPANT
from varley.node.settled import Told
from varley.transactions.record import KEPT_SECONDS
from varley.transactions.recovery import OLD_SECONDS

CREATE: Body = {
    "TableName": "accounts",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


class Bank:
    def __init__(self) -> None:
        self.clock = MovableClock(StoppedClock())
        self.cluster = Cluster("n1", "n2", "n3", clock=self.clock)
        self.table = "accounts"

    async def start(self) -> None:
        await self.cluster.start()
        await self.move_to(self.table)
        ledger = self.cluster.catalog.ledger
        assert ledger is not None
        self.ledger_group = ledger.groups[0]
        self.coordinator = self.cluster.owner(self.ledger_group)

    async def move_to(self, table: str) -> None:
        """A table of this name is the one that accounts are in from now on."""
        status, _ = await self.cluster.machines[0].ask("CreateTable", {**CREATE, "TableName": table})
        assert status == 200
        self.table = table
        self.route = self.cluster.machines[0].router.route(table)

    def owner(self, name: str) -> Machine:
        return self.cluster.owner(self.group(name))

    def group(self, name: str) -> int:
        return self.route.partition_of(self.route.keys.row_key({"pk": {"S": name}})).group

    def one_on(self, machine: Machine) -> str:
        """The name of an account that this node leads."""
        return next(name for name in map(str, range(1000)) if self.owner(name) is machine)

    async def put_all(self, names: list[str], value: int, through: Machine, **more: Any) -> tuple[int, Any]:
        items = [
            {"Put": {"TableName": self.table, "Item": {"pk": {"S": name}, "n": {"N": str(value)}}}} for name in names
        ]
        status, body = await through.ask("TransactWriteItems", {"TransactItems": items, **more})
        return status, msgspec.json.decode(body)

    async def values(self, names: list[str], through: Machine) -> list[str | None]:
        gets = [{"Get": {"TableName": self.table, "Key": {"pk": {"S": name}}}} for name in names]
        status, body = await through.ask("TransactGetItems", {"TransactItems": gets})
        assert status == 200, body
        found = [each.get("Item") for each in msgspec.json.decode(body)["Responses"]]
        return [None if item is None else item["n"]["N"] for item in found]

    def markers(self) -> int:
        return sum(
            len(partition.participant.markers)
            for machine in self.cluster.machines
            for partition, _ in machine.hosted.partitions.values()
        )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)


def with_bank(test: Callable[[Bank], Any]) -> Callable[[], None]:
    def run() -> None:
        async def whole() -> None:
            bank = Bank()
            await bank.start()
            await test(bank)
            await bank.cluster.stop()

        asyncio.run(whole())

    run.__name__ = test.__name__
    return run


@with_bank
async def test_all_is_done_through_any_node(bank: Bank) -> None:
    names = [bank.one_on(machine) for machine in bank.cluster.machines]
    for value, machine in enumerate(bank.cluster.machines):
        assert (await bank.put_all(names, value, machine))[0] == 200
        for other in bank.cluster.machines:
            assert await bank.values(names, other) == [str(value)] * 3
    await until(lambda: bank.markers() == 0)


@with_bank
async def test_a_repeated_token_is_answered_and_nothing_is_done_again(bank: Bank) -> None:
    for number, names in enumerate(([bank.one_on(each) for each in bank.cluster.machines], ["just one"])):
        token = f"token {number}"
        assert (await bank.put_all(names, 1, bank.cluster.machines[0], ClientRequestToken=token))[0] == 200
        await bank.put_all(names, 2, bank.cluster.machines[1])
        again = await bank.put_all(
            names, 1, bank.cluster.machines[2], ClientRequestToken=token, ReturnConsumedCapacity="TOTAL"
        )
        assert again[0] == 200 and again[1]["ConsumedCapacity"][0]["ReadCapacityUnits"] == 2.0 * len(names)
        assert await bank.values(names, bank.cluster.machines[0]) == ["2"] * len(names)
        status, other = await bank.put_all(names, 9, bank.cluster.machines[1], ClientRequestToken=token)
        assert status == 400 and "IdempotentParameterMismatch" in other["__type"]


@with_bank
async def test_a_participant_that_cannot_be_reached_stops_all_and_nothing_was_done(bank: Bank) -> None:
    names = [bank.one_on(machine) for machine in bank.cluster.machines]
    lost = next(each for each in bank.cluster.machines if each is not bank.coordinator)
    bank.cluster.wire.cut.update((each.name, lost.name) for each in bank.cluster.machines if each is not lost)
    loop = asyncio.get_running_loop()
    later = loop.time()
    loop.time = lambda: later  # type: ignore[method-assign]
    asked = asyncio.ensure_future(bank.put_all(names, 1, bank.coordinator))
    while not asked.done():
        await asyncio.sleep(0)
        later += 0.05
        if later > 1e12:
            break
    del loop.time  # type: ignore[attr-defined]
    status, body = await asked
    bank.cluster.wire.cut.clear()
    assert status in (500, 503), body
    await _tick_until_idle(bank)
    assert await bank.values(names, bank.coordinator) == [None] * 3


@with_bank
async def test_items_of_several_nodes_are_not_more_than_4_mb_together(bank: Bank) -> None:
    names = [bank.one_on(machine) for machine in bank.cluster.machines]
    names += [f"large {number}" for number in range(9)]
    for name in names:
        item = {"pk": {"S": name}, "v": {"S": "x" * 300_000}}
        assert (await bank.coordinator.ask("PutItem", {"TableName": "accounts", "Item": item}))[0] == 200
    for size, expected in ((20_000, 200), (80_000, 400)):
        values = {":v": {"S": "x" * size}}
        update = {"TableName": "accounts", "UpdateExpression": "SET w = :v", "ExpressionAttributeValues": values}
        updates = [{"Update": {**update, "Key": {"pk": {"S": name}}}} for name in names]
        status, body = await bank.coordinator.ask("TransactWriteItems", {"TransactItems": updates})
        assert status == expected, body
    assert b"Transaction payload size cannot exceed 4" in body
    await _tick_until_idle(bank)
    assert bank.markers() == 0


async def _tick_until_idle(bank: Bank) -> None:
    """Old markers are looked for everywhere, as happens every second, until there are none."""
    bank.clock.advance(OLD_SECONDS + 1)
    for _ in range(50):
        for machine in bank.cluster.machines:
            recovery = machine.transactions._recovery
            assert recovery is not None
            recovery._tick()
            recovery.halt()
        for _ in range(50):
            await asyncio.sleep(0)
        if not bank.markers():
            return
    raise AssertionError("there are markers left")


def _on_participants(bank: Bank, names: list[str], handle: Callable[[Any, str, bytes, Any], None]) -> None:
    """Have what is asked of these participants go through `handle`, which gets the real handler too."""
    for name in names:
        peers = bank.owner(name).peers
        assert peers is not None
        real = peers.handlers[PARTICIPANT]
        peers.handlers[PARTICIPANT] = lambda *asked, real=real: handle(real, *asked)  # type: ignore[misc]


@with_bank
async def test_what_a_coordinator_has_left_is_cancelled_if_nothing_was_decided(bank: Bank) -> None:
    """All have prepared; the coordinator hears of none, and is gone, with all that it had in memory."""
    names = [bank.one_on(machine) for machine in bank.cluster.machines if machine is not bank.coordinator]
    await bank.put_all(names, 1, bank.coordinator)
    await until(lambda: bank.markers() == 0)

    def unheard(real: Any, sender: str, payload: bytes, answer: Any) -> None:
        real(sender, payload, (lambda body: None) if b"prepare" in payload else answer)

    _on_participants(bank, names, unheard)
    asked = asyncio.ensure_future(bank.put_all(names, 2, bank.coordinator))
    await until(lambda: bank.markers() == 2)
    for _ in range(20):
        await asyncio.sleep(0)
    assert bank.markers() == 2
    asked.cancel()
    bank.coordinator.transactions._live._requests.clear()
    await _tick_until_idle(bank)
    assert await bank.values(names, bank.cluster.machines[0]) == ["1", "1"]


@with_bank
async def test_what_a_coordinator_has_left_is_committed_if_that_was_decided(bank: Bank) -> None:
    names = [bank.one_on(machine) for machine in bank.cluster.machines if machine is not bank.coordinator]
    await bank.put_all(names, 1, bank.coordinator)
    await until(lambda: bank.markers() == 0)
    is_deaf = True

    def deaf(real: Any, sender: str, payload: bytes, answer: Any) -> None:
        if not (is_deaf and b"finish" in payload):    # they prepare, and then hear of nothing more
            real(sender, payload, answer)

    _on_participants(bank, names, deaf)
    asked = asyncio.ensure_future(bank.put_all(names, 2, bank.coordinator))
    ledger = bank.coordinator.transactions._ledger
    assert ledger is not None
    await until(lambda: len(ledger._decided) == 1)
    for _ in range(20):
        await asyncio.sleep(0)
    assert bank.markers() == 2
    asked.cancel()
    bank.coordinator.transactions._live._requests.clear()
    is_deaf = False
    await _tick_until_idle(bank)
    assert await bank.values(names, bank.coordinator) == ["2", "2"]


@with_bank
async def test_a_participant_whose_clock_is_ahead_is_asked_once_more(bank: Bank) -> None:
    names = [bank.one_on(machine) for machine in bank.cluster.machines]
    for name in names:    # written in the future, as the coordinator sees it
        bank.clock.advance(5)
        await bank.owner(name).ask("PutItem", {"TableName": "accounts", "Item": {"pk": {"S": name}, "n": {"N": "1"}}})
    bank.clock.set(bank.clock.time() - 15)
    assert (await bank.put_all(names, 2, bank.cluster.machines[0]))[0] == 200
    assert await bank.values(names, bank.cluster.machines[0]) == ["2"] * 3


@with_bank
async def test_each_refusal_is_told_wherever_it_was_found(bank: Bank) -> None:
    names = [bank.one_on(machine) for machine in bank.cluster.machines]
    for refused in ([0], [1], [2], [0, 2], [0, 1, 2]):
        items = [
            {
                "Put": {
                    "TableName": "accounts",
                    "Item": {"pk": {"S": name}},
                    **({"ConditionExpression": "attribute_exists(pk)"} if number in refused else {}),
                }
            }
            for number, name in enumerate(names)
        ]
        for machine in bank.cluster.machines:
            status, body = await machine.ask("TransactWriteItems", {"TransactItems": items})
            codes = [each["Code"] for each in msgspec.json.decode(body)["CancellationReasons"]]
            assert status == 400
            assert codes == ["ConditionalCheckFailed" if each in refused else "None" for each in range(3)]
            await until(lambda: bank.markers() == 0)
            assert await bank.values(names, machine) == [None] * 3


def _add_one(bank: Bank, names: list[str]) -> Body:
    values = {":one": {"N": "1"}}
    update = {"TableName": bank.table, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": values}
    return {"TransactItems": [{"Update": {**update, "Key": {"pk": {"S": name}}}} for name in names]}


async def _ends_elsewhere(bank: Bank, names: list[str], when: bytes) -> tuple[int, bytes]:
    """Adds one to each; this coordinator leads the ledger no longer when a participant has answered `when` last, and
    leads it again a moment later, when a request that was passed on would find it."""
    await bank.put_all(names, 1, bank.coordinator)
    await until(lambda: bank.markers() == 0)
    lease = bank.cluster.leases[bank.ledger_group]
    left = 2

    def heard(real: Any, sender: str, payload: bytes, answer: Any) -> None:
        def last(body: bytes) -> None:
            nonlocal left
            if when in payload:
                left -= 1
                lease.is_leading = left != 0
            answer(body)

        real(sender, payload, last)

    _on_participants(bank, names, heard)
    asked = asyncio.ensure_future(bank.coordinator.ask("TransactWriteItems", _add_one(bank, names)))
    await until(lambda: left == 0)
    for _ in range(20):
        await asyncio.sleep(0)
    lease.is_leading, lease.ballot = True, 2
    bank.cluster.announce(bank.ledger_group, bank.coordinator)
    return await asked


@with_bank
async def test_what_is_committed_is_not_done_again_by_the_next_coordinator(bank: Bank) -> None:
    """1. All participants have committed. 2. The coordinator cannot note that: it does not lead the ledger any more.
    3. Were it to pass the request on, for nothing of the ledger was changed just now, it would be done twice."""
    names = [bank.one_on(machine) for machine in bank.cluster.machines if machine is not bank.coordinator]
    status, body = await _ends_elsewhere(bank, names, b"finish")
    assert status == 200, body
    await _tick_until_idle(bank)
    assert await bank.values(names, bank.coordinator) == ["2", "2"]


@with_bank
async def test_what_was_not_decided_is_cancelled_by_the_coordinator_that_was(bank: Bank) -> None:
    names = [bank.one_on(machine) for machine in bank.cluster.machines if machine is not bank.coordinator]
    status, body = await _ends_elsewhere(bank, names, b"prepare")
    assert status == 503 and b"nothing was done" in body
    await until(lambda: bank.markers() == 0)    # nobody has to wait until they are old
    assert await bank.values(names, bank.coordinator) == ["1", "1"]


@with_bank
async def test_a_participant_that_moves_away_in_the_middle_commits_where_it_is(bank: Bank) -> None:
    """All participants were on the coordinator's node when it began, and one is not any more: it is asked where it is,
    and the request is not run again by whoever leads it."""
    await bank.move_to("others")
    by_group = {bank.group(name): name for name in map(str, range(100)) if bank.owner(name) is bank.coordinator}
    names = list(by_group.values())
    assert len(names) > 1
    await bank.put_all(names, 1, bank.coordinator)
    await until(lambda: bank.markers() == 0)
    ledger = bank.coordinator.transactions._ledger
    assert ledger is not None
    lease = bank.cluster.leases[bank.group(names[0])]
    asked = asyncio.ensure_future(bank.coordinator.ask("TransactWriteItems", _add_one(bank, names)))
    await until(lambda: len(ledger._decided) == 1)
    lease.is_leading = False
    for _ in range(20):
        await asyncio.sleep(0)
    lease.is_leading, lease.ballot = True, 2
    bank.cluster.announce(bank.group(names[0]), bank.coordinator)
    status, body = await asked
    assert status == 200, body
    await _tick_until_idle(bank)
    assert await bank.values(names, bank.coordinator) == ["2"] * len(names)


class _Replaced:
    """A participant's part that loses its leading, or does not, in the middle of the step that is named."""

    def __init__(self, bank: Bank, name: str, step: str, error: BaseException, *, is_done: bool) -> None:
        """`is_done`: the next leader has what was proposed."""
        group = bank.group(name)
        participant = bank.owner(name).hosted.partitions[group][0].participant
        real = getattr(participant, step)
        self.tries = 0

        def once(*given: Any) -> Any:
            self.tries += 1
            if self.tries > 1:
                return real(*given)
            *others, waiter = given
            if is_done:
                real(*others, Told(lambda settled: waiter.fail(error)))
            else:
                asyncio.get_running_loop().call_soon(waiter.fail, error)
            return True

        class Participant:
            def __getattr__(self, wanted: str) -> Any:
                return once if wanted == step else getattr(participant, wanted)

        bank.owner(name).hosted.partitions[group][0].participant = Participant()  # type: ignore[assignment]


@with_bank
async def test_a_participant_that_is_replaced_says_at_once_that_nobody_knows(bank: Bank) -> None:
    """While it says nothing, the items of all others are locked."""
    names = [bank.one_on(machine) for machine in bank.cluster.machines]
    other = next(name for name in names if bank.owner(name) is not bank.coordinator)
    for is_done in (False, True):
        _Replaced(bank, other, "prepare", LeaderReplaced(bank.group(other)), is_done=is_done)
        async with asyncio.timeout(2):
            status, body = await bank.put_all(names, 1, bank.coordinator)
            assert status == 503, body
            await until(lambda: bank.markers() == 0)
        assert await bank.values(names, bank.coordinator) == [None] * 3


@with_bank
async def test_of_one_that_is_alone_and_is_replaced_nobody_knows(bank: Bank) -> None:
    name = next(bank.one_on(each) for each in bank.cluster.machines if each is not bank.coordinator)
    _Replaced(bank, name, "write", LeaderReplaced(bank.group(name)), is_done=True)
    async with asyncio.timeout(2):
        status, body = await bank.put_all([name], 1, bank.coordinator, ClientRequestToken="one")
        assert status == 500, body
        # Who asks again with the token learns what became of it.
        assert (await bank.put_all([name], 1, bank.coordinator, ClientRequestToken="one"))[0] == 200


@with_bank
async def test_what_surely_was_not_prepared_is_prepared_where_it_is_led(bank: Bank) -> None:
    names = [bank.one_on(machine) for machine in bank.cluster.machines]
    other = next(name for name in names if bank.owner(name) is not bank.coordinator)
    group = bank.group(other)
    replaced = _Replaced(bank, other, "prepare", NotLeading(group, None), is_done=False)
    asked = asyncio.ensure_future(bank.put_all(names, 1, bank.coordinator))
    async with asyncio.timeout(5):
        assert (await asked)[0] == 200
    assert replaced.tries == 2


@with_bank
async def test_a_commit_is_told_to_who_leads_next(bank: Bank) -> None:
    names = [bank.one_on(machine) for machine in bank.cluster.machines]
    other = next(name for name in names if bank.owner(name) is not bank.coordinator)
    for is_done in (False, True):
        _Replaced(bank, other, "commit", LeaderReplaced(bank.group(other)), is_done=is_done)
        async with asyncio.timeout(5):
            status, body = await bank.put_all(names, 1 + is_done, bank.coordinator)
        assert status == 200, body
        assert await bank.values(names, bank.coordinator) == [str(1 + is_done)] * 3


@with_bank
async def test_a_token_may_be_used_anew_after_ten_minutes_also_if_its_row_has_stayed(bank: Bank) -> None:
    name = next(bank.one_on(each) for each in bank.cluster.machines if each is not bank.coordinator)
    token = {"ClientRequestToken": "one"}
    assert (await bank.put_all([name], 1, bank.coordinator, **token))[0] == 200
    await bank.put_all([name], 2, bank.coordinator)
    bank.clock.advance(KEPT_SECONDS + 2)
    assert (await bank.put_all([name], 1, bank.coordinator, **token))[0] == 200
    assert await bank.values([name], bank.coordinator) == ["1"]
