"""GetRecords: the next records of a shard, and the iterator to go on with.

There is always an iterator to go on with, except when the shard has ended and all of it has been read. A page may have
fewer records than were asked for, and none at all.

A record is stored as the service shows it (table/stream_record.py), up to what is the same for all of them or follows
from its place; so it is copied into the answer, not decoded.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from varley.api.constraints import NOT_NULL, Length, Members, Range, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.api.stream_requests import named_stream
from varley.errors import ApiError, ValidationError
from varley.http.call import Call
from varley.item.stored import HEADER_BYTES, item_size
from varley.limits import STREAM_ITERATOR_SECONDS, STREAM_RECORDS_MAX
from varley.streams.iterator import parse
from varley.streams.partition_stream import Records, TrimmedDataAccess
from varley.streams.shard import sequence_number
from varley.streams.streams import OpenStream


class ExpiredIterator(ApiError):
    """It is older than 15 minutes."""

    code = "ExpiredIteratorException"


class GetRecordsRequest(Request):
    shard_iterator: str | None = None
    limit: int | None = None


_decode = decoder(GetRecordsRequest)
_GET_RECORDS = Members(shard_iterator=(NOT_NULL, Length(1, 2048)), limit=(Range(1, STREAM_RECORDS_MAX),))


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_GET_RECORDS, request)
    assert request.shard_iterator is not None
    try:
        iterator = parse(request.shard_iterator)
    except ValueError:
        raise ValidationError("Invalid ShardIterator") from None
    stream = named_stream(services, iterator.stream_arn)
    now = services.clock.time()
    now_us, now_ms = int(now * 1_000_000), int(now * 1000)
    if now_ms - iterator.made_ms > STREAM_ITERATOR_SECONDS * 1000:
        raise ExpiredIterator("The provided iterator exceeds the maximum age allowed")
    shard = stream.shard(iterator.group, iterator.start_us, now)
    if shard is None:
        raise TrimmedDataAccess
    limit = request.limit or STREAM_RECORDS_MAX
    records = stream.partition_of(shard.group).read(shard, iterator.position_us, limit, now_us)
    answer = b'{"Records":[' + _shown(stream, shard.group, records, _region(services, call)) + b"]"
    if not records.is_all or not stream.has_ended(shard):
        following = iterator._replace(position_us=records.position_us, made_ms=now_ms)
        answer += b',"NextShardIterator":' + msgspec.json.encode(str(following))
    return answer + b"}"


def _region(services: Services, call: Call) -> str:
    return call.identity().region or services.settings.region


def _shown(stream: OpenStream, group: int, records: Records, region: str) -> bytes:
    """The JSON of the records, separated by commas."""
    label = stream.stream.label.encode()
    before = b'","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":' + msgspec.json.encode(region) + b","
    after = b',"StreamViewType":"' + stream.stream.view.encode() + b'"}}'
    shown = []
    for time_us, value in records.rows:
        number = sequence_number(time_us, group).encode()
        event_id = blake2b(number, digest_size=16, key=label).hexdigest().encode()
        shown.append(
            b'{"eventID":"%b%b%b,"ApproximateCreationDateTime":%d,"SequenceNumber":"%b","SizeBytes":%d%b'
            % (
                event_id, before, value[HEADER_BYTES + 1 : -2], time_us // 1_000_000, number, item_size(value), after,
            )
        )  # fmt: skip
    return b",".join(shown)
