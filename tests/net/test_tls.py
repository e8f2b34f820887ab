"""Certificates on both sides, made by the openssl command."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.net.linked_nodes import World, run, soon
from varley.errors import BadSettings
from varley.net.outcome import NotSent
from varley.net.tls import LinkTls, names_in

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


class Authority:
    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._make("req", "-x509", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def certificate(self, node: str, *, common_name: str = "a node", san: bool = True) -> LinkTls:
        stem = f"{self._name}-{node}"
        extension = f"subjectAltName=DNS:{node}" if san else "basicConstraints=CA:FALSE"
        subject = common_name if san else node
        self._make(
            "req", "-x509", "-subj", f"/CN={subject}", "-addext", extension, "-CA", f"{self._name}.pem",
            "-CAkey", f"{self._name}.key", "-keyout", f"{stem}.key", "-out", f"{stem}.pem",
        )  # fmt: skip
        files = (str(self._folder / f"{stem}.{kind}") for kind in ("pem", "key"))
        return LinkTls(*files, ca=str(self._folder / f"{self._name}.pem"))

    def _make(self, *arguments: str) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        subprocess.run(["openssl", *arguments, *key], cwd=self._folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "cluster")


def test_two_nodes_of_one_authority_talk(authority: Authority) -> None:
    async def scenario(world: World) -> None:
        one = await world.node("n1", tls=authority.certificate("n1"))
        two = await world.node("n2", tls=authority.certificate("n2", san=False))    # by its common name
        one.knows(two)
        await one.until(lambda: one.links.is_up("n2"))
        large = bytes(3_000_000)
        assert await soon(one.ask("n2", large)) == large
        assert await soon(two.ask("n1", b"back")) == b"back"

    run(scenario)


def test_a_node_is_not_another_than_its_certificate_says(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        one = await world.node("n1", tls=authority.certificate("n1"))
        two = await world.node("n2", tls=authority.certificate("n3"))
        one.knows(two)
        two.knows(one)
        await asyncio.sleep(0)
        for outcome in (one.ask("n2", b"?"), two.ask("n1", b"?")):
            assert isinstance(await soon(outcome), NotSent)
        assert "the certificate is not for n2" in caplog.text

    run(scenario)


def test_nodes_of_another_authority_and_nodes_without_tls_are_refused(authority: Authority, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        one = await world.node("n1", tls=authority.certificate("n1"))
        stranger = await world.node("n2", tls=Authority(tmp_path, "other").certificate("n2"))
        plain = await world.node("n3")
        for node in (stranger, plain):
            node.knows(one)
            await asyncio.sleep(0)
            node_outcome = node.ask("n1", b"?")
            await world.pass_time_until(node_outcome.done)
            assert isinstance(node_outcome.result(), NotSent)
        assert one.asked == []

    run(scenario)


def test_files_that_cannot_be_used_are_the_operators_fault(authority: Authority, tmp_path: Path) -> None:
    good = authority.certificate("n1")
    for wrong in (
        LinkTls(good.cert, good.key, str(tmp_path / "missing.pem")),
        LinkTls(good.cert, authority.certificate("n2").key, good.ca),
    ):
        with pytest.raises(BadSettings, match="TLS files of the links between nodes"):
            wrong.contexts()


def test_names_in_a_certificate() -> None:
    assert names_in({}) == set()
    assert names_in(
        {
            "subject": ((("organizationName", "Music"),), (("commonName", "n1"),)),
            "subjectAltName": (("DNS", "n2"), ("IP Address", "10.0.0.1")),
        }
    ) == {"n1", "n2"}
