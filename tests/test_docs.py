"""The documentation is tested: what it shows runs, what it links to exists, and nothing is left undescribed.

Blocks marked `python` run against a real server; those with tests in them run under pytest with Varley's own plugin.
Blocks marked `sh` run in a shell, and print what the `text` block after them says. Both are run as a reader would
paste them: only the address of the server is another one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import varley
from varley import errors
from varley.api.operations import NOT_OFFERED, OPERATIONS
from varley.settings import all_settings, environment_name

ROOT = Path(__file__).parents[1]
DOCS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
# Whose examples are run. Those of clients.md that are in JavaScript: tests/clients/test_snippets.py.
SHOWN = [ROOT / "README.md", ROOT / "docs" / "testing_with_varley.md", ROOT / "docs" / "clients.md"]
DIFFERENCES = ROOT / "docs" / "differences_from_dynamodb.md"
USUAL_ENDPOINT = "http://127.0.0.1:8000"    # of `make serve`


class Block(NamedTuple):
    language: str
    text: str
    where: str    # file:line


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path) -> Iterator[Block]:
    text = text_of(path)
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield Block(match[1], match[2], f"{name_of(path)}:{text.count(chr(10), 0, match.start()) + 1}")


PYTHON = [block for path in SHOWN for block in blocks(path) if block.language == "python"]
ELSEWHERE = "aiobotocore"      # needs modules of its own: tests/clients/test_aiobotocore.py runs its example
SCRIPTS = [block for block in PYTHON if "def test_" not in block.text and ELSEWHERE not in block.text]
TESTS = [block for block in PYTHON if "def test_" in block.text]


@pytest.fixture
def endpoint() -> Iterator[str]:
    with varley.Server(in_memory=True) as server:
        yield server.endpoint_url


# What is shown runs


def test_there_is_something_to_run() -> None:
    assert len(SCRIPTS) >= 4
    assert len(TESTS) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("block", SCRIPTS, ids=[block.where for block in SCRIPTS])
def test_this_example_runs(block: Block, endpoint: str) -> None:
    # In a process of its own: a client that keeps the interpreter to itself while it waits would stop the server too.
    program = block.text.replace(USUAL_ENDPOINT, endpoint)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, f"{block.where}\n{run.stdout}\n{run.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("block", TESTS, ids=[block.where for block in TESTS])
def test_these_tests_pass(block: Block, tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(block.text, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{block.text.count('def test_')} passed" in run.stdout


@pytest.mark.slow
def test_the_commands_of_the_first_table_answer_what_is_shown(endpoint: str, tmp_path: Path) -> None:
    shown = list(blocks(ROOT / "README.md"))
    [at] = [number for number, block in enumerate(shown) if block.language == "sh"]
    commands, answer = shown[at], shown[at + 1]
    assert answer.language == "text"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    run = subprocess.run(
        ["sh", "-e", "-c", commands.text.replace(USUAL_ENDPOINT, endpoint)],
        cwd=tmp_path,
        # The command line beside this Python, no pager, and nothing of whoever runs the tests: no profile, no proxy.
        env=environment
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "NO_PROXY": "127.0.0.1",
            "AWS_PAGER": "",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == answer.text


# Nothing is left undescribed


@cache
def described() -> frozenset[str]:
    """Every word that stands as code somewhere in the documentation."""
    spans = [span for path in DOCS for span in re.findall(r"`([^`\n]+)`", text_of(path))]
    return frozenset(word for span in spans for word in re.findall(r"[A-Za-z_][\w.]*", span))


def test_every_operation_is_described() -> None:
    assert set(OPERATIONS) - described() == set()


def test_operations_are_listed_where_they_belong() -> None:
    """Under Offered those that are offered, under Not offered those that are not: an operation that is new moves."""
    offered, not_offered = (operations_in(title) for title in ("Offered", "Not offered"))
    assert offered == set(OPERATIONS)
    assert not_offered == set(NOT_OFFERED) - set(OPERATIONS)


def operations_in(title: str) -> set[str]:
    section = text_of(DIFFERENCES).split(f"\n## {title}\n")[1].split("\n## ")[0]
    return set(re.findall(r"`(\w+)`", section)) & (set(OPERATIONS) | set(NOT_OFFERED))


def test_every_setting_is_described_with_its_default() -> None:
    row = re.compile(r"^\| `([a-z0-9_.]+)` \| `(VARLEY_\w+)` \| (.*?) \| .+ \|$", re.MULTILINE)
    assert row.findall(text_of(ROOT / "docs" / "operations.md")) == [
        (name, environment_name(name), as_shown(setting.default)) for name, setting in all_settings().items()
    ]


def as_shown(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default)


def test_every_public_error_is_described() -> None:
    public = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ApiError | errors.WorldError)
    }
    assert public - described() == set()


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    for path in folder.glob("[0-9]*.md"):
        number, title = path.name[:4], text_of(path).splitlines()[0].removeprefix("# ")
        assert title.startswith(f"{number}: ")
        assert f"| [{number}]({path.name}) | {title[6:]} |" in text_of(folder / "README.md")


# Links and files


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(text_of(path))):
        if "://" in target:
            continue
        file_name, _, anchor = target.partition("#")
        file = (path.parent / file_name).resolve() if file_name else path
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_files_that_are_mentioned_exist(path: Path) -> None:
    """`node/node.py` is under src/varley, as is `limits.py`; `tests/test_cli.py` and `Makefile` are where they say."""
    spans = re.findall(r"`([\w./-]+\.(?:py|md)|(?:src|tests|docs|benchmarks)/[\w./-]*|\w+/)`", text_of(path))
    places = (ROOT, ROOT / "src" / "varley", path.parent)
    assert [span for span in spans if not any((place / span).exists() for place in places)] == []


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The names that headings have in links: lower case, no punctuation, dashes for spaces."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(text_of(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
