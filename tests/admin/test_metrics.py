"""The page /metrics: every number that was counted, under the name that the documentation gives it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from varley.admin.metrics import METRICS, Metrics, Reading
from varley.counters import Counters
from varley.http.traffic import Traffic

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "metrics.md"


def samples(page: bytes) -> dict[str, float]:
    """ {'varley_connections': 3.0, 'x_total{table="a"}': 1.0, …}: the lines that are not comments."""
    lines = [line for line in page.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture
def traffic() -> Traffic:
    return Traffic(["GetItem", "PutItem"])


def test_latency_is_a_histogram_by_operation(traffic: Traffic) -> None:
    for microseconds in (50, 100, 200, 1500, 20_000_000):
        traffic.latencies["GetItem"][microseconds.bit_length()] += 1
    traffic.seconds["GetItem"] = 20.00185
    found = samples(Metrics(traffic, Counters()).page())
    buckets = {
        float(match[1]): value
        for name, value in found.items()
        if (match := re.fullmatch(r'varley_request_seconds_bucket\{le="(.+)",operation="GetItem"\}', name))
    }
    assert buckets[0.000064] == 1
    assert buckets[0.000128] == 2
    assert buckets[0.000256] == 3
    assert buckets[0.002048] == 4
    assert max(count for bound, count in buckets.items() if bound < 10) == 4
    assert buckets[float("inf")] == 5
    assert found['varley_request_seconds_count{operation="GetItem"}'] == 5
    assert found['varley_request_seconds_sum{operation="GetItem"}'] == 20.00185
    assert list(buckets.values()) == sorted(buckets.values())
    assert not any("PutItem" in name for name in found)


def test_errors_and_refusals(traffic: Traffic) -> None:
    traffic.failures["PutItem", 400, "ValidationException"] += 2
    traffic.refusals["too many connections"] += 1
    found = samples(Metrics(traffic, Counters()).page())
    labels = 'code="ValidationException",operation="PutItem",status="400"'
    assert found[f"varley_request_errors_total{{{labels}}}"] == 2
    assert found['varley_refused_requests_total{reason="too many connections"}'] == 1


def test_counts_by_table_end_with_the_table(traffic: Traffic) -> None:
    counters = Counters()
    counters.of("GetItem", "Music").consumed_read_units += 0.5
    counters.of("GetItem", "Music").consumed_read_units += 1.0
    counters.of("Query", "Music", "ByYear").returned_items += 7
    metrics = Metrics(traffic, counters)
    found = samples(metrics.page())
    assert found['varley_consumed_read_units_total{index="",operation="GetItem",table="Music"}'] == 1.5
    assert found['varley_returned_items_total{index="ByYear",operation="Query",table="Music"}'] == 7
    assert not any("write_units" in name for name in found)
    counters.forget_table("Music")
    assert "Music" not in metrics.page().decode()


def test_counts_by_index_end_with_the_index(traffic: Traffic) -> None:
    counters = Counters()
    for index in ("", "ByYear", "ByArtist"):
        counters.of("Query", "Music", index).returned_items += 7
    counters.of("Query", "Films", "ByYear").returned_items += 7
    counters.forget_index("Music", "ByYear")
    found = samples(Metrics(traffic, counters).page())
    left = [name for name in found if name.startswith("varley_returned_items_total")]
    assert len(left) == 3
    assert not [name for name in left if "ByYear" in name and "Music" in name]


def test_other_parts_are_asked_on_each_scrape(traffic: Traffic) -> None:
    connections = [3]
    metrics = Metrics(
        traffic,
        Counters(),
        [
            lambda: [Reading("varley_connections", connections[0])],
            lambda: [Reading("varley_table_items", len(name), (name, "")) for name in ("a", "bb")],
        ],
    )
    assert samples(metrics.page())["varley_connections"] == 3
    connections[0] = 4
    found = samples(metrics.page())
    assert found["varley_connections"] == 4
    assert found['varley_table_items{index="",table="bb"}'] == 2


def test_a_reading_that_is_not_described_is_our_mistake(traffic: Traffic) -> None:
    with pytest.raises(AssertionError, match="varley_conections"):
        Metrics(traffic, Counters(), [lambda: [Reading("varley_conections", 1)]]).page()


def test_two_servers_in_one_process_do_not_meet(traffic: Traffic) -> None:
    one, other = Metrics(traffic, Counters()), Metrics(Traffic(["GetItem"]), Counters())
    assert b"varley_build_info" in one.page()
    assert b"varley_build_info" in other.page()


def test_names_end_in_their_units() -> None:
    for metric in METRICS:
        assert metric.name.startswith("varley_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric
        if metric.kind == "histogram":
            assert metric.name.endswith("_seconds"), metric


def test_every_metric_is_documented_with_its_labels_and_its_cloudwatch_name() -> None:
    row = re.compile(r"^\| `(varley_\w+)` \| (\w+) \| (.*) \| (.*) \| (.*) \|$", re.M)
    rows = row.findall(DOCUMENTATION.read_text())
    assert rows == [
        (
            metric.name,
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.description,
            metric.cloudwatch,
        )
        for metric in METRICS
    ]
