"""One replica's rows on disk: long keys, the map that grows, and what becomes of damaged bytes."""

from __future__ import annotations

import os
import random
from pathlib import Path

import lmdb
import pytest

from varley.errors import Damaged, WorldError
from varley.item import stored
from varley.storage import long_keys
from varley.storage.lmdb_engine import CRC_BYTES, META_KEY, LmdbEngine, structure_problems, verify_structure
from varley.storage.tree import NOTHING, Applied

GROUP = 5
Rows = dict[bytes, bytes]


def value_of(number: int, size: int = 60) -> bytes:
    return stored.pack(b"%06d" % number + b"v" * size, size, number)


def some_rows(count: int, size: int = 60) -> Rows:
    chance = random.Random(count)
    return {b"\x00" + chance.randbytes(16) + b"%d" % number: value_of(number, size) for number in range(count)}


def applied_of(rows: Rows, slot: int) -> Applied:
    times = map(stored.timestamp, rows.values())
    return Applied(slot, len(rows), sum(map(stored.item_size, rows.values())), max(times, default=0))


def engine_with(folder: Path, rows: Rows) -> LmdbEngine:
    engine = LmdbEngine(str(folder), GROUP)
    engine.write(iter(rows.items()), applied_of(rows, 1))
    engine.renew()
    return engine


def test_a_replica_that_was_never_checkpointed_has_no_file(tmp_path: Path) -> None:
    engine = LmdbEngine(str(tmp_path / "tree"), GROUP)
    assert engine.get(b"\x00key") is None
    assert list(engine.scan(b"", None, False)) == []
    assert engine.applied == NOTHING
    engine.close()
    assert os.listdir(tmp_path) == []


def test_reads_see_a_checkpoint_from_renew_on(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, {b"\x00a": value_of(1)})
    engine.write(iter({b"\x00a": value_of(2), b"\x00b": value_of(3)}.items()), Applied(2, 2, 120))
    assert engine.get(b"\x00a") == value_of(1)
    engine.renew()
    assert engine.get(b"\x00a") == value_of(2)
    assert engine.get(b"\x00b") == value_of(3)
    engine.close()


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    rows = some_rows(500)
    engine_with(tmp_path, rows).close()
    engine = LmdbEngine(str(tmp_path), GROUP)
    assert engine.applied == applied_of(rows, 1)
    assert dict(engine.scan(b"", None, False)) == rows
    engine.close()


def test_the_map_grows_under_a_read_transaction(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, {b"\x00a": value_of(1)})
    before = engine._env.info()["map_size"]
    engine.reserve(rows=100_000, size=1 << 30)
    assert engine._env.info()["map_size"] > before
    assert engine.get(b"\x00a") == value_of(1)
    engine.close()


def test_a_tree_of_another_group_is_refused(tmp_path: Path) -> None:
    engine_with(tmp_path, some_rows(3)).close()
    with pytest.raises(Damaged, match="is that of group 5"):
        LmdbEngine(str(tmp_path), GROUP + 1)


def test_a_write_that_fails_makes_the_engine_refuse_further_ones(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, some_rows(3))
    engine._stop_reading()
    engine._env.set_mapsize(64 * 1024)
    engine._start_reading()
    with pytest.raises(WorldError, match="A checkpoint failed"):
        engine.write(iter(some_rows(5000).items()), Applied(2, 0, 0))
    with pytest.raises(WorldError, match="An earlier write"):
        engine.write(iter(()), Applied(2, 0, 0))
    assert engine.get(next(iter(some_rows(3)))) is not None
    engine.close()


# Long keys

LONG = b"\x00" + b"k" * 510     # as long as an LMDB key may be


def test_a_long_key_costs_a_pointer_and_a_row() -> None:
    assert long_keys.place(LONG[:-1]) == (LONG[:-1], [])
    physical, pointers = long_keys.place(LONG + b"tail")
    assert pointers == [LONG]
    assert physical == long_keys.subtree_prefix(LONG) + b"tail"
    assert len(long_keys.place(LONG + b"x" * 492)[1]) == 1
    assert len(long_keys.place(LONG + b"x" * 493)[1]) == 2


def test_pointers_go_with_the_last_row_behind_them(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, {LONG + b"a": value_of(1), LONG + b"b" * 500: value_of(2), b"\x00z": value_of(3)})
    entries = [6, 4, 2]     # rows, pointers, the tree's own row
    for key in (LONG + b"b" * 500, LONG + b"a", b"\x00z"):
        assert engine._env.stat()["entries"] == entries.pop(0)
        engine.write(iter([(key, None), (key, None)]), Applied(2, 0, 0))
    assert engine._env.stat()["entries"] == 1
    engine.close()


# Damage


def flip(path: str, offset: int, mask: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes((byte ^ mask,)))


