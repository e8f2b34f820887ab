"""Every operation that this server knows: the one table from name to what runs it.

An operation takes the parts of the server and one call, and returns the answer's body, or None if it answers the
call later; it raises ApiError to refuse. One operation, one file, one test.
"""

from __future__ import annotations

from collections.abc import Callable

from varley.api import (
    batch_get_item,
    batch_write_item,
    create_table,
    delete_item,
    delete_table,
    describe_endpoints,
    describe_limits,
    describe_table,
    get_item,
    list_tables,
    list_tags_of_resource,
    put_item,
    query,
    scan,
    tag_resource,
    untag_resource,
    update_item,
    update_table,
)
from varley.api.requests import Request, check_body
from varley.api.services import Services
from varley.errors import UnknownOperation, ValidationError
from varley.http.call import Call

Run = Callable[[Services, Call], bytes | None]

# Name -> (the shape of its request, what runs it).
OPERATIONS: dict[str, tuple[type[Request], Run]] = {
    "BatchGetItem": (batch_get_item.BatchGetItemRequest, batch_get_item.run),
    "BatchWriteItem": (batch_write_item.BatchWriteItemRequest, batch_write_item.run),
    "CreateTable": (create_table.CreateTableRequest, create_table.run),
    "DeleteItem": (delete_item.DeleteItemRequest, delete_item.run),
    "DeleteTable": (delete_table.DeleteTableRequest, delete_table.run),
    "DescribeEndpoints": (describe_endpoints.DescribeEndpointsRequest, describe_endpoints.run),
    "DescribeLimits": (describe_limits.DescribeLimitsRequest, describe_limits.run),
    "DescribeTable": (describe_table.DescribeTableRequest, describe_table.run),
    "GetItem": (get_item.GetItemRequest, get_item.run),
    "ListTables": (list_tables.ListTablesRequest, list_tables.run),
    "ListTagsOfResource": (list_tags_of_resource.ListTagsOfResourceRequest, list_tags_of_resource.run),
    "PutItem": (put_item.PutItemRequest, put_item.run),
    "Query": (query.QueryRequest, query.run),
    "Scan": (scan.ScanRequest, scan.run),
    "TagResource": (tag_resource.TagResourceRequest, tag_resource.run),
    "UntagResource": (untag_resource.UntagResourceRequest, untag_resource.run),
    "UpdateItem": (update_item.UpdateItemRequest, update_item.run),
    "UpdateTable": (update_table.UpdateTableRequest, update_table.run),
}

# The service has them, this version does not: they are refused by name, so that nobody looks for a misspelling.
NOT_OFFERED = frozenset(
    {
        "BatchExecuteStatement", "CancelBulkOperation", "CreateBackup", "CreateGlobalTable", "DeleteBackup",
        "DeleteResourcePolicy", "DescribeBackup", "DescribeBulkOperation", "DescribeContinuousBackups",
        "DescribeContributorInsights", "DescribeExport", "DescribeGlobalTable", "DescribeGlobalTableSettings",
        "DescribeImport", "DescribeKinesisStreamingDestination", "DescribeTableReplicaAutoScaling",
        "DescribeTimeToLive", "DisableKinesisStreamingDestination", "EnableKinesisStreamingDestination",
        "ExecuteStatement", "ExecuteTransaction", "ExportTableToPointInTime", "GetResourcePolicy",
        "ImportTable", "ListBackups", "ListBulkOperations", "ListContributorInsights", "ListExports",
        "ListGlobalTables", "ListImports", "PutResourcePolicy", "RestoreTableFromBackup",
        "RestoreTableToPointInTime", "SearchVectors", "StartBulkPutItems", "TransactGetItems",
        "TransactWriteItems", "UpdateContinuousBackups", "UpdateContributorInsights", "UpdateGlobalTable",
        "UpdateGlobalTableSettings", "UpdateKinesisStreamingDestination", "UpdateTableReplicaAutoScaling",
        "UpdateTimeToLive", "DescribeStream", "GetRecords", "GetShardIterator", "ListStreams",
    }
)  # fmt: skip


def run(services: Services, call: Call) -> bytes | None:
    """Run the operation that `call` names. HOT PATH."""
    operation = OPERATIONS.get(call.operation)
    if operation is None:
        raise UnknownOperation(f"{call.operation} is not offered by this version of Varley")
    try:
        return operation[1](services, call)
    except ValidationError:
        check_body(call.body, operation[0])    # a wrong JSON type anywhere goes first
        raise
