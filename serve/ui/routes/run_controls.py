"""Routes that the pages of test runs and of inference jobs share: progress, cancel, delete."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from snellen.pipelines.runs.kinds import RunKind
from snellen.serve.api.bodies.run_bodies import ResumeRequest
from snellen.serve.api.problems import Problem
from snellen.serve.api.routes.run_actions import delete_with_files, resume_run
from snellen.serve.api.runs.progress import ENDED
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.store.leases import request_cancel

_LONGEST_ID = 18
Action = Literal["cancel", "resume", "retry"]
Shared = Annotated[State, Depends(get_state)]


async def find_run(state: State, kind: RunKind, ref: str) -> Any:
    """Return the run with an id, a tag or a name.

    Raises:
        Problem: 404, an id that no database can have.
        InputError: RUN_NOT_FOUND.
    """
    if ref.isdecimal() and len(ref) > _LONGEST_ID:
        raise Problem(404, "RUN_NOT_FOUND", f"There is no such {kind.words.noun}.")
    return await run_in_threadpool(kind.get, state.db, ref)


def add_controls(router: APIRouter, path: str, kind: RunKind) -> None:
    """Add the routes of a kind of run to a router.

    Args:
        router: the router.
        path: of the parts, such as ``/ui/runs``.
        kind: the kind of run.
    """

    @router.get(path + "/{ref}/live")
    async def live(request: Request, state: Shared, ref: str) -> HTMLResponse:
        """Return the progress of a run; once it has ended, the page loads again."""
        run = await find_run(state, kind, ref)
        now = await run_in_threadpool(state.progress.of, kind, run.id)
        response = rendering.part(request, "run_live.html", now=now, page=run)
        if now.status in ENDED:
            response.headers["HX-Refresh"] = "true"
        return response

    @router.post(path + "/{ref}/{action}")
    async def act(state: Shared, ref: str, action: Action) -> Response:
        """Cancel a run, resume it, or score its failed images again; the page loads again."""
        run = await find_run(state, kind, ref)

        def work() -> None:
            if action == "cancel":
                request_cancel(state.db, kind.name, run.id)
            else:
                again = ResumeRequest(retry_failed=action == "retry")
                resume_run(state, kind, run.id, again)

        await run_in_threadpool(work)
        return Response(status_code=204, headers={"HX-Refresh": "true"})

    @router.delete(path + "/{ref}")
    async def delete(request: Request, state: Shared, ref: str) -> Response:
        """Delete a run with its rows and files; the list of runs takes its place."""
        run = await find_run(state, kind, ref)
        await run_in_threadpool(delete_with_files, state, kind, run.id, cascade=False)
        address = f"{rendering.prefix_of(request)}/"
        return Response(status_code=204, headers={"HX-Redirect": address})
