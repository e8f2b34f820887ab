"""A ring of three processes for the tests of this folder, as `varley ring up` starts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ring_cli.local_ring import Up


@pytest.fixture(scope="package")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Nothing may be killed in it. It ends with the tests of this folder: nodes are busy also if nobody asks them."""
    with Up(tmp_path_factory.mktemp("ring"), "--nodes", "3", "--engine", "memory") as up:
        yield up


@pytest.fixture
def own_ring(tmp_path: Path) -> Iterator[Up]:
    """For tests that kill nodes. On disk."""
    with Up(tmp_path / "ring", "--nodes", "3") as up:
        yield up
