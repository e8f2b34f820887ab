"""`varley check` on a folder, as an operator runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from varley.cli import main


def findings(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What it finds broken, in its words."""
    capsys.readouterr()
    main(["check", "--data-dir", str(folder), "--json"])
    return [each["problem"] for each in json.loads(capsys.readouterr().out)["findings"]]
