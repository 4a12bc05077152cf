"""What makes a run an inference job: images without labels, pictures, times."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar

import pyarrow.compute as pc

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.types import TaskType
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.data.resolve import ResolvedDataset
from snellen.pipelines.data.sources.unlabelled import input_of, open_images, short_name
from snellen.pipelines.execution.worker.spec import PictureSpec
from snellen.pipelines.execution.worker.visualize import FOLDERS
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.finishing import all_failed, check_complete, complete, results_folder
from snellen.pipelines.runs.kinds import RunKind, Scoring
from snellen.pipelines.runs.submit import shared_columns
from snellen.store.kinds import INFERENCE_JOB
from snellen.store.leases import Lease, release
from snellen.store.ledger import committed_units
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_files import sweep_temporaries
from snellen.store.runs import create_inference_job, get_inference_job
from snellen.store.sql.database import Database
from snellen.store.views import InferenceJobView


class Prediction(RunKind[PredictConfig, InferenceJobView]):
    """An inference job."""

    name: ClassVar[str] = INFERENCE_JOB

    @property
    def config(self) -> type[PredictConfig]:
        """The class of its configuration."""
        return PredictConfig

    def get(self, db: Database, reference: int | str) -> InferenceJobView:
        """A row of ``inference_jobs``."""
        return get_inference_job(db, reference)

    def check_input(self, config: PredictConfig) -> None:
        """There is something at the path, and classes are not to come from it."""
        if config.model.class_names == "dataset":
            raise InputError(
                "CLASS_NAMES_UNKNOWN",
                "model.class_names: dataset takes the names of a labelled set, which a prediction "
                "does not have; give a list, a text file with a name a line, or imagenet.",
            )
        open_images(config.dataset)

    def resolve(self, config: PredictConfig, model: ResolvedModel) -> ResolvedDataset:
        """The images, without classes."""
        source = open_images(config.dataset)
        return ResolvedDataset(source, source.describe(), None)

    def create_row(
        self, db: Database, config: PredictConfig, model: ResolvedModel, dataset: ResolvedDataset
    ) -> int:
        """A row of ``inference_jobs``."""
        kind, given = input_of(config.dataset)
        names, images = class_names(model), short_name(config.dataset)
        return create_inference_job(
            db,
            **shared_columns(db, INFERENCE_JOB, config, model, names, images),
            inference_type=kind,
            input_data=given,
        )

    def check(self, config: PredictConfig, model: ResolvedModel, dataset: ResolvedDataset) -> None:
        """Settings of detectors are for detectors."""
        task = model.info.task_type
        classifies = task is TaskType.IMAGE_CLASSIFICATION
        if classifies and config.model.min_confidence != "auto":
            raise ConfigError(
                "OPTION_INVALID",
                "model.min_confidence leaves out unsure detections; a classifier always gives its "
                "five surest classes with their probabilities. Remove the setting.",
            )
        if task is not TaskType.INSTANCE_SEGMENTATION and config.output.masks == "png":
            raise ConfigError(
                "OPTION_INVALID",
                f"output.masks: png needs a model for instance_segmentation; this one is for {task}"
                ". Remove the setting.",
            )

    def scoring(
        self, config: PredictConfig, model: ResolvedModel, run: InferenceJobView, total: int
    ) -> Scoring:
        """Which pictures are written."""
        output = config.output
        if output.visualize == "none" and output.masks == "none":
            return Scoring(all_threads=True)
        names = tuple(run.class_names or ())
        pictures = PictureSpec(output.visualize, output.masks == "png", total, names)
        return Scoring(pictures=pictures, all_threads=True)

    def finish(
        self, db: Database, lease: Lease, config: PredictConfig, reporter: Reporter
    ) -> InferenceJobView:
        """Add the times up from the files."""
        job = get_inference_job(db, lease.run_id)
        records = committed_units(db, INFERENCE_JOB, job.id)
        check_complete(records, job.total_images or 0)
        results = Results(results_folder(job), records)
        columns = _totals(results)
        if columns["scored_images"] == 0:
            error = all_failed(lease, results)
            release(db, lease, status="failed", error_message=error.message, **columns)
            raise error
        complete(db, lease, job, results, columns, config.output, reporter)
        for folder in FOLDERS:
            with suppress(OSError):
                sweep_temporaries(results.results_dir / folder)
        return get_inference_job(db, job.id)


def class_names(model: ResolvedModel) -> tuple[str, ...]:
    """The checkpoint's class names; their numbers where it has none."""
    info = model.info
    return info.class_names or tuple(str(number) for number in range(info.num_classes))


def _totals(results: Results) -> dict[str, Any]:
    """Images and device time of a job; failed images have no time."""
    total, failed, milliseconds = 0, 0, 0.0
    for table in results.iter_units(["status", "inference_time_ms"]):
        total += table.num_rows
        failed += pc.sum(pc.equal(table["status"], "failed")).as_py() or 0
        milliseconds += pc.sum(table["inference_time_ms"].cast("float64")).as_py() or 0.0
    scored = total - failed
    return {
        "total_images": total,
        "scored_images": scored,
        "failed_images": failed,
        "total_inference_time_ms": milliseconds,
        "avg_inference_time_ms": milliseconds / scored if scored else None,
    }


PREDICTION_KIND = Prediction()
