"""Rows of single images and of pages, read from the result files of their units alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from cachetools import LRUCache

from snellen.adapters.errors import InputError
from snellen.store.parquet.results import Results, json_safe
from snellen.store.parquet.schema import META_PREFIX, RESULT_SCHEMA

_HEAVY = frozenset(
    {
        "image_path",
        "top5_predictions",
        "true_boxes",
        "predicted_boxes",
        "true_masks",
        "predicted_masks",
        "true_mask_path",
        "predicted_mask_path",
        "visualization_path",
        "true_keypoints",
        "predicted_keypoints",
        "matches",
        "extra_data",
        "content_hash",
    }
)
LIGHT = tuple(name for name in RESULT_SCHEMA.names if name not in _HEAVY)
"""Columns with one number or one short text per image."""
_MAX_FRAME_ROWS = 2_000_000
_CACHE_BYTES = 512 * 2**20
Row = dict[str, Any]


class RowReader:
    """Reads rows by image index; light columns are kept in memory. Safe to share by threads."""

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._frames: LRUCache[Any, pl.DataFrame] = LRUCache(
            max_bytes, getsizeof=lambda frame: int(frame.estimated_size()) + 1000
        )

    def light(
        self, key: Sequence[Any], results: Results, indices: npt.NDArray[np.int32]
    ) -> list[Row]:
        """Return the light columns of images, in the order of ``indices``.

        Args:
            key: identifies the rows: the run, its revision, its number of units.
            results: reader of the rows.
            indices: image indices of one page.
        """
        if sum(record.rows for record in results.records) > _MAX_FRAME_ROWS:
            return self.whole(results, indices, LIGHT)
        frame = self._frame(tuple(key), results)
        at = np.searchsorted(frame["image_index"].to_numpy(), indices)
        return [json_safe(row) for row in frame[at.tolist()].to_dicts()]

    def _frame(self, key: Any, results: Results) -> pl.DataFrame:
        with self._lock:
            found = self._frames.get(key)
        if found is not None:
            return found
        with self._loading:  # one at a time: each takes the memory of a whole run
            with self._lock:
                found = self._frames.get(key)
            if found is None:
                found = results.lazy(_known(results, LIGHT)).collect()
                with self._lock:
                    if found.estimated_size() + 1000 <= self._frames.maxsize:
                        self._frames[key] = found
        return found

    def whole(
        self,
        results: Results,
        indices: npt.NDArray[np.int32] | Sequence[int],
        columns: Sequence[str] | None = None,
    ) -> list[Row]:
        """Return rows in the order of ``indices``, from the files of their units.

        Raises:
            InputError: IMAGE_NOT_FOUND, there is no such row (yet).
        """
        wanted = [int(index) for index in indices]
        starts = [record.start for record in results.records]
        rows: dict[int, Row] = {}
        of_unit: dict[int, list[int]] = {}
        for index in wanted:
            unit = int(np.searchsorted(starts, index, side="right")) - 1
            if unit < 0 or index >= results.records[unit].stop:
                raise InputError("IMAGE_NOT_FOUND", f"there is no image {index} in this run.")
            of_unit.setdefault(unit, []).append(index)
        for unit, members in of_unit.items():
            record = results.records[unit]
            table = results.read(results.results_dir / record.file, columns)
            places = [index - record.start for index in members]
            for row in table.take(places).to_pylist():
                rows[row["image_index"]] = json_safe(row)
        return [rows[index] for index in wanted]


def _known(results: Results, columns: Sequence[str]) -> list[str]:
    """Return the columns and the metadata columns that the files have."""
    paths = results.paths
    names = pl.read_parquet_schema(paths[0]) if paths else dict.fromkeys(RESULT_SCHEMA.names)
    meta = [name for name in names if name.startswith(META_PREFIX)]
    return [*(name for name in columns if name in names), *meta]
