"""Comparisons, exports and thresholds of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from snellen.analysis.operating_points.threshold_choice import choose, scan_document, scan_run
from snellen.metrics.confidence_curve import Rule
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.kinds import RunKind
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.serve.api.bodies.catalog_bodies import (
    ComparisonRequest,
    ComparisonResponse,
    ExportListResponse,
    ExportRequest,
    ExportResponse,
    ThresholdsResponse,
)
from snellen.serve.api.bodies.image_bodies import Confidence
from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.problems import Problem
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.routes.run_actions import RunId
from snellen.serve.api.runs.run_responses import redacted
from snellen.serve.api.schemas import MAX_ID
from snellen.serve.api.state import State, get_state
from snellen.store.kinds import TEST_RUN
from snellen.store.runs import get_test_run
from snellen.store.service.analyses import (
    COMPARISON,
    EXPORT,
    AnalysisView,
    create_analysis,
    delete_analysis,
    exports_of,
    get_analysis,
)

router = APIRouter(prefix="/inference", tags=["analyses"])
AnalysisId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Its id.")]
RuleKey = Annotated[
    Literal["f1", "precision", "recall", "accuracy", "coverage"] | None,
    Query(description="Choose a threshold by this metric."),
]


@router.post(
    "/comparisons",
    response_model=ComparisonResponse,
    status_code=202,
    responses=problem_responses(404, 408, 409, 413, 422, 503),
    summary="Compare test runs",
)
async def compare(
    state: Annotated[State, Depends(get_state)], body: ComparisonRequest
) -> ComparisonResponse:
    """Put a comparison of completed test runs in the queue."""

    def work() -> ComparisonResponse:
        for run_id in body.runs:
            run = get_test_run(state.db, run_id)
            if run.status != "completed":
                raise Problem(409, "RUN_NOT_COMPLETED", f"Run {run_id} is {run.status}.")
        settings = body.model_dump(exclude={"runs"})
        return _comparison(create_analysis(state.db, COMPARISON, TEST_RUN, body.runs, settings))

    return await run_in_threadpool(work)


@router.get(
    "/comparisons/{analysis_id}",
    response_model=ComparisonResponse,
    responses=problem_responses(404, 422, 503),
    summary="Show a comparison",
)
async def show_comparison(
    state: Annotated[State, Depends(get_state)], analysis_id: AnalysisId
) -> ComparisonResponse:
    """Return a comparison; its result is there once it is completed."""
    found = await run_in_threadpool(get_analysis, state.db, COMPARISON, analysis_id)
    return _comparison(found)


@router.get(
    "/test-runs/{run_id}/thresholds",
    response_model=ThresholdsResponse,
    responses=problem_responses(404, 409, 422, 503),
    summary="List confidence thresholds",
)
async def thresholds(
    state: Annotated[State, Depends(get_state)],
    run_id: RunId,
    metric: RuleKey = None,
    least: Annotated[
        Confidence | None, Query(description="Required value of the metric; absent: the largest.")
    ] = None,
    per_class: Annotated[bool, Query(description="Also return the rows of each class.")] = False,
) -> ThresholdsResponse:
    """Return metrics by confidence threshold, and the threshold that a rule chooses."""

    def work() -> ThresholdsResponse:
        run = get_test_run(state.db, run_id)
        scan = scan_run(state.db, run)
        rule = None if metric is None else Rule(metric, least)
        chosen = None if rule is None else choose(scan, rule, per_class=per_class)
        return ThresholdsResponse(**scan_document(run, scan, chosen, per_class=per_class))

    return await run_in_threadpool(work)


def start_export(state: State, kind: RunKind, run_id: int, body: ExportRequest) -> AnalysisView:
    """Put an export of a completed run in the queue.

    Raises:
        Problem: 409, the run is not completed; 422, a condition that its images do not have.
    """
    run = kind.get(state.db, run_id)
    if run.status != "completed":
        raise Problem(409, "RUN_NOT_COMPLETED", f"Run {run_id} is {run.status}.")
    chosen: dict[str, Any] = body.model_dump(exclude={"format"}, exclude_none=True)
    if kind is PREDICTION and {"correct", "true_class"} & chosen.keys():
        raise Problem(422, "VALIDATION", "The images of a job have no ground truth.")
    settings = {"format": body.format, "filter": chosen}
    return create_analysis(state.db, EXPORT, kind.name, [run_id], settings)


def remove_export(state: State, analysis_id: int) -> None:
    """Delete an export and its file. Raises InputError ANALYSIS_NOT_FOUND."""
    delete_analysis(state.db, get_analysis(state.db, EXPORT, analysis_id))


def _add_exports(path: str, kind: RunKind) -> None:
    """Add the exports of a kind of run."""

    @router.post(
        path + "/{run_id}/exports",
        response_model=ExportResponse,
        status_code=202,
        responses=problem_responses(404, 408, 409, 413, 422, 503),
        summary="Export the rows of a run",
    )
    async def export(
        state: Annotated[State, Depends(get_state)], run_id: RunId, body: ExportRequest
    ) -> ExportResponse:
        """Put an export of a completed run in the queue."""

        return _export(await run_in_threadpool(start_export, state, kind, run_id, body))

    @router.get(
        path + "/{run_id}/exports",
        response_model=ExportListResponse,
        responses=problem_responses(404, 422, 503),
        summary="List the exports of a run",
    )
    async def list_exports(
        state: Annotated[State, Depends(get_state)], run_id: RunId
    ) -> ExportListResponse:
        """Return the exports of a run, newest first."""

        def work() -> ExportListResponse:
            kind.get(state.db, run_id)
            found = [_export(one) for one in exports_of(state.db, kind.name, run_id)]
            return ExportListResponse(total_count=len(found), exports=found)

        return await run_in_threadpool(work)


_add_exports("/test-runs", EVALUATION)
_add_exports("/inference-jobs", PREDICTION)


@router.get(
    "/exports/{analysis_id}",
    response_model=ExportResponse,
    responses=problem_responses(404, 422, 503),
    summary="Show an export",
)
async def show_export(
    state: Annotated[State, Depends(get_state)], analysis_id: AnalysisId
) -> ExportResponse:
    """Return an export; its file is there once it is completed."""
    return _export(await run_in_threadpool(get_analysis, state.db, EXPORT, analysis_id))


@router.get(
    "/exports/{analysis_id}/file",
    response_class=FileResponse,
    responses={
        **problem_responses(404, 409, 422, 503),
        200: {
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
            "description": "The file.",
        },
    },
    summary="Download an export",
)
async def download(
    state: Annotated[State, Depends(get_state)], analysis_id: AnalysisId
) -> FileResponse:
    """Return the file of a completed export, as an attachment."""
    found = await run_in_threadpool(get_analysis, state.db, EXPORT, analysis_id)
    if found.status != "completed" or found.file is None:
        raise Problem(409, "EXPORT_NOT_COMPLETED", f"The export is {found.status}.")
    path = Path(state.place.output_dir) / found.file
    if not path.is_file():
        raise Problem(404, "EXPORT_FILE_NOT_FOUND", "The file of this export does not exist.")
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


@router.delete(
    "/exports/{analysis_id}",
    status_code=204,
    response_class=Response,
    responses=problem_responses(404, 422, 503),
    summary="Delete an export",
)
async def delete_export(
    state: Annotated[State, Depends(get_state)], analysis_id: AnalysisId
) -> Response:
    """Delete an export and its file."""
    await run_in_threadpool(remove_export, state, analysis_id)
    return Response(status_code=204)


def _shared(found: AnalysisView) -> dict[str, Any]:
    message = found.error_message
    return {
        "id": found.id,
        "status": found.status,
        "error_code": found.error_code,
        "error_message": None if message is None else without_paths(message),
        "created_at": found.created_at,
        "completed_at": found.completed_at,
        "result": redacted(found.result),
    }


def _comparison(found: AnalysisView) -> ComparisonResponse:
    return ComparisonResponse(**_shared(found), runs=found.run_ids)


def _export(found: AnalysisView) -> ExportResponse:
    return ExportResponse(
        **_shared(found),
        run_kind=found.run_kind,
        run_id=found.run_ids[0],
        format=found.request["format"],
        file_name=None if found.file is None else Path(found.file).name,
    )
