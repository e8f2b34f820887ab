"""Bucket and key in a path, and back."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.ring_api.request import HttpError, place_of
from varley.ring_api.resources import methods_of, operation_of
from varley.ring_client.protocol import target
from varley.ring_node.settings import is_bucket_name

buckets = st.text(min_size=1, max_size=20).filter(
    lambda name: is_bucket_name(name) if name.encode(errors="ignore").decode() == name else False
)


@given(bucket=buckets, key=st.binary(min_size=1, max_size=100))
def test_what_a_client_writes_a_node_reads(bucket: str, key: bytes) -> None:
    path = target(bucket, key)
    assert path.isascii()
    place = place_of(path)
    assert (place.bucket, place.key) == (bucket, key)
    assert operation_of(b"GET", path) == "RingGet"


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_path_is_a_surprise(rest: str) -> None:
    path = "/ring/v1/" + rest
    name = operation_of(b"GET", path)
    assert name is not None
    if name == "RingGet":
        with suppress(HttpError):
            place = place_of(path)
            assert is_bucket_name(place.bucket)
            assert place.key


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        (b"GET", "/ring/v1", "RingStatus"),
        (b"GET", "/ring/v1/placement", "RingPlacement"),
        (b"GET", "/ring/v1/placement/7", "RingGet"),    # a bucket of that name
        (b"POST", "/ring/v1/join", "RingJoin"),
        (b"GET", "/ring/v1/carts", "RingUnknown"),
        (b"PATCH", "/ring/v1/carts/7", "RingUnknown"),
        (b"OPTIONS", "/ring/v1/carts/7", None),
        (b"GET", "/health", None),
    ],
)
def test_which_operation_a_request_is(method: bytes, path: str, operation: str | None) -> None:
    assert operation_of(method, path) == operation


def test_methods_of_a_path() -> None:
    assert methods_of("/ring/v1/carts/7") == ("GET", "HEAD", "PUT", "DELETE")
    assert methods_of("/ring/v1/leave") == ("POST",)
    assert methods_of("/ring/v1/carts") == ()
