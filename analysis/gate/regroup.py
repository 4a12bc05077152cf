"""The metrics of a run with the intervals of another grouping of its images."""

from __future__ import annotations

from dataclasses import replace

from snellen.analysis.reader import completed_owner, open_results
from snellen.pipelines.config.loader import apply_overrides, build_config
from snellen.pipelines.config.stored import stored_config
from snellen.pipelines.data.report import unread_images
from snellen.pipelines.runs.measure import measure
from snellen.pipelines.runs.slices import MetricsSpec, check_group, results_schema
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_MEASURED = ("metrics", "intervals", "per_class_metrics")


def regrouped(db: Database, run: RunView, group: str) -> RunView:
    """Return a run with its intervals over groups of images; nothing is stored.

    Args:
        db: the open database.
        run: a completed run.
        group: metadata column of dependent images.

    Raises:
        ConfigError: GROUP_COLUMN, with the metadata columns that there are.
    """
    config = build_config(apply_overrides(dict(run.config or {}), [f"metrics.group={group}"]))
    if (run.config or {}).get("metrics", {}).get("group") == group:
        return run
    results = open_results(db, run)
    check_group(config.metrics, results_schema(results))
    owner = completed_owner(db, run)
    names = tuple(owner.class_names or ())
    spec = MetricsSpec(owner.task_type, names, config.metrics, config.run.seed)
    unread = unread_images(owner.dataset_report)
    measured = measure(results, spec, owner.total_images or 0, unread=unread)
    columns = {name: measured[name] for name in _MEASURED}
    return replace(run, **columns, config=stored_config(config))
