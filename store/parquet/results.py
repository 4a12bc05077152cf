"""Reader of the result files of a run, in the order of its images.

The files are those of the ledger's records, not those in the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from snellen.adapters.errors import ConfigError, RunError
from snellen.adapters.finite import finite_or_none
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
    """A page of images, with the counts of the whole selection.

    ``correct`` and ``incorrect`` do not count failed images and images without ground truth.
    """

    total: int
    correct: int
    incorrect: int
    rows: list[dict[str, Any]]


class RowFilter(TypedDict, total=False):
    """Conditions on result rows.

    Attributes:
        true_class: class id or label of the ground truth; for detection the id of any true box.
        predicted_class: the same for the prediction; for detection the id of any predicted box
            at or above `Results.least_confidence`.
        correct: value of ``is_correct``; images without ground truth have none.
        min_confidence, max_confidence: inclusive bounds of the confidence of the top-1 class, or
            of the most confident box.
        status: ``ok`` or ``failed``.
        error_code: code of a failed row.
        images: indices of images.
    """

    true_class: int | str | None
    predicted_class: int | str | None
    correct: bool | None
    min_confidence: float | None
    max_confidence: float | None
    status: str | None
    error_code: str | None
    images: Sequence[int] | None


def read_unit(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the rows of a result file; ``columns`` None selects all."""
    with pq.ParquetFile(path) as file:
        return file.read(columns=None if columns is None else list(columns))


ReadUnit = Callable[[Path, Sequence[str] | None], pa.Table]
"""Reads the rows of a result file, as `read_unit` does; it can be sent to another process."""


