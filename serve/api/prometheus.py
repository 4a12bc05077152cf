"""What ``/metrics`` tells Prometheus about this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.serve.api.admission import Admission

HUNG_UP = 499
"""What others call it, too, when the client has gone before it was answered."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one process."""

    def __init__(self, admission: Admission) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "snellen_requests", "Answers.", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "snellen_request_seconds",
            "From the first byte of a request to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.model_seconds = Histogram(
            "snellen_inference_seconds",
            "Device time of an image: its batch's time by the images in it.",
            ("training_job_id",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "snellen_batch_size",
            "Images that shared a forward pass, by image.",
            buckets=_SIZES,
            registry=self.registry,
        )
        self.cache_hits = Counter(
            "snellen_cache_hits", "Requests answered from memory.", registry=self.registry
        )
        self._gauge("snellen_requests_running", "At work or waiting.", lambda: admission.running)
        self._gauge("snellen_requests_open", "Still arriving included.", lambda: admission.open)
        self._gauge(
            "snellen_upload_bytes", "Bytes of uploads in memory.", lambda: admission.buffered
        )

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(value)

    def text(self) -> tuple[bytes, str]:
        """The exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class Measure:
    """Counts and times every request by its route's pattern; strangers make no new labels.

    Args:
        app: what is measured.
        metrics: where to.
        uploads: paths of requests that may be refused before they reach a route.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, uploads: Sequence[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._uploads = frozenset(uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            status = status or HUNG_UP  # Ray Serve ends what nobody waits for any more
            raise
        finally:
            status = status or 500
            route = getattr(scope.get("route"), "path", None)
            route = route or (scope["path"] if scope["path"] in self._uploads else "other")
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begin)
