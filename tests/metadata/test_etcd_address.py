from __future__ import annotations

import pytest

from varley.errors import BadSettings
from varley.metadata.etcd_address import is_etcd_url, parse


@pytest.mark.parametrize(
    ("url", "endpoints", "prefix", "user", "password"),
    [
        ("etcd://h1:2379,h2:2380/music", (("h1", 2379), ("h2", 2380)), "music", None, None),
        ("etcd://h1", (("h1", 2379),), "varley", None, None),
        ("etcd://h1/", (("h1", 2379),), "varley", None, None),
        ("etcd://h1/a/b/", (("h1", 2379),), "a/b", None, None),
        ("etcd://v:s%3Ac%40t@h1,h2/x%20y", (("h1", 2379), ("h2", 2379)), "x y", "v", "s:c@t"),
        ("etcd://[::1]:23,[fe80::1]/x", (("::1", 23), ("fe80::1", 2379)), "x", None, None),
    ],
)
def test_what_a_url_says(
    url: str, endpoints: tuple[tuple[str, int], ...], prefix: str, user: str | None, password: str | None
) -> None:
    assert is_etcd_url(url)
    address = parse(url)
    assert (address.endpoints, address.prefix, address.user, address.password) == (endpoints, prefix, user, password)
    assert address.tls is None


def test_it_is_shown_without_the_password() -> None:
    address = parse("etcd://v:secret@[::1],h2:1/x")
    assert str(address) == "etcd://v@[::1]:2379,h2:1/x"
    assert "secret" not in repr(address)


def test_tls_is_another_scheme() -> None:
    assert parse("etcds://h1/x").tls is not None
    assert str(parse("etcds://h1/x")) == "etcds://h1:2379/x"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://h1/x", "scheme is 'http'"),
        ("etcd:///x", "a host is missing"),
        ("etcd://h1,,h2/x", "a host is missing"),
        ("etcd://h1:port/x", "'h1:port' is not host:port"),
        ("etcd://h1:99999/x", "is not host:port"),
        ("etcd://secret@h1/x", "a user without a password"),
        ("etcd://:secret@h1/x", "a user without a password"),
        ("etcd://h1/x?ca=/a", "TLS is etcds://"),
        ("etcds://h1/x?cert=/a", "cert and key belong together"),
        ("etcds://h1/x?wrong=1", "it has wrong, which means nothing here"),
        ("etcds://h1/x?ca=/not/there.pem", "/not/there.pem"),
        ("etcd://[h1/x", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said_to_be_that(url: str, problem: str) -> None:
    with pytest.raises(BadSettings) as refusal:
        parse(url)
    assert problem in str(refusal.value)
    assert "secret" not in str(refusal.value)
