"""DescribeStream: no table has a stream, so none is found."""

from __future__ import annotations

from typing import Final

from varley.api.absences import no_stream
from varley.api.constraints import NOT_NULL, Length, Members, OneOf, Range, check
from varley.api.requests import Request, Structure, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call

_LIMIT_MAX: Final = 100    # [API]


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


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE_STREAM, request)
    if request.limit is not None and request.limit > _LIMIT_MAX:
        raise ValidationError(
            "One or more parameter values were invalid: "
            f"Limit cannot be greater than the maximum: {_LIMIT_MAX}"
        )
    assert request.stream_arn is not None
    raise no_stream(request.stream_arn)
