"""What `varley cluster up` chooses for its nodes, and that it is there again."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from varley.cli.cluster_plan import Plan
from varley.cli.cluster_up import choose_ports, plan_of
from varley.errors import BadSettings, WorldError
from varley.settings import flag_of


def test_three_nodes_in_three_zones_unless_told_otherwise(tmp_path: Path) -> None:
    plan = plan_of(str(tmp_path), None, None, 0, {})
    assert [(place.name, place.zone) for place in plan.places] == [("n1", "z1"), ("n2", "z2"), ("n3", "z3")]
    assert plan.flags == {"cluster.replicas": "3"}


def test_zones_are_filled_one_after_the_other(tmp_path: Path) -> None:
    plan = plan_of(str(tmp_path), 5, 2, 0, {})
    assert [place.zone for place in plan.places] == ["z1", "z2", "z1", "z2", "z1"]


def test_fewer_nodes_than_replicas_do_not_wait_for_more(tmp_path: Path) -> None:
    assert plan_of(str(tmp_path), 1, None, 0, {}).flags == {"cluster.replicas": "1"}
    assert plan_of(str(tmp_path), 1, None, 0, {"cluster.replicas": "3"}).flags == {"cluster.replicas": "3"}


def test_a_plan_comes_back_and_may_grow(tmp_path: Path) -> None:
    first = plan_of(str(tmp_path), 3, None, 0, {"region": "eu-west-2"})
    first.save()
    again = plan_of(str(tmp_path), None, None, None, {})
    assert again == first
    more = plan_of(str(tmp_path), 4, None, None, {"log_level": "debug"})
    assert more.places[:3] == first.places
    assert more.places[3].name == "n4"
    assert more.flags == first.flags | {"log_level": "debug"}
    with pytest.raises(BadSettings, match="has 3 nodes"):
        plan_of(str(tmp_path), 2, None, None, {})


def test_a_node_is_started_with_all_that_was_chosen(tmp_path: Path) -> None:
    plan = plan_of(str(tmp_path), 1, None, 0, {"region": "eu-west-2"})
    words = plan.command(plan.places[0])
    flags = dict(zip(words[4::2], words[5::2], strict=True))
    assert words[1:4] == ["-m", "varley", "serve"]
    assert flags[flag_of("member.cluster")] == f"etcd://127.0.0.1:{plan.etcd_port}"
    assert flags[flag_of("member.name")] == "n1"
    assert flags["--region"] == "eu-west-2"
    assert flags["--data-dir"] == str(tmp_path / "n1")


def test_a_port_that_was_asked_for_and_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        if port + 20_000 > 65_535:
            port -= 20_000      # then it is the admin port that is taken
        with pytest.raises(BadSettings, match="is in use"):
            choose_ports(1, port)


def test_processes_have_ports_side_by_side_that_nobody_else_has(tmp_path: Path) -> None:
    plan = plan_of(str(tmp_path), 3, None, 0, {"processes": "2"})
    ports = [port for place in plan.places for port in (
        place.port, place.link_port, place.link_port + 1, place.admin_port, place.admin_port + 1
    )]  # fmt: skip
    assert len(set(ports)) == 15
    assert plan.flags["cluster.initial_partitions"] == "6"
    words = plan.command(plan.places[0])
    assert words[words.index("--processes") + 1] == "2"
    plan.save()
    assert plan_of(str(tmp_path), None, None, None, {}).places == plan.places
    with pytest.raises(BadSettings, match="processes: 2, not 1"):
        plan_of(str(tmp_path), None, None, None, {"processes": "1"})


def test_more_zones_than_nodes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="3 nodes cannot stand in 4 zones"):
        plan_of(str(tmp_path), 3, 4, 0, {})


def test_a_plan_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorldError, match="cannot be written"):
        Plan(str(tmp_path / "file" / "folder"), 1, []).save()


def test_a_file_that_is_no_plan_is_told(tmp_path: Path) -> None:
    assert Plan.read(str(tmp_path)) is None
    (tmp_path / "cluster.json").write_text("{}")
    with pytest.raises(WorldError, match="cannot be read"):
        Plan.read(str(tmp_path))
