"""Images of runs: lists, details and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from snellen.adapters.errors import ImageError
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.kinds import RunKind
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.serve.api.bodies.image_bodies import (
    ImageQuery,
    TestImageResultListResponse,
    TestImageResultResponse,
)
from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.routes.run_actions import RunId
from snellen.serve.api.runs.pictures import PictureRequest, image_problem
from snellen.serve.api.schemas import MAX_ID
from snellen.serve.api.state import State, get_state
from snellen.store.runs import get_test_run

router = APIRouter(prefix="/inference", tags=["images"])
ImageIndex = Annotated[
    int, PathParameter(ge=0, le=MAX_ID, description="Position of the image in the run, from 0.")
]
Size = Annotated[int, Query(ge=16, le=4096, description="Maximum side in pixels.")]
OverlaySize = Annotated[int, Query(ge=320, le=4096, description="Maximum side in pixels.")]
Revision = Annotated[
    int | None,
    Query(
        ge=0, le=MAX_ID, description="Revision of the run; with it, clients may keep the picture."
    ),
]
IfNoneMatch = Annotated[str | None, Header(description="ETag that the client has.")]
_JPEG: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        "description": "A JPEG.",
    },
    304: {"description": "The client has this picture."},
}
_KEPT = "private, max-age=31536000, immutable"
_STATUSES = (404, 409, 422, 503)


@router.get(
    "/test-runs/{run_id}/images",
    response_model=TestImageResultListResponse,
    responses=problem_responses(404, 409, 422, 503),
    summary="List the images of a test run",
)
async def list_images(
    state: Annotated[State, Depends(get_state)],
    run_id: RunId,
    query: Annotated[ImageQuery, Query()],
) -> TestImageResultListResponse:
    """Return a page of the images that meet every condition, and the counts of all of them."""

    def work() -> TestImageResultListResponse:
        return state.pages.test_images(get_test_run(state.db, run_id), query)

    return await run_in_threadpool(work)


@router.get(
    "/test-runs/{run_id}/images/{image_index}",
    response_model=TestImageResultResponse,
    responses=problem_responses(404, 409, 422, 503),
    summary="Show an image of a test run",
)
async def show_image(
    state: Annotated[State, Depends(get_state)], run_id: RunId, image_index: ImageIndex
) -> TestImageResultResponse:
    """Return the whole result of an image: objects, masks, keypoints and matches, too."""

    def work() -> TestImageResultResponse:
        return state.pages.test_image(get_test_run(state.db, run_id), image_index)

    return await run_in_threadpool(work)


class Side(IntEnum):
    """Sides of small pictures: a few, so that the cache is not filled with one image."""

    TINY = 64
    SMALL = 128
    MEDIUM = 256
    LARGE = 512


ThumbnailSize = Annotated[Side, Query(description="Maximum side in pixels.")]


@dataclass(frozen=True, slots=True)
class _Shown:
    """The image of a picture's request, and what the client knows of the picture."""

    state: State
    run_id: int
    image_index: int
    revision: int | None
    known: str | None


async def _shown(
    state: Annotated[State, Depends(get_state)],
    run_id: RunId,
    image_index: ImageIndex,
    revision: Revision = None,
    if_none_match: IfNoneMatch = None,
) -> _Shown:
    return _Shown(state, run_id, image_index, revision, if_none_match)


Shown = Annotated[_Shown, Depends(_shown)]


async def _send(shown: _Shown, kind: RunKind, request: PictureRequest) -> Response:
    """Respond with a picture, or with 304 to a client that has it."""

    def work() -> Response:
        run = kind.get(shown.state.db, shown.run_id)
        try:
            picture = shown.state.pictures.get(run, shown.image_index, request)
        except ImageError as error:
            raise image_problem(error) from None
        kept = shown.revision is not None and shown.revision == run.revision
        headers = {"ETag": picture.etag, "Cache-Control": _KEPT if kept else "private, no-cache"}
        if shown.known is not None and picture.etag in shown.known:
            return Response(status_code=304, headers=headers)
        return Response(picture.data, media_type="image/jpeg", headers=headers)

    return await to_thread.run_sync(work, limiter=shown.state.drawing)


def _add_pictures(path: str, kind: RunKind) -> None:
    """Add the pictures of a kind of run."""
    prefix = path + "/{run_id}/images/{image_index}"
    common: Any = {
        "response_class": Response,
        "responses": {**problem_responses(*_STATUSES), **_JPEG},
    }

    @router.get(f"{prefix}/picture", summary="Show the picture", **common)
    async def picture(shown: Shown, max_side: Size = 2048) -> Response:
        """Return the upright image as a JPEG."""
        return await _send(shown, kind, PictureRequest("picture", max_side))

    @router.get(f"{prefix}/thumbnail", summary="Show a small picture", **common)
    async def thumbnail(shown: Shown, size: ThumbnailSize = Side.MEDIUM) -> Response:
        """Return the upright image at a small size."""
        return await _send(shown, kind, PictureRequest("thumbnail", int(size)))

    @router.get(f"{prefix}/crop", summary="Show one object", **common)
    async def crop(
        shown: Shown,
        number: Annotated[
            int, Query(alias="object", ge=0, le=100_000, description="Index of the object.")
        ] = 0,
        side: Annotated[
            Literal["true", "predicted"], Query(description="List of the object.")
        ] = "predicted",
        size: ThumbnailSize = Side.MEDIUM,
    ) -> Response:
        """Return the box of an object with a margin."""
        return await _send(shown, kind, PictureRequest("crop", int(size), side, number))

    @router.get(f"{prefix}/overlay", summary="Show the picture with drawn results", **common)
    async def overlay(shown: Shown, max_side: OverlaySize = 1600) -> Response:
        """Return the image with its stored predictions; of a test run with their matches."""
        return await _send(shown, kind, PictureRequest("overlay", max_side))


_add_pictures("/test-runs", EVALUATION)
_add_pictures("/inference-jobs", PREDICTION)
