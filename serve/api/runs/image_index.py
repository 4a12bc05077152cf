"""Order of the images of a selection, computed once: an int32 array per run, filter and sort.

A page of a million images then needs no file but those of its rows.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from cachetools import LRUCache

from snellen.metrics.slices import BINS, NONE, slice_columns, slice_names
from snellen.pipelines.config.metrics import MetricsConfig, SliceBy
from snellen.pipelines.runs.slices import MetricsSpec, open_slices, results_schema
from snellen.store.parquet.results import Results, RowFilter

CACHE_BYTES = 64 * 2**20
_BUILDING = 2
Indices = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions and order of a list of images; None is no condition.

    Attributes:
        true_class, predicted_class, correct, min_confidence, max_confidence, status, error_code:
            see `snellen.store.parquet.results.RowFilter`.
        match: kind of match that an image must have: TP, FP, FN or IGNORED.
        slice_by, slice_value: column or kind of bins, and the name of the slice.
        text: part of the image id, in any case.
        sort, descending: column of the order; rows without a value come last.
    """

    true_class: int | str | None = None
    predicted_class: int | str | None = None
    correct: bool | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    status: str | None = None
    error_code: str | None = None
    match: str | None = None
    slice_by: str | None = None
    slice_value: str | None = None
    text: str | None = None
    sort: str = "image_index"
    descending: bool = False

    def row_filter(self) -> RowFilter:
        """Return the conditions that result files know themselves."""
        names = RowFilter.__annotations__
        known = {one.name: getattr(self, one.name) for one in fields(self) if one.name in names}
        return cast(RowFilter, {name: one for name, one in known.items() if one is not None})


@dataclass(frozen=True, slots=True, eq=False)
class ImageIndex:
    """The images of a selection in their order, and how many of them are correct."""

    order: Indices
    correct: int
    incorrect: int


class IndexCache:
    """Least recently used cache of indices, bounded in bytes. Safe to share between threads."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._lock = threading.Lock()
        self._building = threading.Semaphore(_BUILDING)
        self._known: LRUCache[Any, ImageIndex] = LRUCache(
            max_bytes, getsizeof=lambda index: index.order.nbytes + 200
        )

    def get(self, key: Sequence[Any], selection: Selection, results: Results) -> ImageIndex:
        """Return the index of a selection, built from the result files unless it is known.

        Args:
            key: identifies the rows: the run, its revision, its number of units.
            selection: conditions and order.
            results: reader of the rows.

        Raises:
            ConfigError: SLICE_COLUMN, SLICE_VALUES.
            RunError: RESULTS_MISSING.
        """
        full = (*key, selection)
        with self._lock:
            found = self._known.get(full)
        if found is not None:
            return found
        with self._building:
            found = build_index(selection, results)
        with self._lock:
            if found.order.nbytes + 200 <= self._known.maxsize:
                self._known[full] = found
        return found


def build_index(selection: Selection, results: Results) -> ImageIndex:
    """Read what the conditions and the order need, and return the index."""
    rows = results.filter(**selection.row_filter())
    for condition in _conditions(selection, results):
        rows = rows.filter(condition)
    keys = rows.select("image_index", "is_correct", pl.col(selection.sort).alias("key")).collect()
    right = keys["is_correct"]
    order = keys["image_index"].cast(pl.Int32).to_numpy()
    if selection.sort != "image_index" or selection.descending:
        order = order[_places(keys["key"], selection.descending)]
    return ImageIndex(order, int(right.sum() or 0), int((~right).sum() or 0))


def _places(keys: pl.Series, descending: bool) -> npt.NDArray[np.intp]:
    """Return the places of values in their order: equal ones as they are, missing ones last."""
    if not keys.dtype.is_numeric():
        return np.asarray(
            keys.to_frame("key")
            .with_row_index("place")
            .sort("key", descending=descending, nulls_last=True, maintain_order=True)["place"]
        ).astype(np.intp)
    values = keys.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    # Of one column this is several times faster than a sort of rows by two.
    return np.argsort(-values if descending else values, kind="stable")


def _conditions(selection: Selection, results: Results) -> list[pl.Expr]:
    found = []
    if selection.match in {"TP", "FP", "FN"}:
        found.append(pl.col(selection.match.lower()) > 0)
    elif selection.match is not None:
        kind = pl.element().struct.field("kind") == selection.match
        found.append(pl.col("matches").list.eval(kind).list.any())
    if selection.text is not None:
        lower = pl.col("image_id").str.to_lowercase()
        found.append(lower.str.contains(selection.text.lower(), literal=True))
    if selection.slice_by is not None and selection.slice_value is not None:
        found.append(_in_slice(selection.slice_by, selection.slice_value, results))
    return found


def _in_slice(by: str, value: str, results: Results) -> pl.Expr:
    """Return the condition of a slice, by the names that `snellen slices` gives."""
    spec = MetricsSpec("image_classification", (), MetricsConfig())
    open_slices([SliceBy(by)], spec, results_schema(results))  # rejects what makes no slices
    if by not in BINS:
        values = results.lazy([by]).unique().collect()[by].to_list()
        named = [one for one in values if one is not None and one == one and str(one) == value]
        missing = pl.col(by).is_null() if value == NONE else pl.lit(False)
        return pl.col(by).is_in(named) | missing
    members: list[int] = []
    for table in results.iter_units(["image_index", *slice_columns(by)]):
        indices = table["image_index"].to_pylist()
        names = slice_names(table, by)
        members += [index for index, name in zip(indices, names, strict=True) if name == value]
    return pl.col("image_index").is_in(members)
