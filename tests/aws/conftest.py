"""Clients and tables that the tests of the public API share.

Tables are made once per session, and each test works under keys that no other test uses (`key`). That keeps
the whole suite to seconds, and lets it run against a table that somebody else is writing to. Tests that must
see a table's whole contents make one of their own with `make_table`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials

from . import known_differences, refusals
from .table import Table, schema, unique
from .wire import Wire

HERE = Path(__file__).parent
REGION = "us-east-1"
KIND = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    kind = kind_of(config)
    refusals.words_of_endpoint[:] = [
        (re.compile(aws, re.DOTALL), re.compile(here, re.DOTALL)) for aws, here in known_differences.WORDS.get(kind, [])
    ]


def kind_of(config: pytest.Config) -> str:
    """Who answers in this session: "varley", "dynamodb-local" or "aws". Looked up once."""
    if KIND not in config.stash:
        above = config.pluginmanager.get_plugin(str(HERE.parent / "conftest.py"))
        assert above is not None
        config.stash[KIND] = above.endpoint_kind(config.getoption("--endpoint"))
    return config.stash[KIND]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what this endpoint is known to do otherwise, and refuse a list that names no test."""
    ours = {item.nodeid.rpartition("/")[2]: item for item in items if HERE in item.path.parents}
    kind = kind_of(config)
    differences = known_differences.TESTS.get(kind, {})
    files_apart = known_differences.FILES.get(kind, {})
    for name, item in ours.items():
        if (apart := files_apart.get(name.partition("::")[0])) is not None:
            item.add_marker(pytest.mark.skip(reason=f"{kind}: {apart}"))
        reason = differences.get(name, differences.get(name.partition("[")[0]))
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=f"{kind}: {reason}", strict=True))
        if kind != "varley" and item.get_closest_marker("varley_only"):
            item.add_marker(pytest.mark.skip(reason="says what Varley does where DynamoDB has no equivalent"))
    if not any("::" in argument for argument in config.args):
        files = {name.partition("::")[0] for name in ours}
        known = set(ours) | {name.partition("[")[0] for name in ours}
        stale = [name for name in differences if name.partition("::")[0] in files and name not in known]
        if stale:
            raise pytest.UsageError(f"known_differences.py names tests that do not exist: {stale}")


@pytest.fixture(scope="session")
def endpoint_kind(request: pytest.FixtureRequest) -> str:
    return kind_of(request.config)


@pytest.fixture(scope="session")
def session(endpoint_kind: str) -> boto3.session.Session:
    """Where credentials come from: the caller's own for the service itself, any at all elsewhere."""
    if endpoint_kind == "aws":
        return boto3.session.Session()
    return boto3.session.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret", region_name=REGION)


@pytest.fixture(scope="session")
def dynamodb(session: boto3.session.Session, endpoint: str) -> Any:
    """A client that sends what it is given: the server is to find the fault, not botocore, and no retries hide it."""
    config = Config(
        parameter_validation=False,
        retries={"total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=20,
    )
    return session.client("dynamodb", endpoint_url=endpoint, config=config)


@pytest.fixture(scope="session")
def resource(session: boto3.session.Session, endpoint: str) -> Any:
    """The higher-level boto3 resource, as the developer guide's Python examples use it."""
    return session.resource("dynamodb", endpoint_url=endpoint)


@pytest.fixture(scope="session")
def wire(session: boto3.session.Session, endpoint: str) -> Wire:
    credentials = session.get_credentials()
    assert credentials is not None
    frozen = credentials.get_frozen_credentials()
    return Wire(
        endpoint,
        ReadOnlyCredentials(frozen.access_key, frozen.secret_key, frozen.token),
        session.region_name or REGION,
    )


@pytest.fixture(scope="session")
def make_table(dynamodb: Any) -> Iterator[Callable[..., Table]]:
    """Makes an active table, by default one with a text `pk`; deletes them all when the session ends."""
    made: list[str] = []

    def make(partition_key: str = "S", sort_key: str | None = None, **parameters: Any) -> Table:
        name = parameters.pop("TableName", None) or unique("varley-test")
        dynamodb.create_table(TableName=name, **{**schema(partition_key, sort_key), **parameters})
        made.append(name)
        wait_until_active(dynamodb, name)
        return Table(dynamodb, name)

    yield make
    for name in made:
        try:
            dynamodb.delete_table(TableName=name)
        except dynamodb.exceptions.ResourceNotFoundException:
            pass  # the test deleted it


def wait_until_active(dynamodb: Any, name: str) -> None:
    """Looks at once, and then each second: only the service itself ever needs the second look."""
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


@pytest.fixture(scope="session")
def table(make_table: Callable[..., Table]) -> Table:
    """Partition key `pk` (S), no sort key."""
    return make_table()


@pytest.fixture(scope="session")
def sorted_table(make_table: Callable[..., Table]) -> Table:
    """Partition key `pk` (S), sort key `sk` (S)."""
    return make_table("S", "S")


@pytest.fixture(scope="session")
def number_sorted_table(make_table: Callable[..., Table]) -> Table:
    """Partition key `pk` (S), sort key `sk` (N)."""
    return make_table("S", "N")


@pytest.fixture(scope="session")
def binary_sorted_table(make_table: Callable[..., Table]) -> Table:
    """Partition key `pk` (S), sort key `sk` (B)."""
    return make_table("S", "B")


@pytest.fixture
def key() -> dict[str, Any]:
    """A key for `table` that no other test uses."""
    return {"pk": {"S": unique()}}
