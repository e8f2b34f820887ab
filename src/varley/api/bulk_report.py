"""The report of a bulk put: the lines that were refused, and those whose condition failed, one file for each kind.

    PREFIX/AWSDynamoDB/ID/errors.json                       {"objectKey": …, "lineNumber": 7, "errorCode": …, …}
    PREFIX/AWSDynamoDB/ID/condition-check-failures.json     {"Item": …, "ExistingItem": …}

It grows as the operation goes on. How long each file is stands in the operation's record: what a crash has left behind
that is overwritten.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from varley.bulk.operations import BulkOperation
from varley.bulk.runner import BulkRunner
from varley.errors import ApiError, ConditionalCheckFailed

ERROR: Final = "ERROR"
CONDITION_CHECK_FAILURE: Final = "CONDITION_CHECK_FAILURE"

_encode = msgspec.json.encode


class BulkReport:
    """Of one operation while it runs."""

    def __init__(self, runner: BulkRunner, operation: BulkOperation) -> None:
        self.bytes = dict(operation.report_bytes)    # by kind: what was written
        self._runner = runner
        self._operation = operation
        self._lines: dict[str, list[bytes]] = {ERROR: [], CONDITION_CHECK_FAILURE: []}    # by kind: to be written

    def refused(self, object_key: str, line_number: int, line: bytes, error: ApiError) -> None:
        """`line_number`: from 1."""
        self._lines[ERROR].append(
            _encode(
                {
                    "objectKey": object_key,
                    "lineNumber": line_number,
                    "errorCode": type(error).code,
                    "errorMessage": error.message,
                    "record": line.decode(errors="replace"),
                }
            )
        )

    def condition_failed(self, item: bytes, error: ConditionalCheckFailed) -> None:
        """`item`: JSON of what was to be put."""
        report: dict[str, Any] = {"Item": msgspec.Raw(item)}
        if error.item is not None:
            report["ExistingItem"] = error.item
        self._lines[CONDITION_CHECK_FAILURE].append(_encode(report))

    async def write(self) -> None:
        """Write what has come since the last time, of the kinds that were asked for.

        Raises OSError; what was to be written is dropped then.
        """
        objects = self._runner.objects
        output = self._operation.request["OutputS3Configuration"]
        kept = {kind: b"".join(line + b"\n" for line in lines) for kind, lines in self._lines.items()}
        for lines in self._lines.values():
            lines.clear()
        for kind, data in kept.items():
            if data and kind in output["OutputType"] and objects is not None:
                at = self.bytes.get(kind, 0)
                key = report_key(self._operation, kind)
                await self._runner.on_disk(objects.append, output["S3Bucket"], key, at, data)
                self.bytes[kind] = at + len(data)


def report_key(operation: BulkOperation, kind: str) -> str:
    """Where the report of this kind is: PREFIX/AWSDynamoDB/ID/errors.json, as exports have it."""
    prefix = operation.request["OutputS3Configuration"].get("S3KeyPrefix", "")
    name = "errors.json" if kind == ERROR else "condition-check-failures.json"
    folder = f"{prefix.rstrip('/')}/" if prefix else ""
    return f"{folder}AWSDynamoDB/{operation.arn.rpartition('/')[2]}/{name}"
