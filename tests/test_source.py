"""Rules about the source itself: who may import whom, and what may stand where.

They keep what a reader is told true: a folder's name says whether its code blocks, waits or computes, and
reading from the left of LAYERS to the right one never meets a name that is explained later.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "varley"
FILES = sorted(SOURCE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# A module may import from its own layer and from those left of it. paxos and ring stand side by side: neither
# knows the other.
LAYERS = (
    "limits", "errors", "settings", "clock", "listening", "counters",
    "item", "expression", "table", "paxos", "ring",
    "storage", "metadata", "net", "ring_node", "node", "router", "remote", "indexes", "streams", "transactions",
    "expiry", "bulk", "vectors", "splits", "autoadmin",
    "http", "api", "gateway", "admin", "cluster",
    "ring_api", "ring_client",
    "assembly", "cluster_server", "server", "ring_server", "testing", "cli", "pytest_plugin", "__main__",
)  # fmt: skip

# No clock, no chance, no disk, no network, no waiting: what they do depends on their arguments alone.
PURE = {"limits", "errors", "item", "expression", "table", "paxos", "ring"}
IMPURE_MODULES = {
    "asyncio", "io", "multiprocessing", "os", "pathlib", "random", "secrets", "selectors", "shutil", "signal",
    "socket", "subprocess", "tempfile", "threading", "time", "uvloop", "uuid",
}  # fmt: skip

# Called from the disk threads only: a coroutine there would stall the loop it runs on.
BLOCKING = {"storage"}

# The places that start tasks: the server's, and whoever dials (links between nodes, clients of a ring). They keep a
# reference to each, without which a task may be collected half way, and say aloud when one fails, without which nobody
# would know.
KEEPS_TASKS = {"assembly/tasks.py", "net/links.py", "ring_client/pool.py", "cli/local_nodes.py"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def where(path: Path, node: ast.AST | None = None) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def layer_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Full names of what a file imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where(path, node)}: imports are written in full"
            for name in node.names:
                yield f"{node.module}.{name.name}", node


def uses(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Dotted names that a file uses, with `from x import y` undone: asyncio.create_task, time.time, …"""
    whole = {
        name.asname or name.name: f"{node.module}.{name.name}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    whole.update(
        {
            name.asname: name.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Import)
            for name in node.names
            if name.asname
        }
    )
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name):
                yield f"{whole.get(node.value.id, node.value.id)}.{node.attr}", node
            else:
                yield f"….{node.attr}", node
        elif isinstance(node, ast.Name) and node.id in whole:
            yield whole[node.id], node


def test_every_module_has_its_layer() -> None:
    assert {layer_of(path) for path in FILES} - {"__init__"} <= set(LAYERS)


def test_imports_run_one_way() -> None:
    wrong = []
    for path in FILES:
        own = layer_of(path)
        if own == "__init__":
            continue    # the package itself hands out varley.Server, lazily
        for name, node in imports(path):
            parts = name.split(".")
            if path == SOURCE / "ring" / "__init__.py" and name.startswith("varley.ring_client."):
                continue    # likewise varley.ring.Client; the clients use what is pure in the ring
            if parts[0] != "varley" or len(parts) < 2 or parts[1] not in LAYERS:
                continue
            beside = {own, parts[1]} == {"paxos", "ring"}
            if beside or LAYERS.index(parts[1]) > LAYERS.index(own):
                wrong.append(f"{where(path, node)}: {own} imports {parts[1]}")
    assert wrong == []


def test_pure_folders_are_pure() -> None:
    wrong = [
        f"{where(path, node)}: imports {name}"
        for path in FILES
        if layer_of(path) in PURE
        for name, node in imports(path)
        if name.split(".")[0] in IMPURE_MODULES
    ]
    assert wrong == []


