"""Settings: where they come from, which wins, and what is said when one is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from varley.errors import BadSettings
from varley.settings import (
    ClusterSettings,
    NodeSettings,
    all_settings,
    environment_name,
    is_loopback,
    load,
)


def test_the_defaults() -> None:
    assert load({}, {}) == (NodeSettings(), ClusterSettings())


def test_flags_before_environment_before_file_before_defaults(tmp_path: Path) -> None:
    file = tmp_path / "varley.toml"
    file.write_text('port = 1\nregion = "file"\nlog_level = "debug"\nhost = "127.0.0.9"\n')
    environment = {"VARLEY_PORT": "2", "VARLEY_REGION": "environment"}
    node, _ = load({"port": "3"}, environment, str(file))
    assert (node.port, node.region, node.log_level) == (3, "environment", "debug")
    assert (node.host, node.max_connections) == ("127.0.0.9", NodeSettings().max_connections)


def test_a_flag_that_was_not_given_hides_nothing() -> None:
    node, _ = load({"port": None}, {"VARLEY_PORT": "2"})
    assert node.port == 2


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "varley.toml"
    file.write_text("port = 4")
    assert load({}, {"VARLEY_CONFIG": str(file)})[0].port == 4


def test_cluster_settings_by_double_underscore_and_by_table(tmp_path: Path) -> None:
    assert load({}, {"VARLEY_CLUSTER__INITIAL_PARTITIONS": "4"})[1].initial_partitions == 4
    file = tmp_path / "varley.toml"
    file.write_text("[cluster]\ninitial_partitions = 5\n")
    assert load({}, {}, str(file))[1].initial_partitions == 5


def test_every_setting_can_come_from_the_environment() -> None:
    defaults = {name: setting.default for name, setting in all_settings().items()}
    environment = {
        environment_name(name): "" if value is None else str(value) for name, value in defaults.items()
    }
    assert load({}, environment) == (NodeSettings(), ClusterSettings())


def test_every_setting_says_what_it_is() -> None:
    for name, setting in all_settings().items():
        assert setting.metadata["help"].endswith("."), name


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("ON", True), ("1", True), ("no", False), ("off", False), ("0", False)],
)
def test_true_and_false_as_people_write_them(text: str, value: bool) -> None:
    assert load({}, {"VARLEY_IN_MEMORY": text})[0].in_memory is value


def refusal(flags: dict[str, object] | None = None, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(BadSettings) as caught:
        load(flags or {}, environment or {})
    return str(caught.value)


def test_an_unknown_setting_names_the_nearest(tmp_path: Path) -> None:
    assert "'max_connections'" in refusal({"max_conections": 5})
    assert "'VARLEY_DATA_DIR'" in refusal({}, {"VARLEY_DATADIR": "x"})
    file = tmp_path / "varley.toml"
    file.write_text("[cluster]\ninitial_partition = 3\n")
    message = refusal({}, {"VARLEY_CONFIG": str(file)})
    assert "'cluster.initial_partitions'" in message
    assert str(file) in message


def test_the_variables_that_kubernetes_sets_for_a_service_called_varley_are_not_ours() -> None:
    environment = {
        "VARLEY_SERVICE_HOST": "10.0.0.7",
        "VARLEY_SERVICE_PORT": "8000",
        "VARLEY_PORT": "tcp://10.0.0.7:8000",
        "VARLEY_PORT_8000_TCP": "tcp://10.0.0.7:8000",
        "VARLEY_PORT_8000_TCP_ADDR": "10.0.0.7",
    }
    assert load({}, environment) == (NodeSettings(), ClusterSettings())


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("port", "http", "a whole number from 0 to 65535"),
        ("port", "65536", "a whole number from 0 to 65535"),
        ("port", True, "a whole number from 0 to 65535"),
        ("drain_seconds", "-1", "a number of at least 0"),
        ("drain_seconds", "nan", "a number of at least 0"),
        ("drain_seconds", "inf", "a number of at least 0"),
        ("in_memory", "maybe", "true or false"),
        ("region", 7, "text"),
        ("log_level", "loud", "debug or info"),
        ("cluster.strong_reads", "fast", "lease or read-index"),
        ("cluster.initial_partitions", "0", "from 1 to 1024"),
    ],
)
def test_a_wrong_value_says_what_is_right_and_where_it_came_from(
    name: str, value: object, expected: str
) -> None:
    message = refusal({name: value})
    assert name.removeprefix("cluster.") in message
    assert expected in message
    if isinstance(value, str):
        assert environment_name(name) in refusal({}, {environment_name(name): value})


def test_settings_made_in_code_are_checked_too() -> None:
    with pytest.raises(BadSettings, match="port is 70000"):
        NodeSettings(port=70000)
    with pytest.raises(BadSettings, match="initial_partitions is 0"):
        ClusterSettings(initial_partitions=0)


def test_a_file_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert str(missing) in refusal({}, {"VARLEY_CONFIG": str(missing)})
    broken = tmp_path / "broken.toml"
    broken.write_text("port 8000")
    assert "not TOML" in refusal({}, {"VARLEY_CONFIG": str(broken)})


def test_a_certificate_without_its_key_is_refused() -> None:
    assert "only one of the two" in refusal({"tls_cert": "cert.pem"})
    assert load({"tls_cert": "cert.pem", "tls_key": "key.pem"}, {})[0].scheme == "https"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1"])
def test_loopback_needs_nothing(host: str) -> None:
    assert is_loopback(host)
    assert load({"host": host}, {})[0].clock_is_movable


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "", "127.evil.example"])
def test_beyond_loopback_it_refuses_without_insecure(host: str) -> None:
    assert not is_loopback(host)
    assert "--insecure" in refusal({"host": host})
    assert "admin_host" in refusal({"admin_host": host, "admin_port": "0"})
    node, _ = load({"host": host, "insecure": True}, {})
    assert not node.clock_is_movable
    assert load({"host": host, "insecure": True, "development_clock": True}, {})[0].clock_is_movable


def test_an_admin_host_without_an_admin_port_harms_nobody() -> None:
    assert load({"admin_host": "0.0.0.0"}, {})[0].admin_port is None


def test_no_settings_without_asserts() -> None:
    """Under `python -O` no server can be made, whichever way it is started."""
    result = subprocess.run(
        [sys.executable, "-O", "-c", "from varley.settings import NodeSettings; NodeSettings()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Varley does not run under `python -O`" in result.stderr
