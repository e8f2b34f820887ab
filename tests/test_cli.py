"""The command line: what it accepts, what it says, and how a server starts and stops under it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import varley
from varley import __version__
from varley.cli import DYNAMODB_LOCAL_FLAGS, main, translated
from varley.settings import all_settings, flag_of

VARLEY = [sys.executable, "-m", "varley"]
SECONDS_MAX = 30        # for what takes a fraction of one


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*VARLEY, *words],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env={**os.environ, **environment},
        check=False,
    )


@contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server and what it said of itself with --json. Killed at the end unless it has ended."""
    server = subprocess.Popen(
        [*VARLEY, "serve", "--port", "0", "--json", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, server.communicate()[1]
        yield server, json.loads(line)
    finally:
        if server.poll() is None:
            server.kill()
        server.communicate()


def fetch(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=SECONDS_MAX) as answer:
        return answer.status, answer.read()


# What is accepted


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (["serve", "-port", "8001", "-inMemory"], ["serve", "--port", "8001", "--in-memory"]),
        (["serve", "-port=8001"], ["serve", "--port=8001"]),
        (["serve", "-dbPath", "/d", "-sharedDb"], ["serve", "--data-dir", "/d"]),
        (["serve", "-cors", "*", "-delayTransientStatuses"], ["serve", "--cors", "*"]),
        (["serve", "-disableTelemetry", "--port", "1"], ["serve", "--port", "1"]),
    ],
)
def test_dynamodb_locals_flags_are_ours_with_one_dash(theirs: list[str], ours: list[str]) -> None:
    assert translated(theirs) == ours


def test_flags_that_they_stand_for_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    shown = capsys.readouterr().out
    for flag in DYNAMODB_LOCAL_FLAGS.values():
        assert flag is None or flag in shown


def test_help_shows_every_setting_examples_and_variables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    shown = capsys.readouterr().out
    for name in all_settings():
        assert flag_of(name) in shown, name
    assert "VARLEY_PORT=8001" in shown
    assert "varley serve --in-memory" in shown


def test_version_and_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert f"varley {__version__}" in shown
    assert "serve" in shown
    assert "check" in shown


# What is refused, before anything starts


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["serve", "--port", "many"], "a whole number from 0 to 65535"),
        (["serve", "--prot", "1"], "--port"),
        (["serve", "--host", "0.0.0.0"], "--insecure"),
        (["serve", "--in-memory", "--data-dir", "x"], "Leave out --in-memory"),
        (["serve", "--config", "/nowhere/varley.toml"], "/nowhere/varley.toml"),
        (["serve", "--zone", "a"], "Add --cluster"),
        (["serve", "--processes", "2", "--in-memory"], "in_memory"),
        (["serve", "--cluster", "h1", "--name", "n1"], "etcd://"),
        (["cluster", "status", "--data-dir", "/nowhere"], "--admin"),
        (["cluster", "move", "--group", "7"], "--from NAME"),
        (["serv"], "serv"),
    ],
)
def test_a_wrong_command_line_says_what_is_right(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_an_unknown_variable_stops_the_start() -> None:
    result = run("serve", VARLEY_PROT="8001")
    assert result.returncode == 2
    assert "'VARLEY_PORT'" in result.stderr


def test_it_refuses_to_run_without_asserts() -> None:
    result = run("--version", PYTHONOPTIMIZE="1")
    assert result.returncode == 2
    assert "does not run under `python -O`" in result.stderr
    assert "Traceback" not in result.stderr


# A server under it


@pytest.mark.slow
def test_it_says_where_it_is_answers_there_and_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    with serving("--data-dir", str(tmp_path / "data")) as (server, said):
        assert said["endpoint"] == f"http://127.0.0.1:{said['port']}"
        assert said["data_dir"] == str(tmp_path / "data")
        assert said["pid"] == server.pid
        assert fetch(said["endpoint"] + "/")[1].startswith(b"healthy: 127.0.0.1")
        assert fetch(said["endpoint"] + "/ready")[0] == 200
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=SECONDS_MAX)
        assert (server.returncode, errors) == (0, "")


@pytest.mark.slow
def test_it_ends_with_0_on_ctrl_c() -> None:
    with serving("--in-memory") as (server, said):
        assert said["data_dir"] is None
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=SECONDS_MAX)
        assert (server.returncode, errors) == (0, "")


@pytest.mark.slow
def test_a_second_server_on_one_data_folder_is_refused(tmp_path: Path) -> None:
    with serving("--data-dir", str(tmp_path)):
        result = run("serve", "--port", "0", "--data-dir", str(tmp_path))
        assert result.returncode == 1
        assert str(tmp_path) in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""