class Results:
    """The result rows of one run.

    Attributes:
        results_dir: folder of the files.
        records: those of the ledger, in unit order.
        box_confidence: predicted boxes below it do not count as predictions of their class.
        class_confidences: the same for class ids that have their own.
        read: reads a file; `read_unit`, or one that replaces some columns.
    """

    def __init__(
        self,
        results_dir: Path,
        records: Iterable[UnitRecord],
        *,
        box_confidence: float = 0.0,
        class_confidences: Mapping[int, float] | None = None,
        read: ReadUnit = read_unit,
    ) -> None:
        """Read the committed records of a run, given in any order, from its results directory."""
        self.results_dir = Path(results_dir)
        self.box_confidence = box_confidence
        self.class_confidences = dict(class_confidences or {})
        self.read = read
        self.records = sorted(records, key=lambda record: record.unit_id)

    @property
    def paths(self) -> list[Path]:
        """The files in unit order.

        Raises:
            RunError: RESULTS_MISSING, a file of the ledger does not exist.
        """
        paths = [self.results_dir / record.file for record in self.records]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise RunError(
                "RESULTS_MISSING",
                f"{len(missing)} of {len(paths)} result files in {self.results_dir} are missing, "
                f"first {missing[0].name}. Expected all files of the ledger. Restore them, or "
                "resume the run to write them again.",
            )
        return paths

    def least_confidence(self, class_id: int) -> float:
        """Return the confidence from which a predicted box counts as one of its class."""
        return self.class_confidences.get(class_id, self.box_confidence)

    def lazy(self, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """Return all rows in image order, read on collection; ``columns`` None selects all."""
        paths = self.paths
        if paths and self.read is not read_unit:
            frame = register_io_source(self._frames, schema=pl.read_parquet_schema(paths[0]))
        elif paths:
            frame = pl.scan_parquet(paths, glob=False, hive_partitioning=False)
        else:
            empty = pl.from_arrow(RESULT_SCHEMA.empty_table())
            assert isinstance(empty, pl.DataFrame)
            frame = empty.lazy()
        return frame if columns is None else frame.select(list(columns))

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read all rows in image order."""
        return self.lazy(columns).collect()

    def filter(self, **conditions: Unpack[RowFilter]) -> pl.LazyFrame:
        """Select the rows that meet every condition, in image order; None is no condition."""
        chosen = self._chosen(conditions)
        return self.lazy().filter(*chosen) if chosen else self.lazy()

    def select_units(self, **conditions: Unpack[RowFilter]) -> Iterator[pa.Table]:
        """Yield the rows of each unit that meet every condition, one file in memory.

        They are the rows of `filter`, in the same order, as tables of the files' own schema.
        """
        chosen = self._chosen(conditions)
        for table in self.iter_units():
            if not chosen:
                yield table
                continue
            met = pl.DataFrame(table).select(pl.all_horizontal(*chosen).fill_null(False))
            yield table.filter(met.to_series().to_arrow())

    def _chosen(self, conditions: RowFilter) -> list[pl.Expr]:
        known = _CONDITIONS | {"predicted_class": self._predicted}
        return [known[key](value) for key, value in conditions.items() if value is not None]

    def _predicted(self, wanted: int | str) -> pl.Expr:
        least = self.box_confidence if isinstance(wanted, str) else self.least_confidence(wanted)
        # float32, as result files store it: the boxes that the metrics count
        limit = pl.lit(least, pl.Float32)
        counted = pl.element().struct.field("confidence") >= limit
        return _has_class("predicted", wanted, counted)

    def page(
        self,
        lf: pl.LazyFrame,
        *,
        sort: str = "image_index",
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> Page:
        """Return a page of a selection.

        Rows without a value of ``sort`` come last; equal values are in image order. The rows are
        JSON-safe: masks are text, numbers that are not finite are None.

        Raises:
            ConfigError: SORT_COLUMN, a column that does not sort.
        """
        if sort not in SORTABLE:
            raise ConfigError(
                "SORT_COLUMN",
                f"rows cannot be sorted by {sort!r}. Expected one of {', '.join(SORTABLE)}.",
            )
        # Only the keys are sorted: rows with boxes and masks can be large.
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
            [json_safe(row) for row in rows],
        )

    def iter_units(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of each unit as an Arrow table, in unit order, one file in memory."""
        for path in self.paths:
            yield self.read(path, columns)

    def _frames(
        self,
        columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        """Read one file after another, as polars asks of a source."""
        left = n_rows
        for table in self.iter_units(columns):
            frame = pl.DataFrame(table)
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            yield frame if predicate is None else frame.filter(predicate)
            if left == 0:
                return


def _confidence() -> pl.Expr:
    best_box = pl.col("predicted_boxes").list.first().struct.field("confidence")
    return pl.coalesce(pl.col("confidence"), best_box)


def _has_class(side: str, wanted: int | str, counted: pl.Expr | None = None) -> pl.Expr:
    if isinstance(wanted, str):
        return pl.col(f"{side}_label") == wanted
    of_class = pl.element().struct.field("class_id") == wanted
    if counted is not None:
        of_class &= counted
    in_boxes = pl.col(f"{side}_boxes").list.eval(of_class).list.any()
    return (pl.col(f"{side}_label_id") == wanted).fill_null(False) | in_boxes.fill_null(False)


_CONDITIONS: dict[str, Callable[[Any], pl.Expr]] = {
    "true_class": lambda wanted: _has_class("true", wanted),
    "correct": lambda wanted: pl.col("is_correct") == wanted,
    "min_confidence": lambda bound: _confidence() >= bound,
    "max_confidence": lambda bound: _confidence() <= bound,
    "status": lambda wanted: pl.col("status") == wanted,
    "error_code": lambda wanted: pl.col("error_code") == wanted,
    "images": lambda wanted: pl.col("image_index").is_in(list(wanted)),
}


def json_safe(value: Any) -> Any:
    """Return a value of a row for JSON: masks are text, numbers that are not finite are None."""
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")
    if isinstance(value, dict):
        return {key: json_safe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_safe(item) for item in value]
    if value is None or isinstance(value, str | int):
        return value
    return str(value)  # dates and decimals of metadata columns
