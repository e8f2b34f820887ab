"""Every operation that this server knows, and how each is found.

One operation, one file, one test: CreateTable is `create_table.py`, which has `CreateTableRequest`, the shape of its
request, and `run`, which takes the parts of the server and one call, and returns the answer's body, or None if it
answers the call later. It raises ApiError to refuse.

The everyday operations are imported with this module, the others when they are first called: nobody waits at the start
of a server for forty files of which most are never used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from varley.api.requests import Request, check_body
from varley.api.services import Services
from varley.errors import UnknownOperation, ValidationError
from varley.http.call import Call

Run = Callable[[Services, Call], bytes | None]
Operation = tuple[type[Request], Run]    # the shape of its request, what runs it

_EVERYDAY = (
    "BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem",
)  # fmt: skip

_OTHERS = (
    "BatchExecuteStatement", "CancelBulkOperation", "CreateBackup", "CreateGlobalTable", "CreateTable",
    "DeleteBackup", "DeleteResourcePolicy", "DeleteTable", "DescribeBackup", "DescribeBulkOperation",
    "DescribeContinuousBackups", "DescribeContributorInsights", "DescribeEndpoints", "DescribeExport",
    "DescribeGlobalTable", "DescribeGlobalTableSettings", "DescribeImport",
    "DescribeKinesisStreamingDestination", "DescribeLimits", "DescribeStream", "DescribeTable",
    "DescribeTableReplicaAutoScaling", "DescribeTimeToLive", "DisableKinesisStreamingDestination",
    "EnableKinesisStreamingDestination", "ExecuteStatement", "ExecuteTransaction", "ExportTableToPointInTime",
    "GetRecords", "GetResourcePolicy", "GetShardIterator", "ImportTable", "ListBackups", "ListBulkOperations",
    "ListContributorInsights", "ListExports", "ListGlobalTables", "ListImports", "ListStreams", "ListTables",
    "ListTagsOfResource", "PutResourcePolicy", "RestoreTableFromBackup", "RestoreTableToPointInTime",
    "SearchVectors", "StartBulkPutItems", "TagResource", "TransactGetItems", "TransactWriteItems",
    "UntagResource", "UpdateContinuousBackups", "UpdateContributorInsights", "UpdateGlobalTable",
    "UpdateGlobalTableSettings", "UpdateKinesisStreamingDestination", "UpdateTable",
    "UpdateTableReplicaAutoScaling", "UpdateTimeToLive",
)  # fmt: skip

# The service has them, this version does not: they are refused by name, so that nobody looks for a misspelling.
NOT_OFFERED: frozenset[str] = frozenset()


class _Operations(Mapping[str, Operation]):
    """Name -> operation, imported when it is first asked for."""

    def __init__(self) -> None:
        self._names = frozenset((*_EVERYDAY, *_OTHERS))
        self.loaded: dict[str, Operation] = {}

    def __getitem__(self, name: str) -> Operation:
        found = self.loaded.get(name)
        if found is None:
            if name not in self._names:
                raise KeyError(name)
            module = import_module(f"varley.api.{_WORD_BEGINS.sub('_', name).lower()}")
            found = self.loaded[name] = (getattr(module, f"{name}Request"), module.run)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)


_WORD_BEGINS = re.compile(r"(?<!^)(?=[A-Z])")

OPERATIONS = _Operations()
_loaded = OPERATIONS.loaded
for _name in _EVERYDAY:
    OPERATIONS[_name]


def run(services: Services, call: Call) -> bytes | None:
    """Run the operation that `call` names, one of OPERATIONS or NOT_OFFERED. HOT PATH."""
    operation = _loaded.get(call.operation)
    if operation is None:
        if call.operation in NOT_OFFERED:
            raise UnknownOperation(f"{call.operation} is not offered by this version of Varley")
        operation = OPERATIONS[call.operation]
    try:
        return operation[1](services, call)
    except ValidationError:
        check_body(call.body, operation[0])    # a wrong JSON type anywhere goes first
        raise
