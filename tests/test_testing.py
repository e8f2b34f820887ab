"""The embedded server, and the pytest plugin as a project of somebody else would use it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import varley
from varley.errors import BadSettings, DataFolderLocked
from varley.testing import Remote

TABLE: dict[str, Any] = {
    "TableName": "Music",
    "KeySchema": [{"AttributeName": "Artist", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "Artist", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
ITEM = {"Artist": {"S": "Varley"}}


# The embedded server


def test_it_serves_from_enter_to_exit() -> None:
    with varley.Server() as server:
        client = server.client()
        client.create_table(**TABLE)
        client.put_item(TableName="Music", Item=ITEM)
        assert client.get_item(TableName="Music", Key=ITEM)["Item"] == ITEM
        assert server.endpoint_url == f"http://127.0.0.1:{server.port}"
    with pytest.raises(RuntimeError, match="does not run"):
        _ = server.endpoint_url
    assert "varley" not in {thread.name for thread in threading.enumerate()}


def test_two_at_once_share_nothing() -> None:
    with varley.Server() as one, varley.Server() as other:
        one.client().create_table(**TABLE)
        assert other.client().list_tables()["TableNames"] == []


def test_reset_drops_every_table_and_names_can_be_used_again() -> None:
    with varley.Server() as server:
        client = server.client()
        for _ in range(3):
            client.create_table(**TABLE)
            client.put_item(TableName="Music", Item=ITEM)
            server.reset()
            assert client.list_tables()["TableNames"] == []
        client.create_table(**TABLE)
        assert "Item" not in client.get_item(TableName="Music", Key=ITEM)


def test_a_data_folder_keeps_what_was_written(tmp_path: Path) -> None:
    with varley.Server(data_dir=str(tmp_path)) as server:
        server.client().create_table(**TABLE)
        server.client().put_item(TableName="Music", Item=ITEM)
    with varley.Server(data_dir=str(tmp_path)) as server:
        assert server.client().get_item(TableName="Music", Key=ITEM)["Item"] == ITEM


def test_a_locked_data_folder_is_told_to_the_caller(tmp_path: Path) -> None:
    with varley.Server(data_dir=str(tmp_path)), pytest.raises(DataFolderLocked):
        varley.Server(data_dir=str(tmp_path)).start()


def test_it_can_be_started_again_after_a_stop() -> None:
    server = varley.Server()
    for _ in range(2):
        server.start()
        assert server.client().list_tables()["TableNames"] == []
        server.stop()
    server.stop()


def test_settings_are_keyword_arguments_and_checked() -> None:
    with pytest.raises(BadSettings, match="'data_dir'"):
        varley.Server(data_dirr="x")
    with pytest.raises(BadSettings, match="from 1 to 1024"):
        varley.Server(initial_partitions=0)


def test_the_environment_does_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARLEY_PORT", "not a port")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")
    with varley.Server() as server:
        assert server.client().list_tables()["TableNames"] == []


def test_its_clock_can_be_advanced() -> None:
    with varley.Server() as server:
        before = server.clock.time()
        server.advance(86400)
        assert server.clock.time() - before >= 86400


def test_a_remote_server_is_reset_over_the_wire() -> None:
    with varley.Server() as server:
        remote = Remote(server.endpoint_url)
        assert (remote.host, remote.port) == ("127.0.0.1", server.port)
        remote.client().create_table(**TABLE)
        remote.reset()
        assert remote.client().list_tables()["TableNames"] == []


def test_importing_varley_imports_no_server() -> None:
    """So the version, the command line and the plugin are cheap."""
    program = (
        "import sys, varley, varley.pytest_plugin\n"
        "print([name for name in sys.modules if name in {'asyncio', 'uvloop', 'boto3', 'varley.testing'}])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"import pytest, sys; before = set(sys.modules)\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "[]\n"


# The plugin


def pytest_run(folder: Path, test: str, *options: str, ini: str = "") -> str:
    """Run pytest on a test file in a project of its own, and return what it printed."""
    (folder / "test_it.py").write_text(test)
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr


@pytest.mark.slow
def test_each_test_gets_a_resource_without_tables(tmp_path: Path) -> None:
    test = f"""
import pytest

@pytest.mark.parametrize("time", [1, 2])
def test_it(dynamodb, time):
    assert list(dynamodb.tables.all()) == []
    dynamodb.create_table(**{TABLE!r})

def test_one_server_for_the_session(dynamodb_proc, dynamodb):
    assert dynamodb_proc.port > 0
    assert dynamodb.meta.client.meta.endpoint_url == dynamodb_proc.endpoint_url
"""
    assert "3 passed" in pytest_run(tmp_path, test)


@pytest.mark.slow
def test_options_and_ini_entries(tmp_path: Path) -> None:
    test = """
def test_it(dynamodb):
    meta = dynamodb.meta.client.meta
    assert meta.region_name == "eu-west-1"
    assert dynamodb.meta.client._request_signer._credentials.access_key == "key"
"""
    ini = "dynamodb_aws_region = eu-west-1"
    said = pytest_run(tmp_path, test, "--dynamodb-aws_access_key", "key", "--dynamodb-delay", "1", ini=ini)
    assert "1 passed" in said


@pytest.mark.slow
def test_noproc_speaks_to_a_server_that_runs_already(tmp_path: Path) -> None:
    test = """
def test_it(dynamodb_noproc):
    assert dynamodb_noproc.client().list_tables()["TableNames"] == ["Music"]
"""
    with varley.Server() as server:
        server.client().create_table(**TABLE)
        assert "1 passed" in pytest_run(tmp_path, test, "--dynamodb-port", str(server.port))
        assert "1 passed" in pytest_run(tmp_path, test, ini=f"dynamodb_port = {server.port}")


@pytest.mark.slow
def test_it_stands_beside_a_plugin_with_the_same_options(tmp_path: Path) -> None:
    """pytest-dynamodb adds these options too; pytest ends with an error when an option is added twice."""
    (tmp_path / "pytest_dynamodb.py").write_text(
        "def pytest_addoption(parser):\n"
        "    for name in ('host', 'port', 'aws_access_key', 'aws_secret_key', 'aws_region'):\n"
        "        parser.addoption(f'--dynamodb-{name}', dest=f'dynamodb_{name}', default=None)\n"
        "        parser.addini(f'dynamodb_{name}', name, default=None)\n"
    )
    test = "def test_it(dynamodb):\n    assert list(dynamodb.tables.all()) == []\n"
    assert "1 passed" in pytest_run(tmp_path, test, "-p", "pytest_dynamodb")
