"""Every engine against a dict, whatever is written, read, scanned and opened again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varley.errors import Damaged
from varley.ring_node.engines import lmdb as lmdb_engine
from varley.ring_node.engines.engine import Engine, Entry, NoRoom
from varley.ring_node.engines.lmdb import LmdbEngine
from varley.ring_node.engines.memory import MemoryEngine
from varley.ring_node.engines.sqlite import SqliteEngine

Open = Callable[[str], Engine]
ENGINES = {"lmdb": LmdbEngine, "sqlite": SqliteEngine, "memory": lambda _: MemoryEngine()}

keys = st.binary(min_size=1, max_size=250) | st.sampled_from([b"r" + bytes(32), b"h\x01a" + bytes(32), b"mhistory"])
bodies = st.builds(lambda size, byte: bytes([byte]) * size, st.sampled_from([0, 1, 300, 200_000]), st.integers(0, 255))
entries = st.builds(Entry, st.binary(max_size=100), bodies)
batches = st.dictionaries(keys, st.none() | entries, max_size=5)


def write(engine: Engine, batch: dict[bytes, Entry | None]) -> None:
    engine.write(batch)
    engine.renew()


@pytest.mark.parametrize("kind", ENGINES)
@settings(deadline=None, max_examples=30, report_multiple_bugs=False)
@given(st.lists(batches | st.just("open again"), max_size=6), keys, keys)
def test_it_is_a_dict(kind: str, steps: list[dict[bytes, Entry | None] | str], low: bytes, high: bytes) -> None:
    with TemporaryDirectory() as folder:
        engine: Engine = ENGINES[kind](folder + "/rows")
        model: dict[bytes, Entry] = {}
        for step in steps:
            if isinstance(step, str):
                if engine.is_durable:
                    engine.close()
                    engine = ENGINES[kind](folder + "/rows")
                continue
            write(engine, step)
            for key, entry in step.items():
                if entry is None:
                    model.pop(key, None)
                else:
                    model[key] = entry
                assert engine.get(key) == entry
        expected = [(key, model[key].head) for key in sorted(model) if low <= key < high]
        assert list(engine.scan(low, high)) == expected
        assert all(engine.get(key) == entry for key, entry in model.items())
        engine.close()


def test_a_map_that_is_full_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_engine, "MAP_BYTES", 1 << 18)
    engine = LmdbEngine(str(tmp_path / "rows"))
    write(engine, {b"before": Entry(b"h", b"b")})
    batch: dict[bytes, Entry | None] = {b"%03d" % index: Entry(b"head", b"x" * 10_000) for index in range(100)}
    with pytest.raises(NoRoom) as raised:
        engine.write(batch)
    assert engine.get(b"000") is None
    for _ in range(4):
        raised.value.grow()
    write(engine, batch)
    assert engine.get(b"099") == batch[b"099"] and engine.get(b"before") is not None
    engine.close()


def test_a_file_that_is_not_the_engines_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"no tree" * 5000)
    with pytest.raises(Damaged, match=r"data\.mdb"):
        LmdbEngine(str(tmp_path))
    (tmp_path / "ring.sqlite").write_bytes(b"no database" * 5000)
    with pytest.raises(Damaged, match=r"ring\.sqlite"):
        SqliteEngine(str(tmp_path))


_WRITER = """
import sys
from varley.ring_node.engines.{module} import {name}
from varley.ring_node.engines.engine import Entry, NoRoom
engine = {name}(sys.argv[1])
number = 0
while True:
    number += 1
    engine.write({{b"%d" % (number * 10 + part): Entry(b"%d" % number, b"x" * 5000) for part in range(3)}})
    print(number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), [("lmdb", "LmdbEngine"), ("sqlite", "SqliteEngine")])
def test_kill_9_leaves_whole_batches_and_all_that_were_written(module: str, name: str, tmp_path: Path) -> None:
    last = 0
    for _ in range(3):
        script = _WRITER.format(module=module, name=name)
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(20):
            last = max(last, int(process.stdout.readline()))
        process.kill()
        rest = process.stdout.read().split()
        last = max([last, *map(int, rest)])
        process.wait()
        engine: Engine = ENGINES[module](str(tmp_path))
        for number in range(1, last + 2):
            there = [engine.get(b"%d" % (number * 10 + part)) is not None for part in range(3)]
            assert len(set(there)) == 1, f"batch {number} is there in part"
            assert there[0] or number > last, f"batch {number} of {last} is gone"
        engine.close()
