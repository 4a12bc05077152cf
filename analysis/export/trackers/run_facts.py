"""Facts of a test run for an experiment tracker: metrics, intervals, settings, fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pyarrow.compute as pc

from snellen.adapters.errors import InputError
from snellen.adapters.passwords import hide_passwords
from snellen.adapters.plugins import missing_library
from snellen.adapters.types import ImageStatus
from snellen.analysis.export.exporter import Exported, ExportRequest
from snellen.pipelines.config.stored import shown_config
from snellen.store.views import RunView

_OF_ALL = "The metrics are those of all images of the run: the conditions do not apply to them."


@dataclass(frozen=True)
class RunFacts:
    """The facts of one run.

    Attributes:
        run: the run.
        metrics: those that have a value, by key.
        intervals: [low, high] by key.
        config: the configuration, without secrets.
        fingerprint: hashes and versions.
        key: identifies the run and its revision among all databases: an export of the same run
            updates the same entry of a tracker.
    """

    run: RunView
    metrics: dict[str, float]
    intervals: dict[str, Any]
    config: dict[str, Any]
    fingerprint: dict[str, Any]
    key: str

    def numbers(self) -> dict[str, float]:
        """Return the metrics and the ends of their intervals, as flat numbers."""
        found = dict(self.metrics)
        for key, bounds in self.intervals.items():
            if bounds and key in found:
                found[f"{key}_low"], found[f"{key}_high"] = (float(end) for end in bounds)
        return found

    def origins(self) -> dict[str, str]:
        """Return the checkpoint, the dataset and the hashes as texts."""
        run = self.run
        found = {
            "run": str(run.id),
            "task": run.task_type,
            "checkpoint": run.checkpoint_path,
            "dataset": run.dataset_path,
            "split": run.dataset_split,
            "images": run.scored_images,
            **{k: v for k, v in self.fingerprint.items() if isinstance(v, str)},
            **(self.fingerprint.get("versions") or {}),
        }
        return {key: hide_passwords(str(value)) for key, value in found.items() if value}


def library(name: str) -> None:
    """Raise ConfigError EXPORTER_MISSING_LIBRARY where the library of a tracker is missing."""
    if find_spec(name) is None:
        raise missing_library(f"--format {name}", name, "EXPORTER_MISSING_LIBRARY")


def run_facts(request: ExportRequest, format_name: str) -> RunFacts:
    """Return the facts of the run of an export.

    Raises:
        InputError: EXPORT_UNLABELLED, an inference job, which has no metrics.
    """
    run = request.run
    if not isinstance(run, RunView):
        raise InputError(
            "EXPORT_UNLABELLED",
            f"inference job {run.id} has no metrics. Expected a test run for --format "
            f"{format_name}. Evaluate a labelled dataset: snellen eval",
        )
    values = {
        key: float(value)
        for key, value in (run.metrics or {}).items()
        if isinstance(value, int | float)
    }
    fingerprint = run.fingerprint or {}
    identity = [run.id, run.revision, run.created_at.isoformat(), fingerprint]
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    config = shown_config(run.config or {})
    return RunFacts(run, values, dict(run.intervals or {}), config, fingerprint, key)


def counted(request: ExportRequest) -> Exported:
    """Count the chosen images of a format that exports metrics."""
    left_out: Counter[str] = Counter()
    images = 0
    for table in request.units():
        failed = int(pc.sum(pc.equal(table["status"], ImageStatus.FAILED)).as_py() or 0)
        images += table.num_rows - failed
        if failed:
            left_out["failed_images"] += failed
    some = any(value is not None for value in request.chosen.values())
    return Exported(images, dict(left_out), (_OF_ALL,) if some else ())
