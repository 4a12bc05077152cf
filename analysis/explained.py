"""Explanations of the predictions of a stored run: its model is loaded again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snellen.adapters.errors import InputError
from snellen.adapters.explanations import Explainer, Explanation, Method, check_explains
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import ImageStatus
from snellen.analysis.drawing import RunImages
from snellen.analysis.picture_files import Pictures, PictureTarget, write_pictures
from snellen.analysis.reader import open_results, owner_of
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.config.sections import CommonConfig
from snellen.pipelines.models.locate import LocatedModel, ModelRequest, locate_model
from snellen.pipelines.progress import Reporter
from snellen.pipelines.visualization.canvas import Pixels
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun, InferenceJobView, RunView

FOLDER = "explanations"
"""Folder of explained images in the folder of an inference job."""
MOST = 20
"""Maximum number of images of a job that are explained."""


def check_explainable(db: Database, config: CommonConfig) -> LocatedModel:
    """Locate the model of a configuration, before anything is inferred.

    Raises:
        ConfigError: EXPLAIN_UNSUPPORTED, or the model cannot be located.
    """
    located = locate_model(replace(ModelRequest.of(config), register=False), db)
    name = located.spec.adapter
    check_explains(load_adapter_class(name), name)
    return located


class ExplainedImages:
    """The images of a run, drawn with the evidence for their predicted class."""

    def __init__(self, db: Database, run: AnyRun, method: Method) -> None:
        """Load the model of a run.

        Args:
            db: the open database.
            run: a test run or an inference job.
            method: of the explanation; there is one.

        Raises:
            ConfigError: EXPLAIN_UNSUPPORTED.
            InputError: EXPLAIN_CHANGED, the checkpoint is not the one of the run any more.
        """
        owner = owner_of(db, run)
        kind: type[EvaluateConfig] | type[PredictConfig] = (
            EvaluateConfig if isinstance(run, RunView) else PredictConfig
        )
        config = build_as(kind, owner.config)
        located = check_explainable(db, config)
        adapter = load_adapter_class(located.spec.adapter).from_spec(located.spec)
        before = (owner.fingerprint or {}).get("checkpoint_sha256")
        if before != adapter.info.checkpoint_sha256:
            raise InputError(
                "EXPLAIN_CHANGED",
                f"'{located.spec.checkpoint}' has another sha256 than when run {run.id} was made. "
                "Expected the same checkpoint. Restore it, or evaluate the new one.",
            )
        assert isinstance(adapter, Explainer)
        self.method = method
        self.images = RunImages(db, run)
        self._explainer: Explainer = adapter
        self._names: Sequence[str] = adapter.info.class_names or ()

    def explain(self, row: Mapping[str, Any]) -> Explanation:
        """Explain the predicted class of a result row.

        Raises:
            ConfigError: EXPLAIN_UNSUPPORTED, an architecture without feature maps.
            ImageError: the image cannot be read.
        """
        return self._explainer.explain(self.images.decode(row), self._class_id(row))

    def draw(self, row: Mapping[str, Any]) -> Pixels | None:
        """Draw a result row over its explanation; None for a failed image."""
        from snellen.pipelines.tasks.render import draw_row

        if row["status"] == ImageStatus.FAILED:
            return None
        image = self.images.decode(row)
        explanation = self._explainer.explain(image, self._class_id(row))
        return draw_row(image.pixels, row, self.images.class_names, explanation=explanation)

    def _class_id(self, row: Mapping[str, Any]) -> int | None:
        """Return the output of the predicted class; None, the highest one, if names were mapped."""
        label = row["predicted_label"]
        found = [number for number, name in enumerate(self._names) if name == label]
        return found[0] if len(found) == 1 else None


def explain_job(
    db: Database, job: InferenceJobView, method: Method, reporter: Reporter
) -> Pictures:
    """Draw the first images of an inference job with explanations, in the folder of the job.

    Raises:
        ConfigError, InputError: see `ExplainedImages`.
    """
    reporter.status("Loading checkpoint")
    explained = ExplainedImages(db, job, method)
    results = open_results(db, job)
    rows = results.page(results.lazy(), limit=MOST).rows
    target = PictureTarget(Path(job.results_dir or "") / FOLDER, overwrite=True)
    return write_pictures(explained.images, rows, target, reporter, explained.draw)
