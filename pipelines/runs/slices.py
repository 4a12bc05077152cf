"""Compute metrics of slices of a run: when it finishes (``metrics.slices``) and on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import nearest
from snellen.adapters.types import TaskType
from snellen.metrics.slices import BINS, SlicedMetrics
from snellen.pipelines.config.metrics import MetricsConfig, SliceBy
from snellen.pipelines.progress import Reporter
from snellen.store.parquet.results import Results
from snellen.store.parquet.schema import META_PREFIX, RESULT_SCHEMA


@dataclass(frozen=True, slots=True)
class MetricsSpec:
    """The metrics to compute.

    Attributes:
        task: the task, which decides which metrics there are.
        class_names: K class names of the checkpoint, in output order.
        config: the ``metrics`` section of the configuration.
        seed: ``run.seed``, of the bootstrap.
    """

    task: TaskType | str
    class_names: tuple[str, ...]
    config: MetricsConfig
    seed: int = 0

    @property
    def options(self) -> dict[str, Any]:
        """The options of `snellen.metrics.tasks.load`."""
        return {**self.config.model_dump(), "seed": self.seed}


def open_slices(
    slices: Sequence[SliceBy], spec: MetricsSpec, schema: pa.Schema, *, where: str = "slices"
) -> list[SlicedMetrics]:
    """Build the counters of slices; `count_slices` feeds them.

    Args:
        slices: the columns that make the slices.
        spec: the metrics.
        schema: of the run's result rows, with their metadata columns.
        where: name of the setting, for messages.

    Raises:
        ConfigError: SLICE_COLUMN, a column that does not exist or cannot make slices;
            SLICE_VALUES, edges that do not rise, or edges for a column without numbers.
    """
    opened = []
    options = spec.options
    for one in slices:
        if one.by not in BINS:
            _check_column(one, schema, where)
        try:
            opened.append(
                SlicedMetrics(spec.task, spec.class_names, one.by, edges=one.edges, **options)
            )
        except ValueError as error:
            raise ConfigError("SLICE_VALUES", f"{where} by {one.by}: {error}.") from None
    return opened


def _check_column(one: SliceBy, schema: pa.Schema, where: str) -> None:
    if one.by not in schema.names:
        meta = sorted(name for name in schema.names if name.startswith(META_PREFIX))
        hint = nearest(one.by, [*BINS, *schema.names]) or "."
        raise ConfigError(
            "SLICE_COLUMN",
            f"{where} by {one.by}: the result rows have no such column{hint} "
            f"Expected {', '.join([*BINS, *meta])}, or a column that every result row has"
            + ("." if meta else "; this dataset has no metadata columns."),
        )
    kind = schema.field(one.by).type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise ConfigError(
            "SLICE_COLUMN",
            f"{where} by {one.by}: expected a column of text or numbers, it holds {kind}.",
        )
    if one.edges is not None and not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ConfigError(
            "SLICE_VALUES",
            f"{where} by {one.by}: limits are for a column of numbers, it holds {kind}. Leave the "
            "limits out: then each value is a slice.",
        )


def check_slices(spec: MetricsSpec, schema: pa.Schema) -> None:
    """Reject ``metrics.slices`` that cannot be computed, before anything is.

    Raises:
        ConfigError: see `open_slices`.
    """
    open_slices(spec.config.sliced_by, spec, schema, where="metrics.slices:")


def check_group(config: MetricsConfig, schema: pa.Schema) -> None:
    """Reject ``metrics.group`` if the result rows have no such column.

    Raises:
        ConfigError: GROUP_COLUMN, with the metadata columns that there are.
    """
    column = config.group
    meta = sorted(name for name in schema.names if name.startswith(META_PREFIX))
    if column is None or (column in meta and not pa.types.is_nested(schema.field(column).type)):
        return
    listed = f"one of {', '.join(meta)}" if meta else "a dataset with metadata columns"
    raise ConfigError(
        "GROUP_COLUMN",
        f"metrics.group is {column!r}, and the dataset has "
        + ("that column with lists." if column in meta else "no such metadata column.")
        + f" Expected {listed}{nearest(column, meta) or '.'} Set metrics.group to a column that "
        "names the patient, clip or place of each image, or remove it.",
    )


def results_schema(results: Results) -> pa.Schema:
    """Return the columns of a run's result rows, with their metadata columns."""
    paths = results.paths
    return pq.read_schema(paths[0]) if paths else RESULT_SCHEMA


def count_slices(results: Results, slices: Sequence[SlicedMetrics]) -> dict[int, str]:
    """Feed all slices in one pass over the files.

    Returns:
        The problem of each slice that could not be counted, by its position in ``slices``.
    """
    failed: dict[int, str] = {}
    columns = dict.fromkeys(column for one in slices for column in one.columns)
    for table in results.iter_units(list(columns)):
        for position, one in enumerate(slices):
            if position in failed:
                continue
            try:
                one.add(table)
            except ValueError as error:
                failed[position] = str(error)
    return failed


def slice_document(sliced: SlicedMetrics) -> dict[str, Any]:
    """Return the slices as JSON types: ``by``, ``edges``, and ``slices``, metrics by slice."""
    return {
        "by": sliced.by,
        "edges": sliced.edges,
        "slices": {
            name: {
                "metrics": report.metrics,
                "intervals": report.intervals,
                "total_images": report.total_images,
                "scored_images": report.scored_images,
                "failed_images": report.failed_images,
            }
            for name, report in sliced.reports().items()
        },
    }


def measure_slices(results: Results, spec: MetricsSpec, reporter: Reporter) -> list[dict[str, Any]]:
    """Compute ``metrics.slices`` of a finished run: one document each, see `slice_document`.

    A run with metrics does not fail because of its slices: a problem with them is noted and
    stored as ``error`` in place of ``slices``.
    """
    config = spec.config
    try:
        opened = open_slices(config.sliced_by, spec, results_schema(results))
        failed = count_slices(results, opened)
        found = [
            _failed(one, failed[position]) if position in failed else slice_document(sliced)
            for position, (one, sliced) in enumerate(zip(config.sliced_by, opened, strict=True))
        ]
    except Exception as error:
        found = [_failed(one, f"{type(error).__name__}: {error}") for one in config.sliced_by]
    for document in found:
        if "error" in document:
            reporter.note(f"no slices by {document['by']}: {document['error']}")
    return found


def _failed(one: SliceBy, problem: str) -> dict[str, Any]:
    edges = None if one.edges is None else list(one.edges)
    return {"by": one.by, "edges": edges, "error": problem}
