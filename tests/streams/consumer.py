"""A consumer as the Kinesis client library is one: parents before children, a checkpoint for each shard.

It holds nothing else over a crash of its own: each checkpoint is stored together with what was made of the records up
to it, so whatever is seen twice or never is the server's doing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Expired(Exception):
    """What a Call raises for an ExpiredIteratorException."""


Call = Callable[[str, dict[str, Any]], dict[str, Any]]    # operation, request -> answer

DONE = "SHARD_END"    # the checkpoint of a shard that has been read to its end


class Consumer:
    """Reads one stream. Whatever `call` raises, `step` may be called again afterwards, perhaps with another `call`."""

    def __init__(self, call: Call, stream_arn: str) -> None:
        self.call = call
        self.stream_arn = stream_arn
        self.records: list[dict[str, Any]] = []    # all that it has seen, in that order
        self.checkpoints: dict[str, str] = {}    # shard id -> sequence number of the last record that was seen, or DONE
        self._iterators: dict[str, str] = {}    # lost when the consumer restarts

    def restart(self) -> None:
        self._iterators = {}

    def step(self, limit: int = 1000) -> bool:
        """Read one page of each shard whose parent has been read to its end; whether there was anything."""
        is_news = False
        shards = self._shards()
        ids = {shard["ShardId"] for shard in shards}
        for shard in shards:
            parent = shard.get("ParentShardId")
            if self.checkpoints.get(shard["ShardId"]) == DONE:
                continue
            if parent in ids and self.checkpoints.get(parent) != DONE:
                continue
            is_news |= self._read(shard["ShardId"], limit)
        return is_news

    def catch_up(self) -> None:
        """Read until there is nothing more. The table is not written to meanwhile."""
        while self.step():
            pass

    def _shards(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        start: dict[str, Any] = {}
        while True:
            request = {"StreamArn": self.stream_arn, "Limit": 3, **start}
            page = self.call("DescribeStream", request)["StreamDescription"]
            found += page["Shards"]
            if "LastEvaluatedShardId" not in page:
                return found
            start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}

    def _read(self, shard: str, limit: int) -> bool:
        if shard not in self._iterators:
            seen = self.checkpoints.get(shard)
            place: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
            if seen is not None:
                place = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": seen}
            request = {"StreamArn": self.stream_arn, "ShardId": shard, **place}
            self._iterators[shard] = self.call("GetShardIterator", request)["ShardIterator"]
        try:
            page = self.call("GetRecords", {"ShardIterator": self._iterators[shard], "Limit": limit})
        except Expired:
            del self._iterators[shard]
            return self._read(shard, limit)
        if page["Records"]:
            self.checkpoints[shard] = page["Records"][-1]["dynamodb"]["SequenceNumber"]
            self.records += page["Records"]
        if "NextShardIterator" in page:
            self._iterators[shard] = page["NextShardIterator"]
        else:
            self.checkpoints[shard] = DONE
            del self._iterators[shard]
        return bool(page["Records"]) or "NextShardIterator" not in page
