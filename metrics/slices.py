"""The metrics of slices of a set: by a column, by image size, by the objects in the image.

A slice consists of whole images, as matching happens within images. (COCO's AP by area is
different: it uses all images and counts only objects of that size.)
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from snellen.metrics.accumulator import Accumulator
from snellen.metrics.tasks import load

NONE = "(none)"
"""The slice of images without a value."""

MAX_SLICES = 100
"""Maximum number of slices by the values of a column."""

_SIZES = ("small", "medium", "large")

BINS: dict[str, tuple[tuple[float, ...], tuple[str, ...], tuple[str, ...]]] = {
    "image_size": ((512.0**2, 1024.0**2), _SIZES, ("height", "width")),
    "object_size": ((32.0**2, 96.0**2), _SIZES, ("true_boxes",)),
    "object_count": ((1, 2, 5, 10), ("0", "1", "2-4", "5-9", "10+"), ("true_boxes",)),
}
"""Slices that are computed from a row: the lower limits of all bins but the first, the names of
the bins, and the columns that are read.

- image_size: width x height, from 512^2 and 1024^2 pixels.
- object_size: median area of the true objects without crowds, COCO's limits 32^2 and 96^2
  pixels; an image without objects has no value.
- object_count: number of true objects without crowds.
"""


class SlicedMetrics:
    """Reports by slice, computed from one result file after another.

    Attributes:
        by: a column of the rows, or one of `BINS`.
        edges: limits of a column of numbers, or None.
        columns: the columns of a result row that `add` reads.
    """

    def __init__(
        self,
        task: str,
        class_names: Sequence[str],
        by: str,
        *,
        edges: Sequence[float] | None = None,
        **options: Any,
    ) -> None:
        """Choose the slices.

        Args:
            task: name of a task.
            class_names: K names.
            by: a column of the rows (``meta_camera``), or one of `BINS`.
            edges: for a column of numbers: rising limits, which become the slices ``< a``,
                ``a - b``, ``>= b``, each including its lower limit. Without them every value is
                a slice, up to `MAX_SLICES`.
            options: options of the task's metrics.

        Raises:
            ConfigError: UNKNOWN_TASK.
            ValueError: limits that do not rise, or limits for one of `BINS`.
        """
        if edges is not None and (not edges or by in BINS or list(edges) != sorted(set(edges))):
            raise ValueError(
                f"limits of {by} are {list(edges)}. Expected rising limits of a column of numbers"
            )
        self._metrics = load(task, **options)
        self._names = class_names
        self.by, self.edges = by, None if edges is None else list(edges)
        self._name_of = _namer(by, edges)
        self.columns = tuple(dict.fromkeys((*self._metrics.columns, "status", *slice_columns(by))))
        self._states: dict[str, Accumulator[Any]] = {}
        self._total: dict[str, int] = defaultdict(int)
        self._failed: dict[str, int] = defaultdict(int)

    def add(self, table: pa.Table) -> None:
        """Count the rows of the next result file, with the columns `columns`.

        Raises:
            ValueError: more than `MAX_SLICES` values.
        """
        names = [self._name_of(value) for value in slice_values(table, self.by)]
        keys = pa.array(names, pa.string())
        for name in dict.fromkeys(names):
            if len(self._total) >= MAX_SLICES and name not in self._total:
                raise ValueError(
                    f"{self.by} has too many values. Expected at most {MAX_SLICES} slices. Give "
                    "limits for a column of numbers"
                )
            rows = table.filter(pc.equal(keys, name))
            states = self._states.setdefault(name, Accumulator(self._metrics.merge))
            states.add(self._metrics.state(rows, self._names))
            self._total[name] += len(rows)
            self._failed[name] += int(pc.sum(pc.equal(rows["status"], "failed")).as_py() or 0)

    def reports(self) -> dict[str, Any]:
        """Compute the report of every slice with images, in the order of the bins or by name."""
        names = sorted(self._states, key=self._place)
        return {
            name: self._metrics.compute(
                self._states[name].merged(),
                self._names,
                total_images=self._total[name],
                failed_images=self._failed[name],
            )
            for name in names
        }

    def _place(self, name: str) -> tuple[bool, int, str]:
        order = self._name_of.order
        return name == NONE, order.index(name) if name in order else 0, name


def slice_columns(by: str) -> tuple[str, ...]:
    """Return the columns of a result row that `slice_names` reads."""
    return BINS[by][2] if by in BINS else (by,)


def slice_names(table: pa.Table, by: str) -> list[str]:
    """Return the slice of each row.

    Args:
        table: with the columns `slice_columns`.
        by: a column of the rows, or one of `BINS`.
    """
    name_of = _namer(by, None)
    return [name_of(value) for value in slice_values(table, by)]


class _Namer:
    """Maps a value to the name of its slice."""

    def __init__(self, limits: Sequence[float], names: Sequence[str]) -> None:
        self.order = tuple(names)
        self._limits = limits

    def __call__(self, value: Any) -> str:
        if value is None or value != value:  # NaN
            return NONE
        return self.order[bisect_right(self._limits, value)] if self.order else str(value)


def _namer(by: str, edges: Sequence[float] | None) -> _Namer:
    if by in BINS:
        return _Namer(*BINS[by][:2])
    if edges is None:
        return _Namer((), ())
    between = [f"{low:g} - {high:g}" for low, high in pairwise(edges)]
    return _Namer(edges, (f"< {edges[0]:g}", *between, f">= {edges[-1]:g}"))


def slice_values(table: pa.Table, by: str) -> list[Any]:
    """Return the value of each row that decides its slice: a column, or the measure of `BINS`."""
    if by not in BINS:
        return list(table[by].to_pylist())
    if by == "image_size":
        height, width = table["height"].cast(pa.int64()), table["width"].cast(pa.int64())
        return list(pc.multiply(height, width).to_pylist())
    measure: Callable[[list[float]], float | None] = _median if by == "object_size" else len
    return [
        None if boxes is None else measure([b["area"] for b in boxes if not b["is_crowd"]])
        for boxes in table["true_boxes"].to_pylist()
    ]


def _median(values: list[float]) -> float | None:
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2
