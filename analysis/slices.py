"""The metrics of a finished run by slices of its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snellen.adapters.errors import ConfigError
from snellen.analysis.reader import completed_owner, open_results
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.config.metrics import SliceBy
from snellen.pipelines.runs.slices import (
    MetricsSpec,
    count_slices,
    open_slices,
    results_schema,
    slice_document,
)
from snellen.store.sql.database import Database
from snellen.store.views import RunView


def slice_run(
    db: Database, run: RunView, by: str, *, edges: Sequence[float] | None = None
) -> dict[str, Any]:
    """Compute the metrics of a run by slices of its images.

    Args:
        db: the open database.
        run: the test run.
        by: a column of the result rows, such as ``meta_camera``; or image_size, object_size or
            object_count.
        edges: rising limits for a numeric column.

    Returns:
        See `snellen.pipelines.runs.slices.slice_document`.

    Raises:
        InputError: RUN_NOT_COMPLETED.
        ConfigError: SLICE_COLUMN, the column does not exist; SLICE_VALUES, invalid limits or too
            many values.
    """
    owner = completed_owner(db, run)
    config, results = build_config(run.config), open_results(db, run)
    one = SliceBy(by, None if edges is None else tuple(edges))
    names = tuple(owner.class_names or ())
    spec = MetricsSpec(owner.task_type, names, config.metrics, config.run.seed)
    (sliced,) = open_slices([one], spec, results_schema(results))
    failed = count_slices(results, [sliced])
    if failed:
        raise ConfigError("SLICE_VALUES", f"slices by {by}: {failed[0]}.")
    return slice_document(sliced)
