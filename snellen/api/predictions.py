"""Predict images without labels, and open stored inference jobs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from snellen.analysis.reader import open_results, unit_files
from snellen.api.base import Stored
from snellen.api.keywords import PredictOptions, check_keywords
from snellen.api.opened import opened
from snellen.pipelines.config.predict import Images, PredictConfig, predict_config_of
from snellen.pipelines.runs.runner import InferenceRunner
from snellen.store.parquet.results import Results
from snellen.store.runs import get_inference_job
from snellen.store.sql.database import Database
from snellen.store.views import InferenceJobView


class InferenceJob(Stored[InferenceJobView]):
    """Inference job: its row in the run tables, with result files that are read on demand."""

    def _open(self, db: Database) -> Results:
        return open_results(db, self._view)

    def _files(self, db: Database) -> list[Path]:
        return unit_files(db, self._view)

    def __repr__(self) -> str:
        counts = f"{self._view.scored_images} of {self._view.total_images} images"
        return f"InferenceJob(id={self.id}, name={self.name!r}, status={self.status!r}, {counts})"


def predict(
    config: str | Path | Mapping[str, Any] | PredictConfig | None = None,
    images: Images | None = None,
    **options: Unpack[PredictOptions],
) -> InferenceJob:
    """Predict images without labels and return the completed inference job.

    ``predict("predict.yaml")``; ``predict(images="photos/", job="digits")``;
    ``predict(images=["a.jpg", "b.jpg"], checkpoint="best.pt", adapter="ultralytics")``.

    Args:
        config: a YAML file, a nested mapping of the same keys, or a PredictConfig.
        images: a folder, an image, a manifest, or several paths; replaces ``dataset.path``.
        options: see `snellen.api.keywords.PredictOptions`.

    Raises:
        ConfigError, InputError: nothing was started.
        RunError, RunInterrupted: the job can be resumed.
    """
    check_keywords("predict", options, PredictOptions)
    given = config.model_dump(exclude_unset=True) if isinstance(config, PredictConfig) else config
    checkpoint = options.get("checkpoint")
    parsed = predict_config_of(
        given,
        images,
        settings={
            "model.job": options.get("job"),
            "model.checkpoint": str(checkpoint) if isinstance(checkpoint, Path) else checkpoint,
            "model.adapter": options.get("adapter"),
            "model.min_confidence": options.get("confidence"),
        },
        overrides=options.get("overrides", ()),
    )
    view = InferenceRunner(parsed, reporter=options.get("reporter")).run_inference()
    return InferenceJob(view, parsed.database)


def open_predictions(
    reference: int | str = "latest", *, database: str | None = None
) -> InferenceJob:
    """Open a stored inference job.

    Args:
        reference: id, name or ``latest``.
        database: URL of the run tables; None takes the default.

    Raises:
        InputError: RUN_NOT_FOUND, DATABASE_NOT_FOUND.
    """
    with opened(database) as db:
        return InferenceJob(get_inference_job(db, reference), database)
