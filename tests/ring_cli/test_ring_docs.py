"""docs/ring_api.md is tested: its examples run against a ring, and nothing of the ring is left out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ring_cli.local_ring import Up
from tests.test_docs import Block, as_shown, blocks
from varley.ring_api.answer import ERRORS
from varley.settings import environment_name, ring_settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "ring_api.md"
USUAL_ENDPOINT = "http://127.0.0.1:8101"
SHOWN = list(blocks(PAGE))
PYTHON = [block for block in SHOWN if block.language == "python"]
SHELL = [block for block in SHOWN if block.language == "sh"]


def test_there_is_something_to_run() -> None:
    assert len(PYTHON) >= 2
    assert len(SHELL) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("block", PYTHON, ids=[block.where for block in PYTHON])
def test_this_example_runs(block: Block, ring: Up) -> None:
    run = subprocess.run(
        [sys.executable, "-c", block.text.replace(USUAL_ENDPOINT, ring.endpoint)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("block", SHELL, ids=[block.where for block in SHELL])
def test_these_commands_run(block: Block, ring: Up) -> None:
    commands = block.text.replace(USUAL_ENDPOINT, ring.endpoint).replace("varley ", f"{sys.executable} -m varley ")
    run = subprocess.run(
        ["sh", "-e", "-c", commands],
        env={**os.environ, "VARLEY_RING_ENDPOINT": ring.endpoint, "NO_PROXY": "127.0.0.1"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "milk" in run.stdout


@pytest.mark.slow
def test_the_cart_ends_as_is_shown(ring: Up) -> None:
    for _ in range(2):      # the second time it finds the cart of the first
        run = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "shopping_cart.py"), ring.endpoint],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert run.stdout == next(block.text for block in SHOWN if block.language == "text")


def test_every_setting_is_described_with_its_default() -> None:
    row = re.compile(r"^\| `(ring\.\w+)` \| `(VARLEY_\w+)` \| (.*?) \| .+ \|$", re.MULTILINE)
    assert [(name, variable, default.strip()) for name, variable, default in row.findall(PAGE.read_text())] == [
        (name, environment_name(name), as_shown(setting.default)) for name, setting in ring_settings().items()
    ]


def test_every_error_is_described() -> None:
    text = PAGE.read_text()
    for status, name in ERRORS.values():
        assert re.search(rf"^\| {status} \| .*`{name}`", text, re.MULTILINE), name
