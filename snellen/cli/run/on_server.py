"""Submit the configuration of ``eval`` to a service, and follow the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen.adapters.errors import ConfigError
from snellen.client import Client
from snellen.client.requests import SubmitOptions
from snellen.pipelines.progress import Reporter
from snellen.serve.api.bodies.run_bodies import ProgressResponse

_SECTIONS = ("dataset", "model", "preprocess", "run", "metrics")


def evaluate_on_server(url: str, data: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Submit a configuration, wait for the run, and return its document.

    Args:
        url: of the service.
        data: the keys of the configuration that were given, nested.
        reporter: told about the progress.

    Raises:
        ConfigError: SERVER_MODEL, SERVER_SETTING: the service cannot take this configuration.
        ServiceError: the service rejects the run, or does not respond.
        RunError, RunCancelled: how the run ended.
    """
    job, path, options = _request(data)
    with Client(url) as client:
        reporter.status(f"Submitting to {url}")
        run = client.evaluate(path, job=job, **options)
        reporter.note(f"Run {run.id} is queued at {url}")
        run.wait(_follow(reporter))
        reporter.end()
    return run.row.model_dump(mode="json")


def _request(data: Mapping[str, Any]) -> tuple[int | str, str, SubmitOptions]:
    """Return training job, dataset and options of a configuration."""
    sections = {name: dict(data.get(name) or {}) for name in _SECTIONS}
    model, dataset = sections["model"], sections["dataset"]
    job, checkpoint = model.pop("job", None), model.pop("checkpoint", "best")
    if job is None or (isinstance(checkpoint, str) and _is_path(checkpoint)):
        raise ConfigError(
            "SERVER_MODEL",
            "the configuration names a checkpoint file. Expected a training job that the service "
            "knows, because it reads no files of this machine. Write: --job NAME, or "
            "--job NAME@last",
        )
    path = dataset.pop("path", None)
    if not isinstance(path, str):
        raise ConfigError(
            "SERVER_SETTING",
            "dataset.path is missing. Expected a name or a path of the service. Write: "
            "--dataset NAME",
        )
    other = sorted(key for key in data if key not in (*_SECTIONS, "name"))
    if other:
        raise ConfigError(
            "SERVER_SETTING",
            f"{other[0]} cannot be set with --server. Expected keys of {', '.join(_SECTIONS)}, "
            "and name: the service has its own database, output folder and cluster. Remove "
            f"{other[0]}.",
        )
    options: Any = {
        "checkpoint": checkpoint,
        "name": data.get("name"),
        "split": dataset.pop("split", None),
        "class_map": model.pop("class_map", None),
        **{name: section for name, section in sections.items() if section},
    }
    return job, path, options


def _is_path(checkpoint: str) -> bool:
    return (
        checkpoint not in {"best", "last"}
        and not checkpoint.isdecimal()
        and ("/" in checkpoint or Path(checkpoint).suffix != "")
    )


def _follow(reporter: Reporter) -> Any:
    """Return a function that shows the progress of a run."""
    begun, done = False, 0

    def show(progress: ProgressResponse) -> None:
        nonlocal begun, done
        if not progress.total_images:
            reporter.status("Waiting for a worker" if progress.status == "pending" else "Starting")
            return
        if not begun:
            begun, done = True, progress.done_images
            reporter.begin(progress.total_images, done)
        if progress.done_images > done:
            name, value = progress.metric_name, progress.metric_value
            metric = None if name is None or value is None else (name, value)
            reporter.advance(progress.done_images - done, progress.failed_images, metric)
            done = progress.done_images

    return show
