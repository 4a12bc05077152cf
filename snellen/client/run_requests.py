"""Requests on one run: follow it, read its results, change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from snellen.adapters.errors import RunCancelled, RunError
from snellen.client.calls import Pause, ServiceError, Steps, ask, asked, parsed
from snellen.client.progress_bar import Progress
from snellen.client.requests import API
from snellen.serve.api.bodies.catalog_bodies import ComparisonResponse, ExportResponse
from snellen.serve.api.bodies.image_bodies import (
    InferenceImageResponse,
    InferenceResultListResponse,
    TestImageResultListResponse,
    TestImageResultResponse,
)
from snellen.serve.api.bodies.run_bodies import (
    InferenceJobResponse,
    ProgressResponse,
    TestRunResponse,
)

POLL_S = 1.0
_PAGE, _PAGE_WITH_OBJECTS = 1000, 100
Kind = Literal["test-runs", "inference-jobs"]
RunRow = TestRunResponse | InferenceJobResponse


def show(kind: Kind, run_id: int) -> Steps[Any]:
    """Read the row of a run."""
    model = TestRunResponse if kind == "test-runs" else InferenceJobResponse
    return (yield from asked(model, "GET", f"{API}/{kind}/{run_id}"))


def wait(kind: Kind, run_id: int, progress: Progress | None, timeout_s: float | None) -> Steps[Any]:
    """Poll a run until it has ended.

    Raises:
        RunError: RUN_FAILED, with the reason.
        RunCancelled: CANCELLED.
        ServiceError: WAIT_TIMEOUT.
    """
    waited = 0.0
    while True:
        answer = yield from ask("GET", f"{API}/{kind}/{run_id}/events", params={"wait_s": 0})
        found = _last_event(answer.text)
        if progress is not None:
            progress(found)
        if found.status in {"completed", "failed", "cancelled", "interrupted"}:
            row = yield from show(kind, run_id)
            if not row.queued:  # else a worker takes it up again
                return _ended(row)
        if timeout_s is not None and waited >= timeout_s:
            raise ServiceError(
                "WAIT_TIMEOUT", f"run {run_id} is {found.status} after {timeout_s:g} s."
            )
        yield Pause(POLL_S)
        waited += POLL_S


def _last_event(text: str) -> ProgressResponse:
    data = [line for line in text.splitlines() if line.startswith("data: ")]
    if not data:
        raise ServiceError("SERVICE_ANSWER", "unexpected response. Expected an event.")
    return ProgressResponse.model_validate_json(data[-1].removeprefix("data: "))


def _ended(row: RunRow) -> RunRow:
    if row.status == "failed":
        raise RunError("RUN_FAILED", f"run {row.id} failed: {row.error_message}")
    if row.status == "cancelled":
        raise RunCancelled("CANCELLED", f"run {row.id} was cancelled.")
    if row.status == "interrupted":
        raise RunError("RUN_INTERRUPTED", f"run {row.id} was interrupted. Resume it.")
    return row


def act(kind: Kind, run_id: int, action: str, body: dict[str, Any] | None = None) -> Steps[Any]:
    """Cancel or resume a run."""
    model = TestRunResponse if kind == "test-runs" else InferenceJobResponse
    options = {} if body is None else {"json": body}
    return (yield from asked(model, "POST", f"{API}/{kind}/{run_id}/{action}", **options))


def delete(kind: Kind, run_id: int, cascade: bool) -> Steps[None]:
    """Delete a run and its files."""
    params = {"cascade": str(cascade).lower()}
    yield from ask("DELETE", f"{API}/{kind}/{run_id}", params=params)


def test_results(run_id: int, query: dict[str, Any]) -> Steps[list[TestImageResultResponse]]:
    """Read all images of a selection, page by page."""
    found: list[TestImageResultResponse] = []
    limit = _PAGE_WITH_OBJECTS if query.get("objects") else _PAGE
    chosen = {key: _word(value) for key, value in query.items() if value is not None}
    while True:
        page = {**chosen, "skip": len(found), "limit": limit}
        path = f"{API}/test-runs/{run_id}/images"
        part = yield from asked(TestImageResultListResponse, "GET", path, params=page)
        found += part.images
        if not part.images or len(found) >= part.total_count:
            return found


def predictions(job_id: int, status: str | None) -> Steps[list[InferenceImageResponse]]:
    """Read all results of an inference job, page by page."""
    found: list[InferenceImageResponse] = []
    while True:
        page: dict[str, Any] = {"skip": len(found), "limit": _PAGE}
        page |= {} if status is None else {"status": status}
        path = f"{API}/inference-jobs/{job_id}/results"
        part = yield from asked(InferenceResultListResponse, "GET", path, params=page)
        found += part.results
        if not part.results or len(found) >= part.total_count:
            return found


def picture(kind: Kind, run_id: int, image_index: int, variant: str) -> Steps[bytes]:
    """Read a picture: picture, thumbnail, crop or overlay."""
    path = f"{API}/{kind}/{run_id}/images/{image_index}/{variant}"
    return (yield from ask("GET", path)).content


def compare(runs: Sequence[int], settings: dict[str, Any]) -> Steps[dict[str, Any]]:
    """Compare test runs, and wait for the result.

    Raises:
        ServiceError: the comparison failed.
    """
    body = {"runs": list(runs), **settings}
    found = yield from asked(ComparisonResponse, "POST", f"{API}/comparisons", json=body)
    while found.status in {"pending", "running"}:
        yield Pause(POLL_S)
        answer = yield from ask("GET", f"{API}/comparisons/{found.id}")
        found = parsed(ComparisonResponse, answer)
    if found.result is None:
        raise ServiceError(found.error_code or "COMPARE_FAILED", found.error_message or "")
    return found.result


def export(kind: Kind, run_id: int, settings: dict[str, Any]) -> Steps[bytes]:
    """Export the rows of a run, wait for the file, and return its bytes.

    Raises:
        ServiceError: the export failed.
    """
    path = f"{API}/{kind}/{run_id}/exports"
    found = yield from asked(ExportResponse, "POST", path, json=settings)
    while found.status in {"pending", "running"}:
        yield Pause(POLL_S)
        answer = yield from ask("GET", f"{API}/exports/{found.id}")
        found = parsed(ExportResponse, answer)
    if found.status != "completed":
        raise ServiceError(found.error_code or "EXPORT_FAILED", found.error_message or "")
    return (yield from ask("GET", f"{API}/exports/{found.id}/file")).content


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
