"""The query of a run's page: the list of images or objects that is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from snellen.adapters.errors import ConfigError
from snellen.metrics.class_filter import BACKGROUND, BACKGROUND_ONLY, choose_class
from snellen.metrics.detection.tide import BUCKETS
from snellen.serve.api.runs.image_index import Selection
from snellen.serve.ui.formats import shortest
from snellen.store.parquet.results import SORTABLE

PAGE_TILES = 60
IMAGES, OBJECTS = "images", "objects"
MATCHES = {
    "TP": "True positives", "FP": "False positives", "FN": "False negatives", "IGNORED": "Ignored",
}  # fmt: skip
OBJECT_SORTS = ("confidence", "overlap")
_MAX_TEXT, _MAX_PAGE = 500, 10_000_000
QUERY = {
    "view": "view", "class": "true_class", "predicted_class": "predicted_class", "match": "match",
    "correct": "correct", "min_confidence": "min_confidence", "max_confidence": "max_confidence",
    "status": "status", "error_code": "error_code", "slice_by": "slice_by", "slice": "slice_value",
    "text": "text", "bucket": "bucket", "true": "cell_true", "predicted": "cell_predicted",
    "at": "at", "sort": "sort", "page": "page",
}  # fmt: skip
"""Name in the query -> attribute."""
_LABELS = {
    "true_class": "Class", "predicted_class": "Predicted", "match": "Match", "correct": "Correct",
    "min_confidence": "Confidence ≥", "max_confidence": "Confidence ≤", "status": "Status",
    "error_code": "Error", "slice_value": "Slice", "text": "Text", "bucket": "Bucket",
    "cell_true": "Ground truth", "cell_predicted": "Prediction", "at": "Threshold",
}  # fmt: skip
_OF_CELLS = ("bucket", "cell_true", "cell_predicted")
_OF_IMAGES = ("correct", "status", "error_code")


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is set.

    Attributes:
        name: in the query.
        label, value: for people.
        without: query of the list without it.
    """

    name: str
    label: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class ImageFilters:
    """The conditions, the order and the page; what makes no sense in a query is left out.

    Attributes:
        names: K unique class names.
        view: ``images`` or ``objects``.
        true_class, predicted_class: class ids.
        cell_true, cell_predicted: class ids of a cell of the confusion matrix, -1 for background.
        bucket: of TIDE.
        at: confidence threshold at which cells and buckets count, and that the slider shows; None
            for the run's.
        sort: a column; ``-`` before it for a falling order. Empty for the order of the images.
    """

    names: tuple[str, ...] = ()
    view: str = IMAGES
    true_class: int | None = None
    predicted_class: int | None = None
    match: str | None = None
    correct: bool | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    status: str | None = None
    error_code: str | None = None
    slice_by: str | None = None
    slice_value: str | None = None
    text: str | None = None
    bucket: str | None = None
    cell_true: int | None = None
    cell_predicted: int | None = None
    at: float | None = None
    sort: str = ""
    page: int = 1

    @classmethod
    def parse(
        cls, query: Mapping[str, str], names: Sequence[str], *, objects: bool
    ) -> ImageFilters:
        """Read a query.

        Args:
            query: values by name; ``show`` is short for ``correct=false`` or ``status=failed``.
            names: K unique class names.
            objects: the task has objects, so that they can be listed.
        """
        given = {attribute: query.get(name) or None for name, attribute in QUERY.items()}
        if query.get("show") == "errors":
            given["correct"] = "false"
        elif query.get("show") == "failed":
            given["status"] = "failed"
        read: dict[str, Any] = {
            "true_class": _class(given["true_class"], names),
            "predicted_class": _class(given["predicted_class"], names),
            "cell_true": _class(given["cell_true"], names, background=True),
            "cell_predicted": _class(given["cell_predicted"], names, background=True),
            "match": _one_of(given["match"], MATCHES),
            "correct": {"true": True, "false": False}.get(given["correct"] or ""),
            "min_confidence": _share(given["min_confidence"]),
            "max_confidence": _share(given["max_confidence"]),
            "status": _one_of(given["status"], ("ok", "failed")),
            "bucket": _one_of(given["bucket"], BUCKETS),
            "at": _share(given["at"]) if objects else None,
            "page": _page(given["page"]),
        }
        read |= {key: _text(given[key]) for key in ("error_code", "text")}
        if given["slice_by"] and given["slice_value"]:
            read |= {key: _text(given[key]) for key in ("slice_by", "slice_value")}
        if objects and given["view"] == OBJECTS:
            read |= {"view": OBJECTS, **dict.fromkeys(_OF_IMAGES)}
            if read["bucket"] is not None:
                read |= {"cell_true": None, "cell_predicted": None}
        else:
            read |= dict.fromkeys(_OF_CELLS)
        made = cls(tuple(names), **read)
        return replace(made, sort=made.known_sort(given["sort"] or ""))

    def without_cells(self) -> ImageFilters:
        """Return the filters for a run whose errors cannot be listed yet."""
        return replace(self, bucket=None, cell_true=None, cell_predicted=None)

    def known_sort(self, sort: str) -> str:
        """Return an order that the view has; empty for any other."""
        known = OBJECT_SORTS if self.is_objects else SORTABLE
        return sort if sort.removeprefix("-") in known else ""

    @property
    def is_objects(self) -> bool:
        """Return True if objects are listed, not images."""
        return self.view == OBJECTS

    @property
    def is_cell(self) -> bool:
        """Return True if a cell or a bucket is listed."""
        return any(getattr(self, name) is not None for name in _OF_CELLS)

    @property
    def is_plain_cell(self) -> bool:
        """Return True for a cell or a bucket without other conditions, in an order of its own."""
        others = (self.slice_by, self.text, self.min_confidence, self.max_confidence)
        return (
            self.is_cell
            and self.sort in ("", "-confidence")
            and not any(one is not None for one in others)
        )

    @property
    def sort_key(self) -> str:
        """Return the column of the order."""
        return self.sort.removeprefix("-") or "image_index"

    @property
    def descending(self) -> bool:
        """Return True if the order is falling."""
        return self.sort.startswith("-")

    @property
    def selection(self) -> Selection:
        """Return the conditions and the order of images."""
        shared = {one.name for one in fields(Selection)} & {one.name for one in fields(self)}
        values = {name: getattr(self, name) for name in shared - {"sort"}}
        return Selection(**values | {"sort": self.sort_key, "descending": self.descending})

    @property
    def images_of_objects(self) -> Selection:
        """Return the conditions on the images of listed objects."""
        return Selection(slice_by=self.slice_by, slice_value=self.slice_value, text=self.text)

    def shown(self, attribute: str) -> str:
        """Return the text of a value, as it stands in the query."""
        value: Any = getattr(self, attribute)
        if attribute in ("true_class", "predicted_class", "cell_true", "cell_predicted"):
            if value is None:
                return ""
            if value < 0:
                return BACKGROUND_ONLY if BACKGROUND in self.names else BACKGROUND
            return str(self.names[value])
        if isinstance(value, bool):
            return str(value).lower()
        return "" if value is None else shortest(value) if isinstance(value, float) else str(value)

    def values(self, **changes: Any) -> dict[str, str]:
        """Return the values of the query with some attributes changed, without defaults."""
        changed = replace(self, **{"page": 1, **changes})
        default = ImageFilters(self.names)
        return {
            name: changed.shown(attribute)
            for name, attribute in QUERY.items()
            if getattr(changed, attribute) != getattr(default, attribute)
        }

    def query(self, **changes: Any) -> str:
        """Return the query with some attributes changed: ``?class=cat``, or nothing."""
        values = self.values(**changes)
        return f"?{urlencode(values)}" if values else ""

    def only(self, **values: Any) -> str:
        """Return the query of a list with these attributes, and the threshold, alone."""
        return ImageFilters(self.names, at=self.at).query(**values)

    @property
    def own_query(self) -> str:
        """Return the query that gives this page."""
        return self.query(page=self.page)

    @property
    def chips(self) -> list[Chip]:
        """Return the filters that are set."""
        chips = []
        for name, attribute in QUERY.items():
            if attribute not in _LABELS or getattr(self, attribute) is None:
                continue
            if attribute == "at" and not self.is_cell:
                continue
            label, without = _LABELS[attribute], {attribute: None}
            if attribute == "slice_value":
                label, without = str(self.slice_by), {"slice_by": None, "slice_value": None}
            value = self.shown(attribute)
            value = {"true": "yes", "false": "no"}.get(value, value)
            shown = MATCHES.get(value, value)
            chips.append(Chip(name, label, shown, self.query(**without)))
        return chips


def _class(word: str | None, names: Sequence[str], *, background: bool = False) -> int | None:
    if word is None:
        return None
    wanted: int | str = word
    if word not in names and word.isdecimal() and len(word) < 10:
        wanted = int(word)
    try:
        return choose_class(wanted, names, where="class", background=background)
    except ConfigError:
        return None


def _one_of(word: str | None, known: Sequence[str] | Mapping[str, str]) -> str | None:
    return word if word in known else None


def _share(word: str | None) -> float | None:
    try:
        value = float(word or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None


def _text(word: str | None) -> str | None:
    return word.strip()[:_MAX_TEXT] or None if word is not None else None


def _page(word: str | None) -> int:
    digits = (word or "").replace(",", "")
    return min(max(int(digits), 1), _MAX_PAGE) if digits.isdecimal() and len(digits) < 10 else 1
