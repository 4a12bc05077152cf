"""Pictures of the images of a run: whole, small, one object, or with drawn objects.

The bytes of an image file are never sent: they are decoded and encoded again, so that nothing that
hides in a file reaches a browser.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from snellen.adapters.errors import ErrorCode, ImageError
from snellen.analysis.drawing import RunImages
from snellen.analysis.reader import owner_of
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME, ManifestReader
from snellen.pipelines.data.sources.file_listing import unescape_id
from snellen.pipelines.runs.finish import results_folder
from snellen.pipelines.storage.address import is_remote
from snellen.pipelines.visualization.canvas import Pixels
from snellen.pipelines.visualization.encode import encode_jpeg
from snellen.serve.api.allowed_roots import InsideRoots
from snellen.serve.api.problems import Problem
from snellen.serve.api.runs.images import OpenedRun, RunPages
from snellen.serve.api.runs.picture_cache import PictureCache
from snellen.serve.api.runs.request_settings import Place
from snellen.serve.api.runs.row_reader import Row
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
from snellen.store.runs import run_keys
from snellen.store.views import AnyRun, InferenceJobView, RunView

QUALITY = 88
_MARGIN = 0.15
_WITHOUT_OBJECTS = ("image_index", "content_hash")
"""Columns of a row whose objects are not drawn."""


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """A picture of one image.

    Attributes:
        variant: ``picture``, ``thumbnail``, ``crop`` or ``overlay``.
        size: maximum side in pixels.
        side: ``true`` or ``predicted``: the objects of a crop.
        number: index of the object of a crop.
    """

    variant: str
    size: int
    side: str = "predicted"
    number: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG, and the tag that changes with it."""

    data: bytes
    etag: str


class Pictures:
    """Makes pictures, or finds them in the cache. Safe to share between threads."""

    def __init__(self, place: Place, pages: RunPages, cache: PictureCache) -> None:
        self._place = place
        self._pages = pages
        self._cache = cache

    def get(self, run: AnyRun, image_index: int, request: PictureRequest) -> Picture:
        """Return a picture of an image of a run.

        Raises:
            InputError: IMAGE_NOT_FOUND.
            ImageError: the image cannot be read or decoded, or has changed since.
            Problem: 403, the image is outside of the dataset and of the roots; 404, there is no
                such object.
        """
        opened = self._pages.open(run)
        with_objects = request.variant in {"overlay", "crop"}
        columns = None if with_objects else _WITHOUT_OBJECTS
        (row,) = self._pages.rows(opened, [image_index], columns)
        of_run = _group(run)
        drawn = (run.revision, opened.key[4]) if with_objects else ()
        key = repr((of_run, image_index, row.get("content_hash"), drawn, request))
        data = self._cache.get(repr(of_run), key, lambda: self._make(opened, row, request))
        return Picture(data, f'"{hash_of(key)}"')

    def forget(self, run: AnyRun) -> None:
        """Delete the pictures of a run that are in the cache."""
        self._cache.forget(repr(_group(run)))

    def forget_deleted(self) -> None:
        """Delete the pictures of runs that another process has deleted."""
        kinds = {TEST_RUN: RunView, INFERENCE_JOB: InferenceJobView}
        existing = [
            repr(_key(*key, view))
            for kind, view in kinds.items()
            for key in run_keys(self._place.db, kind)
        ]
        self._cache.forget_others(existing)

    def _make(self, opened: OpenedRun, row: Row, request: PictureRequest) -> bytes:
        run = opened.run
        self._check_place(run, row["image_index"])
        images = RunImages(self._place.db, run)
        if request.variant == "overlay":
            return encode_jpeg(images.draw(row, max_side=request.size), QUALITY)
        preview = request.size if request.variant == "thumbnail" else None
        pixels = images.decode(row, preview).pixels
        if request.variant == "crop":
            pixels = _cropped(pixels, row, request)
        return encode_jpeg(_shrunk(pixels, request.size), QUALITY)

    def _check_place(self, run: AnyRun, image_index: int) -> None:
        """Reject an image that a manifest names outside of its dataset and of the roots."""
        reader = ManifestReader(results_folder(owner_of(self._place.db, run)) / MANIFEST_NAME)
        place = reader.read(image_index, image_index + 1)["location"][0].as_py()
        location = unescape_id(place)
        if is_remote(location):
            return
        if not InsideRoots((reader.root, *self._place.roots))(Path(location)):
            raise Problem(
                403,
                "PATH_FORBIDDEN",
                "The image is outside of its dataset and of the configured roots (roots).",
            )


def _group(run: AnyRun) -> tuple[int, str, str]:
    """Identify a run. A number of another database may be the same; a time hardly ever is."""
    return _key(run.id, run.created_at, type(run))


def _key(run_id: int, created_at: datetime, view: type[AnyRun]) -> tuple[int, str, str]:
    return (run_id, created_at.isoformat(), view.__name__)


def hash_of(key: str) -> str:
    """Return a short hash of a key, for an ETag."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def image_problem(error: ImageError) -> Problem:
    """Return the problem of an image that cannot be shown."""
    detail = _DETAILS.get(error.code, "The image cannot be decoded.")
    return Problem(
        _STATUS.get(error.code, 422), f"IMAGE_{error.code}", detail, stage=str(error.stage)
    )


_STATUS: dict[ErrorCode, int] = {
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CHANGED: 409,
    ErrorCode.PATH_ESCAPE: 403,
    ErrorCode.IO: 409,
}
_DETAILS: dict[ErrorCode, str] = {
    ErrorCode.NOT_FOUND: "The image file does not exist any more.",
    ErrorCode.CHANGED: "The image file has changed since the run.",
    ErrorCode.PATH_ESCAPE: "The image is outside of its dataset.",
    ErrorCode.IO: "The image file cannot be read.",
}


def _shrunk(pixels: Pixels, size: int) -> Pixels:
    height, width = pixels.shape[:2]
    if max(height, width) <= size:
        return pixels
    scale = size / max(height, width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(shape, Image.Resampling.LANCZOS))


def _cropped(pixels: Pixels, row: Row, request: PictureRequest) -> Pixels:
    boxes: list[dict[str, Any]] = row.get(f"{request.side}_boxes") or []
    if request.number >= len(boxes):
        raise Problem(
            404, "OBJECT_NOT_FOUND", f"The image has {len(boxes)} {request.side} objects."
        )
    height, width = pixels.shape[:2]
    left, top, right, bottom = crop_area(boxes[request.number], width, height)
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def crop_area(box: Mapping[str, float], width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the part of an image that shows a box with a margin.

    Args:
        box: x1, y1, x2, y2 in pixels.
        width, height: of the image in pixels.

    Example:
        >>> crop_area({"x1": 10, "y1": 10, "x2": 30, "y2": 20}, width=100, height=22)
        (7, 7, 33, 22)
    """
    margin = _MARGIN * max(box["x2"] - box["x1"], box["y2"] - box["y1"])
    left = min(max(0, math.floor(box["x1"] - margin)), width - 1)
    top = min(max(0, math.floor(box["y1"] - margin)), height - 1)
    right = max(left + 1, min(width, math.ceil(box["x2"] + margin)))
    bottom = max(top + 1, min(height, math.ceil(box["y2"] + margin)))
    return left, top, right, bottom
