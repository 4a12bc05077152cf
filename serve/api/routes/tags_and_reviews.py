"""``/inference/tags`` and ``/inference/reviews``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from snellen.serve.api.bodies.catalog_bodies import (
    ReviewChange,
    ReviewListResponse,
    ReviewRequest,
    ReviewResponse,
    ReviewStatus,
    TagListResponse,
    TagRequest,
    TagResponse,
)
from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.problems import Problem
from snellen.serve.api.runs.dataset_fingerprint import dataset_fingerprint
from snellen.serve.api.schemas import MAX_ID, Id
from snellen.serve.api.state import State, get_state
from snellen.store.kinds import TEST_RUN
from snellen.store.runs import get_test_run
from snellen.store.service.reviews import (
    ReviewView,
    add_review,
    change_review,
    delete_review,
    list_reviews,
)
from snellen.store.tags import all_tags, remove_tag, set_tag

router = APIRouter(prefix="/inference", tags=["tags and reviews"])
ReviewId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of the review.")]


@router.get(
    "/tags",
    response_model=TagListResponse,
    responses=problem_responses(422, 503),
    summary="List tags",
)
async def list_tags(state: Annotated[State, Depends(get_state)]) -> TagListResponse:
    """Return the tags of test runs by name."""

    def work() -> TagListResponse:
        tags = [
            TagResponse(name=name, run_id=run_id) for name, run_id in all_tags(state.db, TEST_RUN)
        ]
        return TagListResponse(total_count=len(tags), tags=tags)

    return await run_in_threadpool(work)


@router.post(
    "/tags",
    response_model=TagResponse,
    responses=problem_responses(404, 408, 413, 422, 503),
    summary="Set a tag",
)
async def tag(state: Annotated[State, Depends(get_state)], body: TagRequest) -> TagResponse:
    """Point a tag to a test run; one that exists is moved."""

    def work() -> TagResponse:
        run = get_test_run(state.db, body.run_id)
        set_tag(state.db, TEST_RUN, run.id, body.name)
        return TagResponse(name=body.name, run_id=run.id)

    return await run_in_threadpool(work)


@router.delete(
    "/tags/{name}",
    status_code=204,
    response_class=Response,
    responses=problem_responses(404, 422, 503),
    summary="Remove a tag",
)
async def untag(
    state: Annotated[State, Depends(get_state)],
    name: Annotated[str, PathParameter(min_length=1, max_length=200, description="Its name.")],
) -> Response:
    """Remove a tag; its run stays."""
    await run_in_threadpool(remove_tag, state.db, TEST_RUN, name)
    return Response(status_code=204)


@router.get(
    "/reviews",
    response_model=ReviewListResponse,
    responses=problem_responses(404, 409, 422, 503),
    summary="List reviews",
)
async def list_all_reviews(
    state: Annotated[State, Depends(get_state)],
    run_id: Annotated[Id | None, Query(description="Test run whose dataset is reviewed.")] = None,
    image_id: Annotated[
        str | None, Query(max_length=4096, description="Id of the image in the dataset.")
    ] = None,
    status: Annotated[ReviewStatus | None, Query(description="State of the label.")] = None,
    skip: Annotated[int, Query(ge=0, le=MAX_ID, description="Number of reviews to skip.")] = 0,
) -> ReviewListResponse:
    """Return a page of up to 1,000 reviews, newest first; of all runs on the same images."""

    def work() -> ReviewListResponse:
        where: dict[str, Any] = {"image_id": image_id, "status": status}
        if run_id is not None:
            where["dataset"] = dataset_fingerprint(state.db, get_test_run(state.db, run_id))
        total, found = list_reviews(state.db, where, limit=1000, offset=skip)
        return ReviewListResponse(total_count=total, reviews=[_response(one) for one in found])

    return await run_in_threadpool(work)


@router.post(
    "/reviews",
    response_model=ReviewResponse,
    status_code=201,
    responses=problem_responses(404, 408, 409, 413, 422, 503),
    summary="Add a review",
)
async def review(
    state: Annotated[State, Depends(get_state)], body: ReviewRequest
) -> ReviewResponse:
    """Store a note on the ground truth of an image, one of its objects, or a box."""
    return _response(await run_in_threadpool(add_run_review, state, body))


@router.put(
    "/reviews/{review_id}",
    response_model=ReviewResponse,
    responses=problem_responses(404, 408, 413, 422, 503),
    summary="Change a review",
)
async def change(
    state: Annotated[State, Depends(get_state)], review_id: ReviewId, body: ReviewChange
) -> ReviewResponse:
    """Change the status or the note of a review."""

    def work() -> ReviewResponse:
        columns = body.model_dump(exclude_unset=True)
        return _response(change_review(state.db, review_id, columns))

    return await run_in_threadpool(work)


@router.delete(
    "/reviews/{review_id}",
    status_code=204,
    response_class=Response,
    responses=problem_responses(404, 422, 503),
    summary="Delete a review",
)
async def delete(state: Annotated[State, Depends(get_state)], review_id: ReviewId) -> Response:
    """Delete a review."""
    await run_in_threadpool(delete_review, state.db, review_id)
    return Response(status_code=204)


def add_run_review(state: State, body: ReviewRequest) -> ReviewView:
    """Store a review of an image of a test run.

    Raises:
        Problem: 422, what it is about does not fit its kind; 404, there is no such object.
        InputError: RUN_NOT_FOUND, IMAGE_NOT_FOUND.
    """
    if (body.kind == "object") != (body.true_index is not None):
        raise Problem(422, "VALIDATION", "true_index: expected with kind 'object', and only there.")
    if (body.kind == "box") != (body.box is not None):
        raise Problem(422, "VALIDATION", "box: expected with kind 'box', and only there.")
    run = get_test_run(state.db, body.run_id)
    row = state.pages.row(state.pages.open(run), body.image_index)
    if body.true_index is not None and body.true_index >= len(row["true_boxes"] or ()):
        raise Problem(404, "OBJECT_NOT_FOUND", "The image has no such true object.")
    columns = {
        "dataset": dataset_fingerprint(state.db, run),
        "image_id": row["image_id"],
        **body.model_dump(exclude={"run_id", "image_index"}),
    }
    return add_review(state.db, columns)


def _response(found: ReviewView) -> ReviewResponse:
    fields = ReviewResponse.model_fields
    return ReviewResponse(**{name: getattr(found, name) for name in fields})
