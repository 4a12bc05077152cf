"""Reviews as the pages show them: of a dataset, and of one image of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import polars as pl

from snellen.metrics.classification.confusion import unique_names
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.runs.row_reader import Row
from snellen.serve.api.state import State
from snellen.serve.ui.review.suspect_queue import MAX_REVIEWS
from snellen.serve.ui.run_page.tiles import thumbnail
from snellen.store.kinds import TEST_RUN
from snellen.store.run_listing import ListQuery, list_runs
from snellen.store.service.reviews import ReviewView, list_reviews
from snellen.store.views import RunView

PAGE_ROWS = 50
_MAX_RUNS = 500
STATUSES = {"wrong_label": "Wrong label", "unclear": "Unclear", "fixed": "Fixed"}
"""Statuses and their labels."""
ANY = "any"
"""Stands for all reviewed images in the form of exports."""


@dataclass(frozen=True, slots=True)
class ReviewFilters:
    """The query of the list of reviews."""

    run: str = ""
    status: str = ""
    text: str = ""
    page: int = 1

    def address(self, **changes: Any) -> str:
        """Return the query with some values changed; defaults are left out."""
        values = {"run": self.run, "status": self.status, "text": self.text, "page": 1, **changes}
        given = {name: value for name, value in values.items() if value not in ("", 1)}
        return f"?{urlencode(given)}" if given else ""


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A review for the template.

    Attributes:
        review: its row.
        index: of the image in the run that is chosen; None if it is not known.
        picture: path of a thumbnail; empty without.
    """

    review: ReviewView
    index: int | None
    picture: str

    @property
    def status(self) -> str:
        """Return the status in words."""
        return STATUSES[self.review.status]

    @property
    def target(self) -> str:
        """Return what the review is about."""
        if self.review.kind == "object":
            return f"object {self.review.true_index}"
        return "a box" if self.review.kind == "box" else "image"


@dataclass(frozen=True, slots=True)
class ReviewList:
    """A page of reviews.

    Attributes:
        counts: number of reviews of each status, with the other filters.
    """

    filters: ReviewFilters
    rows: list[ReviewRow]
    total: int
    counts: dict[str, int]

    @property
    def pages(self) -> int:
        """Return the number of pages."""
        return max(1, -(-self.total // PAGE_ROWS))

    @property
    def statuses(self) -> list[tuple[str, str, int]]:
        """Return the choices of statuses: value, label and number."""
        every = ("", "All", sum(self.counts.values()))
        return [every, *((key, label, self.counts[key]) for key, label in STATUSES.items())]


def reviewable_runs(state: State) -> list[tuple[int, str]]:
    """Return the completed test runs whose images can be reviewed, newest first: id and label."""
    query = ListQuery(kind=TEST_RUN, status="completed")
    entries = list_runs(state.db, query, limit=_MAX_RUNS)
    return [(one.run.id, f"{one.run.id} · {one.run.name or one.job_name}") for one in entries]


def read_reviews(
    state: State, run: RunView | None, dataset: str | None, filters: ReviewFilters
) -> ReviewList:
    """Read a page of reviews, newest first.

    Args:
        state: of the service.
        run: on whose dataset they are, for links and pictures; None for all datasets.
        dataset: fingerprint of its dataset.
        filters: status, text and page; a status that does not exist is no condition.
    """
    where: dict[str, Any] = {"dataset": dataset}
    text = filters.text or None
    counts = {
        status: list_reviews(state.db, where | {"status": status}, limit=0, offset=0, text=text)[0]
        for status in STATUSES
    }
    status = filters.status if filters.status in STATUSES else ""
    total = counts[status] if status else sum(counts.values())
    page = min(max(filters.page, 1), max(1, -(-total // PAGE_ROWS)))
    found = list_reviews(
        state.db,
        where | {"status": status or None},
        limit=PAGE_ROWS,
        offset=(page - 1) * PAGE_ROWS,
        text=text,
    )[1]
    places = {} if run is None else _places(state.pages.open(run), {one.image_id for one in found})
    used = ReviewFilters(filters.run, status, filters.text, page)
    return ReviewList(used, [_row(run, places, one) for one in found], total, counts)


def _row(run: RunView | None, places: Mapping[str, int], review: ReviewView) -> ReviewRow:
    index = places.get(review.image_id)
    picture = "" if run is None or index is None else thumbnail(run, index)
    return ReviewRow(review, index, picture)


def _places(opened: OpenedRun, names: set[str]) -> dict[str, int]:
    """Return the indices of images by their ids."""
    rows = opened.results.lazy(["image_id", "image_index"])
    found = rows.filter(pl.col("image_id").is_in(list(names))).collect()
    return dict(zip(found["image_id"].to_list(), found["image_index"].to_list(), strict=True))


def reviewed_images(state: State, run: RunView, dataset: str, status: str) -> list[int]:
    """Return the indices of the images of a run that have a review, in their order.

    Args:
        state: of the service.
        run: the run.
        dataset: fingerprint of its dataset.
        status: of the reviews, or `ANY`.
    """
    where = {"dataset": dataset, "status": None if status == ANY else status}
    found = list_reviews(state.db, where, limit=MAX_REVIEWS, offset=0)[1]
    return sorted(_places(state.pages.open(run), {one.image_id for one in found}).values())


@dataclass(frozen=True, slots=True)
class ImageReviews:
    """The reviews of one image, and what a new one can be about.

    Attributes:
        run_id, index: the image.
        rows: its reviews, newest first.
        targets: value and label of the image and of its true objects.
    """

    run_id: int
    index: int
    rows: list[ReviewRow]
    targets: list[tuple[str, str]]

    @property
    def path(self) -> str:
        """Return the path of the part."""
        return f"/ui/runs/{self.run_id}/images/{self.index}/reviews"


def image_reviews(state: State, run: RunView, dataset: str, row: Row) -> ImageReviews:
    """Read the reviews of an image; ``row`` is its result row."""
    where = {"dataset": dataset, "image_id": row["image_id"]}
    found = list_reviews(state.db, where, limit=1000, offset=0)[1]
    names = unique_names(run.class_names or ())
    objects = [
        (str(number), f"object {number}: {names[box['class_id']]}")
        for number, box in enumerate(row.get("true_boxes") or ())
    ]
    index = row["image_index"]
    rows = [ReviewRow(one, index, "") for one in found]
    return ImageReviews(run.id, index, rows, [("", "Whole image"), *objects])
