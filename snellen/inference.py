"""``snellen.predict`` and the inference job that it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.predict import Images, InferenceRunner
from pipelines.predict_config import PredictConfig
from pipelines.predict_request import predict_config_of
from pipelines.predictions import draw_image, job_files, open_job_results
from pipelines.reporter import Reporter
from snellen.opened import opened
from store.runs import get_inference_job
from store.views import InferenceJobView

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl


class InferenceJob:
    """An inference job: its row, and its result files read on demand."""

    def __init__(self, view: InferenceJobView, database: str | None) -> None:
        self._view = view
        self._database = database

    @property
    def id(self) -> int:
        """Id of the job."""
        return self._view.id

    @property
    def name(self) -> str | None:
        """Name of the job."""
        return self._view.name

    @property
    def status(self) -> str:
        """``completed`` or what kept it from that."""
        return self._view.status

    @property
    def row(self) -> InferenceJobView:
        """Every column of the job's row."""
        return self._view

    @property
    def results_dir(self) -> Path:
        """Folder of the job's files; paths of pictures in the rows start from it."""
        return Path(self._view.results_dir or "")

    def files(self) -> list[Path]:
        """The result files in unit order, which is the order of the images."""
        with opened(self._database) as db:
            return job_files(db, self._view)

    def lazy(self) -> pl.LazyFrame:
        """The result rows as a polars LazyFrame: filters and columns are read on demand."""
        with opened(self._database) as db:
            return open_job_results(db, self._view).lazy()

    def results(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The result rows as a polars DataFrame, one row an image, in their order.

        Args:
            columns: only these; all columns of the results page otherwise.
        """
        with opened(self._database) as db:
            results = open_job_results(db, self._view)
            return results.frame(list(columns) if columns else None)

    def draw(self, image_index: int, *, max_side: int = 1600) -> npt.NDArray[np.uint8]:
        """An annotated copy of an image: uint8, shape (height, width, 3), RGB.

        Args:
            image_index: of the result row.
            max_side: larger images are drawn on a smaller copy, pixels.

        Raises:
            InputError: IMAGE_NOT_FOUND.
            ImageError: the image cannot be read any more.
        """
        with opened(self._database) as db:
            return draw_image(db, self._view, image_index, max_side=max_side)

    def __repr__(self) -> str:
        counts = f"{self._view.scored_images} of {self._view.total_images} images"
        return f"InferenceJob(id={self.id}, name={self.name!r}, status={self.status!r}, {counts})"


def predict(
    config: str | Path | Mapping[str, Any] | PredictConfig | None = None,
    images: Images | None = None,
    *,
    job: str | int | None = None,
    checkpoint: str | Path | int | None = None,
    adapter: str | None = None,
    confidence: float | None = None,
    overrides: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> InferenceJob:
    """Predict images without labels, to the end.

    ``predict("predict.yaml")``; ``predict(images="photos/", job="digits")``;
    ``predict(images=["a.jpg", "b.jpg"], checkpoint="best.pt", adapter="ultralytics")``.

    Args:
        config: a YAML file, a nested mapping of the same keys, or a PredictConfig.
        images: a folder, an image, a manifest, or several paths; instead of ``dataset.path``.
        job, checkpoint, adapter: the model, as ``model.job`` and so on.
        confidence: detections below it are left out (``model.min_confidence``).
        overrides: ``key.sub=value`` words.
        reporter: told about progress; silent by default.

    Raises:
        ConfigError, InputError: nothing was started.
        RunError, RunInterrupted: the job can be resumed.
    """
    given = config.model_dump(mode="json") if isinstance(config, PredictConfig) else config
    parsed = predict_config_of(
        given,
        images,
        settings={
            "model.job": job,
            "model.checkpoint": str(checkpoint) if isinstance(checkpoint, Path) else checkpoint,
            "model.adapter": adapter,
            "model.min_confidence": confidence,
        },
        overrides=overrides,
    )
    view = InferenceRunner(parsed, reporter=reporter).run_inference()
    return InferenceJob(view, parsed.database)


def open_predictions(
    reference: int | str = "latest", *, database: str | None = None
) -> InferenceJob:
    """A stored inference job by id, name or ``latest``.

    Raises:
        InputError: RUN_NOT_FOUND, DATABASE_NOT_FOUND.
    """
    with opened(database) as db:
        return InferenceJob(get_inference_job(db, reference), database)
