"""ListStreams: the streams that can be read, of one table or of all, in the order of table names and labels.

Those that were disabled in the last 24 hours are among them, also when their table is there no more. A table that is
not there has none, which is no error. The stream to start after need not be there any more.
"""

from __future__ import annotations

from typing import Any

import msgspec

from varley.api.constraints import Length, Members, Range, check
from varley.api.named_table import NAME_ONLY
from varley.api.requests import Request, decoder
from varley.api.services import Services, view_of
from varley.api.stream_requests import INVALID, stream_arn
from varley.errors import ValidationError
from varley.http.call import Call
from varley.limits import STREAM_LIST_MAX
from varley.streams.streams import OpenStream, name_in_arn
from varley.table.description import View


class ListStreamsRequest(Request):
    table_name: str | None = None
    limit: int | None = None
    exclusive_start_stream_arn: str | None = None


_decode = decoder(ListStreamsRequest)
_LIST_STREAMS = Members(
    table_name=NAME_ONLY, limit=(Range(1),), exclusive_start_stream_arn=(Length(37, 1024),)
)


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_LIST_STREAMS, request)
    if request.limit is not None and request.limit > STREAM_LIST_MAX:
        raise ValidationError(f"{INVALID}Limit cannot be greater than the maximum allowed size: {STREAM_LIST_MAX}")
    streams = services.streams.readable(request.table_name)
    if request.exclusive_start_stream_arn is not None:
        start = name_in_arn(request.exclusive_start_stream_arn)
        streams = [] if start is None else [each for each in streams if each.name > start]
    limit = request.limit or STREAM_LIST_MAX
    view = view_of(services, call)
    answer: dict[str, Any] = {"Streams": [_shown(each, view) for each in streams[:limit]]}
    if len(streams) > limit:
        answer["LastEvaluatedStreamArn"] = answer["Streams"][-1]["StreamArn"]
    return msgspec.json.encode(answer)


def _shown(stream: OpenStream, view: View) -> dict[str, str]:
    return {
        "StreamArn": stream_arn(stream, account=view.account, region=view.region),
        "TableName": stream.table.name,
        "StreamLabel": stream.stream.label,
    }
