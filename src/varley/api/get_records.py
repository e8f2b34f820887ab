"""GetRecords: no table has a stream, so no iterator was ever given out.

An iterator of the service begins with its stream's ARN and a bar. Of such a one it can be said which stream is not
there, as when a table was deleted; any other is no iterator.
"""

from __future__ import annotations

import re

from varley.api.absences import no_stream
from varley.api.constraints import NOT_NULL, Length, Members, Range, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call

_stream_in = re.compile(
    r"(arn:aws[a-z-]*:dynamodb:[^:/]*:\d{12}:table/[a-zA-Z0-9_.-]{3,255}/stream/[^/|]+)\|.+"
).fullmatch


class GetRecordsRequest(Request):
    shard_iterator: str | None = None
    limit: int | None = None


_decode = decoder(GetRecordsRequest)
_GET_RECORDS = Members(shard_iterator=(NOT_NULL, Length(1, 2048)), limit=(Range(1, 1000),))


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_GET_RECORDS, request)
    assert request.shard_iterator is not None
    stream = _stream_in(request.shard_iterator)
    if stream is None:
        raise ValidationError("Invalid ShardIterator")
    raise no_stream(stream[1])
