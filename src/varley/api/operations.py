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
from varley.api.services import Services
from varley.http.call import Call

Operation = Callable[[Services, Call], bytes | None]

OPERATIONS: dict[str, Operation] = {
    "BatchGetItem": batch_get_item.run,
    "BatchWriteItem": batch_write_item.run,
    "CreateTable": create_table.run,
    "DeleteItem": delete_item.run,
    "DeleteTable": delete_table.run,
    "DescribeEndpoints": describe_endpoints.run,
    "DescribeLimits": describe_limits.run,
    "DescribeTable": describe_table.run,
    "GetItem": get_item.run,
    "ListTables": list_tables.run,
    "ListTagsOfResource": list_tags_of_resource.run,
    "PutItem": put_item.run,
    "Query": query.run,
    "Scan": scan.run,
    "TagResource": tag_resource.run,
    "UntagResource": untag_resource.run,
    "UpdateItem": update_item.run,
    "UpdateTable": update_table.run,
}
