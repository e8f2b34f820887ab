"""`varley ring` as its users type it, against real processes."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ring_cli.local_ring import Up, varley, wait_for_end
from varley.cli import main
from varley.cli.ring_up import PASSED_ON, Place, Plan, choose_ports
from varley.errors import BadSettings
from varley.ring.siblings import Mode
from varley.ring_node.settings import BucketSettings
from varley.ring_server import buckets_of, seeds_of
from varley.settings import SHARED_WITH_RINGS, flag_of, load_ring, ring_settings

slow = pytest.mark.slow


# Keys


@slow
def test_put_get_siblings_and_one_value_again(ring: Up) -> None:
    assert "context" in ring.run("put", "carts", "1", "milk").stdout
    assert "siblings that were not seen" in ring.run("put", "carts", "1", "bread").stdout
    shown = ring.run("get", "carts", "1").stdout
    assert "sibling 1 milk" in shown
    assert "sibling 2 bread" in shown
    context = shown.split("context ")[1].split()[0]
    assert ring.run("put", "carts", "1", "both", "--context", context).returncode == 0
    found = ring.json("get", "carts", "1")
    assert [base64.b64decode(each["value"]) for each in found["values"]] == [b"both"]
    assert ring.json("put", "carts", "1", "more", "--context", found["context"])["context"]


@slow
def test_values_from_files_and_standard_input_come_back_as_they_are(ring: Up, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_bytes(bytes(range(256)))
    assert ring.run("put", "files", "1", "--file", str(file)).returncode == 0
    assert ring.run("put", "files", "2", "--file", "-", stdin=b"from a pipe").returncode == 0
    assert ring.run("get", "files", "2", "--raw").stdout == "from a pipe"
    found = ring.json("get", "files", "1")
    assert base64.b64decode(found["values"][0]["value"]) == bytes(range(256))
    assert "base64:AAEC" in ring.run("get", "files", "1").stdout
    assert ring.run("put", "files", "ff00", "by bytes", "--hex-key").returncode == 0
    assert ring.run("get", "files", "FF00", "--hex-key", "--raw").stdout == "by bytes"


@slow
def test_delete_and_what_is_said_of_nothing(ring: Up) -> None:
    nothing = ring.run("get", "carts", "3")
    assert (nothing.returncode, "never was" in nothing.stdout) == (1, True)
    ring.run("put", "carts", "3", "milk")
    assert "Deleted" in ring.run("delete", "carts", "3").stdout
    deleted = ring.run("get", "carts", "3")
    assert (deleted.returncode, "is deleted" in deleted.stdout, "context" in deleted.stdout) == (1, True, True)


@slow
def test_errors_say_what_to_do(ring: Up) -> None:
    ring.run("put", "carts", "4", "1")
    ring.run("put", "carts", "4", "2")
    for words, code, expected in (
        (["get", "carts", "4", "--raw"], 1, "without --raw"),
        (["put", "carts", "4", "x", "--context", "nonsense"], 1, "copy all of it"),
        (["get", "carts", "4", "-r", "9"], 1, "from 1 to"),
        (["put", "carts", "4"], 2, "--file"),
        (["put", "carts", "4", "x", "--file", "-"], 2, "one of them"),
        (["put", "carts", "4", "--file", "/nowhere/value"], 1, "/nowhere/value"),
        (["get", "carts", "xyz", "--hex-key"], 2, "hexadecimal"),
        (["get", "carts", "4", "--endpoint", "127.0.0.1:1"], 1, "varley ring up"),
        (["status", "--endpoint", "127.0.0.1:1"], 1, "varley ring up"),
        (["leave", "n9"], 1, "no member n9"),
        (["start", "n9", "--data-dir", str(ring.folder)], 2, "n1, n2, n3"),
        (["start", "n1", "--data-dir", str(ring.folder)], 1, "is running"),
        (["up", "--data-dir", str(ring.folder)], 1, "is running"),
        (["gte", "carts", "4"], 2, "gte"),
    ):
        done = ring.run(*words)
        assert (done.returncode, expected in done.stderr) == (code, True), (words, done)
        assert "Traceback" not in done.stderr


# The ring


@slow
def test_status_as_a_table_and_for_programs(ring: Up) -> None:
    table = ring.run("status").stdout
    for words in ("n1", "n2", "n3", "up", "owns", "hints", "N=3 R=2 W=2", ring.endpoint):
        assert words in table
    status = ring.json("status")
    assert sum(member["share"] for member in status["members"]) == pytest.approx(1)


@slow
def test_a_node_is_killed_and_brought_back_and_nothing_outlives_its_parent(own_ring: Up) -> None:
    for number in range(10):
        assert own_ring.run("put", "carts", f"{number}", "milk").returncode == 0, number
    victim = own_ring.nodes[2]
    os.kill(victim["pid"], signal.SIGKILL)
    wait_for_end(victim["pid"])
    assert own_ring.run("put", "carts", "during", "bread").returncode == 0
    assert own_ring.run("get", "carts", "3", "--raw").stdout == "milk"
    back = json.loads(varley("ring", "start", victim["name"], "--data-dir", str(own_ring.folder), "--json").stdout)
    assert back["name"] == victim["name"]
    assert back["endpoint"] == victim["endpoint"]
    assert back["pid"] != victim["pid"]
    with urllib.request.urlopen(back["endpoint"] + "/ready", timeout=30) as answer:
        assert answer.status == 200
    assert own_ring.run("get", "carts", "3", "--raw", "--endpoint", back["endpoint"]).stdout == "milk"

    own_ring.process.kill()     # it cannot tell its children
    for pid in (own_ring.nodes[0]["pid"], own_ring.nodes[1]["pid"], back["pid"]):
        wait_for_end(pid)

    with Up(own_ring.folder) as again:
        assert again.run("get", "carts", "during", "--raw").stdout == "bread"
        assert [node["name"] for node in again.nodes] == ["n1", "n2", "n3"]
        assert again.stop() == 0
        for node in again.nodes:
            wait_for_end(node["pid"])


@slow
def test_one_node_by_itself_serves_and_stops(tmp_path: Path) -> None:
    with Up(tmp_path / "ring", "--nodes", "1", "--engine", "sqlite") as up:
        assert up.json("status")["engine"] == "sqlite"
        assert up.run("put", "carts", "1", "x").returncode == 0
        assert up.stop() == 0


@slow
def test_a_ring_grows(tmp_path: Path) -> None:
    with Up(tmp_path / "ring", "--nodes", "2") as up:
        assert up.run("put", "carts", "1", "x").returncode == 0
        assert up.stop() == 0
    with Up(tmp_path / "ring", "--nodes", "4") as up:
        status = up.json("status")
        assert [member["name"] for member in status["members"]] == ["n1", "n2", "n3", "n4"]
        assert json.loads(status["settings"])["default"]["n"] == 3
        assert up.run("get", "carts", "1", "--raw").stdout == "x"
    assert main(["ring", "up", "--nodes", "3", "--data-dir", str(tmp_path / "ring")]) == 2


@contextmanager
def serving(*words: str) -> Iterator[dict[str, Any]]:
    """One node, and what it says of itself."""
    command = [sys.executable, "-m", "varley", "ring", "serve", "--port", "0", "--json", *words]
    node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert node.stdout is not None
        line = node.stdout.readline()
        assert line, node.communicate()[1]
        yield json.loads(line)
    finally:
        node.terminate()
        said = node.communicate(timeout=30)[1]
        assert node.returncode == 0, said


def page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


@slow
def test_nodes_join_and_leave_by_command(ring: Up, tmp_path: Path) -> None:
    """`ring` only lends its `run`."""
    few = ["--n", "2", "--r", "1", "--w", "1"]

    def members(endpoint: str) -> dict[str, str]:
        status = ring.json("status", "--endpoint", endpoint)
        return {member["name"]: member["state"] for member in status["members"]}

    def until(endpoint: str, wanted: dict[str, str]) -> None:
        for _ in range(2000):
            if members(endpoint) == wanted:
                return
        raise AssertionError(members(endpoint))

    folder = str(tmp_path / "b")
    with serving("--name", "a", "--data-dir", str(tmp_path / "a"), "--admin-port", "0", *few) as a:
        seeds = f"a=127.0.0.1:{a['link_port']}"
        with serving("--name", "b", "--no-join", "--seeds", seeds, "--data-dir", folder, *few) as b:
            assert "is not a member" in ring.run("status", "--endpoint", b["endpoint"]).stdout
            joined = ring.run("join", "--endpoint", b["endpoint"], "--zone", "east", "--capacity", "2")
            assert "has joined" in joined.stdout
            until(a["endpoint"], {"a": "up", "b": "up"})
            assert ring.run("put", "carts", "1", "x", "--endpoint", b["endpoint"]).returncode == 0
            assert ring.run("leave", "b", "--endpoint", a["endpoint"]).returncode == 0
            until(b["endpoint"], {"a": "up", "b": "left"})
        metrics = page(f"http://127.0.0.1:{a['admin_port']}/metrics")
        assert "varley_ring_rows" in metrics
        assert 'varley_ring_members{state="up"} 1.0' in metrics
        assert 'varley_request_seconds_count{operation="RingStatus"}' in metrics
        assert page(f"http://127.0.0.1:{a['admin_port']}/ready").strip() == "ready"
        with serving("--name", "c", "--no-join", "--data-dir", str(tmp_path / "c")) as c:   # it knows of nobody
            refused = ring.run("put", "carts", "1", "x", "--endpoint", c["endpoint"])
            assert (refused.returncode, "has not joined" in refused.stderr) == (1, True)
        with serving("--name", "b", "--data-dir", folder, *few) as b:    # it remembers that it has left
            assert members(b["endpoint"]) == {"a": "up", "b": "left"}


def test_settings_of_a_ring_from_text() -> None:
    assert seeds_of("a=127.0.0.1:1, b=[::1]:2,") == {"a": ("127.0.0.1", 1), "b": ("::1", 2)}
    default = BucketSettings()
    assert buckets_of("s:n=1,r=1,w=1,mode=last-write-wins; t:w=3", default) == {
        "s": BucketSettings(n=1, r=1, w=1, mode=Mode.LAST_WRITE_WINS),
        "t": BucketSettings(w=3),
    }


def test_a_node_that_cannot_start_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, expected in (
        (["serve"], 2, "--name"),
        (["serve", "--name", "a/b"], 2, "neither / nor ~"),
        (["serve", "--name", "a", "--seeds", "127.0.0.1:18101"], 2, "name=host:port"),
        (["serve", "--name", "a", "--r", "4"], 2, "from 1 to n"),
        (["serve", "--name", "a", "--mode", "both"], 2, "last-write-wins"),
        (["serve", "--name", "a", "--buckets", "carts"], 2, "name:n=3"),
        (["serve", "--name", "a", "--strategy", "2"], 2, "1 or 3"),
        (["serve", "--name", "a", "--engine", "paper"], 2, "lmdb"),
        (["serve", "--name", "a", "--host", "0.0.0.0"], 2, "--insecure"),
        (["serve", "--name", "a", "--link-cert", "cert.pem"], 2, "link_ca"),
        (["serve", "--name", "a", "--n", "many"], 2, "a whole number from 1 to 255"),
    ):
        assert main(["ring", *words]) == code
        said = capsys.readouterr().err
        assert expected in said, (words, said)


def test_help_shows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ring", "serve", "--help"]) == 0
    shown = capsys.readouterr().out
    for name in (*ring_settings(), *SHARED_WITH_RINGS):
        assert flag_of(name) in shown, name
    assert main(["ring", "up", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(flag_of(name) in shown for name in PASSED_ON)
    assert main(["ring", "--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("up", "start", "serve", "status", "join", "leave", "get", "put", "delete"):
        assert command in shown
        assert main(["ring", command, "--help"]) == 0
        assert len(capsys.readouterr().out) > 200, command


# Settings


def test_ring_settings_come_from_flags_environment_and_file(tmp_path: Path) -> None:
    file = tmp_path / "varley.toml"
    file.write_text('port = 1\n[ring]\nname = "file"\nn = 5\nw = 4\n')
    node, ring = load_ring({"ring.w": "3"}, {"VARLEY_RING__N": "4", "VARLEY_ADMIN_PORT": "0"}, str(file))
    assert (ring.name, ring.n, ring.w, node.port, node.admin_port) == ("file", 4, 3, 1, 0)
    assert node.data_dir == os.path.join("varley-ring", "file")
    assert load_ring({"data_dir": "x"}, {})[0].data_dir == "x"


def test_what_is_only_for_the_other_api_is_known_and_ignored() -> None:
    node, _ = load_ring({}, {"VARLEY_REGION": "eu-west-1", "VARLEY_RING_ENDPOINT": "http://a:1"})
    assert node.region == "us-east-1"
    with pytest.raises(BadSettings, match="The nearest is 'VARLEY_RING__PARTITIONS'"):
        load_ring({}, {"VARLEY_RING__PARTITION": "3"})


# Ports and plans


def test_ports_are_the_usual_ones_or_free_ones() -> None:
    pairs = choose_ports(4, 0)
    assert len({port for pair in pairs for port in pair}) == 8


def test_a_plan_is_read_as_it_was_saved(tmp_path: Path) -> None:
    plan = Plan(str(tmp_path), [Place("n1", 1, 2), Place("n2", 3, 4, "east")], {"ring.n": "2"}, 5, "secret")
    plan.save()
    assert Plan.read(str(tmp_path)) == plan
    assert oct((tmp_path / "up.json").stat().st_mode & 0o777) == "0o600"
    words = plan.command(plan.places[1])
    assert words[:5] == [sys.executable, "-m", "varley", "ring", "serve"]
    assert words[words.index("--seeds") + 1] == "n1=127.0.0.1:2"
    assert words[words.index("--n") + 1] == "2"
    words = plan.command(plan.places[0], founds=True)
    assert words[words.index("--seeds") + 1] == ""
