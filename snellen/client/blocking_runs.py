"""Runs of the service, with blocking calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Literal, Self, TypeVar

from snellen.client import run_requests
from snellen.client.progress_bar import Progress, following
from snellen.client.run_requests import Kind, RunRow
from snellen.client.transport import Transport
from snellen.serve.api.bodies.image_bodies import InferenceImageResponse, TestImageResultResponse
from snellen.serve.api.bodies.run_bodies import InferenceJobResponse, TestRunResponse

Row = TypeVar("Row", bound=RunRow)
Variant = Literal["picture", "thumbnail", "crop", "overlay"]


class _Remote(Generic[Row]):
    """Common part of runs of the service.

    Attributes:
        row: the run as it was read last.
    """

    _kind: Kind

    def __init__(self, transport: Transport, row: Row) -> None:
        self._transport = transport
        self.row = row

    @property
    def id(self) -> int:
        """Id of the run."""
        return self.row.id

    @property
    def status(self) -> str:
        """Status when the run was read last."""
        return self.row.status

    def refresh(self) -> Self:
        """Read the run again."""
        self.row = self._transport.run(run_requests.show(self._kind, self.id))
        return self

    def wait(
        self, progress: Progress | bool | None = None, *, timeout_s: float | None = None
    ) -> Self:
        """Wait until the run has ended.

        Args:
            progress: called with each `ProgressResponse`: images done, rate, time left. True: show
                a progress bar on stderr; None: in a terminal or notebook alone; False: nothing.
            timeout_s: maximum time to wait, in seconds; None: no limit.

        Raises:
            RunError: RUN_FAILED, RUN_INTERRUPTED.
            RunCancelled: CANCELLED.
            ServiceError: WAIT_TIMEOUT, or an error response.
        """
        with following(progress, f"run {self.id}") as follow:
            steps = run_requests.wait(self._kind, self.id, follow, timeout_s)
            self.row = self._transport.run(steps)
        return self

    def cancel(self) -> Self:
        """Ask the run to stop; it can be resumed. Raises ServiceError."""
        self.row = self._transport.run(run_requests.act(self._kind, self.id, "cancel"))
        return self

    def resume(self, *, retry_failed: bool | Sequence[str] = False) -> Self:
        """Put the run in the queue again, also with its failed images. Raises ServiceError."""
        codes = retry_failed if isinstance(retry_failed, bool) else list(retry_failed)
        steps = run_requests.act(self._kind, self.id, "resume", {"retry_failed": codes})
        self.row = self._transport.run(steps)
        return self

    def delete(self, *, cascade: bool = False) -> None:
        """Delete the run and its files. Raises ServiceError."""
        self._transport.run(run_requests.delete(self._kind, self.id, cascade))

    def draw(self, image_index: int, variant: Variant = "overlay") -> bytes:
        """Return a picture of an image as JPEG bytes. Raises ServiceError."""
        steps = run_requests.picture(self._kind, self.id, image_index, variant)
        return self._transport.run(steps)

    def export(self, format_name: str, **conditions: Any) -> bytes:
        """Export the rows, and return the file: csv, parquet, ndjson, json, coco, yolo, zip.

        Args:
            format_name: the format.
            conditions: ``correct``, ``min_confidence``, ``status`` and ``true_class``.

        Raises:
            ServiceError: the export failed, or an error response.
        """
        steps = run_requests.export(self._kind, self.id, {"format": format_name, **conditions})
        return self._transport.run(steps)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id}, status={self.status!r})"


class RemoteRun(_Remote[TestRunResponse]):
    """A test run of the service."""

    _kind = "test-runs"

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics by key, when the run was read last."""
        return self.row.metrics or {}

    def results(self, **query: Any) -> list[TestImageResultResponse]:
        """Return the images that meet every condition, from all pages.

        Args:
            query: parameters of `GET /inference/test-runs/{id}/images`, such as ``correct``,
                ``predicted_class``, ``sort``, ``objects``; ``true_class`` is sent as ``class``.

        Raises:
            ServiceError: an error response.
        """
        if "true_class" in query:
            query["class"] = query.pop("true_class")
        return self._transport.run(run_requests.test_results(self.id, query))


class RemoteJob(_Remote[InferenceJobResponse]):
    """An inference job of the service."""

    _kind = "inference-jobs"

    def results(self, status: str | None = None) -> list[InferenceImageResponse]:
        """Return the predictions in image order, from all pages. Raises ServiceError."""
        return self._transport.run(run_requests.predictions(self.id, status))
