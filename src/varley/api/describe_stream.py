"""DescribeStream: a stream and its shards, in the order in which they began, a page at a time.

The shard to start after need not be there any more. A shard is open as long as it has no EndingSequenceNumber.
"""

from __future__ import annotations

from typing import Any

import msgspec

from varley.api.constraints import NOT_NULL, Length, Members, OneOf, Range, check
from varley.api.requests import Request, Structure, decoder
from varley.api.services import Services, view_of
from varley.api.stream_requests import INVALID, named_stream, stream_arn
from varley.errors import ApiError, ValidationError
from varley.http.call import Call
from varley.limits import STREAM_SHARDS_MAX
from varley.node.elsewhere import Need
from varley.node.settled import after_calls
from varley.remote.peers import Peers
from varley.streams.shard import Shard, sequence_number
from varley.streams.streams import OpenStream
from varley.table.description import View, key_schema


class ShardFilter(Structure):
    type: str | None = None
    shard_id: str | None = None


class DescribeStreamRequest(Request):
    stream_arn: str | None = None
    limit: int | None = None
    exclusive_start_shard_id: str | None = None
    shard_filter: ShardFilter | None = None


_decode = decoder(DescribeStreamRequest)
_SHARD_ID = (Length(28, 65),)
_DESCRIBE_STREAM = Members(
    stream_arn=(NOT_NULL, Length(37, 1024)),
    limit=(Range(1),),
    exclusive_start_shard_id=_SHARD_ID,
    shard_filter=(Members(type=(OneOf("CHILD_SHARDS"),), shard_id=_SHARD_ID),),
)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_DESCRIBE_STREAM, request)
    if request.limit is not None and request.limit > STREAM_SHARDS_MAX:
        raise ValidationError(f"{INVALID}Limit cannot be greater than the maximum: {STREAM_SHARDS_MAX}")
    parent = _parent_of(request.shard_filter)
    stream = named_stream(services, request.stream_arn)
    view = view_of(services, call)
    peers = call.elsewhere
    if peers is not None and not all(partition.is_led for partition in stream.partitions):
        _Parts(call, peers, stream, view, request, parent).begin()
        return None
    shards = stream.shards(view.now) if call.about is None else stream.shards_of(call.about, view.now)
    if parent is not None:
        shards = [shard for shard in shards if shard.parent == parent]
    if request.exclusive_start_shard_id is not None:
        shards = [shard for shard in shards if shard.id > request.exclusive_start_shard_id]
    limit = request.limit or STREAM_SHARDS_MAX
    shown = _shown(stream, view)
    shown["Shards"] = [_shard(stream, shard) for shard in shards[:limit]]
    if len(shards) > limit:
        shown["LastEvaluatedShardId"] = shards[limit - 1].id
    return msgspec.json.encode({"StreamDescription": shown})


class _Parts:
    """A stream of which other nodes lead partitions: they are asked for their shards, each partition by itself."""

    def __init__(
        self, call: Call, peers: Peers, stream: OpenStream, view: View, request: DescribeStreamRequest,
        parent: str | None,
    ) -> None:  # fmt: skip
        self._call = call
        self._peers = peers
        self._stream = stream
        self._view = view
        self._request = request
        self._parent = parent
        self._shards: list[dict[str, Any]] = []
        self._done = after_calls(len(stream.partitions), self._finish)

    def begin(self) -> None:
        body = msgspec.json.encode({"StreamArn": self._request.stream_arn})
        for partition in self._stream.partitions:
            self._peers.part(self._call, partition.group, Need.LEADER, "DescribeStream", body, self._heard)

    def _heard(self, answer: bytes | ApiError) -> None:
        if isinstance(answer, ApiError):
            self._done(answer)
        else:
            self._shards += msgspec.json.decode(answer)["StreamDescription"]["Shards"]
            self._done(None)

    def _finish(self, error: BaseException | None) -> None:
        if error is not None:
            self._call.fail(error)
            return
        shards = sorted(self._shards, key=lambda shard: shard["ShardId"])
        after = self._request.exclusive_start_shard_id or ""
        shards = [each for each in shards if each["ShardId"] > after]
        if self._parent is not None:
            shards = [each for each in shards if each.get("ParentShardId") == self._parent]
        limit = self._request.limit or STREAM_SHARDS_MAX
        shown = _shown(self._stream, self._view)
        shown["Shards"] = shards[:limit]
        if len(shards) > limit:
            shown["LastEvaluatedShardId"] = shards[limit - 1]["ShardId"]
        self._call.reply(msgspec.json.encode({"StreamDescription": shown}))


def _parent_of(wanted: ShardFilter | None) -> str | None:
    """The shard whose children are asked for; None: all shards are. Raises ValidationError."""
    if wanted is None or (wanted.type is None and wanted.shard_id is None):
        return None
    if wanted.type is None or wanted.shard_id is None:
        raise ValidationError(f"{INVALID}ShardFilter must have both Type and ShardId")
    return wanted.shard_id


def _shown(stream: OpenStream, view: View) -> dict[str, Any]:
    return {
        "StreamArn": stream_arn(stream, account=view.account, region=view.region),
        "StreamLabel": stream.stream.label,
        "StreamStatus": stream.status,
        "StreamViewType": stream.stream.view,
        "CreationRequestDateTime": stream.stream.enabled_at,
        "TableName": stream.table.name,
        "KeySchema": key_schema(stream.table.key_schema.names[:1], stream.table.key_schema.names[1:]),
    }


def _shard(stream: OpenStream, shard: Shard) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": sequence_number(shard.start_us, shard.group)}
    if stream.has_ended(shard):
        numbers["EndingSequenceNumber"] = stream.partition_of(shard.group).ending(shard)
    shown: dict[str, Any] = {"ShardId": shard.id, "SequenceNumberRange": numbers}
    if shard.parent is not None:
        shown["ParentShardId"] = shard.parent
    return shown
