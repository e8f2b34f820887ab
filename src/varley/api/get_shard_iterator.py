"""GetShardIterator: a place in a shard, from which GetRecords reads.

    TRIM_HORIZON             the oldest record of the shard
    LATEST                   behind the newest that there is now
    AT_SEQUENCE_NUMBER       at this record, or where it would be
    AFTER_SEQUENCE_NUMBER    behind it
    AT_TIMESTAMP             at the first record that was made at this time or later, to the millisecond

A place whose next record is trimmed is refused here already, but for AT_TIMESTAMP, which then means TRIM_HORIZON.
"""

from __future__ import annotations

import msgspec

from varley.api.constraints import NOT_NULL, Length, Members, OneOf, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.api.stream_requests import INVALID, named_stream, no_shard
from varley.errors import ValidationError
from varley.http.call import Call
from varley.streams.iterator import ShardIterator
from varley.streams.partition_stream import PartitionStream, TrimmedDataAccess
from varley.streams.shard import Shard, group_of, place_of


class GetShardIteratorRequest(Request):
    stream_arn: str | None = None
    shard_id: str | None = None
    shard_iterator_type: str | None = None
    sequence_number: str | None = None
    timestamp: float | None = None    # epoch seconds


_decode = decoder(GetShardIteratorRequest)
_GET_SHARD_ITERATOR = Members(
    stream_arn=(NOT_NULL, Length(37, 1024)),
    shard_id=(NOT_NULL, Length(28, 65)),
    shard_iterator_type=(
        NOT_NULL,
        OneOf("TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP"),
    ),
    sequence_number=(Length(21, 40),),
)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_GET_SHARD_ITERATOR, request)
    _check_what_goes_together(request)
    stream = named_stream(services, request.stream_arn)
    now = services.clock.time()
    group = group_of(request.shard_id or "")
    shards = () if group is None else stream.shards_of(group, now)
    shard = next((each for each in shards if each.id == request.shard_id), None)
    if shard is None:
        raise no_shard()
    position_us = _position(request, stream.partition_of(shard.group), shard, int(now * 1_000_000))
    assert request.stream_arn is not None
    iterator = ShardIterator(request.stream_arn, shard.group, shard.start_us, position_us, int(now * 1000))
    return msgspec.json.encode({"ShardIterator": str(iterator)})


def _check_what_goes_together(request: GetShardIteratorRequest) -> None:
    for name, value, is_needed in (
        ("SequenceNumber", request.sequence_number, str(request.shard_iterator_type).endswith("SEQUENCE_NUMBER")),
        ("Timestamp", request.timestamp, request.shard_iterator_type == "AT_TIMESTAMP"),
    ):
        if value is None and is_needed:
            raise ValidationError(f"{INVALID}Invalid {name}")
        if value is not None and not is_needed:
            raise ValidationError(f"{INVALID}{name} should not be passed for this iterator type")


def _position(request: GetShardIteratorRequest, partition: PartitionStream, shard: Shard, now_us: int) -> int:
    """The time after which records are to be read. Raises ValidationError, TrimmedDataAccess."""
    match request.shard_iterator_type:
        case "TRIM_HORIZON":
            return partition.oldest(shard, now_us)
        case "LATEST":
            return partition.newest(shard, now_us)
        case "AT_TIMESTAMP":
            assert request.timestamp is not None
            at_us = int(request.timestamp * 1000) * 1000
            if at_us > now_us:
                raise ValidationError(f"{INVALID}Timestamp must not be in the future")
            return max(at_us - 1, partition.oldest(shard, now_us))
    assert request.sequence_number is not None
    time_us = _time_in(shard, request.sequence_number, partition.last_us)
    is_at = request.shard_iterator_type == "AT_SEQUENCE_NUMBER"
    position_us = max(time_us - 1, shard.start_us) if is_at else time_us
    if partition.is_trimmed_after(shard, position_us, now_us):
        raise TrimmedDataAccess
    return position_us


def _time_in(shard: Shard, number: str, last_us: int) -> int:
    """The time that a sequence number of `shard` stands for. Raises ValidationError if it is none of this shard."""
    try:
        time_us, group = place_of(number)
    except ValueError:
        raise ValidationError(f"{INVALID}Invalid SequenceNumber") from None
    end_us = last_us if shard.end_us is None else shard.end_us - 1
    if group != shard.group or not shard.start_us <= time_us <= end_us:
        raise ValidationError("Invalid SequenceNumber for the shard")
    return time_us
