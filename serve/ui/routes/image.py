"""``/runs/{run}/images/{index}``: one image with ground truth, predictions and matches."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from snellen.serve.api.problems import Problem
from snellen.serve.ui import rendering
from snellen.serve.ui.routes.requested_run import View, Viewed, known_list
from snellen.serve.ui.run_page.image_detail import read_detail

router = APIRouter(include_in_schema=False)
_LONGEST_INDEX = 9


@router.get("/runs/{ref}/images/{index}")
async def show(view: View, index: str) -> HTMLResponse:
    """Show an image of a run; the query is that of the list one came from."""
    if not index.isdecimal() or len(index) > _LONGEST_INDEX:
        raise Problem(404, "IMAGE_NOT_FOUND", "The run has no such image.")
    values = await run_in_threadpool(_page, view, int(index))
    return rendering.page(view.request, "image.html", "Runs", **values)


def _page(view: Viewed, number: int) -> dict[str, Any]:
    opened = view.state.pages.open(view.run)
    filters = known_list(view, opened)
    detail = read_detail(view.state, opened, number, (filters, view.objects))
    return {"detail": detail, "path": f"/runs/{view.run.id}"}
