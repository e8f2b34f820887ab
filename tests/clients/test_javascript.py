# Why: most programs that use DynamoDB are written in JavaScript or TypeScript, on AWS's SDK or on a library above it.
# Each program here is one of them, with Node.js's own test runner; what it imports is what its users install.

import re
from pathlib import Path

import pytest

from .conftest import Run

pytestmark = [pytest.mark.slow, pytest.mark.node]

PROGRAMS = sorted(path.name for path in Path(__file__).parent.glob("*.mjs"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_this_program_runs(program: str, node: Run, environment: dict[str, str], endpoint_kind: str) -> None:
    if program == "sdk_expiry.mjs" and endpoint_kind != "varley":
        pytest.skip("items expire within seconds here, and within days elsewhere")
    told = node("--test-reporter=tap", program, environment=environment)
    counts = {name: int(count) for name, count in re.findall(r"^# (\w+) (\d+)$", told, re.MULTILINE)}
    assert counts["pass"] == counts["tests"] > 0, told      # none is skipped, none left for later
