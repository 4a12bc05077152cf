"""Evaluate, run and serve vision models: the public Python API.

import snellen

run = snellen.evaluate(checkpoint="best.pt", dataset="data.yaml")
run.metrics["mAP50-95"]
run.results()                       # a polars DataFrame, one row per image
snellen.evaluate("configs/digits.yaml", overrides=["run.batch_size=64"])
snellen.open_run("latest")
snellen.execute(snellen.submit("configs/digits.yaml"))
snellen.resume("latest", retry_failed=["NOT_FOUND", "IO"])
job = snellen.predict(images="photos/", job="digits")
job.results()                       # one row per image; job.draw(0) returns an annotated image
snellen.load_adapter("timm", checkpoint="last.pth.tar").infer_single("cat.jpg")
snellen.Client("http://127.0.0.1:8000").infer("cat.jpg", job="digits")
snellen.Client("http://127.0.0.1:8000").evaluate("val", job="digits").wait().metrics
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snellen.adapters.dataset_runner import set_dataset_runner

if TYPE_CHECKING:
    from pathlib import Path

    from snellen.adapters.base import Adapter
    from snellen.adapters.dataset_runner import TestRunResult
    from snellen.api.evaluation import cancel, evaluate, execute, submit
    from snellen.api.predictions import InferenceJob, open_predictions, predict
    from snellen.api.runs import TestRun, load_adapter, open_run, parity, resume
    from snellen.client import AsyncClient, Client, Prediction, ServiceError

__all__ = [
    "AsyncClient",
    "Client",
    "InferenceJob",
    "Prediction",
    "ServiceError",
    "TestRun",
    "cancel",
    "evaluate",
    "execute",
    "load_adapter",
    "open_predictions",
    "open_run",
    "parity",
    "predict",
    "resume",
    "submit",
]

_MODULES = {
    "snellen.client": ("AsyncClient", "Client", "Prediction", "ServiceError"),
    "snellen.api.evaluation": ("cancel", "evaluate", "execute", "submit"),
    "snellen.api.predictions": ("InferenceJob", "open_predictions", "predict"),
    "snellen.api.runs": ("TestRun", "load_adapter", "open_run", "parity", "resume"),
}


def __getattr__(name: str) -> Any:
    # Lazy, so that --help does not import polars, pyarrow and SQLAlchemy, and a client needs none.
    from importlib import import_module

    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'snellen' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)


def _run_dataset(
    adapter: Adapter, dataset_path: Path, split: str, save_results: bool
) -> TestRunResult:
    from snellen.api.dataset_runner import run_dataset

    return run_dataset(adapter, dataset_path, split, save_results)


# Adapters must not import the layers above them, so the runner is injected here: importing any
# adapter imports this package first.
set_dataset_runner(_run_dataset)
