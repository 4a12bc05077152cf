"""Inspect a dataset: its format, classes and counts, and how its classes fit a checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from snellen.adapters.errors import InputError, SnellenError
from snellen.adapters.runtime.temporary_folder import temporary_folder
from snellen.pipelines.config.dataset import DatasetConfig, ImagesConfig
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.registry import check_keys, source_class_of
from snellen.pipelines.data.sources.unlabelled import open_images
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.serve.api.bodies.catalog_bodies import ClassMapPreview, InspectionResponse
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.runs.request_settings import Place, dataset_section
from snellen.serve.api.runs.run_responses import redacted
from snellen.serve.api.runs.submission import Submission

_SECONDS = 10.0
"""Time for listing images; a larger dataset is listed in part."""


class _OutOfTime(Exception):  # noqa: N818 - an end, not an error
    """The time for listing images is over."""


def inspect_dataset(
    place: Place,
    submission: Submission,
    path: str,
    model: dict[str, Any] | None,
    split: str | None = None,
) -> InspectionResponse:
    """Describe a dataset without running anything on it.

    Args:
        place: the folders that may be named.
        submission: checks configurations.
        path: inside the roots, or the name of a registered dataset.
        model: the section ``model`` of a configuration, to preview the class map.
        split: the split; None takes test if it exists, else val.

    Raises:
        Problem: a path that is not allowed.
        ConfigError, InputError: no dataset, or one that cannot be used.
    """
    section = dataset_section(path, {}, place)
    if split is not None:
        section["split"] = split
    name, source = _open(section)
    info = source.describe()
    submission.check_root(info.root, section["path"])
    images, report = _listed(source, info)
    return InspectionResponse(
        path=path,
        format=name,
        split=info.split,
        classes=None if info.classes is None else list(info.classes),
        images=images,
        complete=report is not None,
        class_counts=(report or {}).get("classes") or {},
        report=redacted(report or {}),
        notes=[without_paths(note) for note in (*info.notes, *info.warnings)],
        class_map=None if model is None else _preview(submission, section, model),
    )


def _open(section: dict[str, Any]) -> tuple[str, Source]:
    """Open a dataset; a folder that no labelled format recognises is one of images."""
    config = build_as(DatasetConfig, section, where="dataset")
    try:
        name, source_class = source_class_of(config)
    except InputError as error:
        if error.code != "DATASET_FORMAT" or not Path(config.path).is_dir():
            raise
        return "images", open_images(build_as(ImagesConfig, section, where="dataset"))
    check_keys(config, name, source_class)
    return name, source_class(config)


def _listed(source: Source, info: DatasetInfo) -> tuple[int, dict[str, Any] | None]:
    """List the images; return their number and the report, or what was seen and None."""
    end, seen = time.monotonic() + _SECONDS, 0

    def progress(rows: int) -> None:
        nonlocal seen
        seen = rows
        if time.monotonic() > end:
            raise _OutOfTime

    with temporary_folder("inspect") as folder:
        try:
            summary = write_manifest(source, info, folder / MANIFEST_NAME, progress=progress)
        except _OutOfTime:
            return seen, None
    return summary.rows, summary.report


def _preview(
    submission: Submission, section: dict[str, Any], model: dict[str, Any]
) -> ClassMapPreview:
    config = build_as(EvaluateConfig, {"model": model, "dataset": section}, where="request")
    try:
        _, dataset, _ = submission.resolve(EVALUATION, config)
    except SnellenError as error:
        if error.code in {"JOB_NOT_FOUND", "CHECKPOINT_NOT_FOUND"}:
            raise
        return ClassMapPreview(code=error.code, problem=without_paths(error.message))
    class_map = dataset.aligned.to_json()
    return ClassMapPreview(mode=class_map["mode"], ids=class_map["ids"], notes=class_map["notes"])
