"""`varley check` on folders of a ring's node: what is sound is as it was written, and what is not is named."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path
from random import Random, SystemRandom

import pytest

from varley.cli import main
from varley.errors import DataFolderLocked
from varley.ring.membership import History, Member
from varley.ring.siblings import NONE, Mode, Siblings, Stamp, put, reconcile
from varley.ring.vector_clock import VectorClock
from varley.ring_node import rows
from varley.ring_node.check import check_ring_folder, damaged_frame
from varley.ring_node.engines.engine import Entry
from varley.ring_node.engines.lmdb import LmdbEngine
from varley.ring_node.engines.sqlite import SqliteEngine
from varley.ring_node.folder import RingFolder
from varley.ring_node.keys import place_of, ring_key
from varley.ring_node.members import encode_history
from varley.ring_node.settings import BucketSettings, RingNodeSettings, RingSettings

FLIPS = int(os.environ.get("FLIPS", "40"))
SEED = int(os.environ.get("TEST_SEED", "0")) or SystemRandom().randrange(2**32)
RING = RingSettings(buckets={"sessions": BucketSettings(mode=Mode.LAST_WRITE_WINS)})
ENGINES = {"lmdb": LmdbEngine, "sqlite": SqliteEngine}
WITHOUT_MEANING = ("lock", "lock.mdb", "ring.sqlite-shm")     # who has it open; made anew at the next start
FILES = {"lmdb": "data.mdb", "sqlite": "ring.sqlite"}
Entries = dict[bytes, Entry]


def row(bucket: str, key: bytes, siblings: Siblings, home: str | None = None) -> tuple[bytes, Entry]:
    name = ring_key(bucket, key)
    place = rows.row_key(place_of(name)) if home is None else rows.hint_key(home, place_of(name))
    return place, rows.encode_row(place, name, siblings)


def value(data: bytes | None, now_us: int = 5) -> Siblings:
    return Stamp("a", VectorClock(), data, now_us).apply(NONE)


def memory() -> Entries:
    history = History().join("a", Member("a:1", "", 1.0), 1).join("b", Member("b:1", "", 1.0), 2)
    values = {"history": encode_history(history), "clock": struct.pack(">QQ", 7, 0)}
    return {rows.memory_key(name): rows.encode_memory(rows.memory_key(name), raw) for name, raw in values.items()}


def some_entries() -> Entries:
    found = memory()
    for number in range(150):
        found.update([row("carts", b"%d" % number, value(b"%d" % number * (number % 40)))])
    found.update([row("carts", b"gone", value(None))])
    found.update([row("carts", b"large", value(b"large" * 20_000))])
    found.update([row("carts", b"7", value(b"for another"), "b")])
    found.update([row("sessions", b"7", value(b"one"))])
    return found


def make(folder: Path, engine: str, *batches: Entries, copy_to: Path | None = None) -> None:
    """A node's folder with these entries; `copy_to`: as a killed process would have left it."""
    own = RingNodeSettings(name="a", data_dir=str(folder), engine=engine)
    opened = RingFolder(str(folder), own, RING)
    store = opened.open_engine(engine)
    for batch in batches:
        store.write(batch)
    if copy_to is not None:
        shutil.copytree(folder, copy_to)
    store.close()
    opened.close()


def read(folder: Path, engine: str) -> Entries:
    store = ENGINES[engine](str(folder / "rows"))
    try:
        found = {key: store.get(key) for key, _ in store.scan(b"\x00", b"\xff")}
        return {key: entry for key, entry in found.items() if entry is not None}
    finally:
        store.close()


def problems(folder: Path, capsys: pytest.CaptureFixture[str], code: int) -> list[str]:
    capsys.readouterr()
    assert main(["check", str(folder), "--json"]) == code
    return [each["problem"] for each in json.loads(capsys.readouterr().out)["findings"]]


