"""Accuracy and coverage of a classifier that rejects images below a confidence threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from snellen.adapters.errors import InputError
from snellen.analysis.operating_points.threshold_scan import ThresholdScan, kept_counts
from snellen.analysis.record import RunFiles
from snellen.metrics.class_filter import class_ids
from snellen.metrics.confidence_curve import ConfidenceCurve
from snellen.metrics.statistics.draws import RESAMPLES, Sampling
from snellen.metrics.statistics.groups import Keys, group_keys
from snellen.metrics.statistics.intervals import wilson
from snellen.metrics.statistics.proportions import Interval, grouped_proportion
from snellen.pipelines.config.loader import build_config

REJECTION_COLUMNS = ("status", "true_label_id", "predicted_label_id", "confidence")


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """The scored images of a classification run.

    Attributes:
        confidence: float32, (n,); NaN without one.
        correct: bool, (n,).
        groups: uint64, (n,), the groups of dependent images; None without ``metrics.group``.
    """

    confidence: npt.NDArray[np.float32]
    correct: npt.NDArray[np.bool_]
    groups: Keys | None


def scan_images(files: RunFiles) -> ThresholdScan:
    """Count the images of a run that are kept at every threshold, and the correct ones.

    Raises:
        InputError: CONFIDENCE_MISSING, predictions without a confidence.
    """
    images = scored_images(files)
    confidence, right = images.confidence, images.correct
    if not np.isfinite(confidence).all():
        missing = int((~np.isfinite(confidence)).sum())
        raise InputError(
            "CONFIDENCE_MISSING",
            f"{missing:,} of {len(confidence):,} predictions of run {files.run.id} have no "
            "confidence. Expected one for every image, which a threshold is compared with.",
        )
    order = np.argsort(-confidence, kind="stable")
    curve = ConfidenceCurve.of(confidence[order], right[order], len(right))
    return ThresholdScan(("accuracy", "coverage"), (), curve, {}, kept_counts)


def rejection_intervals(files: RunFiles, threshold: float) -> dict[str, Interval]:
    """Compute the intervals of accuracy and coverage at a rejection threshold.

    They are Wilson's; with ``metrics.group``, whose images are dependent, they come from draws of
    whole groups.

    Returns:
        ``accuracy`` of the images that are kept, and ``coverage``: [low, high]; None without
        images, and without draws (``metrics.bootstrap: 0``) where images have groups.
    """
    config = build_config(files.run.config)
    level, draws = config.metrics.confidence_level, config.metrics.bootstrap
    images = scored_images(files)
    kept = images.confidence >= np.float32(threshold)
    right = kept & images.correct
    if images.groups is None:
        total = int(kept.sum())
        return {
            "accuracy": wilson(int(right.sum()), total, level),
            "coverage": wilson(total, len(kept), level),
        }
    sampling = Sampling(RESAMPLES if draws is None else draws, level, config.run.seed)
    hits, trials = right.astype(np.float64), kept.astype(np.float64)
    return {
        "accuracy": grouped_proportion(hits, trials, images.groups, sampling),
        "coverage": grouped_proportion(trials, np.ones(len(kept)), images.groups, sampling),
    }


def scored_images(files: RunFiles) -> ScoredImages:
    """Read the confidence of each scored image, whether it is correct, and its group."""
    config = build_config(files.run.config).metrics
    chosen = class_ids(config.classes, files.owner.class_names or ())
    columns = REJECTION_COLUMNS + (() if config.group is None else ("image_id", config.group))
    confidences, correct, groups = [], [], []
    for table in files.results.iter_units(columns):
        scored = np.array(
            [
                row["status"] == "ok"
                and row["true_label_id"] is not None
                and row["predicted_label_id"] is not None
                and (chosen is None or row["true_label_id"] in chosen)
                for row in table.select(REJECTION_COLUMNS).to_pylist()
            ],
            np.bool_,
        )
        part = table.filter(scored)
        confidences += part["confidence"].to_pylist()
        correct += pc.equal(part["true_label_id"], part["predicted_label_id"]).to_pylist()
        if config.group is not None:
            groups.append(group_keys(part, config.group))
    return ScoredImages(
        np.array([np.nan if one is None else one for one in confidences], np.float32),
        np.array(correct, np.bool_),
        np.concatenate(groups) if groups else None,
    )
