"""What a bulk put does: it reads items from objects, line by line, and puts them.

    objects in the order of their keys
      some lines (a disk thread)  ->  each is checked as a PutItem would be, and put  ->  wait until all are chosen
      counts, position, report: once a second, and at the end of each object, the record says how far it is

A line is {"Item": {...}}, with ConditionExpression, ExpressionAttributeNames and ExpressionAttributeValues if it is to
be conditional. One that cannot be put (no JSON, wrong key, too large) is counted as failed and reported; one whose
condition fails is reported; neither stops the operation.

In a cluster one node runs it, its owner (bulk/owning.py). If that cannot record how far it is for so long that others
take it for gone, it stops: another may have gone on from the last record.

After a crash it goes on from the last record: lines behind that are put once more. For a put without a condition that
changes nothing; one with attribute_not_exists is then told that its item exists, and is reported although it was put.
A record per line would make that exact, and the whole fifty times slower.

Writes that are throttled, or that a transaction is in the way of, are tried again, as is everything when the disk takes
no more writes: what was put before and is put again is the same item. `MaxWriteRequestUnits` is kept by pausing. Only
what ends the operation for good ends it early: the table is gone, an object cannot be read.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import msgspec

from varley.api.bulk_report import ERROR, BulkReport, report_key
from varley.api.put_item import Put, PutItemRequest
from varley.api.requests import decoder
from varley.api.writes import Terms, condition_of, write_expressions
from varley.bulk.operations import BulkOperation, Status
from varley.bulk.runner import BulkRunner
from varley.errors import (
    ApiError,
    ConditionalCheckFailed,
    InternalServerError,
    ProvisionedThroughputExceeded,
    ResourceNotFound,
    ServiceUnavailable,
    Throttling,
    TransactionConflict,
    ValidationError,
    WorldError,
)
from varley.item.units import write_units
from varley.item.value import check_item
from varley.limits import ITEM_BYTES_MAX
from varley.node.elsewhere import Elsewhere, Need
from varley.node.settled import Told
from varley.remote.peers import NOBODY
from varley.router.routes import Route
from varley.storage.object_folder import LineReader, NoBucket, ObjectFolder, StoredObject

logger = logging.getLogger("varley.bulk")

_RECORD_SECONDS: Final = 1.0    # between two records
OWNER_SECONDS: Final = 8.0    # without a record; then the owner stops, before its lease as a node can have ended
_AGAIN_SECONDS: Final = 0.2    # after writes that were not taken
_encode = msgspec.json.encode
_decode_line = decoder(PutItemRequest)
_BUSY: Final = (Throttling, ProvisionedThroughputExceeded, TransactionConflict, WorldError)


async def run_bulk_put(runner: BulkRunner, number: int) -> None:
    """Run the operation of this number, or go on with it, until it ends or the server stops."""
    await _Run(runner, number).run()


class _Failed(Exception):
    """The operation cannot go on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Stopped(Exception):
    """The server stops, or the operation was cancelled."""


class _Torn(Exception):
    """It stops while some lines are put that are in no record: the last one is what counts."""


