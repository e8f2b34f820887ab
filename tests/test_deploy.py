"""What is in deploy/: it is well-formed, fits its schema, and speaks of settings, ports and pages that there are.

Nothing here runs Docker or Kubernetes. The schemas are those of the compose specification and of Kubernetes itself,
from packages of the extra `test`; without these the tests are skipped, and fail where CI says that it is CI.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from varley.metadata.etcd_address import parse
from varley.settings import all_settings, environment_name

DEPLOY = Path(__file__).parents[1] / "deploy"
FILES = sorted(DEPLOY.rglob("*.yaml"))
MANIFESTS = [path for path in FILES if path.parent.name == "kubernetes" and path.name != "kustomization.yaml"]
KUBERNETES = "1.35"    # the oldest that the manifests are meant for
YAMLLINT = """
extends: default
rules:
  line-length: {max: 125}
  braces: {max-spaces-inside: 0}
  comments: {min-spaces-from-content: 1}
  document-start: {present: true}
"""
# Flags of a node of a cluster: wired by the server together with the cluster itself.
OF_A_CLUSTER = {"cluster", "name", "zone", "link_port", "advertise"}


def needs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        text = f"{module} is not installed: pip install -e '.[test]'"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)


def documents(path: Path) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all(path.read_text())


def objects() -> list[dict[str, Any]]:
    return [each for path in MANIFESTS for each in documents(path)]


def the(kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in objects() if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def services_of_compose() -> dict[str, Any]:
    [compose] = documents(DEPLOY / "compose.yaml")
    services: dict[str, Any] = compose["services"]
    return services


def name_of(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


# Well-formed


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_it_is_tidy_yaml(path: Path) -> None:
    needs("yamllint")
    run = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "-d", YAMLLINT, str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.slow
def test_the_compose_file_fits_the_specification() -> None:
    needs("check_jsonschema")
    run = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
         str(DEPLOY / "compose.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_manifests_fit_kubernetes(path: Path) -> None:
    needs("kubernetes_validate")
    import kubernetes_validate  # here, since it may be missing

    for document in documents(path):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_kustomize_takes_all_manifests() -> None:
    [kustomization] = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == sorted(path.name for path in MANIFESTS)


# What it speaks of is there


def test_flags_and_variables_are_settings() -> None:
    known = set(all_settings()) | OF_A_CLUSTER
    commands = [each["command"] for name, each in services_of_compose().items() if name.startswith("varley")]
    [container] = the("StatefulSet", "varley")["spec"]["template"]["spec"]["containers"]
    commands.append(container["args"])
    assert len(commands) == 4
    for command in commands:
        assert command[0] == "serve"
        flags = {flag.removeprefix("--").partition("=")[0].replace("-", "_") for flag in command[1:]}
        assert flags - known == set()
    text = "".join(path.read_text() for path in (DEPLOY / "Dockerfile", DEPLOY / "compose.yaml"))
    variables = set(re.findall(r"\bVARLEY_\w+", text))
    assert variables
    assert variables - {environment_name(name) for name in all_settings()} == set()


def test_nodes_are_told_where_their_etcd_is() -> None:
    services = services_of_compose()
    for name in ("varley-a", "varley-b", "varley-c"):
        [url] = [flag.partition("=")[2] for flag in services[name]["command"] if flag.startswith("--cluster=")]
        address = parse(url)
        assert {host for host, _ in address.endpoints} == {each for each in services if each.startswith("etcd")}
        assert all(port == 2379 for _, port in address.endpoints)
    [container] = the("StatefulSet", "varley")["spec"]["template"]["spec"]["containers"]
    [url] = [flag.partition("=")[2] for flag in container["args"] if flag.startswith("--cluster=")]
    etcd = the("StatefulSet", "etcd")["spec"]
    pods = {f"etcd-{number}.{etcd['serviceName']}" for number in range(etcd["replicas"])}
    assert {host for host, _ in parse(url).endpoints} == pods
    [server] = etcd["template"]["spec"]["containers"]
    [members] = [flag for flag in server["command"] if flag.startswith("--initial-cluster=")]
    assert set(re.findall(r"http://([\w.-]+):2380", members)) == pods


def test_etcd_takes_transactions_of_large_tables_everywhere() -> None:
    [server] = the("StatefulSet", "etcd")["spec"]["template"]["spec"]["containers"]
    assert "--max-txn-ops=4096" in server["command"]
    for name, service in services_of_compose().items():
        if name.startswith("etcd"):
            assert service["environment"]["ETCD_MAX_TXN_OPS"] == "4096"


@pytest.mark.parametrize("name", ["varley", "etcd"])
def test_pods_are_found_by_what_selects_them(name: str) -> None:
    pods = the("StatefulSet", name)["spec"]
    labels = pods["template"]["metadata"]["labels"]
    assert pods["selector"]["matchLabels"] == labels
    assert the("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == labels
    assert the("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"] == labels
    service = the("Service", pods["serviceName"])["spec"]
    assert (service["selector"], service["clusterIP"]) == (labels, "None")
    zones = [each for each in pods["template"]["spec"]["topologySpreadConstraints"] if "zone" in each["topologyKey"]]
    assert [(each["maxSkew"], each["labelSelector"]["matchLabels"]) for each in zones] == [(1, labels)]


def test_one_node_at_a_time_may_be_away() -> None:
    for name in ("varley", "etcd"):
        assert the("PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1
        assert the("StatefulSet", name)["spec"]["replicas"] == 3


def test_probes_ask_for_pages_that_there_are_on_ports_that_there_are() -> None:
    [container] = the("StatefulSet", "varley")["spec"]["template"]["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports["api"] == all_settings()["port"].default
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"VARLEY_ADMIN_PORT={ports['admin']}" in dockerfile
    assert f"--link-port={ports['link']}" in container["args"]
    pages = (Path(__file__).parents[1] / "src" / "varley" / "admin" / "pages.py").read_text()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["port"] == "admin"
        assert f'"{asked["path"]}": {{"GET"' in pages
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_there_is_time_to_drain() -> None:
    pod = the("StatefulSet", "varley")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    [drain] = [float(flag.partition("=")[2]) for flag in container["args"] if flag.startswith("--drain-seconds=")]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before + drain + 20 <= pod["terminationGracePeriodSeconds"]


def test_data_is_below_the_volume_and_nothing_else_is_written() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert "VARLEY_DATA_DIR=/data/varley" in dockerfile
    assert re.search(r"^VOLUME /data$", dockerfile, re.MULTILINE)
    uid = re.search(r"--uid (\d+)", dockerfile)
    pod = the("StatefulSet", "varley")["spec"]["template"]["spec"]
    assert uid is not None
    assert int(uid[1]) == pod["securityContext"]["runAsUser"]
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]
