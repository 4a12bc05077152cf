"""Snellen tests and runs vision models; this is its public Python API.

import snellen

run = snellen.evaluate("configs/digits.yaml")
run.metrics["accuracy"]
run.results()                       # a polars DataFrame, one row an image
snellen.open_run("latest")
job = snellen.predict(images="photos/", job="digits")
job.results()                       # the same of predictions; job.draw(0) is a picture
snellen.load_adapter("timm", checkpoint="last.pth.tar").infer_single("cat.jpg")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snellen.api import (
        InferenceJob,
        TestRun,
        evaluate,
        load_adapter,
        open_predictions,
        open_run,
        parity,
        predict,
    )

__all__ = [
    "InferenceJob",
    "TestRun",
    "evaluate",
    "load_adapter",
    "open_predictions",
    "open_run",
    "parity",
    "predict",
]


def __getattr__(name: str) -> Any:
    # Lazy, so that the command line answers --help without polars, pyarrow and SQLAlchemy.
    if name in __all__:
        from snellen import api

        return getattr(api, name)
    raise AttributeError(f"module 'snellen' has no attribute '{name}'")
