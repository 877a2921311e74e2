"""The one table of Prometheus metrics. Base units; no label takes a user's, namespace's or cluster's name."""

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_WRITE_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Around the promise that a POST is answered within 10 ms at the 99th percentile."""
_LAG_BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0)
"""Around the promise that a finding is visible within 2 s of its event's arrival."""


class Metrics:
    """All metrics of one kubewake process, in a registry of their own."""

    def __init__(self, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.events = Counter(
            "kubewake_events", "Audit events, by source and the stage reached.", ["source", "stage"], registry=registry
        )
        self.dropped = Counter(
            "kubewake_events_dropped",
            "What was refused, unreadable or not judged, by reason. Nothing is lost outside this count.",
            ["reason"],
            registry=registry,
        )
        self.findings = Counter(
            "kubewake_findings", "Findings opened, by rule and severity.", ["rule", "severity"], registry=registry
        )
        self.incidents = Counter(
            "kubewake_incidents", "Incidents opened, by severity.", ["severity"], registry=registry
        )
        self.withdrawn = Counter(
            "kubewake_withdrawn",
            "Findings and incidents that did not hold once all events were in order, by kind.",
            ["kind"],
            registry=registry,
        )
        self.notices = Counter("kubewake_notices", "Notices about the stream or kubewake itself.", registry=registry)
        self.part_failures = Counter(
            "kubewake_part_failures",
            "Events that a detector or another part of the engine failed on, by part and type of exception; all else "
            "saw them.",
            ["part", "error"],
            registry=registry,
        )
        self.deliveries = Counter(
            "kubewake_sink_deliveries", "Messages to sinks, by outcome.", ["sink", "outcome"], registry=registry
        )
        self.outbox = Gauge(
            "kubewake_sink_outbox", "Messages stored and not yet delivered, by sink.", ["sink"], registry=registry
        )
        self.posts = Counter("kubewake_webhook_posts", "Webhook POSTs, by answer.", ["code"], registry=registry)
        self.post_seconds = Histogram(
            "kubewake_webhook_post_seconds",
            "Time from a webhook POST's last byte to its answer.",
            buckets=_WRITE_BUCKETS_SECONDS,
            registry=registry,
        )
        self.ingest_lag = Gauge(
            "kubewake_ingest_lag_seconds", "Age of the oldest received input that is not judged yet.", registry=registry
        )
        self.judge_seconds = Histogram(
            "kubewake_judge_lag_seconds",
            "Time from an input's arrival until its findings were stored.",
            buckets=_LAG_BUCKETS_SECONDS,
            registry=registry,
        )
        self.spool_bytes = Gauge(
            "kubewake_spool_bytes",
            "Compressed bytes in the spool that wait to be covered by a snapshot.",
            registry=registry,
        )
        self.spool_bodies = Gauge(
            "kubewake_spool_bodies", "Bodies in the spool that wait to be covered by a snapshot.", registry=registry
        )
        self.snapshot_seconds = Histogram(
            "kubewake_snapshot_seconds", "Time to save the engine's state.", registry=registry
        )
        self.rules = Gauge("kubewake_rules", "Rules that judge events.", registry=registry)
        Gauge("kubewake_build_info", "Constant 1, with the version.", ["version", "python"], registry=registry).labels(
            version, platform.python_version()
        ).set(1)

    def text(self) -> bytes:
        """The metrics in the Prometheus text format."""
        return generate_latest(self.registry)