@pytest.mark.slow
def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with serving("--in-memory") as (_, said):
        result = run("serve", "--port", str(said["port"]), "--data-dir", str(tmp_path))
        assert result.returncode == 1
        assert f"Port {said['port']} is in use" in result.stderr
        assert "--port 0" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_what_it_prints_can_be_pasted(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [*VARLEY, "serve", "--port", "0", "--data-dir", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line)
        if line.startswith("Stop"):
            break
    server.terminate()
    rest, _ = server.communicate(timeout=SECONDS_MAX)
    shown = "".join(lines) + rest
    endpoint = shown.split("is ready on ")[1].split()[0]
    assert f"export AWS_ENDPOINT_URL_DYNAMODB={endpoint}\n" in shown
    assert f"aws dynamodb list-tables --endpoint-url {endpoint}\n" in shown
    assert f'endpoint_url="{endpoint}"' in shown
    assert f"Data    {tmp_path}" in shown
    assert "Ctrl-C" in shown
    assert server.returncode == 0


@pytest.mark.slow
def test_the_admin_port_has_metrics_and_moves_the_clock() -> None:
    with serving("--in-memory", "--admin-port", "0") as (_, said):
        admin = f"http://127.0.0.1:{said['admin_port']}"
        assert fetch(admin + "/ready")[0] == 200
        assert b"varley_build_info" in fetch(admin + "/metrics")[1]
        request = urllib.request.Request(admin + "/clock", data=b'{"advance_seconds": 60}')
        with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
            assert json.load(answer)["offset_seconds"] == 60.0


# varley check


TABLE: dict[str, Any] = {
    "TableName": "Music",
    "KeySchema": [{"AttributeName": "Artist", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "Artist", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 41 items in two partitions, one of them in the log only. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("data")
    with varley.Server(data_dir=str(folder), initial_partitions=2) as server:
        client = server.client()
        client.create_table(**TABLE)
        for number in range(40):
            client.put_item(TableName="Music", Item={"Artist": {"S": str(number)}})
    # A clean stop leaves nothing in the log. A copy of a folder in use is what a crash would leave of it.
    with varley.Server(data_dir=str(folder)) as server:
        server.client().put_item(TableName="Music", Item={"Artist": {"S": "40"}})
        shutil.copytree(folder, copy := folder.with_name("copy"))
    return copy


@pytest.fixture
def data(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "data"))


def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    """(exit code, findings) of `varley check --json`."""
    code = main(["check", "--data-dir", str(folder), "--json"])
    return code, json.loads(capsys.readouterr().out)["findings"]


def flip_last(file: Path, pattern: bytes) -> None:
    """Change one bit of the last occurrence of `pattern`: earlier ones may be on pages no longer in use."""
    content = bytearray(file.read_bytes())
    content[content.rindex(pattern)] ^= 1
    file.write_bytes(content)


def test_a_sound_folder_is_called_sound(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(data, capsys) == (0, [])
    assert main(["check", "--data-dir", str(data)]) == 0
    assert f"Sound: nothing is broken in {data}" in capsys.readouterr().out


def test_it_changes_nothing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def contents() -> dict[Path, bytes]:
        files = [path for path in data.rglob("*") if path.is_file() and "lock" not in path.name]
        return {path: path.read_bytes() for path in files}

    before = contents()
    check(data, capsys)
    assert contents() == before


@pytest.mark.parametrize("place", ["log", "trees", "metadata"])
def test_one_wrong_bit_is_found_and_placed(
    place: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = b"Music" if place == "metadata" else b'{"Artist"'
    files = sorted(path for path in (data / place).rglob("*") if path.is_file())
    flip_last(next(file for file in files if pattern in file.read_bytes()), pattern)
    code, findings = check(data, capsys)
    assert code == 1
    assert any(finding["path"].startswith(place) for finding in findings), findings


def test_a_row_in_a_partition_that_is_not_its_own_is_found(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every byte is as it was written; only the table's definition tells."""
    one, other = sorted((data / "trees").iterdir())
    one.rename(data / "aside")
    other.rename(one)
    (data / "aside").rename(other)
    code, findings = check(data, capsys)
    assert code == 1
    assert any("another partition" in finding["problem"] for finding in findings), findings


def test_findings_are_listed_for_people_too(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "holiday.jpg").write_bytes(b"")
    assert main(["check", "--data-dir", str(data)]) == 1
    shown = capsys.readouterr().out
    assert "holiday.jpg: not a file of Varley's" in shown
    assert f"1 broken in {data}" in shown


def test_a_folder_without_identity_is_checked_and_not_given_one(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "identity.json").unlink()
    code, findings = check(data, capsys)
    assert code == 1
    assert [finding["path"] for finding in findings] == ["identity.json"]
    assert not (data / "identity.json").exists()


def test_a_folder_that_a_server_has_open_is_not_walked(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with varley.Server(data_dir=str(data)):
        assert main(["check", "--data-dir", str(data)]) == 1
    assert "has this data folder open" in capsys.readouterr().err


def test_no_folder_is_not_a_sound_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert main(["check", "--data-dir", str(folder)]) == 2
        assert "There is no data here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
