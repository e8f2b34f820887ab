# Why: what docs/clients.md shows is what people paste. Its Python is run by tests/test_docs.py; this runs the rest, on
# a server with no tables, with nothing of the environment that would do a snippet's work for it.

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import varley

from .conftest import Run, without_aws

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
TEXT = (HERE.parents[1] / "docs" / "clients.md").read_text(encoding="utf-8")
USUAL_ENDPOINT = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def title_of(block: str) -> str:
    """What a snippet imports last."""
    return str(re.findall(r'from "(.+?)"', block)[-1])


@pytest.fixture
def server() -> Iterator[varley.Server]:
    with varley.Server(in_memory=True) as server:
        yield server


@pytest.mark.node
@pytest.mark.parametrize("block", blocks("js"), ids=title_of)
def test_this_snippet_in_javascript_runs(block: str, server: varley.Server, node: Run) -> None:
    assert USUAL_ENDPOINT in block
    program = block.replace(USUAL_ENDPOINT, server.endpoint_url)
    assert node("--input-type=module", environment=without_aws(os.environ), program=program)


def test_the_page_names_the_versions_that_are_pinned() -> None:
    """Its rows speak of them by the name of their program, and those of the SDK by its name."""
    pinned = json.loads((HERE / "package.json").read_text())["dependencies"]
    for package in ("client-dynamodb", "client-dynamodb-streams", "lib-dynamodb"):
        assert f"| {pinned[f'@aws-sdk/{package}']} | `tests/clients/sdk_" in TEXT
    for package in ("dynamodb-toolbox", "dynamodb-onetable", "dynamoose", "electrodb"):
        program = package.removeprefix("dynamodb-") if package.endswith("onetable") else package.replace("-", "_")
        assert f"| {pinned[package]} | `tests/clients/{program}.mjs` |" in TEXT


def test_the_lock_file_names_no_registry() -> None:
    """Whoever installs has one configured; a name here would send them to somebody else's."""
    lock = json.loads((HERE / "package-lock.json").read_text())
    packages = [package for path, package in lock["packages"].items() if path]
    assert len(packages) > 30
    assert [package for package in packages if "resolved" in package or "integrity" not in package] == []


def test_the_page_names_every_program() -> None:
    programs = {path.name for path in HERE.glob("*.mjs")} | {path.name for path in HERE.glob("test_*.py")}
    named = set(re.findall(r"`tests/clients/([\w.]+)`", TEXT))
    assert programs - named == {"test_javascript.py", "test_snippets.py"}       # they run the others


def test_the_environment_is_enough_for_the_command_line(server: varley.Server, tmp_path: Path) -> None:
    [commands] = blocks("sh")
    server.client().create_table(
        TableName="Song",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "title", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "title", "KeyType": "HASH"}],
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", commands.replace(USUAL_ENDPOINT, server.endpoint_url)],
        env=without_aws(os.environ) | {"PATH": path, "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["TABLENAMES", "Song"], done.stderr
