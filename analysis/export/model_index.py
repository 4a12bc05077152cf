"""Hugging Face ``model-index``: the metrics of a run for the metadata of a model card.

Source of the format: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from snellen.analysis.export.columnar import ALL_TASKS
from snellen.analysis.export.exporter import Exported, ExportRequest
from snellen.analysis.export.trackers.run_facts import counted, run_facts
from snellen.pipelines.tasks.registry import task_of


class ModelIndexExporter:
    """One YAML file with the key ``model-index``."""

    name = "model-index"
    suffix = ".yaml"
    tasks = ALL_TASKS

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the file.

        Raises:
            InputError: EXPORT_UNLABELLED, an inference job, which has no metrics.
        """
        facts = run_facts(request, self.name)
        exported = counted(request)
        run = facts.run
        name = Path(run.checkpoint_path).stem if run.checkpoint_path else run.name
        result: dict[str, Any] = {
            "task": {"type": task_of(run.task_type).hub_task},
            "dataset": _dataset(run.dataset_path),
            "metrics": [
                _metric(key, value, facts.intervals) for key, value in facts.metrics.items()
            ],
        }
        if run.dataset_split:
            result["dataset"]["split"] = run.dataset_split
        index = [{"name": name or f"run {run.id}", "results": [result]}]
        text = yaml.safe_dump({"model-index": index}, sort_keys=False, allow_unicode=True)
        target.write_text(text, encoding="utf-8")
        return exported


def _dataset(path: str) -> dict[str, Any]:
    """Return the type and name of a dataset: its folder, and the last two parts of its path.

    >>> _dataset("/data/shapes/data.yaml"), _dataset("s3://bucket/Cats and dogs")["type"]
    ({'type': 'shapes', 'name': 'shapes/data.yaml'}, 'cats-and-dogs')
    """
    parts = [part for part in path.split("/") if part] or ["dataset"]
    folders = [part for part in parts if "." not in part] or parts
    kind = re.sub(r"[^a-z0-9._-]+", "-", folders[-1].lower()).strip("-") or "dataset"
    return {"type": kind, "name": "/".join(parts[-2:])}


def _metric(key: str, value: float, intervals: dict[str, Any]) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": key, "name": key.replace("_", " "), "value": value}
    if intervals.get(key):
        metric["args"] = {"interval": [float(end) for end in intervals[key]]}
    return metric
