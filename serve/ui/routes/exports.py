"""Exports of a run on its page: start one, follow it, delete it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse

from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.serve.api.bodies.catalog_bodies import ExportRequest
from snellen.serve.api.routes.analyses import AnalysisId, remove_export, start_export
from snellen.serve.api.routes.run_actions import RunId
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.serve.ui.export_list import ExportList, read_exports
from snellen.serve.ui.routes.requested_run import filters_of_page
from snellen.serve.ui.run_page.filters import ImageFilters
from snellen.store.runs import get_test_run

router = APIRouter(include_in_schema=False)
_KINDS = {"runs": EVALUATION, "inference-jobs": PREDICTION}
_TEMPLATE = "exports.html"
_CONDITIONS = {
    "class": "true_class",
    "correct": "correct",
    "status": "status",
    "min_confidence": "min_confidence",
}
"""Filter in the query of a page -> condition of an export."""


@dataclass(frozen=True, slots=True)
class _Exported:
    """The run whose exports a request is about."""

    request: Request
    state: State
    kind: str
    run_id: int

    async def list(self, problem: str = "") -> HTMLResponse:
        """Return the exports of the run, and why one was not started."""

        def work() -> ExportList:
            run = _KINDS[self.kind].get(self.state.db, self.run_id)
            return read_exports(self.state, run, problem)

        return rendering.part(self.request, _TEMPLATE, exports=await run_in_threadpool(work))


async def _exported(
    request: Request,
    state: Annotated[State, Depends(get_state)],
    kind: Literal["runs", "inference-jobs"],
    run_id: RunId,
) -> _Exported:
    return _Exported(request, state, kind, run_id)


Exported = Annotated[_Exported, Depends(_exported)]


@router.get("/ui/{kind}/{run_id}/exports")
async def show(exported: Exported) -> HTMLResponse:
    """Return the exports of a run."""
    return await exported.list()


@router.post("/ui/{kind}/{run_id}/exports")
async def start(
    exported: Exported,
    format_name: Annotated[str, Form(alias="format", max_length=50)],
    min_confidence: Annotated[str, Form(max_length=20)] = "",
    listed: Annotated[bool, Form()] = False,
) -> HTMLResponse:
    """Put an export in the queue; return the exports of the run."""
    given: dict[str, Any] = {"format": format_name}
    if listed:
        run = await run_in_threadpool(get_test_run, exported.state.db, exported.run_id)
        conditions = conditions_of(filters_of_page(exported.request, run))
        if isinstance(conditions, str):
            return await exported.list(conditions)
        given |= conditions
    if min_confidence:
        given["min_confidence"] = min_confidence
    body, kind = ExportRequest.model_validate(given), _KINDS[exported.kind]
    await run_in_threadpool(start_export, exported.state, kind, exported.run_id, body)
    return await exported.list()


def conditions_of(filters: ImageFilters) -> dict[str, Any] | str:
    """Return the conditions of an export that selects what a list shows, or why there are none."""
    others = [chip.label for chip in filters.chips if chip.name not in _CONDITIONS]
    if filters.is_objects or others:
        known = "class, correct, status and minimum confidence of images"
        found = ", ".join(others) or "objects"
        return f"An export cannot select what the list shows: {found}. Expected {known}."
    return {name: filters.shown(name) for name in _CONDITIONS.values() if filters.shown(name)}


@router.delete("/ui/{kind}/{run_id}/exports/{analysis_id}")
async def delete(exported: Exported, analysis_id: AnalysisId) -> HTMLResponse:
    """Delete an export and its file; return the others."""
    await run_in_threadpool(remove_export, exported.state, analysis_id)
    return await exported.list()
