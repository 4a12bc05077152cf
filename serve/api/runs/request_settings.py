"""Configurations that are sent over HTTP: only keys and values that are safe there.

Some keys of a configuration name code to import, files, addresses or credentials. A user of the
command line may set them; a client of the service may not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.predict import PredictConfig
from snellen.serve.api.allowed_roots import resolve_dataset_path
from snellen.serve.api.bodies.run_bodies import DatasetInferenceRequest, TestRunRequest
from snellen.serve.api.problems import Problem
from snellen.store.datasets import find_dataset
from snellen.store.sql.database import Database

_FORBIDDEN: dict[str, Collection[str]] = {
    "model": ("adapter", "checkpoint", "job", "trust", "options", "class_map"),
    "dataset": ("path", "split", "follow_links", "storage_options"),
    "metrics": (),
    "preprocess": (),
    "run": (),
}
"""Keys of each section that requests may not set: they name code, files or addresses, or the body
has a field of its own for them."""
_DATASET_PATHS = ("annotations", "root")
_CHECKPOINT_WORDS = ("best", "last")


@dataclass(frozen=True, slots=True)
class Place:
    """The database, and the folders that requests may name."""

    db: Database
    roots: tuple[str, ...]
    output_dir: str


def evaluation_of(body: TestRunRequest, place: Place) -> EvaluateConfig:
    """Return the configuration of a test run.

    Raises:
        Problem: 403, 404 or 422.
        ConfigError: an invalid key, with the nearest valid one.
    """
    data = _common(body, place)
    if body.dataset_split is not None:
        data["dataset"]["split"] = body.dataset_split
    data["metrics"] = _section("metrics", body.metrics)
    _reject_code("metrics.extra", data["metrics"].get("extra"))
    if body.class_map != "auto":
        data["model"]["class_map"] = body.class_map
    return build_as(EvaluateConfig, data, where="request")


def prediction_of(body: DatasetInferenceRequest, place: Place) -> PredictConfig:
    """Return the configuration of an inference job; see `evaluation_of`."""
    data = _common(body, place)
    data["output"]["visualize"] = body.visualize
    return build_as(PredictConfig, data, where="request")


def checkpoint_name(text: str) -> str | int:
    """Return the value of ``model.checkpoint`` for a name.

    Raises:
        Problem: 403 for a path or an address, 422 for another word.
    """
    if text in _CHECKPOINT_WORDS:
        return text
    if text.isdecimal() and len(text) < 10:
        return int(text)
    if any(mark in text for mark in "/\\:") or ".." in text:
        raise Problem(
            403,
            "PATH_FORBIDDEN",
            "Paths and addresses are not allowed as checkpoint. Expected 'best', 'last' or an "
            "epoch number.",
        )
    raise Problem(422, "VALIDATION", "checkpoint: expected 'best', 'last' or an epoch number.")


def _common(body: TestRunRequest | DatasetInferenceRequest, place: Place) -> dict[str, Any]:
    model = _section("model", body.model)
    names = model.get("class_names")
    if isinstance(names, str) and names not in {"auto", "imagenet", "dataset"}:
        raise Problem(
            403,
            "PATH_FORBIDDEN",
            "model.class_names: files are not allowed. Expected auto, imagenet, dataset or a list.",
        )
    checkpoint = checkpoint_name(body.checkpoint)
    model |= {"job": body.selection.find(place.db), "checkpoint": checkpoint}
    return {
        **({} if body.name is None else {"name": body.name}),
        "model": model,
        "dataset": dataset_section(body.dataset_path, body.dataset, place),
        "preprocess": _section("preprocess", body.preprocess),
        "run": _section("run", body.run),
        "output": {"dir": place.output_dir},
    }


def _section(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    for key in given:
        if key in _FORBIDDEN[name]:
            raise Problem(
                403, "SETTING_FORBIDDEN", f"{name}.{key} cannot be set in this section over HTTP."
            )
    return dict(given)


def _reject_code(key: str, value: Any) -> None:
    """Reject ``module:attribute``, which would import any code on the server."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and ":" in one:
            raise Problem(
                403, "SETTING_FORBIDDEN", f"{key}: expected a registered name, not a module."
            )


def dataset_section(path: str, keys: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Return the section ``dataset``: of a registered name, or of a path inside the roots.

    Raises:
        Problem: a path or a key that is not allowed; 404, there is no such file or folder.
    """
    given = _section("dataset", keys)
    _reject_code("dataset.format", given.get("format"))
    given |= {
        key: str(resolve_dataset_path(given[key], place.roots))
        for key in _DATASET_PATHS
        if isinstance(given.get(key), str)
    }
    if "/" not in path and not Path(path).is_absolute():
        registered = find_dataset(place.db, path)
        if registered is not None:
            return {**registered.config, **given}
    return {**given, "path": str(resolve_dataset_path(path, place.roots))}
