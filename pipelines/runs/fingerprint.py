"""What makes a result: the settings, files and versions that a resume may not change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from snellen.adapters.errors import InputError
from snellen.adapters.types import ModelInfo
from snellen.pipelines.config.predict import AnyConfig

_SECTIONS = ("task", "model", "dataset", "preprocess")
_RUN_KEYS = ("precision",)
_FREE_DATASET_KEYS = ("storage_options",)
"""How the images are reached, not which they are: their size and time are checked when read."""


def snellen_version() -> str:
    """The installed version of this package."""
    try:
        return version("snellen")
    except PackageNotFoundError:
        return "unknown"


def hashed_settings(config: AnyConfig) -> dict[str, Any]:
    """The settings that make a result, flat: dotted key -> JSON value."""
    data = config.model_dump(mode="json")
    chosen: dict[str, Any] = {key: data[key] for key in _SECTIONS}
    chosen["dataset"] = {k: v for k, v in data["dataset"].items() if k not in _FREE_DATASET_KEYS}
    chosen["run"] = {key: data["run"][key] for key in _RUN_KEYS}
    return _flatten(chosen)


def fingerprint(
    config: AnyConfig,
    info: ModelInfo,
    *,
    manifest_hash: str | None,
    unit_rows: int | None,
    batch_size: int | None,
) -> dict[str, Any]:
    """The fingerprint that is stored with a run; see SCHEMA for its keys."""
    settings = {
        **hashed_settings(config),
        "run.unit_rows": unit_rows,
        "run.batch_size": batch_size,
    }
    text = json.dumps(settings, sort_keys=True, default=str)
    return {
        "config_hash": hashlib.sha256(text.encode()).hexdigest(),
        "manifest_hash": manifest_hash,
        "checkpoint_sha256": info.checkpoint_sha256,
        "versions": {"snellen": snellen_version(), **info.versions},
    }


def refuse_changes(
    before: AnyConfig, after: AnyConfig, stored: Mapping[str, Any], info: ModelInfo, run: str
) -> None:
    """Refuse to resume when anything that makes a result has changed.

    Args:
        before, after: the stored configuration and the one to go on with.
        stored: the run's fingerprint.
        info: the checkpoint as it is now.
        run: what to call the run.

    Raises:
        InputError: RESUME_CHANGED, listing every difference.
    """
    changes = _differences(hashed_settings(before), hashed_settings(after))
    for key in ("unit_rows", "batch_size"):
        old, new = getattr(before.run, key), getattr(after.run, key)
        if old != new:
            changes.append(f"run.{key}: {old!r} -> {new!r}")
    if stored.get("checkpoint_sha256") != info.checkpoint_sha256:
        changes.append(
            f"checkpoint {info.checkpoint_path}: sha256 {str(stored.get('checkpoint_sha256'))[:12]}"
            f"... -> {info.checkpoint_sha256[:12]}..."
        )
    now = {"snellen": snellen_version(), **info.versions}
    changes += _differences(
        {f"version of {k}": v for k, v in dict(stored.get("versions") or {}).items()},
        {f"version of {k}": v for k, v in now.items()},
    )
    if changes:
        raise InputError(
            "RESUME_CHANGED",
            f"{run} cannot be resumed, because what makes its results has changed: "
            + "; ".join(changes)
            + ". Undo the change, or start a new run.",
        )


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