@pytest.mark.parametrize("engine", ENGINES)
def test_it_says_what_is_there(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "up" / "a", engine, some_entries())
    for words in ([str(tmp_path / "up" / "a")], ["--data-dir", str(tmp_path / "up")]):
        assert main(["check", *words]) == 0
        said = capsys.readouterr().out
        assert f"Node a of the ring ring, engine {engine}: 153 rows, 1 of them deleted; hints: 1 for b" in said
        assert "0 given up earlier; remembers 2 members" in said
        assert "Sound" in said
    assert main(["check", str(tmp_path / "up"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["findings"] == []
    assert [(node["node"], node["rows"], node["hints"]) for node in shown["nodes"]] == [("a", 153, {"b": 1})]
    assert main(["check", str(tmp_path), "--data-dir", str(tmp_path)]) == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_it_changes_nothing_and_wants_the_folder_for_itself(engine: str, tmp_path: Path) -> None:
    folder, copy = tmp_path / "a", tmp_path / "killed"
    entries = some_entries()
    make(folder, engine, entries, copy_to=copy)
    assert check_ring_folder(str(copy)).findings == []
    assert read(copy, engine) == entries
    own = RingNodeSettings(name="a", data_dir=str(copy), engine=engine)
    running = RingFolder(str(copy), own, RING)
    with pytest.raises(DataFolderLocked):
        check_ring_folder(str(copy))
    running.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_each_kind_of_damage_has_its_words(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, good = row("carts", b"1", value(b"1"))
    other, _ = row("carts", b"2", value(b"2"))
    tombstone = row("carts", b"1", value(None))[1]
    both = reconcile([value(b"1"), put(NONE, VectorClock(), "b", 9, b"2")])
    lied = rows.encode_row(key, ring_key("carts", b"1"), value(b"1"))
    cases: list[tuple[str, Entries]] = [
        ("checksum of its head", {key: Entry(b"\x00" + good.head[1:], good.body)}),
        ("checksum of its body", {key: Entry(good.head, good.body + b"x")}),
        ("not where its key belongs", {other: rows.encode_row(other, ring_key("carts", b"1"), value(b"1"))}),
        ("checksum of its body", {key: Entry(lied.head, tombstone.body)}),
        ("keeps the last version, and here are 2", dict([row("sessions", b"1", both)])),
        ("no such key", {b"x1": Entry(b"", b"")}),
        ("no such key", {key + b"1": good}),
        ("the clock has 3", {b"mclock": rows.encode_memory(b"mclock", b"123")}),
        ("does not read as one", {b"mhistory": rows.encode_memory(b"mhistory", b"[[")}),
        ("checksum is wrong", {b"mhistory": Entry(b"12345678", b"")}),
    ]
    for number, (expected, wrong) in enumerate(cases):
        folder = tmp_path / f"{number}"
        make(folder, engine, memory() | wrong)
        found = problems(folder, capsys, 1)
        assert [expected in each for each in found] == [True], (expected, found)
    make(tmp_path / "forgot", engine, {key: good})
    assert problems(tmp_path / "forgot", capsys, 1) == ["It has rows, and remembers no ring"]
    make(tmp_path / "gave up", engine, memory() | {rows.DAMAGED + key: Entry(b"any", b"thing")})
    assert problems(tmp_path / "gave up", capsys, 0) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_files_that_are_gone(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "a", engine, some_entries())
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a" / "ring.json").unlink()
    assert "whose folder" in problems(tmp_path / "a", capsys, 1)[0]
    (tmp_path / "b" / "rows" / FILES[engine]).unlink()
    assert problems(tmp_path / "b", capsys, 1) == ["There are no rows"]
    (tmp_path / "b" / "ring.json").write_text("{}")
    assert len(problems(tmp_path / "b", capsys, 1)) == 2


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_flipped_byte_is_found_or_means_nothing(engine: str, is_killed: bool, tmp_path: Path) -> None:
    random = Random(SEED)
    entries = some_entries()
    keys = list(entries)
    batches = [{key: entries[key] for key in keys[at::10]} for at in range(10)]
    make(tmp_path / "whole", engine, *batches, copy_to=tmp_path / "killed")
    original = tmp_path / ("killed" if is_killed else "whole")
    assert check_ring_folder(str(original)).findings == []
    files = [path.relative_to(original) for path in original.rglob("*") if path.is_file() and path.stat().st_size]
    files = [path for path in files if path.name not in WITHOUT_MEANING]
    found = 0
    for number in range(FLIPS):
        folder = tmp_path / "flipped"
        shutil.copytree(original, folder)
        path = folder / random.choice(files)
        raw = bytearray(path.read_bytes())
        at, bit = random.randrange(len(raw)), 1 << random.randrange(8)
        raw[at] ^= bit
        path.write_bytes(raw)
        where = f"flip {number} of seed {SEED}: {path.name} at {at}, bit {bit}"
        findings = check_ring_folder(str(folder)).findings
        found += bool(findings)
        if not findings and path.name != "ring.json":
            there = read(folder, engine)
            assert there == entries or _is_torn(there, entries, batches), where
        shutil.rmtree(folder)
    assert found or FLIPS < 20


def _is_torn(there: Entries, entries: Entries, batches: list[Entries]) -> bool:
    """Without the last batch: no file can tell a write that was torn from one that was damaged afterwards."""
    return there == {key: entry for key, entry in entries.items() if key not in batches[-1]}


def test_where_a_log_stops_to_be_what_was_written(tmp_path: Path) -> None:
    make(tmp_path / "a", "sqlite", *({key: entry} for key, entry in some_entries().items()), copy_to=tmp_path / "b")
    wal = (tmp_path / "b" / "rows" / "ring.sqlite-wal").read_bytes()
    assert damaged_frame(wal) is None
    assert damaged_frame(b"") is None
    assert damaged_frame(wal[:-100]) is None, "torn"
    assert damaged_frame(wal[:-1] + b"\xff") is None, "torn, perhaps"
    assert damaged_frame(wal[:1000] + b"\xff" + wal[1001:]) == 32
    assert damaged_frame(b"\x00" + wal[1:]) == 0
