"""``/``: the list of runs, its rows, and what can be done with them there."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse

from snellen.serve.api.bodies.run_bodies import ResumeRequest
from snellen.serve.api.problems import Problem
from snellen.serve.api.routes.run_actions import delete_with_files, resume_run
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.serve.ui.run_list import Filters, read_list
from snellen.serve.ui.run_rows import KINDS, RunRow, make_row
from snellen.store.jobs import get_training_job
from snellen.store.leases import request_cancel
from snellen.store.run_listing import ListedRun

router = APIRouter(include_in_schema=False)
_TEMPLATE, _ROW, _SECTION = "runs.html", "run_row.html", "Runs"
_MAX_PAGE = 1_000_000
Action = Literal["cancel", "resume"]


@router.get("/")
async def runs(request: Request, state: Annotated[State, Depends(get_state)]) -> HTMLResponse:
    """Show the list of runs."""
    given = request.query_params
    chosen = {name: given[name] for name in Filters.__dataclass_fields__ if name in given}
    page = chosen.pop("page", "1")
    number = min(int(page), _MAX_PAGE) if page.isdecimal() and len(page) < 10 else 1
    prefix = rendering.prefix_of(request)
    found = await run_in_threadpool(read_list, state, Filters(**chosen, page=number), prefix)
    return rendering.page(request, _TEMPLATE, _SECTION, list=found)


@router.get("/ui/rows/{anchor}")
async def row(
    request: Request, state: Annotated[State, Depends(get_state)], anchor: str
) -> HTMLResponse:
    """Return one row, which replaces the one that is shown."""
    found = await run_in_threadpool(_row, state, anchor)
    return rendering.part(request, _ROW, row=found)


@router.post("/ui/rows/{anchor}/{action}")
async def act(
    request: Request,
    state: Annotated[State, Depends(get_state)],
    anchor: str,
    action: Action,
) -> HTMLResponse:
    """Cancel or resume a run; return its row."""
    await run_in_threadpool(_act, state, anchor, action)
    found = await run_in_threadpool(_row, state, anchor)
    return rendering.part(request, _ROW, row=found)


@router.delete("/ui/rows/{anchor}")
async def delete(state: Annotated[State, Depends(get_state)], anchor: str) -> HTMLResponse:
    """Delete a run with its rows and files; nothing takes the place of its row."""

    def work() -> None:
        letter, run_id = _parse(anchor)
        delete_with_files(state, KINDS[letter], run_id, cascade=False)

    await run_in_threadpool(work)
    return HTMLResponse("")


def _parse(anchor: str) -> tuple[str, int]:
    letter, number = anchor[:1], anchor[1:]
    if letter not in KINDS or not number.isdecimal() or len(number) > 18:
        raise Problem(404, "NOT_FOUND", "There is no such run.")
    return letter, int(number)


def _row(state: State, anchor: str) -> RunRow:
    letter, run_id = _parse(anchor)
    kind = KINDS[letter]
    run = kind.get(state.db, run_id)
    job = get_training_job(state.db, run.training_job_id)
    return make_row(ListedRun(kind.name, run, job.name), state.place.roots, state.progress)


def _act(state: State, anchor: str, action: Action) -> None:
    letter, run_id = _parse(anchor)
    kind = KINDS[letter]
    if action == "cancel":
        request_cancel(state.db, kind.name, run_id)
    else:
        resume_run(state, kind, run_id, ResumeRequest())