class _Run:
    """One operation while it runs. Its fields are ahead of the record; `_record` writes them down."""

    def __init__(self, runner: BulkRunner, number: int) -> None:
        self._runner = runner
        self._number = number
        operation = self._begun = runner.operations.get(number)
        self._changes: dict[str, Any] = {}    # members of the record that it does not have yet
        self._processed = operation.processed_items
        self._failed = operation.failed_items
        self._put_bytes = operation.put_bytes
        self._report = BulkReport(runner, operation)
        self._recorded_at = runner.monotonic()

    @property
    def _operation(self) -> BulkOperation:
        return self._runner.operations.get(self._number)

    async def run(self) -> None:
        status: Status
        failure: _Failed | None = None
        try:
            await self._read_all()
            status = "COMPLETED_WITH_ERRORS" if self._failed else "COMPLETED"
        except _Stopped:
            if self._operation.status != "CANCELLING":
                await self._record_if_possible()
                return
            status, failure = "CANCELLED", _Failed("UserCancelled", "The operation was cancelled")
        except _Torn:
            return
        except _Failed as error:
            status, failure = "FAILED", error
        try:
            await self._end(status, failure)
        except _Failed as error:    # its report cannot be written; without what was missing there, the rest can be said
            await self._end("FAILED", error)

    async def _end(self, status: Status, failure: _Failed | None) -> None:
        """Record that it has ended, unless the server stops: then the next start does that."""
        if failure is not None:
            self._changes.update(failure_code=failure.code, failure_message=failure.message)
        self._changes.update(status=status, ended_at=self._runner.now())
        while not await self._record_if_possible():
            if self._runner.is_stopping:
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    # Reading

    async def _read_all(self) -> None:
        objects = self._runner.objects
        if objects is None:
            raise _Failed("S3NotFound", "This server was started without --s3-dir")
        given = self._operation.request["InputS3Configuration"]
        bucket = given["S3Bucket"]
        try:
            found: list[StoredObject] = await self._runner.on_disk(objects.list, bucket, given.get("S3KeyPrefix", ""))
        except NoBucket as error:
            raise _Failed("S3NoSuchBucket", str(error)) from error
        except OSError as error:
            raise _Failed("S3AccessDenied", str(error)) from error
        # A report may lie in the same bucket, and be there when this goes on after a restart.
        own = report_key(self._operation, ERROR).rpartition("/")[0] + "/"
        found = [each for each in found if not each.key.startswith(own)]
        done = self._operation.object
        self._changes["total_bytes"] = sum(each.size for each in found)
        for each in found:
            if each.key.encode() < done.encode():
                continue
            skip = self._operation.lines if each.key == done else 0
            await self._read(objects, bucket, each, is_gzip=given.get("InputCompressionType") == "GZIP", skip=skip)

    async def _read(self, objects: ObjectFolder, bucket: str, each: StoredObject, *, is_gzip: bool, skip: int) -> None:
        lines = skip
        reader: LineReader | None = None
        try:
            reader = await self._runner.on_disk(
                lambda: objects.lines(bucket, each.key, is_gzip=is_gzip, skip=skip)
            )
            while some := await self._runner.on_disk(reader.next_lines):
                self._check_going_on()
                await self._put_lines(some, each.key, lines)
                lines += len(some)
                self._changes.update(object=each.key, lines=lines, reading_bytes=reader.bytes_read)
                if self._runner.monotonic() >= self._recorded_at + _RECORD_SECONDS:
                    await self._record_if_possible()
        except (OSError, EOFError) as error:
            raise _Failed("S3ReadFailed", f"{each.key}: {error}") from error
        finally:
            if reader is not None:
                await self._runner.on_disk(reader.close)
        before = self._changes.get("done_bytes", self._operation.done_bytes)
        # Behind this object, and before every other.
        self._changes.update(object=each.key + "\0", lines=0, done_bytes=before + each.size, reading_bytes=0)

    def _check_going_on(self) -> None:
        if self._runner.is_stopping or self._operation.status == "CANCELLING":
            raise _Stopped
        if self._begun.owner and self._runner.monotonic() >= self._recorded_at + OWNER_SECONDS:
            logger.warning("bulk operation %d stops: how far it is cannot be recorded", self._number)
            raise _Torn

    # Putting

    async def _put_lines(self, lines: list[bytes], key: str, number: int) -> None:
        """Put what can be put of some lines; the first is the `number`-th of its object, from 0."""
        units = 0.0
        left = [(number + offset + 1, line) for offset, line in enumerate(lines) if line.strip()]
        self._processed += len(left)
        while left:
            again = []
            waiting = [(at, line, self._put(at, line, key)) for at, line in left]
            for at, line, pending in waiting:
                if pending is None:
                    continue
                put, answered = pending
                error = await answered
                if error is None:
                    self._put_bytes += put.size
                    units += write_units(0, put.size)
                elif isinstance(error, ConditionalCheckFailed):
                    self._report.condition_failed(put.json, error)
                elif isinstance(error, _BUSY):
                    again.append((at, line))
                elif isinstance(error, ApiError):
                    self._refused(key, at, line, error)
                else:
                    raise error
            left = again
            if left:
                self._check_route()
                await asyncio.sleep(_AGAIN_SECONDS)
                if self._runner.is_stopping:
                    raise _Torn
        most = self._operation.request.get("MaxWriteRequestUnits")
        await asyncio.sleep(units / most if most else 0)

    def _check_route(self) -> Route:
        try:
            return self._runner.route(self._operation)
        except ResourceNotFound as error:
            raise _Failed("ResourceNotFound", f"The table {self._operation.table_name} was deleted") from error

    def _put(self, at: int, line: bytes, key: str) -> tuple[Put, asyncio.Future[BaseException | None]] | None:
        """Begin with a put; None: the line is none, and that is reported."""
        route = self._check_route()
        answered: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        waiter = Told(answered.set_result)
        try:
            put = _put_of(line, route)
        except ApiError as error:
            self._refused(key, at, line, error)
            return None
        try:
            route.partition_of(put.key).write(put, waiter)
        except (ApiError, WorldError) as error:
            waiter.fail(error)
        except Elsewhere as away:
            self._put_elsewhere(away.group, line, route, waiter)
        return put, answered

    def _put_elsewhere(self, group: int, line: bytes, route: Route, waiter: Told) -> None:
        """As a PutItem of its own."""
        peers = self._runner.peers
        assert peers is not None, "on one machine nothing is elsewhere"
        request = _decode_line(line)
        request.table_name = route.name

        def heard(answer: bytes | ApiError) -> None:
            if isinstance(answer, ApiError):
                waiter.fail(_as_here(answer))
            else:
                waiter.reply(answer)

        peers.part(NOBODY, group, Need.WRITE, "PutItem", _encode(request), heard)

    def _refused(self, key: str, at: int, line: bytes, error: ApiError) -> None:
        self._failed += 1
        self._report.refused(key, at, line, error)

    # Writing down how far it is

    async def _record_if_possible(self) -> bool:
        try:
            await self._record()
        except WorldError as error:
            logger.warning("a bulk operation is recorded later: %s", error)
            return False
        return True

    async def _record(self) -> None:
        """Write down how far it is: first the report, then the record, which says how long the report is."""
        try:
            await self._report.write()
        except OSError as error:
            raise _Failed("S3WriteFailed", str(error)) from error
        await self._runner.operations.change(
            self._number,
            by=self._begun,
            processed_items=self._processed,
            failed_items=self._failed,
            put_bytes=self._put_bytes,
            report_bytes=dict(self._report.bytes),
            **self._changes,
        )
        self._changes.clear()
        self._recorded_at = self._runner.monotonic()


def _as_here(error: ApiError) -> ApiError:
    """What another node has refused, as this one would have. If nobody knows what became of a put, it is tried again,
    as after a crash."""
    match error.code:
        case ConditionalCheckFailed.code:
            return ConditionalCheckFailed(getattr(error, "item", None))
        case TransactionConflict.code:
            return TransactionConflict()
        case Throttling.code | ProvisionedThroughputExceeded.code | ServiceUnavailable.code | InternalServerError.code:
            return Throttling(error.message)
    return error


def _put_of(line: bytes, route: Route) -> Put:
    """The write that a line asks for. Raises ApiError."""
    record = _decode_line(line)
    item = record.item
    if item is None:
        raise ValidationError("The record has no Item")
    expressions = write_expressions(record)
    size = check_item(item)
    if size > ITEM_BYTES_MAX:
        raise ValidationError("Item size has exceeded the maximum allowed size")
    condition = None if expressions is None else condition_of(record, expressions)
    key = route.keys.row_key_of_item(item)
    if route.consequences is not None:
        route.consequences.check_item(item)
    return Put(key, _encode(item), size, condition, Terms(route, "StartBulkPutItems", on_failure="ALL_OLD"))
