"""References to models: a file, a training job, a configuration, or a loaded adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.checkpoints.hub_folder import weights_of
from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_as, load_as, with_absolute_paths
from snellen.pipelines.config.sections import ModelConfig
from snellen.pipelines.models.locate import ModelRequest

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A referenced model, and the database if a configuration names one."""

    request: ModelRequest
    database: str | None = None


def resolve_reference(reference: str, *, checkpoint: str | None = None) -> ModelReference:
    """Return the model that ``reference`` names.

    Args:
        reference: a checkpoint file, or a folder with a ``config.json``; the id, name or run
            directory of a job; ``JOB:CHECKPOINT`` with best, last or an epoch; or a YAML
            configuration, whose sections ``model`` and ``preprocess`` are used (for weights that
            need an architecture, for example).
        checkpoint: best, last or an epoch of a job.

    Raises:
        ConfigError: CHECKPOINT_TWICE, or an error in the configuration.
    """
    path = Path(reference).expanduser()
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        _only_of_jobs(reference, checkpoint)
        config = with_absolute_paths(load_as(EvaluateConfig, path))
        return ModelReference(ModelRequest.of(config), config.database)
    if path.is_file() or (path.is_dir() and weights_of(path) is not None):
        _only_of_jobs(reference, checkpoint)
        model: dict[str, Any] = {"checkpoint": str(path.absolute())}
    else:
        job, which = _split(reference)
        if which is not None and checkpoint is not None:
            raise ConfigError(
                "CHECKPOINT_TWICE",
                f"'{reference}' names the checkpoint {which}, and --checkpoint names {checkpoint}. "
                "Expected one of them. Remove one.",
            )
        which = which or checkpoint
        folder = Path(job).expanduser()
        model = {"job": str(folder.absolute()) if folder.exists() else job}
        if which is not None:
            model["checkpoint"] = which
    return ModelReference(ModelRequest(build_as(ModelConfig, model, where="model")))


def _only_of_jobs(reference: str, checkpoint: str | None) -> None:
    if checkpoint is not None:
        raise ConfigError(
            "CHECKPOINT_TWICE",
            f"'{reference}' holds weights, and --checkpoint {checkpoint} is for jobs. Expected one "
            "of them. Remove --checkpoint.",
        )


def _split(reference: str) -> tuple[str, str | None]:
    job, colon, which = reference.rpartition(":")
    if colon and (which in {"best", "last"} or which.isdecimal()):
        return job, which
    return reference, None


def sections_of(adapter: Adapter) -> dict[str, Any]:
    """Return the sections ``model``, ``preprocess`` and ``run`` of a loaded adapter.

    ``run.engine`` is ``inline``, because the adapter is loaded in this process.
    """
    spec = adapter.spec
    model: dict[str, Any] = {
        "adapter": spec.adapter,
        "checkpoint": spec.checkpoint,
        "architecture": spec.architecture,
        "options": dict(spec.options),
    }
    if spec.class_names:
        model["class_names"] = list(spec.class_names)
    if spec.min_confidence is not None:
        model["min_confidence"] = spec.min_confidence
    return {
        "model": model,
        "preprocess": dict(spec.preprocess),
        "run": {"engine": "inline", "precision": spec.precision},
    }
