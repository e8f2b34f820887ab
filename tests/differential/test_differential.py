"""Varley and DynamoDB Local answer the same requests alike, but for the differences of accepted.py.

    make test ARGS='tests/differential -s'                           a short run
    DIFFERENTIAL_SECONDS=3600 make test ARGS='tests/differential'    a long one
    DIFFERENTIAL_SEED=17                                             the cases of that run again
    DIFFERENTIAL_KIND=update                                         cases of one kind (cases.KINDS)

Each case is drawn from "seed:number" and nothing else, and is made as small as it can be before it is shown.
"""

from __future__ import annotations

import os
import random
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from varley.testing import Server as Varley

from . import dynamodb_local
from .accepted import ACCEPTED, is_accepted
from .cases import Case, case_of
from .comparison import Difference
from .pair import Pair, smaller
from .talk import Answer, Server

_SECONDS = float(os.environ.get("DIFFERENTIAL_SECONDS", "15"))
_SHOWN_MAX = 20
_PAGE = Path(__file__).parents[2] / "docs/differences_from_dynamodb.md"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    why_not = dynamodb_local.why_not()
    if why_not is not None:
        warnings.warn(f"not compared with DynamoDB Local: {why_not}", stacklevel=1)
        pytest.skip(why_not)
    with _both(tmp_path_factory.mktemp("dynamodb_local")) as both:
        yield both


@contextmanager
def _both(folder: Path) -> Iterator[Pair]:
    with dynamodb_local.running(folder / "said.log") as port, Varley(in_memory=True) as varley:
        yield Pair(Server(int(varley.endpoint_url.rpartition(":")[2])), Server(port))


@pytest.mark.slow
def test_random_requests_are_answered_as_dynamodb_local_answers_them(pair: Pair) -> None:
    seed = os.environ.get("DIFFERENTIAL_SEED") or str(random.SystemRandom().randrange(1_000_000))
    kind = os.environ.get("DIFFERENTIAL_KIND")
    found: dict[tuple[str, ...], tuple[str, Case, Difference]] = {}
    orders: set[tuple[str, ...]] = set()
    deadline = time.monotonic() + _SECONDS
    number = 0
    while time.monotonic() < deadline and len(found) < _SHOWN_MAX:
        case = case_of(f"{seed}:{number}", kind)
        for each in pair.run(case, is_accepted):
            if is_accepted(each) or each.signature in found or each.signature in orders:
                continue
            if pair.tells_another_mistake(case, each):
                orders.add(each.signature)
            else:
                found[each.signature] = (f"{seed}:{number}", case, each)
        number += 1
    print(f"\nDIFFERENTIAL_SEED={seed}: {number} cases, {pair.requests} requests to each server")
    shown = [_shown(pair, *each) for each in found.values()]
    assert not shown, f"DIFFERENTIAL_SEED={seed} of {number} cases:\n\n" + "\n\n".join(shown)


def _shown(pair: Pair, seed: str, case: Case, difference: Difference) -> str:
    """A difference and the smallest case that shows it."""
    latest = difference
    tries = 0

    def is_still(candidate: Case) -> bool:
        nonlocal latest, tries
        tries += 1
        if tries > 2000 or not all(isinstance(step, tuple) and len(step) == 2 for step in candidate):
            return False
        again = [each for each in pair.run(candidate, is_accepted) if each.signature == difference.signature]
        if again:
            latest = again[0]
        return bool(again)

    small = smaller(case, is_still)
    return "\n".join([f"case {seed}", *(f"  after {operation} {body}" for operation, body in small[:-1]), str(latest)])


@pytest.mark.parametrize(
    "operation",
    ["CreateTable", "UpdateTable", "DeleteTable", "DescribeTable", "ExecuteStatement", "BatchExecuteStatement"],
)
def test_no_difference_of_tables_and_statements_is_accepted_whatever_the_two_say(operation: str) -> None:
    for code in ("ValidationException", "ResourceNotFoundException", "LimitExceededException"):
        ours, theirs = (Answer(400, {"__type": code, "message": text}) for text in ("one thing", "another"))
        assert not is_accepted(Difference(operation, {"TableName": "made.one"}, ours, theirs))


def test_every_accepted_difference_is_in_the_documentation() -> None:
    page = _PAGE.read_text()
    begin, end = page.index("| DynamoDB Local | DynamoDB, and Varley | Why |"), page.index("<!-- differential: end -->")
    rows = page[begin:end].strip().splitlines()[2:]
    assert rows == [f"| {each.local} | {each.dynamodb} | {each.why} |" for each in ACCEPTED]
