"""Metrics in Prometheus' format.

Every metric is a line of METRICS: its name in base units, what it counts, its labels and what CloudWatch
calls it. docs/metrics.md is checked against the table. Nothing is counted here: on a scrape `Metrics` reads
the plain numbers that the hot path keeps (http/traffic.py by operation, counters.py by table) and asks the
other parts for their readings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from varley import __version__
from varley.counters import Counters
from varley.http.traffic import Traffic, bucket_seconds_max

# The classic text format, which every scraper reads.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Described:
    """One metric. `kind`: counter, gauge or histogram. `cloudwatch`: AWS's name and statistic, or empty."""

    name: str
    kind: str
    description: str
    labels: tuple[str, ...] = ()
    cloudwatch: str = ""


_BY_TABLE: Final = ("table", "index")
_BY_OPERATION: Final = ("operation", "table", "index")

METRICS: Final = (
    Described(
        "varley_request_seconds", "histogram",
        "Time from a request's last byte to its answer, errors included.", ("operation",),
        "SuccessfulRequestLatency (Average, SampleCount)",
    ),
    Described(
        "varley_request_errors_total", "counter",
        "Answers that were errors, by HTTP status and AWS code.", ("operation", "status", "code"),
        "UserErrors (400), SystemErrors (500), ThrottledRequests, ConditionalCheckFailedRequests, "
        "TransactionConflict (by code)",
    ),
    Described(
        "varley_refused_requests_total", "counter",
        "Requests that never became a call of an operation.", ("reason",),
    ),
    Described(
        "varley_consumed_read_units_total", "counter",
        "Read capacity units consumed.", _BY_OPERATION, "ConsumedReadCapacityUnits (Sum)",
    ),
    Described(
        "varley_consumed_write_units_total", "counter",
        "Write capacity units consumed.", _BY_OPERATION, "ConsumedWriteCapacityUnits (Sum)",
    ),
    Described(
        "varley_returned_items_total", "counter",
        "Items returned by Query and Scan.", _BY_OPERATION, "ReturnedItemCount (Sum)",
    ),
    Described("varley_table_items", "gauge", "Items of a table or index, exact and now.", _BY_TABLE),
    Described("varley_table_bytes", "gauge", "Size of them, as DynamoDB measures items.", _BY_TABLE),
    Described(
        "varley_provisioned_read_units", "gauge",
        "Read capacity units provisioned per second.", _BY_TABLE,
        "ProvisionedReadCapacityUnits (Average)",
    ),
    Described(
        "varley_provisioned_write_units", "gauge",
        "Write capacity units provisioned per second.", _BY_TABLE,
        "ProvisionedWriteCapacityUnits (Average)",
    ),
    Described(
        "varley_expired_items_total", "counter",
        "Items deleted because their time to live had ended.", ("table",), "TimeToLiveDeletedItemCount (Sum)",
    ),
    Described(
        "varley_index_undelivered_changes", "gauge",
        "Rows that a global index will have changed, and has not yet.", _BY_TABLE,
    ),
    Described("varley_index_undelivered_bytes", "gauge", "Memory that they take, about.", _BY_TABLE),
    Described(
        "varley_index_backfill_ratio", "gauge",
        "How much of its table a new global index has, 0 to 1; only while it is being filled.", _BY_TABLE,
        "OnlineIndexPercentageProgress (Average; 0 to 100)",
    ),
    Described("varley_connections", "gauge", "Open client connections."),
    Described(
        "varley_log_syncs_total", "counter", "Times the log was made durable; each serves all that wait."
    ),
    Described(
        "varley_log_sync_seconds_total", "counter", "Time spent in making the log durable: what writes wait for."
    ),
    Described("varley_log_records_total", "counter", "Entries written to the log, one for each write."),
    Described("varley_log_bytes_total", "counter", "Bytes written to the log."),
    Described("varley_log_size_bytes", "gauge", "Bytes that the log has now: what a start would read."),
    Described(
        "varley_refused_writes_total", "counter",
        "Writes that the disk refused, by error: DiskFull, ReadOnly, Exhausted, LogFailed.", ("error",),
    ),
    Described("varley_overlay_bytes", "gauge", "Memory of rows that are in no checkpoint yet, about."),
    Described("varley_checkpoints_total", "counter", "Checkpoints finished."),
    Described("varley_checkpoint_seconds_total", "counter", "Time that they took, pauses included."),
    Described("varley_link_up", "gauge", "1 if another node of the cluster is heard, 0 if not.", ("peer",)),
    Described("varley_link_waiting_bytes", "gauge", "Bytes that wait for another node to take them.", ("peer",)),
    Described("varley_link_sent_bytes_total", "counter", "Bytes sent to another node.", ("peer",)),
    Described("varley_link_received_bytes_total", "counter", "Bytes that came from another node.", ("peer",)),
    Described("varley_link_sent_frames_total", "counter", "Frames sent to another node.", ("peer",)),
    Described("varley_link_received_frames_total", "counter", "Frames that came from another node.", ("peer",)),
    Described(
        "varley_link_dropped_messages_total", "counter",
        "Messages and answers that never left: no connection, or too much was waiting.", ("peer",),
    ),
    Described(
        "varley_link_requests_not_sent_total", "counter",
        "Requests to another node that surely did not reach it, and were tried elsewhere.", ("peer",),
    ),
    Described(
        "varley_link_requests_unanswered_total", "counter",
        "Requests that went out to another node, and nobody knows what became of them.", ("peer",),
    ),
    Described("varley_link_connections_total", "counter", "Connections made with another node.", ("peer",)),
    Described("varley_link_connections_lost_total", "counter", "Those of them that were lost.", ("peer",)),
    Described("varley_link_failed_dials_total", "counter", "Attempts to reach another node that failed.", ("peer",)),
    Described("varley_memds_groups", "gauge", "Replica groups of which this node knows who leads or belongs to them."),
    Described("varley_memds_sent_messages_total", "counter", "Messages of MemDS to other nodes."),
    Described("varley_memds_sent_bytes_total", "counter", "Bytes in them."),
    Described("varley_memds_received_messages_total", "counter", "Messages of MemDS that came from other nodes."),
    Described("varley_memds_received_bytes_total", "counter", "Bytes in them."),
    Described("varley_memds_look_ups_total", "counter", "Times that others were asked at once who leads a group."),
    Described("varley_metadata_followed", "gauge", "1 if this node hears of changes in the cluster's etcd, 0 if not."),
    Described("varley_groups", "gauge", "Replica groups that have a member on this node."),
    Described("varley_groups_led", "gauge", "Those of them that this node leads."),
    Described(
        "varley_group_lag_entries_max", "gauge", "Entries by which the slowest member of a group led here is behind."
    ),
    Described(
        "varley_ring_members", "gauge", "Members of the ring, as this node can or cannot reach them.", ("state",)
    ),
    Described("varley_ring_rows", "gauge", "Keys that a node of a ring holds as one of their homes."),
    Described("varley_ring_tombstones", "gauge", "Those of them that are deleted, and remembered."),
    Described("varley_ring_hints", "gauge", "Copies that wait here for another node.", ("member",)),
    Described("varley_ring_strays", "gauge", "Keys that have become other nodes', and are on their way there."),
    Described("varley_ring_transfers", "gauge", "Partitions on their way from here to nodes that joined."),
    Described("varley_ring_buffer_bytes", "gauge", "What of the write buffer is not on disk yet."),
    Described(
        "varley_ring_compared_seconds", "gauge",
        "Time since the node's least recently compared partition agreed with another home.",
    ),
    Described(
        "varley_ring_events_total", "counter", "What a node of a ring has done: gets, puts, repairs, hints and more.",
        ("event",),
    ),
    Described(
        "varley_background_failures_total", "counter",
        "Errors of ours in what runs in the background; the log has them. Should be 0 for ever.", ("work",),
    ),
    Described("varley_clock_offset_seconds", "gauge", "How far the clock was moved by hand."),
    Described("varley_build_info", "gauge", "Always 1; the label says which version runs.", ("version",)),
)  # fmt: skip

