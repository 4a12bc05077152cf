"""The arguments of ``eval`` and ``plan``: a configuration file, or a checkpoint and a dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.adapters.checkpoints.layouts import names_run_directory
from snellen.adapters.errors import ConfigError

_OVERRIDE = re.compile(r"[A-Za-z_]+(\.[A-Za-z_]+)*=")
_YAML = {".yaml", ".yml"}
_CHECKPOINTS = {".pt", ".pth", ".tar", ".ckpt", ".bin", ".safetensors", ".onnx", ".torchscript"}
_SECTIONS = {"model", "dataset", "preprocess", "run", "metrics", "output", "database", "ray"}
"""Keys that tell a configuration from a dataset's YAML file."""
_MODEL_KEYS = ("model.adapter=", "model.checkpoint=", "model.job=")
"""Overrides that name a model by themselves."""
_USAGE = (
    "Expected a YAML file with the configuration, or a checkpoint and a dataset: "
    "snellen eval best.pt data.yaml"
)


@dataclass(frozen=True, slots=True)
class Named:
    """Models and datasets that options name; None where an option is not given.

    Attributes:
        checkpoint: a file or a run directory.
        job: a training job, optionally with its checkpoint: ``NAME@last``.
        dataset: path of a dataset.
    """

    checkpoint: str | None = None
    job: str | None = None
    dataset: str | None = None

    @property
    def has_model(self) -> bool:
        """True if an option names the model."""
        return self.checkpoint is not None or self.job is not None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The sorted arguments: a configuration file, settings, and overrides."""

    config: str | None
    settings: Mapping[str, Any]
    overrides: Sequence[str]


def sort_words(words: Sequence[str], named: Named) -> Evaluation:
    """Sort the arguments by kind.

    ``key=value`` is an override, unless a file of that name exists. Of the others, a YAML file
    with the keys of a configuration is the configuration; otherwise they are a checkpoint and a
    dataset, in this order, without those that options name.

    Raises:
        ConfigError: USAGE, with what the first argument looks like and what to do.
    """
    overrides = [w for w in words if _OVERRIDE.match(w) and not Path(w).exists()]
    others = [word for word in words if word not in overrides]
    config, model, dataset = None, named, named.dataset
    has_model = named.has_model or any(word.startswith(_MODEL_KEYS) for word in overrides)
    if others and _is_config(others[0]):
        config, others = others[0], others[1:]
    first_is_model = bool(others) and (not has_model or _is_checkpoint(others[0]))
    if others and config is None and not named.has_model and first_is_model:
        model, others = _model_of(others[0], others[1:], named), others[1:]
    if others and dataset is None:
        dataset, others = others[0], others[1:]
    if others:
        raise _wrong(f"'{others[0]}' is one argument too many.")
    if config is None:
        if not (has_model or model.has_model):
            raise _wrong("there is no configuration, and no checkpoint.")
        if dataset is None and not any(word.startswith("dataset.") for word in overrides):
            raise _wrong("there is a checkpoint, but no dataset.")
    return Evaluation(config, _settings(model, dataset), overrides)


def _settings(named: Named, dataset: str | None) -> dict[str, Any]:
    job, checkpoint = named.job, named.checkpoint
    if job is not None and "@" in job:
        job, _, checkpoint = job.rpartition("@")
        if named.checkpoint is not None:
            raise _wrong(f"--job {named.job} names a checkpoint, and so does --checkpoint.")
    which = int(checkpoint) if checkpoint is not None and checkpoint.isdecimal() else checkpoint
    return {"model.job": job, "model.checkpoint": which, "dataset.path": dataset}


def _is_config(word: str) -> bool:
    """Return True for a YAML file that is a configuration, or one that does not exist."""
    path = Path(word)
    if path.suffix.lower() not in _YAML:
        return False
    if not path.is_file():
        return True
    found = _yaml_keys(path)
    return found is None or bool(found & _SECTIONS)


def _yaml_keys(path: Path) -> set[str] | None:
    """Return the top-level keys of a YAML file; None for one without a mapping."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return {str(key) for key in data} if isinstance(data, dict) else None


def _model_of(word: str, others: Sequence[str], named: Named) -> Named:
    """Return the model that the first argument names: a file, a folder or a job."""
    path = Path(word).expanduser()
    checkpoint = _is_checkpoint(word)
    if path.is_file() and not checkpoint:
        raise _wrong(f"'{word}' looks like {_described(path)}.", word)
    if path.is_dir() and not checkpoint and not (others or named.dataset):
        raise _wrong(f"'{word}' is a folder, as of a dataset.", word)
    if path.is_file() or checkpoint:
        return Named(checkpoint=word)
    if others or named.dataset:
        return Named(job=word)
    raise ConfigError(
        "CONFIG_NOT_FOUND", f"'{word}' does not exist, and there is no dataset. {_USAGE}"
    )


def _is_checkpoint(word: str) -> bool:
    return Path(word).suffix.lower() in _CHECKPOINTS or names_run_directory(word)


def _described(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in _YAML:
        return "a YOLO dataset" if "names" in (_yaml_keys(path) or ()) else "no configuration"
    from snellen.pipelines.data.walk import IMAGE_SUFFIXES

    if suffix in IMAGE_SUFFIXES:
        return "an image"
    return f"a dataset or another file ({suffix or 'no suffix'})"


def _wrong(problem: str, dataset: str | None = None) -> ConfigError:
    fix = f" To evaluate on it: snellen eval CHECKPOINT {dataset}" if dataset else ""
    return ConfigError("USAGE", f"{problem} {_USAGE}.{fix}")
