"""The inference job: a model on unlabelled images, its pictures and its times."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from snellen.adapters.errors import ConfigError, InputError
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.data.resolve import ResolvedDataset
from snellen.pipelines.data.sources.unlabelled import (
    check_images,
    input_of,
    open_images,
    short_name,
)
from snellen.pipelines.execution.worker.spec import PictureSpec
from snellen.pipelines.execution.worker.visualize import FOLDERS
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.kinds import Columns, RunKind, Scoring, Wording
from snellen.pipelines.tasks.registry import task_of
from snellen.store.kinds import INFERENCE_JOB
from snellen.store.parquet.results import Results
from snellen.store.runs import create_inference_job, get_inference_job
from snellen.store.views import InferenceJobView


def _check_input(config: PredictConfig) -> None:
    if config.model.class_names == "dataset":
        raise InputError(
            "CLASS_NAMES_UNKNOWN",
            "model.class_names: dataset takes the names of a labelled dataset, which a prediction "
            "does not have. Expected a list, a text file with one name per line, or imagenet.",
        )
    if config.model.restrict_logits:
        raise ConfigError(
            "OPTION_INVALID",
            "model.restrict_logits takes the classes of a labelled dataset, which a prediction "
            "does not have. Expected false. Fix: remove the key.",
        )
    open_images(config.dataset)


def _describe_input(config: PredictConfig) -> tuple[Columns, str]:
    kind, given = input_of(config.dataset)
    return {"inference_type": kind, "input_data": given}, short_name(config.dataset)


def _resolve(config: PredictConfig, model: ResolvedModel) -> ResolvedDataset:
    source = open_images(config.dataset)
    return ResolvedDataset(source, source.describe(), None)


def _check(config: PredictConfig, model: ResolvedModel, dataset: ResolvedDataset) -> None:
    task = task_of(model.info.task_type)
    if config.model.min_confidence != "auto" and not task.filters_by_confidence:
        raise ConfigError(
            "OPTION_INVALID",
            "model.min_confidence: a classifier always returns its five most confident classes "
            "with their probabilities. Expected a detector. Fix: remove the key.",
        )
    if config.output.masks == "png" and not task.has_masks:
        raise ConfigError(
            "OPTION_INVALID",
            f"output.masks: png: this model is for {model.info.task_type}. Expected a model for "
            "instance_segmentation. Fix: remove the key.",
        )


def _scoring(
    config: PredictConfig, model: ResolvedModel, run: InferenceJobView, total: int
) -> Scoring:
    output = config.output
    if output.visualize == "none" and output.masks == "none":
        return Scoring(all_threads=True)
    pictures = PictureSpec(output.visualize, output.masks == "png", total, model.class_names)
    return Scoring(pictures=pictures, all_threads=True)


def _measure(
    run: InferenceJobView, results: Results, config: PredictConfig, reporter: Reporter
) -> dict[str, Any]:
    """Count the images and add up the device time; failed images have no time."""
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


def _check_resumable(job: InferenceJobView) -> None:
    if job.is_recorded:
        raise InputError(
            "JOB_IS_RECORDED",
            f"inference job {job.id} is a recorded request: the service does not keep its image. "
            "Send the image again.",
        )


PREDICTION = RunKind(
    name=INFERENCE_JOB,
    words=Wording(
        "inference job",
        "snellen predict --resume {}",
        "snellen predictions {} --status failed",
        "predicted",
    ),
    config=PredictConfig,
    get=get_inference_job,
    create=create_inference_job,
    check_input=_check_input,
    describe_input=_describe_input,
    resolve=_resolve,
    check=_check,
    describe_dataset=lambda dataset: {},
    scoring=_scoring,
    measure=_measure,
    check_paths=lambda config: check_images(config.dataset),
    check_resumable=_check_resumable,
    folders=FOLDERS,
)
