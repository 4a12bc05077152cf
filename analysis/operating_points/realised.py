"""The metrics that frozen thresholds reach on a run, with intervals, against a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from snellen.adapters.errors import ConfigError
from snellen.analysis.operating_points.frozen import FrozenThresholds
from snellen.analysis.operating_points.image_thresholds import rejection_intervals
from snellen.analysis.operating_points.threshold_choice import files_of, scan_run
from snellen.analysis.reader import completed_owner, open_results
from snellen.analysis.record import RunFiles
from snellen.metrics.confidence_curve import Rule
from snellen.metrics.tasks import load
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.tasks.metric_settings import check_metric_settings
from snellen.store.sql.database import Database
from snellen.store.views import RunView

Verdict = Literal["met", "missed", "not_settled"]
OPTIMISTIC = (
    "the thresholds were chosen on these images, so that the values are optimistic. Check them on "
    "a run of other images."
)


def check_frozen(
    db: Database, run: RunView, frozen: FrozenThresholds, target: Rule | None
) -> dict[str, Any]:
    """Compute the metrics of a run at frozen thresholds.

    Args:
        db: the open database.
        run: the run.
        frozen: the thresholds.
        target: a required value; None for none.

    Returns:
        ``id``, ``name``, ``task_type``, ``chosen_on``, ``same_images``, ``target``, ``rows``: one
        of all classes (``class``: null) and one per class, each with the values, their
        ``intervals``, the counts and the ``verdict`` against the target: ``met`` if the interval
        lies at or above it, ``missed`` if it lies below it, else ``not_settled``; null without a
        target or an interval.

    Raises:
        ConfigError: THRESHOLD_RULE, the target does not apply; CLASS_UNKNOWN, METRICS_CONFIDENCE:
            the thresholds do not fit the run; THRESHOLDS_FILE, those of another task.
        InputError: RUN_NOT_COMPLETED.
    """
    owner = completed_owner(db, run)
    scan = scan_run(db, run)
    if frozen.rejects == bool(scan.best):
        raise ConfigError(
            "THRESHOLDS_FILE",
            f"the thresholds are those of a {'classifier' if frozen.rejects else 'detector'}, and "
            f"run {run.id} is for {run.task_type}. Expected thresholds of the same task.",
        )
    if target is not None:
        scan.check_rule(target, per_class=False)
    if frozen.rejects:
        row = scan.row(float(frozen.setting))  # type: ignore[arg-type]
        rows = [_rejected(files_of(db, run), row)]
    else:
        rows = _detected(db, run, owner, frozen)
    for row in rows:
        row["verdict"] = None if target is None else _verdict(row["intervals"], target)
    return {
        "id": run.id,
        "name": run.name,
        "task_type": run.task_type,
        "chosen_on": dict(frozen.chosen_on) or None,
        "same_images": frozen.chosen_with(owner),
        "target": None if target is None else {"metric": target.key, "value": target.least},
        "rows": rows,
    }


def _detected(
    db: Database, run: RunView, owner: RunView, frozen: FrozenThresholds
) -> list[dict[str, Any]]:
    from snellen.analysis.rescore import measured_of

    data = {**(run.config or {})}
    data["metrics"] = {**data.get("metrics", {}), "operating_confidence": frozen.applied()}
    config = build_config(data)
    check_metric_settings(config.metrics, measured_of(owner))
    options = {**config.metrics.model_dump(), "extra": (), "seed": config.run.seed}
    metrics, names = load(owner.task_type, **options), owner.class_names or []
    units = open_results(db, run).iter_units(list(metrics.columns))
    state = metrics.merge([metrics.state(table, names) for table in units])
    total = run.total_images or state.scored
    report = metrics.compute(state, names, total_images=total, failed_images=total - state.scored)
    keys = ("precision", "recall", "f1")
    counts = {
        key: sum(values[key] for values in report.per_class.values()) for key in ("tp", "fp", "fn")
    }
    whole = {
        "class": None,
        **{key: report.metrics[key] for key in keys},
        **counts,
        "intervals": {key: report.intervals.get(key) for key in keys},
    }
    return [whole, *(_class_row(name, values) for name, values in report.per_class.items())]


def _class_row(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("precision", "recall", "f1")
    return {
        "class": name,
        **{key: values[key] for key in (*keys, "tp", "fp", "fn")},
        "intervals": {key: values.get(f"{key}_interval") for key in keys},
    }


def _rejected(files: RunFiles, row: dict[str, Any]) -> dict[str, Any]:
    return {"class": None, **row, "intervals": rejection_intervals(files, row["confidence"])}


def _verdict(intervals: Mapping[str, list[float] | None], target: Rule) -> Verdict | None:
    bounds, least = intervals.get(target.key), target.least
    if bounds is None or least is None:
        return None
    if bounds[0] >= least:
        return "met"
    return "missed" if bounds[1] < least else "not_settled"
