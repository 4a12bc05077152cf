"""The document and the table of a sweep over checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from snellen.cli.results.tables import number
from snellen.pipelines.runs.sweep import SweptCheckpoint

OPTIMISTIC = (
    "the best of {} checkpoints on this dataset is optimistic, as it was chosen on it. Evaluate it "
    "on other images before you report its value."
)


def sweep_document(job: str, swept: Sequence[SweptCheckpoint]) -> dict[str, Any]:
    """Return the document of a sweep.

    Returns:
        ``job``, ``metric``, ``checkpoints`` in the order of their epochs, ``best`` (the checkpoint
        with the largest value of the metric; null without any), and ``warning``.
    """
    rows = [_row(one) for one in swept]
    metric = next((row["metric"] for row in rows if row["metric"] is not None), None)
    valued = [row for row in rows if row["value"] is not None]
    best = max(valued, key=lambda row: row["value"], default=None)
    warning = OPTIMISTIC.format(len(valued)) if len(valued) > 1 else None
    return {
        "job": job,
        "metric": metric,
        "checkpoints": rows,
        "best": None if best is None else best["checkpoint"],
        "warning": warning,
    }


def _row(one: SweptCheckpoint) -> dict[str, Any]:
    run = one.run
    metric = None if run is None else run.primary_metric_name
    return {
        "checkpoint": one.checkpoint,
        "epoch": one.epoch,
        "path": one.path,
        "run": None if run is None else run.id,
        "name": one.name,
        "status": "failed" if run is None else run.status,
        "was_there": one.was_there,
        "metric": metric,
        "value": None if run is None else run.primary_metric_value,
        "interval": None if run is None or metric is None else (run.intervals or {}).get(metric),
        "error": None if one.error is None else {"code": one.error.code, "message": str(one.error)},
    }


def sweep_table(document: dict[str, Any]) -> Table:
    """Build the table of a sweep: the primary metric by checkpoint, the best one marked."""
    metric = document["metric"] or "metric"
    table = Table(title=f"checkpoints of {escape(document['job'])}", caption=document["warning"])
    for name in ("checkpoint", "run", metric, "interval"):
        table.add_column(name, justify="right")
    table.add_column("", overflow="fold")
    for row in document["checkpoints"]:
        bounds = row["interval"]
        shown = f"{number(bounds[0])} - {number(bounds[1])}" if bounds else ""
        note = "best" if row["checkpoint"] == document["best"] else ""
        if row["error"] is not None:
            note = f"failed: {row['error']['message']} [{row['error']['code']}]"
        elif row["was_there"]:
            note = f"{note}, completed before".removeprefix(", ")
        values = (number(row["run"]), number(row["value"]), shown)
        table.add_row(row["checkpoint"], *values, escape(note))
    return table
