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
from varley.errors import ValidationError
from varley.http.call import Call
from varley.limits import STREAM_SHARDS_MAX
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


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE_STREAM, request)
    if request.limit is not None and request.limit > STREAM_SHARDS_MAX:
        raise ValidationError(f"{INVALID}Limit cannot be greater than the maximum: {STREAM_SHARDS_MAX}")
    parent = _parent_of(request.shard_filter)
    stream = named_stream(services, request.stream_arn)
    view = view_of(services, call)
    shards = stream.shards(view.now)
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
