"""What the operations on Kinesis streaming destinations share. No table has one: there is no Kinesis here."""

from __future__ import annotations

from typing import Final

from varley.api.constraints import NOT_NULL, TABLE_NAME, Length, Members, OneOf, Rule
from varley.api.requests import Structure


class EnableKinesisStreamingConfiguration(Structure):
    approximate_creation_date_time_precision: str | None = None


class UpdateKinesisStreamingConfiguration(Structure):
    approximate_creation_date_time_precision: str | None = None


KINESIS_DESTINATION: Final[dict[str, tuple[Rule, ...]]] = {
    "table_name": TABLE_NAME,
    "stream_arn": (NOT_NULL, Length(37, 1024)),
}
KINESIS_CONFIGURATION: Final = (
    Members(approximate_creation_date_time_precision=(OneOf("MILLISECOND", "MICROSECOND"),)),
)
# Also of destinations that are to be disabled or updated.
NOT_IN_VALID_STATE: Final = "Table is not in a valid state to enable Kinesis Streaming Destination: "
