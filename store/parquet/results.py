"""Reading the result files of a run, in the order of its images.

The files are those of the ledger's records, never what lies in the folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from snellen.adapters.errors import ConfigError, RunError
from snellen.store.parquet.schema import RESULT_SCHEMA
from snellen.store.parquet.unit_record import UnitRecord

SORTABLE = (
    "image_index",
    "image_id",
    "image_name",
    "confidence",
    "true_confidence",
    "loss",
    "iou",
    "oks",
    "tp",
    "fp",
    "fn",
    "inference_time_ms",
)


class Page(NamedTuple):
    """A page of images, with the counts of the whole selection it was cut from.

    ``correct`` and ``incorrect`` leave out images without truth and failed ones.
    """

    total: int
    correct: int
    incorrect: int
    rows: list[dict[str, Any]]


class Results:
    """The result rows of one run."""

    def __init__(self, results_dir: Path, records: Iterable[UnitRecord]) -> None:
        """Take the run's results directory and its committed records, in any order."""
        self.results_dir = Path(results_dir)
        self.records = sorted(records, key=lambda record: record.unit_id)

    @property
    def paths(self) -> list[Path]:
        """The files in unit order.

        Raises:
            RunError: RESULTS_MISSING, a file of the ledger is not there.
        """
        paths = [self.results_dir / record.file for record in self.records]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise RunError(
                "RESULTS_MISSING",
                f"expected {len(paths)} result files under {self.results_dir}, {len(missing)} "
                f"are missing, the first is {missing[0].name}; restore them, or resume the run "
                "to make them again",
            )
        return paths

    def lazy(self, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """All rows in image order, read when collected; ``columns`` None gives all of them."""
        paths = self.paths
        if paths:
            frame = pl.scan_parquet(paths, glob=False, hive_partitioning=False)
        else:
            empty = pl.from_arrow(RESULT_SCHEMA.empty_table())
            assert isinstance(empty, pl.DataFrame)
            frame = empty.lazy()
        return frame if columns is None else frame.select(list(columns))

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows in image order, in memory."""
        return self.lazy(columns).collect()

    def filter(
        self,
        *,
        true_class: int | str | None = None,
        predicted_class: int | str | None = None,
        correct: bool | None = None,
        min_confidence: float | None = None,
        max_confidence: float | None = None,
        status: str | None = None,
        error_code: str | None = None,
    ) -> pl.LazyFrame:
        """Rows for which everything that was given holds, in image order.

        Args:
            true_class: class id or label of the truth; for detection the id of any true box.
            predicted_class: the same for the prediction.
            correct: value of ``is_correct``; images without truth match neither value.
            min_confidence: inclusive, of the top-1 class or of an image's best box.
            max_confidence: inclusive, of the same.
            status: ``ok`` or ``failed``.
            error_code: code of a failed row.
        """
        best_box = pl.col("predicted_boxes").list.first().struct.field("confidence")
        confidence = pl.coalesce(pl.col("confidence"), best_box)
        conditions: list[pl.Expr] = []
        if true_class is not None:
            conditions.append(_has_class("true", true_class))
        if predicted_class is not None:
            conditions.append(_has_class("predicted", predicted_class))
        if correct is not None:
            conditions.append(pl.col("is_correct") == correct)
        if min_confidence is not None:
            conditions.append(confidence >= min_confidence)
        if max_confidence is not None:
            conditions.append(confidence <= max_confidence)
        if status is not None:
            conditions.append(pl.col("status") == status)
        if error_code is not None:
            conditions.append(pl.col("error_code") == error_code)
        return self.lazy().filter(*conditions) if conditions else self.lazy()

    def page(
        self,
        lf: pl.LazyFrame,
        *,
        sort: str = "image_index",
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> Page:
        """Cut a page out of a selection.

        Rows without a value of ``sort`` come last; equal ones are in image order. The rows are
        JSON-safe: masks as text, numbers that are not finite as None.

        Raises:
            ConfigError: SORT_COLUMN, a column that cannot be sorted by.
        """
        if sort not in SORTABLE:
            raise ConfigError(
                "SORT_COLUMN",
                f"expected a column to sort by of {', '.join(SORTABLE)}, got {sort!r}",
            )
        # The keys alone are sorted: rows with boxes and masks can be large.
        keys = lf.select("image_index", "is_correct", pl.col(sort).alias("key")).collect()
        chosen = keys.sort(
            "key", "image_index", descending=[descending, False], nulls_last=True
        ).slice(offset, limit)["image_index"]
        rows = lf.filter(pl.col("image_index").is_in(chosen.to_list())).collect().to_dicts()
        place = {index: number for number, index in enumerate(chosen)}
        rows.sort(key=lambda row: place[row["image_index"]])
        right = keys["is_correct"]
        return Page(
            keys.height,
            int(right.sum() or 0),
            int((~right).sum() or 0),
            [_json_safe(row) for row in rows],
        )

    def iter_units(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Each unit's rows as an Arrow table, in unit order; one file is in memory at a time."""
        for path in self.paths:
            with pq.ParquetFile(path) as file:
                yield file.read(columns=None if columns is None else list(columns))


def _has_class(side: str, wanted: int | str) -> pl.Expr:
    if isinstance(wanted, str):
        return pl.col(f"{side}_label") == wanted
    in_boxes = (
        pl.col(f"{side}_boxes")
        .list.eval(pl.element().struct.field("class_id"))
        .list.contains(wanted)
    )
    return (pl.col(f"{side}_label_id") == wanted).fill_null(False) | in_boxes.fill_null(False)


def _json_safe(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")
    if isinstance(value, dict):
        return {key: _json_safe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_safe(item) for item in value]
    if value is None or isinstance(value, str | int):
        return value
    return str(value)  # dates and decimals of metadata columns
