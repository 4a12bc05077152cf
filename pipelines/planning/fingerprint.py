"""The fingerprint of a run: settings, files and versions that a resume may not change."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from snellen.adapters.errors import InputError
from snellen.adapters.types import ModelInfo
from snellen.pipelines.config.predict import AnyConfig, PredictConfig
from snellen.pipelines.planning.plan import Plan

_SECTIONS = ("task", "model", "dataset", "images", "preprocess")
_RUN_KEYS = ("precision",)
_PREPARING = ("model.", "preprocess.", "checkpoint ")
"""Beginnings of changes that change the preprocessing, which is then not listed, too."""
_FREE_DATASET_KEYS = ("storage_options", "strict")
"""Keys for the access to images, whose size and time are checked when they are read; and the check
of the dataset report."""


def snellen_version() -> str:
    """Return the installed version of this package."""
    try:
        return version("snellen")
    except PackageNotFoundError:
        return "unknown"


def hashed_settings(config: AnyConfig) -> dict[str, Any]:
    """Return the settings that the results depend on, flat: dotted key -> JSON value."""
    data = config.model_dump(mode="json")
    chosen: dict[str, Any] = {key: data[key] for key in _SECTIONS}
    chosen["dataset"] = {k: v for k, v in data["dataset"].items() if k not in _FREE_DATASET_KEYS}
    chosen["run"] = {key: data["run"][key] for key in _RUN_KEYS}
    return _flatten(chosen)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The stored configuration and fingerprint of a run.

    Attributes:
        config: of the run.
        stored: its fingerprint.
        preprocessing: as it was resolved; files beside the checkpoint may change it. None for runs
            that did not store it.
    """

    config: AnyConfig
    stored: Mapping[str, Any]
    preprocessing: Mapping[str, Any] | None = None


def fingerprint(
    config: AnyConfig, info: ModelInfo, manifest_hash: str, plan: Plan
) -> dict[str, Any]:
    """Compute the fingerprint that is stored with a run.

    Returns:
        ``config_hash``, ``manifest_hash``, ``checkpoint_sha256`` and ``versions`` by library.
    """
    settings = {
        **hashed_settings(config),
        "run.unit_rows": plan.unit_rows,
        "run.batch_size": plan.batch_size,
    }
    text = json.dumps(settings, sort_keys=True, default=str)
    return {
        "config_hash": hashlib.sha256(text.encode()).hexdigest(),
        "manifest_hash": manifest_hash,
        "checkpoint_sha256": info.checkpoint_sha256,
        "versions": {"snellen": snellen_version(), **info.versions},
    }


def reject_changes(before: Fingerprint, after: AnyConfig, info: ModelInfo, run: str) -> None:
    """Reject a resume if anything that the results depend on has changed.

    Args:
        before: stored with the run.
        after: the configuration to resume with.
        info: description of the checkpoint as it is now.
        run: name of the run, for the message.

    Raises:
        InputError: RESUME_CHANGED, listing every difference.
    """
    stored = before.stored
    changes = _setting_changes(before.config, after)
    if stored.get("checkpoint_sha256") != info.checkpoint_sha256:
        changes.append(
            f"checkpoint {info.checkpoint_path}: sha256 {str(stored.get('checkpoint_sha256'))[:12]}"
            f"... -> {info.checkpoint_sha256[:12]}..."
        )
    if before.preprocessing is not None and not any(c.startswith(_PREPARING) for c in changes):
        changes += _differences(_prepared(before.preprocessing), _prepared(info.preprocess))
    now = {"snellen": snellen_version(), **info.versions}
    changes += _differences(
        {f"version of {k}": v for k, v in dict(stored.get("versions") or {}).items()},
        {f"version of {k}": v for k, v in now.items()},
    )
    _reject(changes, run)


def reject_setting_changes(before: AnyConfig, after: AnyConfig, run: str) -> None:
    """Reject a resume with other settings that the results depend on; needs no checkpoint.

    Args:
        before: the configuration of the run.
        after: the one to resume with.
        run: name of the run, for the message.

    Raises:
        InputError: RESUME_CHANGED, listing every difference.
    """
    _reject(_setting_changes(before, after), run)


def reject_metric_changes(before: AnyConfig, after: AnyConfig, run_id: int) -> None:
    """Reject the resume of a completed run with other settings of its metrics.

    There is nothing to resume, and the metrics of a run keep their settings.

    Args:
        before: the configuration of the run.
        after: the one to resume with.
        run_id: its id, for the message.

    Raises:
        InputError: RESUME_CHANGED, listing every difference.
    """
    old, new = _metric_settings(before), _metric_settings(after)
    changes = _differences(old, new)
    if changes:
        words = [f"{key}={json.dumps(new[key])}" for key in sorted(new) if old[key] != new[key]]
        raise InputError(
            "RESUME_CHANGED",
            f"run {run_id} is completed, and settings of its metrics have changed: "
            + "; ".join(changes)
            + f". Expected those of the run. For a new run with them: snellen rescore {run_id} "
            + shlex.join(words),
        )


def _metric_settings(config: AnyConfig) -> dict[str, Any]:
    if isinstance(config, PredictConfig):
        return {}
    data = config.model_dump(mode="json")
    metrics = {f"metrics.{key}": value for key, value in data["metrics"].items()}
    return {**metrics, "run.seed": config.run.seed}


def _reject(changes: Sequence[str], run: str) -> None:
    if changes:
        raise InputError(
            "RESUME_CHANGED",
            f"{run} cannot be resumed: its results depend on settings that have changed: "
            + "; ".join(changes)
            + ". Fix: undo the change, or start a new run.",
        )


def _setting_changes(before: AnyConfig, after: AnyConfig) -> list[str]:
    changes = _differences(hashed_settings(before), hashed_settings(after))
    for key in ("unit_rows", "batch_size"):
        old, new = getattr(before.run, key), getattr(after.run, key)
        if old != new:
            changes.append(f"run.{key}: {old!r} -> {new!r}")
    return changes


def _prepared(preprocessing: Mapping[str, Any]) -> dict[str, Any]:
    """Return a preprocessing as it is stored, without its source, which is for people."""
    values: dict[str, Any] = json.loads(json.dumps(preprocessing))
    values.pop("source", None)
    return _flatten(values, "preprocessing.")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    keys = sorted(set(old) | set(new))
    return [
        f"{key}: {old.get(key)!r} -> {new.get(key)!r}"
        for key in keys
        if old.get(key) != new.get(key)
    ]


def _flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
