"""A ring with TLS between its nodes and for its clients, by certificates of an authority that nobody else knows."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ring_cli.local_ring import VARLEY, Up
from varley.cli.ring_up import Place, Plan
from varley.ring import AsyncClient, Client
from varley.ring_client import RingUnavailable

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")

NODES = ("n1", "n2", "n3")


def make(folder: Path, name: str, *, signed_by: str | None = None) -> None:
    """name.pem and name.key: an authority, or the certificate of a node that both clients and nodes go by."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
    if signed_by is not None:
        words += ["-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1", "-CA", f"{signed_by}.pem"]
        words += ["-CAkey", f"{signed_by}.key"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make(folder, "ca")
    for name in NODES:
        make(folder, name, signed_by="ca")
    return folder


@pytest.fixture(scope="module")
def tls_ring(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    files = [
        "--tls-cert", "{name}.pem", "--tls-key", "{name}.key",
        "--link-cert", "{name}.pem", "--link-key", "{name}.key", "--link-ca", "ca.pem",
    ]  # fmt: skip
    words = [str(certificates / word) if not word.startswith("--") else word for word in files]
    with Up(
        tmp_path_factory.mktemp("ring"), "--nodes", "3", "--engine", "memory", "--admin-port", "0", *words
    ) as up:
        yield up


def endpoints(ring: Up) -> list[str]:
    return [node["endpoint"] for node in ring.nodes]


@pytest.mark.slow
@pytest.mark.parametrize("coordination", ["server", "client"])
def test_clients_with_the_authority_are_served(tls_ring: Up, certificates: Path, coordination: str) -> None:
    assert all(endpoint.startswith("https://127.0.0.1:") for endpoint in endpoints(tls_ring))
    tls = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    with Client(endpoints(tls_ring), coordination=coordination, tls=tls) as ring:
        context = ring.put("carts", coordination, b"milk" * 200_000, w=3)   # w = 3: over the links of all
        assert ring.put("carts", coordination, b"bread", context, w=3)
        assert ring.get("carts", coordination, r=3).values == (b"bread",)

    async def asynchronously() -> None:
        async with AsyncClient(endpoints(tls_ring), coordination=coordination, tls=tls) as ring:  # type: ignore[arg-type]
            assert (await ring.get("carts", coordination, r=3)).values == (b"bread",)

    asyncio.run(asynchronously())


@pytest.mark.slow
def test_clients_without_it_and_without_tls_are_not(tls_ring: Up) -> None:
    with Client(endpoints(tls_ring)) as ring, pytest.raises(RingUnavailable, match="certificate verify failed"):
        ring.get("carts", "1")
    plain = [endpoint.replace("https:", "http:") for endpoint in endpoints(tls_ring)]
    with Client(plain) as ring, pytest.raises(RingUnavailable):
        ring.get("carts", "1")


@pytest.mark.slow
def test_commands_take_the_authority_from_the_environment(
    tls_ring: Up, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = tls_ring.run("status")
    assert (refused.returncode, "certificate verify failed" in refused.stderr) == (1, True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    assert tls_ring.run("put", "carts", "cli", "milk").returncode == 0
    assert tls_ring.run("get", "carts", "cli", "--raw").stdout == "milk"
    assert [member["state"] for member in tls_ring.json("status")["members"]] == ["up"] * 3


@pytest.mark.slow
def test_each_node_has_an_admin_port(tls_ring: Up) -> None:
    for node in tls_ring.nodes:
        with urllib.request.urlopen(f"http://127.0.0.1:{node['admin_port']}/metrics", timeout=30) as answer:
            assert 'varley_ring_members{state="up"} 3.0' in answer.read().decode()


@pytest.mark.slow
def test_a_stranger_is_no_node(
    tls_ring: Up, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the ring's settings and the address of a node, and certificates of its own."""
    make(tmp_path, "ca")
    make(tmp_path, "n9", signed_by="ca")
    first = json.loads((tls_ring.folder / "up.json").read_text())["nodes"][0]
    files = ["--link-cert", "n9.pem", "--link-key", "n9.key", "--link-ca", "ca.pem"]
    stranger = subprocess.Popen(
        [*VARLEY, "ring", "serve", "--name", "n9", "--port", "0", "--link-port", "0", "--engine", "memory",
         "--seeds", f"n1=127.0.0.1:{first['link_port']}", *files],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert stranger.stderr is not None
        for line in stranger.stderr:
            if "no seed answers" in line:
                break
        else:
            raise AssertionError("it has joined, or ended")
    finally:
        stranger.kill()
        stranger.communicate()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    assert [member["name"] for member in tls_ring.json("status")["members"]] == list(NODES)


def test_each_node_has_its_files_and_its_admin_port() -> None:
    places = [Place("n1", 1, 2), Place("n2", 3, 4)]
    plan = Plan("folder", places, {"ring.link_cert": "/certs/{name}.pem", "tls_key": "/all.key", "admin_port": "9101"})
    words = plan.command(places[1])
    assert words[:2] == [sys.executable, "-m"]
    given = dict(itertools.pairwise(words))
    assert given["--link-cert"] == "/certs/n2.pem"
    assert given["--tls-key"] == "/all.key"
    assert given["--admin-port"] == "9102"
    plan.flags["admin_port"] = "0"
    assert plan.flags_of(places[1])["admin_port"] == "0"
