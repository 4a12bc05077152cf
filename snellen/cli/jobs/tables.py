"""Tables of training jobs; each takes the document that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from snellen.cli.results.tables import number, short_path
from snellen.store.views import ValidationView


def job_table(job: dict[str, Any], epochs: Sequence[ValidationView]) -> Table:
    """Build the table of a training job and its checkpoints."""
    table = Table(
        title=f"training job {job['id']} · {escape(job['name'])}",
        caption=f"{job['framework']} {job['model_name'] or ''} · {len(epochs)} epochs recorded · "
        f"{len(job['class_names'] or [])} class names\n{escape(job['output_dir'] or '')}",
    )
    for name in ("checkpoint", "epoch", "metric", "file"):
        table.add_column(name)
    for entry in job["checkpoints"]:
        file = Path(entry["path"])
        table.add_row(
            entry["name"], number(entry["epoch"]), number(entry["metric"]), escape(file.name)
        )
    return table


def jobs_table(jobs: Sequence[dict[str, Any]], datasets: Mapping[int, str | None]) -> Table:
    """Build the table of training jobs, one job per line.

    Args:
        jobs: their documents.
        datasets: dataset of the training by id of the job, where it is known.
    """
    table = Table()
    for name in ("id", "name", "framework", "task", "model", "dataset", "best", "checkpoints"):
        table.add_column(name, overflow="fold")
    for job in jobs:
        metrics = [one["metric"] for one in job["checkpoints"] if one["name"] == "best"]
        table.add_row(
            str(job["id"]),
            escape(job["name"]),
            job["framework"],
            job["task_type"].removeprefix("image_"),
            escape(job["model_name"] or "-"),
            escape(short_path(datasets.get(job["id"]))),
            number(metrics[0] if metrics else None),
            str(len(job["checkpoints"])),
        )
    return table
