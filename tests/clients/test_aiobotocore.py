# Why: each version of aiobotocore goes with one version of botocore, months behind the newest, whose model the other
# tests walk. So it is installed into a folder of its own, and its programs run in a process that looks there first.

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = Path(sys.prefix) / "aiobotocore"      # `make test` installs it there
DOCUMENTATION = HERE.parents[1] / "docs" / "clients.md"

pytestmark = pytest.mark.slow


def run(environment: dict[str, str], *arguments: str, program: str | None = None) -> str:
    if not MODULES.is_dir():
        why = f"aiobotocore is not installed in {MODULES}; `make test` does that"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**environment, "PYTHONPATH": str(MODULES)},
        input=program, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_programs(environment: dict[str, str]) -> None:
    assert len(run(environment, str(HERE / "aiobotocore_programs.py")).split()) == 4


def test_the_snippet_in_the_documentation(environment: dict[str, str], endpoint: str) -> None:
    blocks = [block.split("```")[0] for block in DOCUMENTATION.read_text().split("```python\n")[1:]]
    [snippet] = [block for block in blocks if "aiobotocore" in block]
    assert run(environment, "-", program=snippet.replace("http://127.0.0.1:8000", endpoint)).startswith("[")
