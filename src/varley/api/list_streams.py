"""ListStreams: no table has a stream. A table that is not there has none either, which is no error."""

from __future__ import annotations

from typing import Final

from varley.api.constraints import Length, Members, Range, check
from varley.api.named_table import NAME_ONLY
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call

_LIMIT_MAX: Final = 100    # [API]


class ListStreamsRequest(Request):
    table_name: str | None = None
    limit: int | None = None
    exclusive_start_stream_arn: str | None = None


_decode = decoder(ListStreamsRequest)
_LIST_STREAMS = Members(
    table_name=NAME_ONLY, limit=(Range(1),), exclusive_start_stream_arn=(Length(37, 1024),)
)


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_LIST_STREAMS, request)
    if request.limit is not None and request.limit > _LIMIT_MAX:
        raise ValidationError(
            "One or more parameter values were invalid: "
            f"Limit cannot be greater than the maximum allowed size: {_LIMIT_MAX}"
        )
    return b'{"Streams":[]}'
