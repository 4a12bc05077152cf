"""``/review``: notes on labels, and the suspect labels of a run one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Form, Query
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from snellen.adapters.errors import SnellenError
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.serve.api.bodies.catalog_bodies import (
    ExportRequest,
    ReviewRequest,
    ReviewStatus,
)
from snellen.serve.api.problems import Problem, problem_from_error
from snellen.serve.api.routes.analyses import start_export
from snellen.serve.api.routes.run_actions import RunId
from snellen.serve.api.routes.tags_and_reviews import ReviewId, add_run_review
from snellen.serve.api.schemas import MAX_ID
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.serve.ui.export_list import read_exports
from snellen.serve.ui.review.review_rows import (
    ANY,
    STATUSES,
    ImageReviews,
    ReviewFilters,
    image_reviews,
    read_reviews,
    reviewable_runs,
    reviewed_images,
)
from snellen.serve.ui.review.suspect_queue import (
    KIND_LABELS,
    QueuedSuspect,
    SuspectQueues,
    listed,
    queue_query,
    read_place,
    review_of,
    target_of,
)
from snellen.store.runs import get_test_run
from snellen.store.service.reviews import change_review, delete_review, list_reviews
from snellen.store.views import RunView

router = APIRouter(include_in_schema=False)
_SECTION = "Review"
_MAX_PLACE = 10_000_000
ImageIndex = Annotated[int, PathParameter(ge=0, le=MAX_ID)]
Word = Annotated[str, Query(max_length=500)]
Text = Annotated[str, Field(max_length=10_000)]


class _Decision(BaseModel):
    """The decision on an entry of the queue."""

    run: Annotated[int, Field(ge=1, le=MAX_ID)]
    status: ReviewStatus
    kind: Text = ""
    place: Text = "1"
    note: Text = ""


class _ReviewExport(BaseModel):
    """An export of the images of a run whose reviews have a status."""

    run: Annotated[int, Field(ge=1, le=MAX_ID)]
    format: Text
    status: ReviewStatus | Literal["any"] = "any"


class _NewReview(BaseModel):
    """A review of an image, or of the true object with an index."""

    status: ReviewStatus
    target: Text = ""
    note: Text = ""


def attach(app: FastAPI) -> None:
    """Give the application the queues that its pages share."""
    app.state.queues = SuspectQueues(app.state.snellen.db)


@dataclass(frozen=True, slots=True)
class _Reviewing:
    """A request, with what the pages of reviews need."""

    request: Request
    state: State
    queues: SuspectQueues

    def run(self, ref: str) -> RunView:
        """Return a test run by id, tag or name."""
        return get_test_run(self.state.db, ref)


async def _reviewing(request: Request, state: Annotated[State, Depends(get_state)]) -> _Reviewing:
    return _Reviewing(request, state, request.app.state.queues)


Reviewing = Annotated[_Reviewing, Depends(_reviewing)]


@router.get("/review")
async def show(
    view: Reviewing, run: Word = "", status: Word = "", text: Word = "", page: Word = "1"
) -> HTMLResponse:
    """Show the reviews, of one dataset or of all."""
    number = int(page) if page.isdecimal() and len(page) < 8 else 1
    filters = ReviewFilters(run, status, text.strip(), number)

    def work() -> dict[str, Any]:
        chosen = view.run(run) if run else None
        dataset = None if chosen is None else view.queues.dataset(chosen)
        return {
            "run": chosen,
            "list": read_reviews(view.state, chosen, dataset, filters),
            "choices": reviewable_runs(view.state),
            "exports": None if chosen is None else read_exports(view.state, chosen),
            "problem": "",
            "statuses": STATUSES,
        }

    return rendering.page(view.request, "review.html", _SECTION, **await run_in_threadpool(work))


@router.get("/ui/review/exports")
async def exports(view: Reviewing, run: Word) -> HTMLResponse:
    """Return the exports of a run, with a form for its reviewed images."""
    return await _exports(view, run)


@router.post("/ui/review/exports")
async def export(view: Reviewing, form: Annotated[_ReviewExport, Form()]) -> HTMLResponse:
    """Put an export of the reviewed images of a run in the queue; return its exports."""

    def work() -> str:
        run = view.run(str(form.run))
        images = reviewed_images(view.state, run, view.queues.dataset(run), form.status)
        if not images:
            return "No image of the run has such a review."
        body = ExportRequest.model_validate({"format": form.format, "images": images})
        start_export(view.state, EVALUATION, run.id, body)
        return ""

    return await _exports(view, str(form.run), await run_in_threadpool(work), form.status)


@router.get("/review/suspects")
async def suspects(view: Reviewing, run: Word, kind: Word = "", place: Word = "1") -> HTMLResponse:
    """Show a suspect label; the search follows the page if it has not been done."""
    chosen = await run_in_threadpool(view.run, run)
    values: dict[str, Any] = {"run": chosen, "query": _query(chosen, kind, place), "one": None}
    if view.queues.is_ready(chosen):
        values |= await run_in_threadpool(_place, view, chosen, kind, place)
        return rendering.page(view.request, "suspects.html", _SECTION, ready=True, **values)
    return rendering.page(view.request, "suspects.html", _SECTION, ready=False, **values)


@router.get("/ui/review/suspects")
async def search(view: Reviewing, run: Word, kind: Word = "", place: Word = "1") -> HTMLResponse:
    """Search for suspect labels; return the one at a place."""
    try:
        chosen = await run_in_threadpool(view.run, run)
        values = await run_in_threadpool(_place, view, chosen, kind, place)
    except SnellenError as error:
        problem = problem_from_error(error)
        return rendering.part(view.request, "single_problem.html", problem=problem)
    return rendering.part(view.request, "suspect.html", run=chosen, **values)


@router.post("/review/suspects")
async def decide(view: Reviewing, form: Annotated[_Decision, Form()]) -> Response:
    """Store a review of the suspect label at a place, and go on to the next one."""
    # An empty field of a form counts as absent, but an emptied note is meant to go.
    has_note = "note" in await view.request.form()

    def work() -> str:
        chosen, kind, note = view.run(str(form.run)), _kind(form.kind), form.note.strip() or None
        found = listed(view.queues.of(chosen), kind)
        at = _number(form.place)
        if not 0 <= at < len(found):
            raise Problem(404, "SUSPECT_NOT_FOUND", "There is no such suspect label.")
        suspect = found[at]
        where = {"dataset": view.queues.dataset(chosen), "image_id": suspect.image_id}
        known = review_of(list_reviews(view.state.db, where, limit=1000, offset=0)[1], suspect)
        if known is not None:
            changes = {"status": form.status, **({"note": note} if has_note else {})}
            change_review(view.state.db, known.id, changes)
        else:
            body = {"run_id": chosen.id, "image_index": suspect.image_index, "note": note}
            body |= {"status": form.status, **target_of(suspect)}
            add_run_review(view.state, ReviewRequest.model_validate(body))
        return queue_query(chosen.id, min(at + 1, len(found) - 1), kind)

    query = await run_in_threadpool(work)
    return RedirectResponse(f"{rendering.prefix_of(view.request)}/review/suspects{query}", 303)


@router.get("/ui/runs/{run_id}/images/{index}/reviews")
async def of_image(view: Reviewing, run_id: RunId, index: ImageIndex) -> HTMLResponse:
    """Return the reviews of an image, with a form for another one."""
    return await _image_part(view, run_id, index)


@router.post("/ui/runs/{run_id}/images/{index}/reviews")
async def add(
    view: Reviewing, run_id: RunId, index: ImageIndex, form: Annotated[_NewReview, Form()]
) -> HTMLResponse:
    """Store a review of an image or of one of its objects."""
    body = {
        "run_id": run_id,
        "image_index": index,
        "kind": "object" if form.target else "image",
        "true_index": form.target or None,
        "status": form.status,
        "note": form.note.strip() or None,
    }
    await run_in_threadpool(add_run_review, view.state, ReviewRequest.model_validate(body))
    return await _image_part(view, run_id, index)


@router.post("/ui/reviews/{review_id}")
async def change(
    view: Reviewing, review_id: ReviewId, status: Annotated[ReviewStatus, Form()]
) -> Response:
    """Change the status of a review; the page loads again."""
    await run_in_threadpool(change_review, view.state.db, review_id, {"status": status})
    return Response(status_code=204, headers={"HX-Refresh": "true"})


@router.delete("/ui/reviews/{review_id}")
async def delete(view: Reviewing, review_id: ReviewId) -> Response:
    """Delete a review; the page loads again."""
    await run_in_threadpool(delete_review, view.state.db, review_id)
    return Response(status_code=204, headers={"HX-Refresh": "true"})


async def _exports(
    view: _Reviewing, run: str, problem: str = "", chosen: str = ANY
) -> HTMLResponse:
    def work() -> dict[str, Any]:
        found = view.run(run)
        return {"run": found, "exports": read_exports(view.state, found)}

    values = await run_in_threadpool(work)
    values |= {"problem": problem, "chosen": chosen, "statuses": STATUSES}
    return rendering.part(view.request, "review_exports.html", **values)


async def _image_part(view: _Reviewing, run_id: int, index: int) -> HTMLResponse:
    def work() -> ImageReviews:
        run = get_test_run(view.state.db, run_id)
        row = view.state.pages.row(view.state.pages.open(run), index)
        return image_reviews(view.state, run, view.queues.dataset(run), row)

    found = await run_in_threadpool(work)
    return rendering.part(view.request, "review_form.html", reviews=found, statuses=STATUSES)


def _place(view: _Reviewing, run: RunView, kind: str, place: str) -> dict[str, Any]:
    kind = _kind(kind)
    one: QueuedSuspect | None = read_place(view.state, view.queues, run, kind, _number(place))
    suspects = view.queues.of(run)
    counts = {name: len(listed(suspects, name)) for name in KIND_LABELS}
    kinds = [("", "All", len(suspects.found))]
    kinds += [(name, KIND_LABELS[name], number) for name, number in counts.items()]
    links = [(name, label, number, queue_query(run.id, 0, name)) for name, label, number in kinds]
    return {"one": one, "kinds": links, "kind": kind, "found": suspects, "statuses": STATUSES}


def _query(run: RunView, kind: str, place: str) -> str:
    return queue_query(run.id, _number(place), _kind(kind))


def _kind(word: str) -> str:
    return word if word in KIND_LABELS else ""


def _number(place: str) -> int:
    """Return a place from 0; the first one for what is no number from 1."""
    known = place.isdecimal() and len(place) < 9
    return min(max(int(place) - 1, 0), _MAX_PLACE) if known else 0
