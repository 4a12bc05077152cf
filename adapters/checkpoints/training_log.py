"""Metrics per epoch of a training run, from timm's summary.csv or Ultralytics' results.csv."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TIMM_RESULTS = "summary.csv"
ULTRALYTICS_RESULTS = "results.csv"

# Most specific task first: a pose or segmentation run has the boxes' columns too. The formula is
# not COCO's, so the names carry its owner.
_ULTRALYTICS_PRIMARY: tuple[tuple[str, str], ...] = (
    ("metrics/mAP50-95(P)", "ultralytics_pose_mAP50-95"),
    ("metrics/mAP50-95(M)", "ultralytics_mask_mAP50-95"),
    ("metrics/mAP50-95(B)", "ultralytics_mAP50-95"),
    ("metrics/accuracy_top1", "accuracy"),
)
_ULTRALYTICS_LOSSES = ("val/box_loss", "val/cls_loss", "val/dfl_loss", "val/seg_loss",
                       "val/pose_loss", "val/kobj_loss", "val/loss")  # fmt: skip


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Metrics that a training run reported for one epoch.

    Attributes:
        epoch: the checkpoint's own numbering, from 0.
        primary_metric_name: ``accuracy``, or ``ultralytics_mAP50-95`` and the like, whose formula
            is not COCO's; None if the file has none of them.
        primary_metric_value: a fraction of 1.
        overall_loss: the validation loss; the sum of its parts for Ultralytics.
        metrics: every number of the row under its own name (timm's percentages as they are),
            and ``accuracy``, ``top5_accuracy`` as fractions.
    """

    epoch: int
    primary_metric_name: str | None
    primary_metric_value: float | None
    overall_loss: float | None
    metrics: dict[str, float]


def read_epochs(directory: str | Path) -> list[EpochResult]:
    """Read the epochs of a timm or Ultralytics run directory, in the order of the file.

    A row without a readable epoch (cut off while the run was writing) is skipped, and so is a
    number that is not finite. A resumed run repeats epochs; the later row is kept.

    Returns:
        One entry per epoch; empty if there is no such file.
    """
    root = Path(directory)
    if (root / TIMM_RESULTS).is_file():
        rows, build = _rows(root / TIMM_RESULTS), _timm_epoch
    elif (root / ULTRALYTICS_RESULTS).is_file():
        rows, build = _rows(root / ULTRALYTICS_RESULTS), _ultralytics_epoch
    else:
        return []
    results: dict[int, EpochResult] = {}
    for row in rows:
        if "epoch" in row:
            result = build(row)
            results[result.epoch] = result
    return list(results.values())


def _rows(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        lines = list(csv.reader(line.replace("\0", "") for line in file))
    if not lines:
        return []
    header = [name.strip() for name in lines[0]]
    return [_numbers(dict(zip(header, line, strict=False))) for line in lines[1:]]


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    numbers = {}
    for name, text in row.items():
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value):
            numbers[name] = value
    return numbers


def _timm_epoch(row: dict[str, float]) -> EpochResult:
    metrics = {name: value for name, value in row.items() if name != "epoch"}
    for name, column in (("accuracy", "eval_top1"), ("top5_accuracy", "eval_top5")):
        if column in metrics:
            metrics[name] = metrics[column] / 100
    has_accuracy = "accuracy" in metrics
    return EpochResult(
        epoch=int(row["epoch"]),
        primary_metric_name="accuracy" if has_accuracy else None,
        primary_metric_value=metrics.get("accuracy"),
        overall_loss=metrics.get("eval_loss"),
        metrics=metrics,
    )


def _ultralytics_epoch(row: dict[str, float]) -> EpochResult:
    metrics = {name: value for name, value in row.items() if name != "epoch"}
    column, name = next((pair for pair in _ULTRALYTICS_PRIMARY if pair[0] in metrics), (None, None))
    value = metrics[column] if column is not None else None
    if name is not None and value is not None:
        metrics[name] = value
    if "metrics/accuracy_top5" in metrics:
        metrics["top5_accuracy"] = metrics["metrics/accuracy_top5"]
    losses = [metrics[part] for part in _ULTRALYTICS_LOSSES if part in metrics]
    return EpochResult(
        epoch=int(row["epoch"]) - 1,
        primary_metric_name=name,
        primary_metric_value=value,
        overall_loss=math.fsum(losses) if losses else None,
        metrics=metrics,
    )