def test_only_the_edges_wait() -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    wrong = [
        f"{where(path, node)}: waits"
        for path in FILES
        if layer_of(path) in PURE | BLOCKING
        for node in ast.walk(tree(path))
        if isinstance(node, waiting)
    ] + [
        f"{where(path, node)}: imports {name}"
        for path in FILES
        if layer_of(path) in BLOCKING
        for name, node in imports(path)
        if name.split(".")[0] in {"asyncio", "uvloop"}
    ]
    assert wrong == []


def test_time_comes_from_the_clock() -> None:
    """A default of a parameter may be the machine's: whoever has a clock hands it in instead. perf_counter is
    not time: it measures how long we took, and nothing depends on it."""
    forbidden = {"time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns"}
    forbidden |= {"datetime.now", "datetime.utcnow", "datetime.datetime.now", "datetime.datetime.utcnow"}
    wrong = [
        f"{where(path, node)}: uses {name}"
        for path in FILES
        if path.name != "clock.py"
        for name, node in uses(path)
        if name in forbidden and node not in _defaults(path)
    ]
    assert wrong == []


def _defaults(path: Path) -> set[ast.AST]:
    """The values that parameters have when they are left out."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.update(node.args.defaults)
            found.update(default for default in node.args.kw_defaults if default is not None)
    return found


def test_tasks_are_started_in_one_place_that_keeps_them() -> None:
    wrong = [
        f"{where(path, node)}: uses {name}"
        for path in FILES
        if str(path.relative_to(SOURCE)) not in KEEPS_TASKS
        for name, node in uses(path)
        if name.rpartition(".")[2] in {"create_task", "ensure_future"}
    ]
    assert wrong == []


def test_only_the_command_line_prints() -> None:
    wrong = [
        where(path, node)
        for path in FILES
        if layer_of(path) != "cli"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert wrong == []


def test_every_file_opens_with_what_it_is_about() -> None:
    silent = [where(path) for path in FILES if tree(path).body and not ast.get_docstring(tree(path))]
    assert silent == []


def test_files_are_named_for_the_noun_inside_them() -> None:
    nameless = re.compile(r"(^|_)(utils?|helpers?|common|misc|managers?)($|_)")
    assert [where(path) for path in [*FILES, *TESTS] if nameless.search(path.stem)] == []


# The moments are drawn by chance, and time has to pass between them.
KILLS_AT_RANDOM_MOMENTS = {
    "tests/remote/test_index_changes.py",
    "tests/remote/test_stream_changes.py",
    "tests/remote/test_transaction_changes.py",
}


def test_no_test_sleeps() -> None:
    """It may look again, in a loop, for what other processes do and nobody tells it."""
    wrong = []
    for path in TESTS:
        if path.parent.name == "campaigns" and not path.name.startswith("test_"):
            continue    # what is run by hand for minutes makes pauses between one trouble and the next
        if str(path.relative_to(ROOT)) in KILLS_AT_RANDOM_MOMENTS:
            continue
        loops = [node for node in ast.walk(tree(path)) if isinstance(node, ast.While)]
        looks_again = {node for loop in loops for node in ast.walk(loop)}
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            gives_way = [getattr(argument, "value", None) for argument in node.args] == [0]
            if node.func.attr == "sleep" and not gives_way and node not in looks_again:
                wrong.append(where(path, node))
    assert wrong == []


def test_the_checks_see_what_they_should(tmp_path: Path) -> None:
    """A check that finds nothing, whatever it is shown, would pass for ever."""
    file = tmp_path / "example.py"
    file.write_text(
        "from time import time as now\nimport asyncio as a\nasync def f():\n now()\n a.create_task(f())\n"
    )
    names = {name for name, _ in uses(file)}
    assert {"time.time", "asyncio.create_task"} <= names
    assert [name for name, _ in imports(file)] == ["time.time", "asyncio"]


@pytest.mark.parametrize("name", ["create_task", "ensure_future"])
def test_tasks_are_found_through_other_objects_too(tmp_path: Path, name: str) -> None:
    file = tmp_path / "example.py"
    file.write_text(f"self._loop.{name}(work())\n")
    assert f"….{name}" in {found for found, _ in uses(file)}
