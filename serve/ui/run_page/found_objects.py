"""The objects of a run as flat arrays: matches, or what a cell or a bucket counts.

They are read from the result files once per revision; every filter, order and page is then a
matter of arrays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from cachetools import LRUCache

from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery
from snellen.metrics.class_filter import class_ids
from snellen.metrics.errors.listing import Listing
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.runs.reading.operating import with_threshold
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.ui.run_page.filters import ImageFilters
from snellen.store.parquet.results import Results
from snellen.store.sql.database import Database
from snellen.store.views import RunView

KINDS = ("tp", "fp", "fn", "ign")
_MATCHES = ("TP", "FP", "FN", "IGNORED")
_COLUMNS = ("image_index", "matches", "true_boxes", "predicted_boxes")
_MAX_BYTES = 256 * 2**20
Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class ObjectList:
    """E objects in the order of the images.

    Attributes:
        image: int32, (E,), ``image_index``.
        kind: uint8, (E,), index in `KINDS`.
        true, predicted: int32, (E,), places in ``true_boxes`` and ``predicted_boxes``, -1 for none.
        true_class, predicted_class: int32, (E,), -1 for none.
        confidence, overlap: float32, (E,), NaN for none.
    """

    image: Ints
    kind: npt.NDArray[np.uint8]
    true: Ints
    predicted: Ints
    true_class: Ints
    predicted_class: Ints
    confidence: Floats
    overlap: Floats

    @property
    def nbytes(self) -> int:
        """Return the memory of the arrays."""
        return sum(getattr(self, one.name).nbytes for one in fields(self))

    @classmethod
    def joined(cls, parts: Iterable[ObjectList]) -> ObjectList:
        """Join parts in their order."""
        found = [_EMPTY, *parts]
        names = [one.name for one in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in found]) for name in names))

    def places(self, filters: ImageFilters, images: Ints | None) -> Places:
        """Select and sort.

        Args:
            filters: conditions on objects, and the order.
            images: int32, the images whose objects are listed; None for all.

        Returns:
            intp, (n,), places in the arrays; objects without the value of the order come last.
        """
        kept = np.ones(len(self.image), dtype=np.bool_)
        if filters.match is not None:
            kept &= self.kind == _MATCHES.index(filters.match)
        if filters.true_class is not None:
            kept &= self.true_class == filters.true_class
        if filters.predicted_class is not None:
            kept &= self.predicted_class == filters.predicted_class
        if filters.min_confidence is not None:
            kept &= self.confidence >= np.float32(filters.min_confidence)
        if filters.max_confidence is not None:
            kept &= self.confidence <= np.float32(filters.max_confidence)
        if images is not None:
            kept &= np.isin(self.image, images)
        places = np.flatnonzero(kept)
        if not filters.sort:
            return places
        keys = getattr(self, filters.sort_key)[places]
        return places[np.argsort(-keys if filters.descending else keys, kind="stable")]

    def count_images(self, places: Places) -> int:
        """Count the images of some objects."""
        listed = np.zeros(int(self.image[-1]) + 1 if len(self.image) else 0, dtype=np.bool_)
        listed[self.image[places]] = True
        return int(np.count_nonzero(listed))


def _empty() -> ObjectList:
    ints, floats = np.empty(0, np.int32), np.empty(0, np.float32)
    return ObjectList(ints, np.empty(0, np.uint8), ints, ints, ints, ints, floats, floats)


_EMPTY = _empty()


class FoundObjects:
    """Keeps the objects of runs, bounded in bytes. Safe to share between threads."""

    def __init__(self, db: Database, max_bytes: int = _MAX_BYTES) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._building = threading.Lock()
        self._kept: LRUCache[Any, ObjectList] = LRUCache(
            max_bytes, getsizeof=lambda found: found.nbytes + 500
        )

    def of(self, opened: OpenedRun, filters: ImageFilters) -> ObjectList:
        """Return the objects of a cell or of a bucket, or all matches of a run.

        Raises:
            InputError: RUN_NOT_COMPLETED, for a cell or a bucket.
            RunError: RESULTS_MISSING.
        """
        at = filters.at if filters.is_cell else None
        source = (filters.bucket, filters.cell_true, filters.cell_predicted, at)
        return self._get((opened.key, source), lambda: self._read(opened, filters))

    def _read(self, opened: OpenedRun, filters: ImageFilters) -> ObjectList:
        run = opened.run
        assert isinstance(run, RunView)
        if not filters.is_cell:
            chosen = build_config(run.config).metrics.classes
            ids = class_ids(chosen, run.class_names or ())
            return ObjectList.joined(read_matches(opened.results, ids))
        query = InstanceQuery(
            bucket=filters.bucket,
            true=filters.shown("cell_true") or None,
            predicted=filters.shown("cell_predicted") or None,
            min_confidence=None if filters.bucket is None else filters.at,
        )
        if filters.bucket is None and filters.at is not None:
            run = with_threshold(run, filters.at)
        parts = ErrorAnalysis(self._db, run).listed(query)
        return ObjectList.joined(of_listing(part) for _, part in parts)

    def _get(self, key: Any, make: Callable[[], ObjectList]) -> ObjectList:
        with self._lock:
            found = self._kept.get(key)
        if found is not None:
            return found
        with self._building:
            with self._lock:
                found = self._kept.get(key)
            if found is None:
                found = make()
                with self._lock:
                    if found.nbytes + 500 <= self._kept.maxsize:
                        self._kept[key] = found
        return found


def of_listing(part: Any) -> ObjectList:
    """Return the objects of one part of a cell or a bucket."""
    assert isinstance(part, Listing)
    right = (part.true_class == part.predicted_class) & (part.true >= 0)
    kind = np.where(part.predicted < 0, 2, np.where(right, 0, 1))
    if part.bucket is not None:  # a duplicate or a poor box is an error of the right class
        kind = np.where(part.predicted < 0, 2, 1)
    return ObjectList(
        image=part.image.astype(np.int32),
        kind=kind.astype(np.uint8),
        true=part.true_place.astype(np.int32),
        predicted=part.predicted_place.astype(np.int32),
        true_class=part.true_class.astype(np.int32),
        predicted_class=part.predicted_class.astype(np.int32),
        confidence=part.confidence.astype(np.float32),
        overlap=part.overlap.astype(np.float32),
    )


def read_matches(results: Results, ids: tuple[int, ...] | None) -> Iterator[ObjectList]:
    """Read the matches at the operating point, one result file at a time.

    Args:
        results: reader of the rows.
        ids: class ids that are scored; None for all.
    """
    for table in results.iter_units(_COLUMNS):
        found = _matches_of(table)
        if ids is not None:
            label = np.where(found.predicted_class >= 0, found.predicted_class, found.true_class)
            kept = np.isin(label, ids)
            found = ObjectList(*(getattr(found, one.name)[kept] for one in fields(found)))
        yield found


def _matches_of(table: pa.Table) -> ObjectList:
    matches = table["matches"].combine_chunks()
    rows = pc.list_parent_indices(matches).to_numpy()
    flat = matches.flatten()
    true = _numbers(flat.field("true_index"))
    predicted = _numbers(flat.field("predicted_index"))
    kind = pc.index_in(flat.field("kind"), value_set=pa.array(_MATCHES)).to_numpy()
    true_class = _values(table["true_boxes"], rows, true, "class_id", -1)
    predicted_class = _values(table["predicted_boxes"], rows, predicted, "class_id", -1)
    confidence = _values(table["predicted_boxes"], rows, predicted, "confidence", np.nan)
    return ObjectList(
        table["image_index"].to_numpy()[rows].astype(np.int32),
        kind.astype(np.uint8),
        true,
        predicted,
        true_class.astype(np.int32),
        predicted_class.astype(np.int32),
        confidence.astype(np.float32),
        pc.fill_null(flat.field("overlap").cast(pa.float32()), float("nan")).to_numpy(),
    )


def _numbers(values: pa.Array) -> Ints:
    found: Ints = pc.fill_null(values.cast(pa.int32()), -1).to_numpy()
    return found


def _values(
    column: pa.ChunkedArray, rows: Places, places: Ints, name: str, missing: float
) -> npt.NDArray[Any]:
    """Look up a field of the boxes at places of their rows."""
    boxes = column.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(boxes), 0).to_numpy()
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    values = np.append(boxes.flatten().field(name).to_numpy(), missing)
    return values[np.where(places >= 0, starts[rows] + places, len(values) - 1)]
