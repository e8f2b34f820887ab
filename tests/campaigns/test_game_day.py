"""A game day of some seconds, and that it would say so if something were wrong. Longer ones are run by hand: see
docs/game_day.md."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.campaigns.traffic import ACCOUNTS, ACCOUNTS_EACH, JOURNAL, OPENED_WITH, Record
from tests.campaigns.verdicts import differences, judge_eventual, judge_items, judge_money
from tests.models.linearizability import Operation

ROOT = Path(__file__).parents[2]


def played(tmp_path: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what was counted."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaigns.game_day", "--folder", str(tmp_path / "cluster"), "--clients", "3",
         "--json", str(tmp_path / "found.json"), *words],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (tmp_path / "found.json").exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads((tmp_path / "found.json").read_text())
    return done.returncode, found


@pytest.mark.slow
@pytest.mark.usefixtures("etcd_program")
def test_some_trouble(tmp_path: Path) -> None:
    code, found = played(
        tmp_path, "--minutes", "0.3", "--only", "kill the leader", "--only", "cut the leader off", "--only", "a chain"
    )
    assert (code, found["problems"]) == (0, [])
    assert found["outcomes"]["ok"] > 100 and found["faults"]


@pytest.mark.slow
@pytest.mark.usefixtures("etcd_program")
def test_partitions_are_split_while_leaders_are_killed(tmp_path: Path) -> None:
    code, found = played(tmp_path, "--minutes", "0.4", "--splits", "1", "--only", "kill the leader")
    assert (code, found["problems"]) == (0, [])
    assert found["outcomes"]["ok"] > 100 and found["faults"]
    assert found["splits"] >= 3


@pytest.mark.slow
@pytest.mark.usefixtures("etcd_program")
def test_a_leader_that_does_not_look_at_its_lease_is_found_out(tmp_path: Path) -> None:
    # By this seed it is cut off for longer than it takes to have another: six seconds, then four.
    code, found = played(
        tmp_path, "--minutes", "0.25", "--seed", "3", "--plant", "no-lease", "--only", "cut the leader off"
    )
    assert code == 1, found
    assert any("is not linearizable" in problem for problem in found["problems"])


@pytest.mark.slow
@pytest.mark.usefixtures("etcd_program")
def test_lines_are_cut_and_clocks_drift(tmp_path: Path) -> None:
    if os.geteuid() or not (shutil.which("ip") and shutil.which("unshare")):
        pytest.skip("NOT TESTED: network namespaces are for root, with iproute2 and util-linux")
    code, found = played(
        tmp_path, "--minutes", "0.3", "--namespaces", "--drift", "9", "--only", "cut the leader off",
        "--only", "one of three etcds killed", "--only", "the leader's disk is slow",
    )  # fmt: skip
    assert (code, found["problems"]) == (0, [])
    assert found["outcomes"]["ok"] > 100 and found["faults"]


# The verdicts, each with what it must not let pass


PLACE = ("plain-0", "k")


def ended(number: int | None) -> dict[str, dict[str, Any]]:
    """What the tables hold in the end, if the item holds this."""
    return {"plain-0": {} if number is None else {"k": {"k": {"S": "k"}, "n": {"N": str(number)}}}}


def done(*operations: Operation) -> Record:
    record = Record()
    record.histories[PLACE] = list(operations)
    return record


PUT_1, PUT_2 = Operation(1, 2, ("put", 1), "ok"), Operation(3, 4, ("put", 2), "ok")
PERHAPS_3 = Operation(5, None, ("put", 3), None)


@pytest.mark.parametrize(
    ("operations", "number", "is_right"),
    [
        ([PUT_1, PUT_2], 2, True),
        ([PUT_1, PUT_2], 1, False),
        ([PUT_1, PUT_2], None, False),
        ([PUT_1, PUT_2, PERHAPS_3], 2, True),
        ([PUT_1, PUT_2, PERHAPS_3], 3, True),
        ([PUT_1, PUT_2, PERHAPS_3, Operation(6, 7, ("read",), 3)], 2, False),
        ([PUT_1, PUT_2, Operation(5, 6, ("read",), 1)], 2, False),
        # Nobody was shown the 3, and yet it was there: the condition says so.
        ([PUT_1, PERHAPS_3, Operation(6, 7, ("put if", 1, 4), "refused")], 3, True),
        ([PUT_1, PERHAPS_3, Operation(6, 7, ("put if", 1, 4), "refused"), Operation(8, 9, ("put", 5), "ok")], 5, True),
        ([PUT_1, Operation(6, 7, ("put if", 1, 4), "refused")], 1, False),
    ],
)  # fmt: skip
def test_items(operations: list[Operation], number: int | None, is_right: bool) -> None:
    judged = judge_items(done(*operations), ended(number))
    assert (not judged.problems, judged.undecided) == (is_right, [])


def test_an_item_from_nowhere() -> None:
    held = ended(2) | {"plain-0": {"k": {"n": {"N": "2"}}, "other": {"n": {"N": "5"}}}}
    assert "nobody has written" in judge_items(done(PUT_1, PUT_2), held).problems[0]


def test_eventual_reads() -> None:
    record = done(PUT_1, PUT_2)
    record.eventual = [(PLACE, 9, 1), (PLACE, 9, "absent"), (PLACE, 2.5, 2), (PLACE, 9, 7)]
    assert [problem.rpartition("shown ")[2] for problem in judge_eventual(record).problems] == [
        "2, which it was not by then", "7, which it was not by then",
    ]  # fmt: skip


def accounts(change: int = 0) -> dict[str, Any]:
    held: dict[str, Any] = {
        table: {str(number): {"n": {"N": str(OPENED_WITH)}} for number in range(ACCOUNTS_EACH)} for table in ACCOUNTS
    }
    held[ACCOUNTS[0]]["3"]["n"]["N"] = str(OPENED_WITH - 7)
    held[ACCOUNTS[1]]["4"]["n"]["N"] = str(OPENED_WITH + 7 + change)
    return held | {JOURNAL: {"t1": {ACCOUNTS[0]: {"S": "3 -7"}, ACCOUNTS[1]: {"S": "4 7"}}}}


def test_money() -> None:
    record = Record(transfers={"t1"}, sums=[(1, 2, OPENED_WITH * ACCOUNTS_EACH * 2)])
    assert judge_money(record, accounts()).problems == []
    assert "by the journal" in judge_money(record, accounts(change=1)).problems[0]
    record.transfers.add("t2")
    assert "t2" in judge_money(record, accounts()).problems[0]
    record.sums.append((3, 4, 5))
    assert "the accounts held 5" in judge_money(record, accounts()).problems[0]


def test_differences() -> None:
    assert list(differences({"a": {"n": 1}, "b": {}}, {"a": {"n": 1}, "b": {}})) == []
    assert len(list(differences({"a": {"n": 1}, "b": {}}, {"a": {"n": 2}, "c": {}}))) == 3
