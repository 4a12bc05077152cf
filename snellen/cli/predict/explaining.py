"""The option ``--explain`` of ``predict``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snellen.pipelines.config.predict import PredictConfig
    from snellen.pipelines.progress import Reporter
    from snellen.store.views import InferenceJobView


def check_before(method: str | None, config: PredictConfig, url: str | None) -> None:
    """Reject a model that cannot be explained, before anything is inferred."""
    if method is None:
        return
    from snellen.analysis.explained import check_explainable
    from snellen.store.sql.database import Database

    db = Database.open(url)
    try:
        check_explainable(db, config)
    finally:
        db.close()


def explain_after(
    method: str | None, job: InferenceJobView, url: str | None, reporter: Reporter
) -> None:
    """Draw the explanations of a completed job, and say where they are."""
    if method is None:
        return
    from snellen.analysis.explained import MOST, explain_job
    from snellen.store.sql.database import Database

    db = Database.open(url, create=False)
    try:
        written = explain_job(db, job, "gradcam", reporter)
    finally:
        db.close()
    if written.files:
        reporter.note(f"Explanations: {written.files[0].parent}")
    if (job.total_images or 0) > MOST:
        reporter.note(f"Only the first {MOST} images are explained")
