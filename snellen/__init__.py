"""Snellen tests and runs vision models; this is its public Python API.

import snellen

run = snellen.evaluate("configs/digits.yaml")
run.metrics["accuracy"]
run.results()                       # a polars DataFrame, one row an image
snellen.open_run("latest")
job = snellen.predict(images="photos/", job="digits")
job.results()                       # the same of predictions; job.draw(0) is a picture
snellen.load_adapter("timm", checkpoint="last.pth.tar").infer_single("cat.jpg")
snellen.Client("http://127.0.0.1:8000").infer("cat.jpg", job="digits")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snellen.adapters.dataset_runner import set_dataset_runner

if TYPE_CHECKING:
    from pathlib import Path

    from snellen.adapters.base import Adapter
    from snellen.adapters.dataset_runner import TestRunResult
    from snellen.api.runs import (
        InferenceJob,
        TestRun,
        evaluate,
        load_adapter,
        open_predictions,
        open_run,
        parity,
        predict,
    )
    from snellen.client import Client, Prediction, ServiceError

__all__ = [
    "Client",
    "InferenceJob",
    "Prediction",
    "ServiceError",
    "TestRun",
    "evaluate",
    "load_adapter",
    "open_predictions",
    "open_run",
    "parity",
    "predict",
]


def __getattr__(name: str) -> Any:
    # Lazy, so that the command line answers --help without polars, pyarrow and SQLAlchemy, and a
    # client needs none of them.
    if name in {"Client", "Prediction", "ServiceError"}:
        from snellen import client

        return getattr(client, name)
    if name in __all__:
        from snellen.api import runs as api

        return getattr(api, name)
    raise AttributeError(f"module 'snellen' has no attribute '{name}'")


def _run_dataset(
    adapter: Adapter, dataset_path: Path, split: str, save_results: bool
) -> TestRunResult:
    from snellen.api.dataset_runner import run_dataset

    return run_dataset(adapter, dataset_path, split, save_results)


# Adapters import nothing above them; whoever imports one has imported this package before.
set_dataset_runner(_run_dataset)
