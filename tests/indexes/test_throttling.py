"""What clients are told of an index that is too far behind, by a whole server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

import varley

pytestmark = pytest.mark.slow


@pytest.fixture
def client() -> Iterator[Any]:
    """Of a server whose one index, on g, has been sent all that it may be behind."""
    with varley.Server(index_delay_seconds=3600.0, index_backlog_bytes=4096) as server:
        client = server.client(config=Config(retries={"total_max_attempts": 1}, proxies={}))
        client.create_table(
            TableName="Things",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "g")],
            BillingMode="PAY_PER_REQUEST",
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-g",
                    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        client.put_item(TableName="Things", Item={"pk": {"S": "a"}, "g": {"S": "x" * 2000}, "n": {"S": "x" * 4096}})
        yield client


def put(pk: str, **attributes: str) -> dict[str, Any]:
    item = {"pk": {"S": pk}, **{name: {"S": text} for name, text in attributes.items()}}
    return {"PutRequest": {"Item": item}}


def test_of_a_batch_only_what_changes_the_index_is_unprocessed(client: Any) -> None:
    wants = [put("b"), put("c", g="one"), put("d"), {"DeleteRequest": {"Key": {"pk": {"S": "a"}}}}]
    answer = client.batch_write_item(RequestItems={"Things": wants})
    assert answer["UnprocessedItems"] == {"Things": [wants[1], wants[3]]}
    assert {item["pk"]["S"] for item in client.scan(TableName="Things")["Items"]} == {"a", "b", "d"}


def test_a_batch_of_which_nothing_can_be_done_is_refused(client: Any) -> None:
    with pytest.raises(client.exceptions.ThrottlingException, match="one or more global secondary indexes"):
        client.batch_write_item(RequestItems={"Things": [put("b", g="one"), put("c", g="one")]})