_BY_NAME: Final = {described.name: described for described in METRICS}

# Metric -> attribute of TableCounters.
_COUNTED: Final = {
    "varley_consumed_read_units_total": "consumed_read_units",
    "varley_consumed_write_units_total": "consumed_write_units",
    "varley_returned_items_total": "returned_items",
}

# Of the front door's 64 doubling buckets, those that tell requests apart: 64 µs and less, then up to 8 s.
_BUCKETS: Final = range(6, 24)


class Reading(NamedTuple):
    """A number that a part gives on a scrape. `labels`: the values of the metric's labels, in their order."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class Metrics(Collector):
    """The page /metrics."""

    def __init__(
        self, traffic: Traffic, counters: Counters, parts: Iterable[Callable[[], Iterable[Reading]]] = ()
    ) -> None:
        self._traffic = traffic
        self._counters = counters
        self._parts = tuple(parts)
        # A registry of our own: a program that embeds a server keeps the default one for itself.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def page(self) -> bytes:
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not take a first reading, and no other collector uses our names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield self._latency()
        yield from self._of_tables()
        yield from self._of_parts()

    def _latency(self) -> Metric:
        described = _described("varley_request_seconds")
        family = HistogramMetricFamily(described.name, described.description, labels=described.labels)
        for operation, buckets in self._traffic.latencies.items():
            if any(buckets):    # most operations are never called
                family.add_metric((operation,), _cumulative(buckets), self._traffic.seconds[operation])
        return family

    def _of_tables(self) -> Iterator[Metric]:
        families = {name: _family(name) for name in _COUNTED}
        for key, counts in self._counters:
            for name, attribute in _COUNTED.items():
                value = getattr(counts, attribute)
                if value:       # GetItem never consumes write units
                    families[name].add_metric(key, value)
        yield from families.values()

    def _of_parts(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for readings in (self._of_the_front_door(), *(part() for part in self._parts)):
            for reading in readings:
                assert len(reading.labels) == len(_described(reading.name).labels), reading
                family = families.get(reading.name)
                if family is None:
                    family = families[reading.name] = _family(reading.name)
                family.add_metric(reading.labels, reading.value)
        yield from families.values()

    def _of_the_front_door(self) -> Iterator[Reading]:
        yield Reading("varley_build_info", 1, (__version__,))
        for (operation, status, code), count in list(self._traffic.failures.items()):
            yield Reading("varley_request_errors_total", count, (operation, str(status), code))
        for reason, count in list(self._traffic.refusals.items()):
            yield Reading("varley_refused_requests_total", count, (reason,))


def _described(name: str) -> Described:
    assert name in _BY_NAME, f"{name} is not in METRICS"
    return _BY_NAME[name]


def _family(name: str) -> CounterMetricFamily | GaugeMetricFamily:
    described = _described(name)
    if described.kind == "counter":
        return CounterMetricFamily(name, described.description, labels=described.labels)
    assert described.kind == "gauge", described
    return GaugeMetricFamily(name, described.description, labels=described.labels)


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    """Prometheus' buckets hold everything up to their bound: [("0.000064", 3), …, ("+Inf", 7)]."""
    bounds: list[tuple[str, float]] = [
        (f"{bucket_seconds_max(bucket):.6f}", sum(buckets[: bucket + 1])) for bucket in _BUCKETS
    ]
    return [*bounds, ("+Inf", sum(buckets))]
