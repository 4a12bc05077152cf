"""Prometheus metrics of one process, exposed at ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from snellen.serve.api.middleware.admission import Admission

_SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters, histograms and gauges of one process."""

    def __init__(self, admission: Admission) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "snellen_requests",
            "HTTP responses by route and status.",
            ("route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "snellen_request_seconds",
            "Time from the first byte of a request to its response (s).",
            ("route",),
            buckets=_SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.model_seconds = Histogram(
            "snellen_inference_seconds",
            "Inference time per image: time of its batch divided by the batch size (s).",
            ("training_job_id",),
            buckets=_SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "snellen_batch_size",
            "Batch size of each image's forward pass.",
            buckets=_SIZE_BUCKETS,
            registry=self.registry,
        )
        self.cache_hits = Counter(
            "snellen_cache_hits", "Predictions served from the cache.", registry=self.registry
        )
        self._gauge(
            "snellen_requests_running", "Requests queued or running.", lambda: admission.running
        )
        self._gauge(
            "snellen_requests_open",
            "Requests without a response yet, including those still arriving.",
            lambda: admission.open,
        )
        self._gauge(
            "snellen_upload_bytes", "Bytes of uploads in memory.", lambda: admission.buffered
        )

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(value)

    def text(self) -> tuple[bytes, str]:
        """Return the exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
