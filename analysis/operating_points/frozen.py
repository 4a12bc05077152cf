"""Files with chosen thresholds: a fragment of a configuration, and where they were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.operating_points.threshold_choice import Choice
from snellen.analysis.operating_points.threshold_scan import ThresholdScan
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.metrics import MetricsConfig
from snellen.pipelines.config.yaml_file import read_yaml
from snellen.store.atomic_file import write_atomically
from snellen.store.views import RunView

KEY = "metrics.operating_confidence"
REJECTION = "rejection_confidence"
"""Key of a classifier's threshold, which no setting of a run applies."""


@dataclass(frozen=True, slots=True)
class FrozenThresholds:
    """Thresholds that were chosen on one run, to be applied to others.

    Attributes:
        setting: value of ``metrics.operating_confidence``; of a classifier the confidence below
            which images are rejected.
        rejects: it is a classifier's.
        chosen_on: ``run``, ``dataset``, ``manifest_hash``, ``checkpoint_sha256`` and ``rule``.
    """

    setting: float | dict[str, float]
    rejects: bool = False
    chosen_on: Mapping[str, Any] = field(default_factory=dict)

    def chosen_with(self, owner: RunView) -> bool:
        """Return True if the thresholds were chosen on the images of a run."""
        known = self.chosen_on.get("manifest_hash")
        return known is not None and known == (owner.fingerprint or {}).get("manifest_hash")

    def applied(self) -> float | dict[str, float]:
        """Return the value of ``metrics.operating_confidence``.

        Raises:
            ConfigError: THRESHOLDS_FILE, the threshold is a classifier's.
        """
        if self.rejects:
            raise ConfigError(
                "THRESHOLDS_FILE",
                "the file holds the rejection threshold of a classifier. Expected thresholds of a "
                "detector, which metrics.operating_confidence applies. Check it on a run instead: "
                "snellen threshold RUN --check FILE",
            )
        return self.setting


def freeze(path: Path, run: RunView, owner: RunView, scan: ThresholdScan, choice: Choice) -> None:
    """Write chosen thresholds to a YAML file.

    Raises:
        InputError: THRESHOLD_UNMET; OUTPUT_TAKEN, the file exists.
        RunError: it cannot be written.
    """
    setting = choice.setting()
    if path.exists():
        raise InputError(
            "OUTPUT_TAKEN",
            f"--freeze: '{path}' exists. Expected a new file. Remove it or name another one.",
        )
    fingerprint = owner.fingerprint or {}
    applied = {"metrics": {"operating_confidence": setting}} if scan.best else {REJECTION: setting}
    data = {
        **applied,
        "chosen_on": {
            "run": run.id,
            "name": run.name,
            "dataset": run.dataset_path,
            "rule": str(choice.rule),
            "manifest_hash": fingerprint.get("manifest_hash"),
            "checkpoint_sha256": fingerprint.get("checkpoint_sha256"),
        },
    }
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    write_atomically(path, text.encode())


def read_frozen(path: str | Path) -> FrozenThresholds:
    """Read a file of `freeze`, or any YAML file with ``metrics.operating_confidence``.

    Raises:
        ConfigError: CONFIG_NOT_FOUND; THRESHOLDS_FILE, it holds no thresholds; CONFIG_INVALID.
    """
    data = read_yaml(path)
    found = data if isinstance(data, Mapping) else {}
    chosen_on = found.get("chosen_on")
    section = found.get("metrics")
    value = section.get("operating_confidence") if isinstance(section, Mapping) else None
    rejection = found.get(REJECTION)
    if (value is None) == (rejection is None):
        raise ConfigError(
            "THRESHOLDS_FILE",
            f"'{path}' holds no thresholds. Expected {KEY}, as `snellen threshold RUN --best f1 "
            "--freeze FILE` writes it.",
        )
    given = rejection if value is None else value
    checked = build_as(MetricsConfig, {"operating_confidence": given}, where=str(path))
    known = dict(chosen_on) if isinstance(chosen_on, Mapping) else {}
    return FrozenThresholds(checked.operating_confidence, value is None, known)
