"""The power goes at each step of a split, under load: what is on the disk at that moment is what a start begins with.

The folder is copied where the loop stands, before and after each step. A copy has all that was acknowledged by then,
goes on with the split by itself, and is sound.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import varley
from tests.crash.server_process import Client
from tests.splits.split_server import (
    LOCAL_TABLE,
    TABLE,
    Admin,
    Load,
    LocalLoad,
    assert_local_indexes,
    counted,
    counts_of,
    item_of,
    local_item_of,
    put,
    scanned,
    until,
)
from varley.assembly.local_home import LocalHome
from varley.cli.check import examine
from varley.metadata.catalog import Catalog
from varley.splits.splitting import Splitting

pytestmark = pytest.mark.slow

ITEMS = 200
Version = int | None


class Cuts:
    """Copies of a folder, each with what was acknowledged, and what was on its way, when it was made."""

    def __init__(self, folder: Path, copies: Path, load: Load) -> None:
        self._folder = folder
        self._copies = copies
        self._load = load
        self.made: dict[str, tuple[Path, dict[int, Version], dict[int, Version]]] = {}
        self.is_over = False

    def cut(self, name: str) -> None:
        if self.is_over:
            return
        name = f"{len(self.made):02} {name}"
        expected = dict(self._load.expected)
        shutil.copytree(self._folder, self._copies / name)
        self.made[name] = self._copies / name, expected, dict(self._load.tried)

    def around(self, patch: pytest.MonkeyPatch, owner: type, method: str) -> None:
        step: Callable[..., Coroutine[Any, Any, Any]] = getattr(owner, method)

        @functools.wraps(step)
        async def cut_around(*given: Any, **named: Any) -> Any:
            self.cut(f"before {method}")
            result = await step(*given, **named)
            self.cut(f"after {method}")
            return result

        patch.setattr(owner, method, cut_around)

    def before(self, patch: pytest.MonkeyPatch, owner: type, method: str) -> None:
        step: Callable[..., Any] = getattr(owner, method)

        def cut_before(*given: Any) -> Any:
            self.cut(f"before {method}")
            return step(*given)

        patch.setattr(owner, method, cut_before)


@pytest.mark.parametrize("index", [None, "by-g", "local indexes"])
def test_a_power_cut_at_each_step(index: str | None, tmp_path: Path) -> None:
    folder, copies = tmp_path / "data", tmp_path / "copies"
    is_local = index == "local indexes"
    wanted = {} if index is None or is_local else {"index": index}
    with varley.Server(data_dir=str(folder), admin_port=0, split_keep_seconds=0.2) as server:
        client, admin = Client(server.port), Admin(server.admin_port)
        client.call("CreateTable", LOCAL_TABLE if is_local else TABLE)
        with (LocalLoad if is_local else Load)([server.port], ITEMS) as load:
            load.wait_for_some()
            cuts = Cuts(folder, copies, load)
            with pytest.MonkeyPatch.context() as patch:
                cuts.around(patch, Catalog, "order_split")
                cuts.around(patch, Catalog, "settle_split")
                for step in ("_note", "_begin_tally", "_copy", "_close", "_end", "_open", "_remove"):
                    cuts.around(patch, Splitting, step)
                cuts.around(patch, Catalog, "map_split")
                cuts.before(patch, LocalHome, "serves")
                cuts.around(patch, Catalog, "end_split")
                admin.split(**wanted)
                cuts.is_over = True
        assert load.wrong == []
        client.close()
    assert len(cuts.made) >= 20
    for name, (copy, expected, tried) in cuts.made.items():
        _goes_on(name, copy, expected, tried, is_local=is_local)


def _goes_on(
    name: str, copy: Path, expected: dict[int, Version], tried: dict[int, Version], *, is_local: bool
) -> None:
    assert examine(str(copy), lambda path: None) == [], f"{name}: as it was cut"
    with varley.Server(data_dir=str(copy), admin_port=0, split_keep_seconds=0.1) as server:
        client, admin = Client(server.port), Admin(server.admin_port)
        found = scanned(client)
        for number in range(ITEMS):
            allowed = (expected.get(number), tried.get(number))
            assert found.get(number) in allowed, f"{name}: k{number} is {found.get(number)}, not one of {allowed}"
        for number in range(0, ITEMS, 7):    # while the split goes on
            put(client, number, 1_000_000, local_item_of if is_local else item_of)
            found[number] = 1_000_000
        until(lambda: not admin.under_way(), f"{name}: the split does not end")
        assert scanned(client) == found, name
        if is_local:
            assert_local_indexes(client, found)
            assert counted(client) == counts_of(found), name
        else:
            until(lambda: scanned(client, IndexName="by-g") == found, f"{name}: the index is not its table")
        client.close()
    assert examine(str(copy), lambda path: None) == [], name


def test_what_waits_for_an_index_is_for_the_parent_until_the_child_serves(tmp_path: Path) -> None:
    """The map names the child already, and it is the parent that is looked into."""
    folder, copies = tmp_path / "data", tmp_path / "copies"
    with varley.Server(data_dir=str(folder), admin_port=0, index_delay_seconds=3600, split_keep_seconds=0.2) as server:
        client, admin = Client(server.port), Admin(server.admin_port)
        client.call("CreateTable", TABLE)
        for number in range(20):
            put(client, number, 1)
        cuts = Cuts(folder, copies, Load([], 0, threads=0))
        with pytest.MonkeyPatch.context() as patch:
            cuts.around(patch, Catalog, "map_split")
            admin.split(index="by-g")
        client.close()
    for name, (copy, _, _) in cuts.made.items():
        assert examine(str(copy), lambda path: None) == [], name
    assert len(cuts.made) == 2
