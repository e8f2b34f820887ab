"""What the four operations on streams share: the stream that a request names, and how its parts are shown."""

from __future__ import annotations

from typing import Final

from varley.api.absences import no_stream
from varley.api.services import Services
from varley.errors import ApiError, ResourceNotFound
from varley.streams.streams import OpenStream
from varley.table.table_name import table_arn

INVALID: Final = "One or more parameter values were invalid: "


def named_stream(services: Services, arn: str | None) -> OpenStream:
    """Raises ResourceNotFound, the client's fault, if there is no stream with this ARN, or none any more."""
    assert arn is not None    # the constraints say so
    stream = services.streams.find(arn)
    if stream is None:
        raise no_stream(arn)
    return stream


def no_shard() -> ApiError:
    return ResourceNotFound("Requested resource not found: Shard does not exist")


def stream_arn(stream: OpenStream, *, account: str, region: str) -> str:
    """As the owner of `account` sees it in `region`."""
    return f"{table_arn(stream.table.name, account=account, region=region)}/stream/{stream.stream.label}"
