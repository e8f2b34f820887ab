"""Accounts in two partitions, a ledger, and the real parts that move money between them, on a disk that can fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.node.running_node import RunningNode
from tests.node.writes import Waiter, Write, number_of
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.clock import MovableClock, StoppedClock
from varley.item.key_bytes import ITEM_SPACE
from varley.item.marker import ID_BYTES
from varley.metadata.catalog import Described
from varley.node.partition import Partition
from varley.router.routes import Route, Router
from varley.storage.disk import Disk
from varley.table.partition_map import initial
from varley.table.schema import ON_DEMAND_WARM, AttributeDefinition, KeySchema, Table
from varley.transactions.action import Action
from varley.transactions.ledger import Ledger
from varley.transactions.transactions import Transactions

LEDGER_GROUP = 3
TABLE = Table(
    format_version=1,
    name="accounts",
    id="0d4f1c1e-7a38-4a44-b4f0-5a2ad3a2e9b1",
    created_at=0.0,
    attribute_definitions=(AttributeDefinition(name="pk", kind="S"),),
    key_schema=KeySchema(hash_name="pk", hash_kind="S"),
    billing_mode="PAY_PER_REQUEST",
    warm=ON_DEMAND_WARM,
)
REQUEST = bytes(range(ID_BYTES))


def account(name: str) -> bytes:
    """The row key of an account; those whose names begin with b and later letters are in the second partition."""
    return ITEM_SPACE + (b"\x10" if name < "b" else b"\x90") + name.encode().ljust(15, b".")


class Bank:
    """What starts with a server: the log and the trees are recovered, and what was left is being finished."""

    def __init__(self, folder: Path, disk: Disk, *, seed: int = 1, clock: MovableClock | None = None) -> None:
        self.clock = clock or MovableClock(StoppedClock())
        self.node = RunningNode(folder, disk, groups=(1, 2, LEDGER_GROUP), clock=self.clock)
        self.router = Router(self.node.node)
        self.transactions = Transactions(self.node.loop, self.clock, Random(seed), self.router)
        partitions = self.node.partitions
        self.router.add(Described(TABLE, initial(2, iter((1, 2)).__next__), 1, 1), [partitions[1], partitions[2]])
        self.route: Route = self.router.route("accounts")
        self.ledger = Ledger(partitions[LEDGER_GROUP])
        self.transactions.open_ledger(partitions[LEDGER_GROUP])
        self.transactions.start()

    def partition_of(self, name: str) -> Partition:
        return self.route.partition_of(account(name))

    # What clients do

    def put(self, name: str, number: int | None) -> Waiter:
        """Outside of transactions; answered."""
        waiter = Waiter()
        answer = self.partition_of(name).write(write_of(name, number), waiter)
        if answer is not None:
            waiter.reply(answer)
        self.node.loop.turns()
        return waiter

    def begin(
        self, *writes: Write, token: str | None = None, request: bytes = REQUEST, checks: Sequence[Write] = ()
    ) -> Waiter:
        """A transaction; it takes some turns of the loop until it is answered."""
        waiter = Waiter()
        actions = [Action(self.route, each) for each in writes]
        actions += [Action(self.route, each, is_check=True) for each in checks]
        try:
            answer = self.transactions.write(
                actions, token, request, waiter, answer=lambda: b"done", repeated=lambda values: b"done before"
            )
        except Exception as refusal:
            waiter.fail(refusal)
        else:
            if answer is not None:
                waiter.reply(answer)
        return waiter

    def transfer(self, amounts: dict[str, int], *, token: str | None = None, request: bytes = REQUEST) -> Waiter:
        """Add to accounts, in one transaction; answered, if nothing fails."""
        waiter = self.begin(
            *(write_of(name, amount, add=True) for name, amount in amounts.items()), token=token, request=request
        )
        self.turns()
        return waiter

    def read(self, *names: str) -> Waiter:
        """All of these at one moment: their numbers, as JSON has them."""
        waiter = Waiter()
        items = [(self.route, account(name)) for name in names]
        try:
            answer = self.transactions.read(items, waiter, lambda values: repr(list(map(number_of, values))).encode())
        except Exception as refusal:
            waiter.fail(refusal)
        else:
            if answer is not None:
                waiter.reply(answer)
        return waiter

    def turns(self) -> None:
        """Enough for a transaction to end."""
        self.node.loop.turns(16)

    def heal(self, disk: ForgetfulDisk) -> None:
        """The disk has space again. In the first second the node finds that out, in the second what was left ends."""
        disk.heal()
        for _ in range(2):
            self.node.loop.advance(1)
            self.turns()

    # What is there

    def number(self, name: str) -> int | None:
        return number_of(self.partition_of(name).get(account(name)))

    def numbers(self, *names: str) -> list[int | None]:
        return [self.number(name) for name in names]

    @property
    def markers(self) -> int:
        """Applied or not."""
        return sum(len(self.node.partitions[group].participant.markers) for group in (1, 2))

    def stop(self) -> None:
        self.node.loop.run(self.transactions.stop())
        self.node.stop()

    def halt(self) -> None:
        """As a crash would: nothing is made durable any more."""
        self.transactions.halt()
        self.node.loop.run(self.node.node.halt())
        self.node.loop.close()


def write_of(
    name: str, number: int | None, *, add: bool = False, if_number: int | str | None = "whatever"
) -> Write:
    write = Write(name, number, add=add, if_number=if_number)
    write.key = account(name)
    return write