def test_no_flipped_byte_in_a_row_is_served(tmp_path: Path) -> None:
    """Each byte of the file that belongs to a key or a value, one at a time; then every row is asked for."""
    rows = some_rows(40)
    engine_with(tmp_path, rows).close()
    path = str(tmp_path / "data.mdb")
    data = Path(path).read_bytes()
    chance = random.Random(1)
    for key, value in chance.sample(sorted(rows.items()), 12):
        at = data.rindex(key + value)
        for offset in (*range(at, at + len(key)), *chance.sample(range(at + len(key), at + len(key + value) + 4), 8)):
            mask = 1 << chance.randrange(8)
            flip(path, offset, mask)
            damages: list[Damaged] = []
            engine = LmdbEngine(str(tmp_path), GROUP)
            for asked in rows:
                try:
                    assert engine.get(asked) == rows[asked]
                except Damaged as damage:
                    damages.append(damage)
            with pytest.raises(Damaged):
                list(engine.scan(b"", None, chance.random() < 0.5))
            engine.close()
            assert {(damage.group, damage.path) for damage in damages} == {(GROUP, path)}
            flip(path, offset, mask)


def test_a_flipped_byte_anywhere_in_the_file_is_found_or_harmless(tmp_path: Path) -> None:
    rows = some_rows(400, size=150)
    rows |= {LONG + b"%d" % number: value_of(number) for number in range(5)}
    engine = engine_with(tmp_path, rows)
    engine.write(((key, None) for key in list(rows)[::7]), None)    # so that there are free pages
    engine.write(((key, rows[key]) for key in list(rows)[::7]), applied_of(rows, 2))
    engine.close()
    path = str(tmp_path / "data.mdb")
    chance = random.Random(2)
    found = 0
    for _ in range(150):
        offset, mask = chance.randrange(os.path.getsize(path)), 1 << chance.randrange(8)
        flip(path, offset, mask)
        try:
            verify_structure(str(tmp_path), GROUP)
            engine = LmdbEngine(str(tmp_path), GROUP)
        except Damaged:
            found += 1
        else:
            try:
                assert dict(engine.scan(b"", None, False)) == rows
            except Damaged:
                found += 1
            engine.close()
        flip(path, offset, mask)
    assert found > 20   # the others were in pages that are free, or not full


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9])
def test_a_file_cut_short_is_found_before_it_is_read(tmp_path: Path, kept: float) -> None:
    rows = some_rows(400)
    engine_with(tmp_path, rows).close()
    path = tmp_path / "data.mdb"
    os.truncate(path, int(path.stat().st_size * kept))
    if kept:
        with pytest.raises(Damaged):
            LmdbEngine(str(tmp_path), GROUP)
    else:   # as after a power cut while it was made: recovery compares with the log
        engine = LmdbEngine(str(tmp_path), GROUP)
        assert engine.applied == NOTHING
        engine.close()


def test_a_row_in_the_wrong_place_is_not_believed(tmp_path: Path) -> None:
    """A whole row, checksum and all, under another key: as after a misdirected write."""
    engine = engine_with(tmp_path, {b"\x00a": value_of(1), b"\x00b": value_of(2)})
    engine.close()
    with lmdb.open(str(tmp_path)) as env, env.begin(write=True) as txn:
        txn.put(b"\x00b", txn.get(b"\x00a") or b"")
    engine = LmdbEngine(str(tmp_path), GROUP)
    assert engine.get(b"\x00a") == value_of(1)
    with pytest.raises(Damaged, match="checksum"):
        engine.get(b"\x00b")
    engine.close()


def test_a_tree_without_its_own_row_is_damaged(tmp_path: Path) -> None:
    engine_with(tmp_path, some_rows(3)).close()
    with lmdb.open(str(tmp_path)) as env, env.begin(write=True) as txn:
        txn.delete(META_KEY)
    assert structure_problems(str(tmp_path)) == []
    with pytest.raises(Damaged, match="own row is missing"):
        LmdbEngine(str(tmp_path), GROUP)


def test_the_example_in_the_documentation(tmp_path: Path) -> None:
    value = stored.pack(b'{"pk":{"S":"x"}}', 3, 1735689600000000)
    engine = engine_with(tmp_path, {b"\x00" + b"\x11" * 16 + b"x": value})
    with engine._env.begin() as txn:
        ((key, raw), (meta_key, meta)) = list(txn.cursor())
    assert (key.hex(), raw[-CRC_BYTES:].hex()) == ("00" + "11" * 16 + "78", "0a2b1eed")
    numbers = (GROUP, 1, 1, 3, 1735689600000000)
    assert (meta_key.hex(), meta[:-CRC_BYTES].hex()) == (
        "ffff", "0100" "0000" "00000000" + "".join(number.to_bytes(8, "little").hex() for number in numbers)
    )  # fmt: skip
    assert meta[-CRC_BYTES:].hex() == "dc4582ae"
    assert long_keys.subtree_prefix(LONG).hex() == "ff01" "b31221208190431381117f37fe5ad5f9"
    engine.close()
