"""Bulk operations: what is known of each, kept in the metadata store under bulk/<its number>.

    StartBulkPutItems  ->  IN_PROGRESS  ->  COMPLETED, COMPLETED_WITH_ERRORS, FAILED
                                        ->  CANCELLING  ->  CANCELLED

A record is a frozen value, and replaced as a whole: at the start, when the operation is cancelled, about once a second
while it reads, and at its end. So whatever a crash leaves, counts and position belong together, and the operation goes
on from there (api/bulk_put.py). Records older than 90 days, which the service does not list either, go at the start of
the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from varley.errors import Damaged, ResourceNotFound
from varley.metadata.store import ABSENT, Change, Store
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


class BulkOperations:
    """All of this server. Used from the event loop only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_number: dict[int, BulkOperation] = {}
        self._versions: dict[int, int] = {}
        self._changes = asyncio.Lock()    # one at a time: each expects the version that the one before it has made

    async def load(self, now: float) -> None:
        """Read everything. Called once. Raises Damaged, naming the key."""
        for entry in await self._store.list(_PREFIX):
            try:
                operation = _decode(entry.value)
            except ValueError as error:
                raise Damaged(
                    f"Metadata is not what was written: {error}", path=entry.key,
                    hint="Restore the metadata folder from a copy",
                ) from error  # fmt: skip
            self._by_number[operation.number] = operation
            self._versions[operation.number] = entry.version
        old = [each for each in self._by_number.values() if each.is_over and each.started_at < now - _KEPT_SECONDS]
        for operation in old:
            await self._forget(operation)

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

    async def add(self, operation: BulkOperation) -> None:
        """Keep a new operation. Raises what Store raises."""
        async with self._changes:
            await self._put(operation)

    async def change(self, number: int, **members: Any) -> BulkOperation:
        """Replace some members of an operation that is not over. Raises what Store raises."""
        async with self._changes:
            before = self._by_number[number]
            assert not before.is_over
            await self._put(msgspec.structs.replace(before, **members))
            return self._by_number[number]

    async def _put(self, operation: BulkOperation) -> None:
        number = operation.number
        version = await self._store.compare_and_set(
            [Change(_key(number), self._versions.get(number, ABSENT), msgspec.json.encode(operation))]
        )
        assert version is not None, "nobody else writes these keys"
        self._by_number[number] = operation
        self._versions[number] = version

    async def _forget(self, operation: BulkOperation) -> None:
        number = operation.number
        await self._store.compare_and_set([Change(_key(number), self._versions.pop(number), None)])
        del self._by_number[number]


def bulk_arn(table: str, *, account: str, region: str, now: float, chance: int) -> str:
    """Of the form that exports have: milliseconds and eight random digits."""
    own = f"{round(now * 1000):014d}-{chance:08x}"
    return f"{table_arn(table, account=account, region=region)}/bulk-operation/{own}"


def _key(number: int) -> str:
    return f"{_PREFIX}{number:016x}"
