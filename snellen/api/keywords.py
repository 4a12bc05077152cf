"""Keyword options of the public functions that take many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from snellen.pipelines.progress import Reporter


class EvaluateOptions(TypedDict, total=False):
    """Options of `snellen.evaluate` and `snellen.submit`.

    Attributes:
        checkpoint: a checkpoint file or a run directory; with ``job``: best, last or an epoch.
            Replaces ``model.checkpoint``.
        job: a training job, by id or name; replaces ``model.job``.
        dataset: path of a labelled dataset of any format; replaces ``dataset.path``.
        split: split of the dataset; replaces ``dataset.split``.
        name: name of the run.
        overrides: ``key.sub=value`` strings that override keys of the configuration.
        reporter: receives progress; silent by default.
    """

    checkpoint: str | Path | int | None
    job: str | int | None
    dataset: str | Path | None
    split: str | None
    name: str | None
    overrides: Sequence[str]
    reporter: Reporter | None


class PredictOptions(TypedDict, total=False):
    """Options of `snellen.predict`.

    Attributes:
        job, checkpoint, adapter: the model; replace ``model.job``, ``model.checkpoint`` and
            ``model.adapter``.
        confidence: minimum confidence of a detection; replaces ``model.min_confidence``.
        overrides: ``key.sub=value`` strings that override keys of the configuration.
        reporter: receives progress; silent by default.
    """

    job: str | int | None
    checkpoint: str | Path | int | None
    adapter: str | None
    confidence: float | None
    overrides: Sequence[str]
    reporter: Reporter | None


class ExportOptions(TypedDict, total=False):
    """Options of `TestRun.export` and `InferenceJob.export`.

    Attributes:
        overwrite: replace an existing file, or a folder that is an export; default False.
        attach: files to store with the run, such as its report (mlflow, wandb).
        correct: only correct (True) or only incorrect (False) images.
        true_class: name or id of the true class of the images.
        min_confidence: minimum confidence of an image's most confident prediction; formats of
            objects also omit less confident objects.
        status: ``ok`` or ``failed``.
    """

    overwrite: bool
    attach: Sequence[str | Path]
    correct: bool | None
    true_class: str | int | None
    min_confidence: float | None
    status: str | None


class InstanceOptions(TypedDict, total=False):
    """Options of `TestRun.instances`; see `snellen.analysis.error_analysis.InstanceQuery`."""

    bucket: str | None
    true: int | str | None
    predicted: int | str | None
    min_confidence: float | None
    sort: str
    offset: int
    limit: int


class ParityOptions(TypedDict, total=False):
    """Options of `snellen.parity`.

    Attributes:
        dataset_format: format of the dataset, as in ``dataset.format``; default ``auto``.
        limit: maximum number of images, evenly spaced over the dataset; default all.
        tolerance: maximum difference between confidences; default 1e-4.
        pixels: maximum difference between box sides or keypoint coordinates, in pixels; default
            0.01.
        confidence: detections below this confidence in both models are ignored; default 0.25.
        device: ``cpu`` (default) or ``cuda``, where rounding may exceed the tolerance.
        trust: allow TorchScript files, which can execute arbitrary code; default False.
        database: URL of the run tables with the training jobs.
        reporter: receives progress; silent by default.
    """

    dataset_format: str
    limit: int | None
    tolerance: float
    pixels: float
    confidence: float
    device: str
    trust: bool
    database: str | None
    reporter: Reporter | None


class AdapterKeywords(TypedDict, total=False):
    """Options of `snellen.load_adapter` that every adapter has.

    Attributes:
        checkpoint: path of a local file.
        architecture: name of the architecture, if the checkpoint does not contain it.
        class_names: class names in output order.
        device: ``cpu`` or ``cuda``; default a GPU if one is available.
        multi_label: of a detector: a box may count for several classes; by default for its most
            confident one only.
        precision: ``fp32`` (default), ``fp16`` or ``bf16``.
        preprocess: overrides of the preprocessing, with the keys of the configuration.
    """

    checkpoint: str | Path | None
    architecture: str | None
    class_names: Sequence[str] | None
    device: str | None
    multi_label: bool | None
    precision: str
    preprocess: Mapping[str, Any] | None


def check_keywords(function: str, given: Mapping[str, Any], known: type) -> None:
    """Raise TypeError for a keyword that the function does not take, as Python itself does."""
    for name in given:
        if name not in known.__annotations__:
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'")
