# Why: a consumer must see that its place is none, and not read nothing for ever.

from typing import Any

import pytest

from .refusals import constraint, invalid
from .streams import streams_client


@pytest.fixture
def streams(session: Any, endpoint: str) -> Any:
    return streams_client(session, endpoint)


def test_what_is_no_iterator(streams: Any) -> None:
    with invalid("Invalid ShardIterator"):
        streams.get_records(ShardIterator="x")


@pytest.mark.varley_only
def test_a_page_has_a_size(streams: Any) -> None:
    with invalid(constraint("'0'", "limit", "have value greater than or equal to 1")):
        streams.get_records(ShardIterator="x", Limit=0)
    with invalid(constraint("'1001'", "limit", "have value less than or equal to 1000")):
        streams.get_records(ShardIterator="x", Limit=1001)
