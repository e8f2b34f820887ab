"""GetShardIterator: no table has a stream, so no place in one can be given."""

from __future__ import annotations

from varley.api.absences import no_stream
from varley.api.constraints import NOT_NULL, Length, Members, OneOf, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call


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


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_GET_SHARD_ITERATOR, request)
    _check_what_goes_together(request)
    assert request.stream_arn is not None
    raise no_stream(request.stream_arn)


def _check_what_goes_together(request: GetShardIteratorRequest) -> None:
    for name, value, is_needed in (
        ("SequenceNumber", request.sequence_number, str(request.shard_iterator_type).endswith("SEQUENCE_NUMBER")),
        ("Timestamp", request.timestamp, request.shard_iterator_type == "AT_TIMESTAMP"),
    ):
        if value is None and is_needed:
            raise ValidationError(f"One or more parameter values were invalid: Invalid {name}")
        if value is not None and not is_needed:
            raise ValidationError(
                f"One or more parameter values were invalid: {name} should not be passed for this iterator type"
            )
