"""Bulk operations: what is known of each, kept in the metadata store under bulk/<its number>.

    StartBulkPutItems  ->  IN_PROGRESS  ->  COMPLETED, COMPLETED_WITH_ERRORS, FAILED
                                        ->  CANCELLING  ->  CANCELLED

A record is a frozen value, and replaced as a whole: at the start, when the operation is cancelled, about once a second
while it reads, and at its end. So whatever a crash leaves, counts and position belong together, and the operation goes
on from there (api/bulk_put.py). Records older than 90 days, which the service does not list either, are forgotten.

In a cluster all nodes know all records, and each operation that is not over has an owner, which runs it. Every change
expects the version that it was computed from. Who runs an operation also expects to own it as it did when it began
(`by`): owner, and which claim it was. So of two who believe that they run it the one whose claim is older hears so at
its next record (`TakenOver`), and what it has not recorded does not count. Who takes over, and when: owning.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from varley.errors import ResourceNotFound
from varley.metadata.mirror import Mirror
from varley.metadata.store import ABSENT, Change, Store, Told
from varley.metadata.stored_value import decoded
from varley.table.stored_format import Stored, stored_decoder
from varley.table.table_name import table_arn

Status = Literal["IN_PROGRESS", "COMPLETED", "COMPLETED_WITH_ERRORS", "CANCELLING", "CANCELLED", "FAILED"]

_PREFIX: Final = "bulk/"
_FORMAT_VERSION: Final = 1
_KEPT_SECONDS: Final = 90 * 86_400
TOKEN_SECONDS: Final = 8 * 3600    # how long a ClientToken means the same operation


class BulkOperation(Stored, frozen=True, kw_only=True):
    """One operation. Times are epoch seconds."""

    format_version: int
    number: int    # ascending, from 1
    arn: str
    status: Status
    table_name: str
    table_id: str
    request: dict[str, Any]    # the members of StartBulkPutItems that are shown again, as they were sent
    client_token: str | None = None
    started_at: float
    ended_at: float | None = None
    processed_items: int = 0
    failed_items: int = 0    # parsing or validation; part of processed_items
    put_bytes: int = 0    # DynamoDB bytes of the items put
    total_bytes: int | None = None    # of the input objects; None: they have not been listed yet
    done_bytes: int = 0    # of the objects that were read to their end
    reading_bytes: int = 0    # of the object that is being read
    object: str = ""    # key of the one that is being read: those before it, in their order, are done
    lines: int = 0    # of it that are done
    report_bytes: dict[str, int] = {}    # noqa: RUF012 - by kind of output: what was written of the report
    failure_code: str | None = None
    failure_message: str | None = None
    owner: str = ""    # in a cluster: the node that runs it
    claim: int = 0     # ascends each time that it gets an owner

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    def described(self) -> dict[str, Any]:
        """A BulkOperationDescription."""
        shown: dict[str, Any] = {
            "BulkOperationArn": self.arn,
            "BulkOperationStatus": self.status,
            "TableDetails": [{"TableName": self.table_name, "TableId": self.table_id}],
            **self.request,
            "StartTime": self.started_at,
            "ProcessedItemCount": self.processed_items,
            "FailedItemCount": self.failed_items,
            "ProcessedInputBytes": self.done_bytes + self.reading_bytes,
            "BulkOperationUsage": [
                {
                    "TableName": self.table_name,
                    "BulkPutBytes": self.put_bytes,
                    "Table": {"BulkPutBytes": self.put_bytes},
                }
            ],
        }
        for name, value in (
            ("ClientToken", self.client_token),
            ("EndTime", self.ended_at),
            ("TotalInputBytes", self.total_bytes),
            ("FailureCode", self.failure_code),
            ("FailureMessage", self.failure_message),
        ):
            if value is not None:
                shown[name] = value
        return shown

    def summary(self) -> dict[str, Any]:
        """A BulkOperationSummary."""
        names = ("BulkOperationArn", "BulkOperationStatus", "StartTime", "EndTime")
        shown = self.described()
        return {name: shown[name] for name in names if name in shown}


_decode = stored_decoder(BulkOperation, _FORMAT_VERSION)


class TakenOver(Exception):
    """The operation has another owner by now, or is over, or forgotten."""


class BulkOperations:
    """All of this server, or of the cluster. Used from the event loop only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mirror = Mirror(_PREFIX)
        self._by_number: dict[int, BulkOperation] = {}
        self._changes = asyncio.Lock()    # one at a time, so that those of one server never get in each other's way
        self.made = 0    # version of the newest change that this process has made

    async def load(self, now: float) -> None:
        """Read everything. Called once. Raises Damaged, naming the key; WorldError if a newer Varley wrote it."""
        self.see(await self._store.snapshot(_PREFIX))
        await self.forget_old(now)

    def see(self, told: Told) -> None:
        """Take in what a watch of the store tells. Raises Damaged, or WorldError if a newer Varley wrote it."""
        self._refresh(self._mirror.see(told))

    def __iter__(self) -> Iterator[BulkOperation]:
        """Newest first."""
        return iter(sorted(self._by_number.values(), key=lambda each: -each.number))

    def get(self, number: int) -> BulkOperation:
        return self._by_number[number]

    def named(self, arn: str) -> BulkOperation:
        """Raises ResourceNotFound."""
        for operation in self._by_number.values():
            if operation.arn == arn:
                return operation
        raise ResourceNotFound(f"Requested resource not found: BulkOperation: {arn} not found")

    def next_number(self) -> int:
        return max(self._by_number, default=0) + 1

    async def add(self, operation: BulkOperation) -> bool:
        """Keep a new operation. False: another node has given its number to another; what is known is new now.

        Raises what Store raises.
        """
        async with self._changes:
            if await self._put(operation, ABSENT):
                return True
            await self._read_anew()
            return False

    async def change(self, number: int, *, by: BulkOperation | None = None, **members: Any) -> BulkOperation:
        """Replace some members of an operation that is not over.

        `by`: the operation as it was when whoever changes it began; None: whoever owns it. Raises TakenOver; what
        Store raises.
        """
        async with self._changes:
            while True:
                before = self._by_number.get(number)
                if before is None or before.is_over:
                    raise TakenOver
                if by is not None and (before.owner, before.claim) != (by.owner, by.claim):
                    raise TakenOver
                after = msgspec.structs.replace(before, **members)
                if await self._put(after, self._mirror.entries[_key(number)].version):
                    return after
                await self._read_anew()

    async def forget_old(self, now: float) -> None:
        """Those that are over and that the service would list no more. Raises what Store raises."""
        for operation in list(self._by_number.values()):
            if operation.is_over and operation.started_at < now - _KEPT_SECONDS:
                key = _key(operation.number)
                async with self._changes:
                    entry = self._mirror.entries.get(key)
                    if entry is not None:
                        await self._make(Change(key, entry.version, None))    # or another node was quicker

    async def _put(self, operation: BulkOperation, expected_version: int) -> bool:
        return await self._make(Change(_key(operation.number), expected_version, msgspec.json.encode(operation)))

    async def _make(self, change: Change) -> bool:
        version = await self._store.compare_and_set([change])
        if version is None:
            return False
        self.made = version
        self._refresh(self._mirror.made([change], version))
        return True

    async def _read_anew(self) -> None:
        self.see(await self._store.snapshot(_PREFIX))

    def _refresh(self, before: Iterable[str]) -> None:
        for key in before:
            entry = self._mirror.entries.get(key)
            number = int(key.removeprefix(_PREFIX), 16)
            if entry is None:
                self._by_number.pop(number, None)
            else:
                self._by_number[number] = decoded(entry, _decode)


def bulk_arn(table: str, *, account: str, region: str, now: float, chance: int) -> str:
    """Of the form that exports have: milliseconds and eight random digits."""
    own = f"{round(now * 1000):014d}-{chance:08x}"
    return f"{table_arn(table, account=account, region=region)}/bulk-operation/{own}"


def _key(number: int) -> str:
    return f"{_PREFIX}{number:016x}"
