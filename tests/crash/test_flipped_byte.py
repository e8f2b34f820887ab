"""One byte of the data folder is not what was written: each read is right, or somebody hears of the damage.

A folder with a checkpointed tree, a log behind it and metadata is made once. Then, again and again: one byte of one
file is flipped in a copy, a server is started on it, and everything is read. Right is a server that reads all items as
they were written, or refuses to start and names the damage, or answers 500 and names it. Wrong is any other item, or
none. What a server complains of, `varley check` finds too; it also finds what a server has no need to look at.

    FLIPS=5000 pytest tests/crash/test_flipped_byte.py -s         a long run; TEST_SEED=7 for a certain one
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest

from tests.crash.server_process import Client, NotStarted, Refused, ServerProcess
from tests.crash.test_full_disk import TABLE, item

FLIPS = int(os.environ.get("FLIPS", "24"))
SEED = int(os.environ.get("TEST_SEED", "0")) or SystemRandom().randrange(2**32)
ITEMS = 150
# Nothing depends on what these hold: the first names the last server's process, the others are LMDB's table of readers.
WITHOUT_MEANING = ("lock", "lock.mdb")
Items = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Items]:
    """A folder that a killed server has left, and what is in it."""
    folder = tmp_path_factory.mktemp("written") / "data"
    server = ServerProcess(folder, "--initial-partitions", "2")
    server.start()
    client = server.client()
    client.call("CreateTable", {"TableName": "things", **TABLE})
    items: Items = {}

    def put(key: str, number: int) -> None:
        items[key] = item(key, number)
        client.call("PutItem", {"TableName": "things", "Item": items[key]})

    for number in range(ITEMS):
        put(f"key-{number}", number)
    client.close()
    assert server.stop() == 0    # everything is in trees
    server.start()
    client = server.client()
    for number in range(ITEMS // 2, ITEMS + 20):    # and some of it is newer in the log
        put(f"key-{number}", number + 1000)
    for number in range(10):
        client.call("DeleteItem", {"TableName": "things", "Key": {"pk": {"S": f"key-{number}"}}})
        del items[f"key-{number}"]
    client.close()
    server.kill()
    return folder, items


def sample(folder: Path, random: Random, flips: int) -> list[tuple[Path, int, int]]:
    """(file, offset, mask): every file has its turn; in most of a file's turns, a byte that is not zero."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.stat().st_size]
    files = [file for file in files if file.name not in WITHOUT_MEANING]
    assert {file.suffix for file in files} == {".log", ".mdb", ".json"}
    chosen = []
    for turn in range(flips):
        file = files[turn % len(files)]
        data = file.read_bytes()
        offset = random.randrange(len(data))
        if random.random() < 0.8:
            while data[offset] == 0:
                offset = random.randrange(len(data))
        chosen.append((file.relative_to(folder), offset, random.randrange(1, 256)))
    return chosen


def outcome(folder: Path, items: Items) -> str:
    """"right", "not started" or "500". Raises AssertionError if a read is wrong."""
    server = ServerProcess(folder)
    refusal: NotStarted | None = None
    try:
        server.start()
    except NotStarted as error:
        refusal = error
    if refusal is not None:
        assert refusal.code > 0, f"the process was ended by signal {-refusal.code}"
        assert "Traceback" not in refusal.log
        return "not started"
    try:
        return everything_read(server.client(), items)
    finally:
        assert server.is_running
        server.kill()


def everything_read(client: Client, items: Items) -> str:
    heard = []
    if client.call("ListTables", {}) != {"TableNames": ["things"]}:
        raise AssertionError("the table is gone")
    for number in range(ITEMS + 25):
        key = f"key-{number}"
        try:
            answer = client.call("GetItem", {"TableName": "things", "Key": {"pk": {"S": key}}})
        except Refused as refusal:
            heard.append(refusal)
        else:
            assert answer.get("Item") == items.get(key), f"{key} is wrong"
    try:
        scanned = client.call("Scan", {"TableName": "things"})["Items"]
    except Refused as refusal:
        heard.append(refusal)
    else:
        assert {each["pk"]["S"]: each for each in scanned} == items
    client.close()
    for refusal in heard:
        assert refusal.status == 500
        assert any(word in refusal.answer["message"] for word in ("checksum", "damaged", "order"))
    return "500" if heard else "right"


def check_says(folder: Path) -> str:
    """What `varley check` prints; empty if it finds nothing."""
    checked = subprocess.run(
        [sys.executable, "-m", "varley", "check", "--data-dir", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in checked.stderr, checked.stderr
    return (checked.stdout + checked.stderr) if checked.returncode else ""


@pytest.mark.slow
def test_a_flipped_byte_anywhere_is_harmless_or_heard_of(tmp_path: Path, written: tuple[Path, Items]) -> None:
    print(f"TEST_SEED={SEED} FLIPS={FLIPS}")
    original, items = written
    assert outcome(shutil.copytree(original, tmp_path / "as-it-is"), items) == "right"
    outcomes: Counter[str] = Counter()
    for turn, (file, offset, mask) in enumerate(sample(original, Random(SEED), FLIPS)):
        case = tmp_path / str(turn)
        folder = shutil.copytree(original, case / "data")
        data = bytearray((folder / file).read_bytes())
        data[offset] ^= mask
        (folder / file).write_bytes(data)
        where = f"TEST_SEED={SEED}, flip {turn}: {file} at byte {offset} of {len(data)}, mask {mask:#x}"
        try:
            said = check_says(folder)
            came = outcome(folder, items)
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from error
        assert came == "right" or said, f"{where}: the server: {came}; check finds nothing"
        outcomes[f"{file.parts[0]}: {came}{', found by check' if said and came == 'right' else ''}"] += 1
        shutil.rmtree(case)
    print(f"{FLIPS} flips: {dict(sorted(outcomes.items()))}")
