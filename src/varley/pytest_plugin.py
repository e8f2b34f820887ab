"""A pytest plugin: DynamoDB for tests, with the fixture and option names of pytest-dynamodb.

    def test_orders(dynamodb):                  # a boto3 resource
        dynamodb.create_table(...)

    dynamodb_proc     session   a server of this run's own, in memory, on a free port; under pytest-xdist one
                                per worker, since each worker is a session of its own
    dynamodb_noproc   session   a server that runs already: --dynamodb-host, --dynamodb-port
    dynamodb          function  a boto3 resource on dynamodb_proc; every table is dropped after the test

Both servers have `host`, `port`, `endpoint_url`, `client(**kw)`, `resource(**kw)` and `reset()`. An option is
given on the command line (--dynamodb-port 8000), or in the ini file or pyproject.toml (dynamodb_port = 8000).

pytest imports this module at the start of every run of everybody who has Varley installed, so it imports
nothing until a fixture is used. pytest-dynamodb may be installed beside it; pytest ends with an error when an
option is added twice, so the options are then left to it, and read from where it keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from varley.testing import Remote, Server

# Option -> what it is. Those of pytest-dynamodb that make no sense here (--dynamodb-dir, the folder of a jar;
# --dynamodb-delay) are accepted and change nothing, so that switching needs no edit.
_OPTIONS = {
    "dynamodb_host": "host of the DynamoDB server for tests (default: 127.0.0.1)",
    "dynamodb_port": "its port (default: a free one for dynamodb_proc, 8000 for dynamodb_noproc)",
    "dynamodb_aws_access_key": "access key that tests send (default: any)",
    "dynamodb_aws_secret_key": "secret key that tests sign with (default: any)",
    "dynamodb_aws_region": "Region that tests sign for (default: us-east-1)",
    "dynamodb_dir": "no effect: there is no jar to be found",
    "dynamodb_delay": "no effect: statuses change without delays",
}


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.is_blocked("pytest_dynamodb") and find_spec("pytest_dynamodb") is not None:
        return      # whichever of the two pytest loads first
    group = parser.getgroup("dynamodb", "DynamoDB (Varley)")
    for name, description in _OPTIONS.items():
        flag = "--" + name.replace("_", "-", 1)     # --dynamodb-aws_region: so it is spelled there
        group.addoption(flag, dest=name, default=None, help=description)
        parser.addini(name, description)


@pytest.fixture(scope="session")
def dynamodb_proc(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of this test run: started at first use, stopped at the end of the session."""
    from varley.testing import Server

    host, port = _option(request, "dynamodb_host"), _option(request, "dynamodb_port")
    with Server(in_memory=True, host=host or "127.0.0.1", port=_first_port(port)) as server:
        server.client_options.update(_credentials(request))
        yield server


@pytest.fixture(scope="session")
def dynamodb_noproc(request: pytest.FixtureRequest) -> Remote:
    """A server that somebody else runs: Varley, DynamoDB Local, whatever answers at host and port."""
    from varley.testing import Remote

    host, port = _option(request, "dynamodb_host"), _option(request, "dynamodb_port")
    remote = Remote(f"http://{host or '127.0.0.1'}:{_first_port(port) or 8000}")
    remote.client_options.update(_credentials(request))
    return remote


@pytest.fixture
def dynamodb(dynamodb_proc: Server) -> Iterator[Any]:
    """A boto3 resource of dynamodb_proc, which has no tables again after the test."""
    yield dynamodb_proc.resource()
    dynamodb_proc.reset()


def _option(request: pytest.FixtureRequest, name: str) -> str | None:
    """The command line's value, else the ini file's, else None."""
    given = request.config.getoption(name)
    return str(given) if given else str(request.config.getini(name) or "") or None


def _first_port(given: str | None) -> int:
    """pytest-dynamodb also takes "?" for any free port; 0 is that here."""
    return 0 if given in (None, "?", "-1") else int(given)


def _credentials(request: pytest.FixtureRequest) -> dict[str, str]:
    names = {
        "aws_access_key_id": "dynamodb_aws_access_key",
        "aws_secret_access_key": "dynamodb_aws_secret_key",
        "region_name": "dynamodb_aws_region",
    }
    given = {argument: _option(request, name) for argument, name in names.items()}
    return {argument: value for argument, value in given.items() if value is not None}
