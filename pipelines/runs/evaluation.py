"""The test run: a model on labelled images, its matches and its metrics."""

from __future__ import annotations

from pathlib import Path

from snellen.adapters.errors import ConfigError, InputError
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.data.resolve import ResolvedDataset, resolve_dataset
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.runs.kinds import Columns, RunKind, Scoring, Wording
from snellen.pipelines.runs.measure import measure_run
from snellen.pipelines.runs.slices import MetricsSpec, check_group, check_slices
from snellen.pipelines.tasks.metric_settings import (
    Measured,
    check_metric_settings,
    operating_point_of,
)
from snellen.pipelines.tasks.registry import task_of
from snellen.store.kinds import TEST_RUN
from snellen.store.parquet.schema import result_schema
from snellen.store.runs import create_test_run, get_test_run
from snellen.store.views import RunView

"""Name in the place of an adapter for predictions that were made elsewhere."""


def _check_input(config: EvaluateConfig) -> None:
    open_source(config.dataset)


def _describe_input(config: EvaluateConfig) -> tuple[Columns, str]:
    path = config.dataset.path
    return {"dataset_path": path}, Path(path).name


def _resolve(config: EvaluateConfig, model: ResolvedModel) -> ResolvedDataset:
    needs = task_of(model.info.task_type).needs
    return resolve_dataset(config, model.info, dataset_names=model.dataset_names, needs=needs)


def _describe_dataset(dataset: ResolvedDataset) -> Columns:
    class_map = dataset.aligned
    return {
        "class_names": list(class_map.names),
        "class_map": {**class_map.to_json(), "class_order": dataset.info.class_order},
        "dataset_split": dataset.info.split,
    }


def _check(config: EvaluateConfig, model: ResolvedModel, dataset: ResolvedDataset) -> None:
    info = model.info
    if config.model.restrict_logits and not task_of(info.task_type).has_logits:
        raise ConfigError(
            "OPTION_INVALID",
            f"model.restrict_logits is true, and the model is for {info.task_type}. Expected a "
            "classifier. Set metrics.classes instead, and remove model.restrict_logits.",
        )
    class_map = dataset.aligned
    measured = Measured(
        info.task_type,
        class_map.names,
        info.max_detections,
        frozenset(number for number in class_map.ids.values() if number is not None),
        frozenset(number for number, group in enumerate(class_map.groups) if not group),
        info.keypoints,
        dataset.info.keypoints,
        model.spec.min_confidence,
    )
    check_metric_settings(config.metrics, measured)
    spec = MetricsSpec(info.task_type, (), config.metrics)
    schema = result_schema(dataset.info.meta_fields)
    check_group(config.metrics, schema)
    check_slices(spec, schema)


def _scoring(config: EvaluateConfig, model: ResolvedModel, run: RunView, total: int) -> Scoring:
    """Match every unit of a run at the operating point that the run began with."""
    if not task_of(model.info.task_type).has_operating_point:
        return Scoring()
    stored = (run.resolved or {}).get("operating")
    if stored:
        return Scoring(OperatingPoint.of_stored(stored))
    return Scoring(operating_point_of(config.metrics, run.class_names or ()))


def _check_resumable(run: RunView) -> None:
    if run.is_imported:
        raise InputError(
            "RUN_IS_IMPORTED",
            f"run {run.id} has no model: its predictions were imported from "
            f"'{run.checkpoint_path}'. Import them again: snellen import {run.checkpoint_path} "
            f"--dataset {run.dataset_path}",
        )
    if run.results_of is not None:
        raise InputError(
            "RUN_IS_RESCORE",
            f"run {run.id} has no images of its own: it reads the files of run {run.results_of}. "
            f"Fix: snellen rescore {run.results_of}, or snellen resume {run.results_of}",
        )


EVALUATION = RunKind(
    name=TEST_RUN,
    words=Wording("run", "snellen resume {}", "snellen images {} --status failed", "scored"),
    config=EvaluateConfig,
    get=get_test_run,
    create=create_test_run,
    check_input=_check_input,
    describe_input=_describe_input,
    resolve=_resolve,
    check=_check,
    describe_dataset=_describe_dataset,
    scoring=_scoring,
    measure=measure_run,
    check_resumable=_check_resumable,
)
