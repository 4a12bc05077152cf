"""Which model a person means on the command line: a file, a job, or a configuration's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_config, load_config, with_absolute_paths


def referenced_config(reference: str, *, checkpoint: str | None = None) -> EvaluateConfig:
    """The configuration of a model alone; its data set is a placeholder unless it is a file's.

    Args:
        reference: a checkpoint file; a job's id, name or run directory; ``JOB:CHECKPOINT`` with
            best, last or an epoch; or a YAML configuration, whose sections ``model`` and
            ``preprocess`` count (for files of weights that need an architecture, say).
        checkpoint: best, last or an epoch, of a job.

    Raises:
        ConfigError: CHECKPOINT_TWICE, or what is wrong with the configuration.
    """
    path = Path(reference).expanduser()
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        _only_of_jobs(reference, checkpoint)
        return with_absolute_paths(load_config(path))
    if path.is_file():
        _only_of_jobs(reference, checkpoint)
        model: dict[str, Any] = {"checkpoint": str(path)}
    else:
        job, which = _split(reference)
        if which is not None and checkpoint is not None:
            raise ConfigError(
                "CHECKPOINT_TWICE",
                f"'{reference}' names the checkpoint {which}, and --checkpoint {checkpoint} was "
                "given; give one of them.",
            )
        which = which or checkpoint
        model = {"job": job, **({"checkpoint": which} if which is not None else {})}
    return with_absolute_paths(build_config({"model": model, "dataset": {"path": "."}}))


def _only_of_jobs(reference: str, checkpoint: str | None) -> None:
    if checkpoint is not None:
        raise ConfigError(
            "CHECKPOINT_TWICE",
            f"'{reference}' is a file, so --checkpoint {checkpoint} has no meaning; it chooses "
            "among the checkpoints of a job.",
        )


def _split(reference: str) -> tuple[str, str | None]:
    job, colon, which = reference.rpartition(":")
    if colon and (which in {"best", "last"} or which.isdecimal()):
        return job, which
    return reference, None
