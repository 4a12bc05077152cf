"""Accuracy and coverage of a classifier that rejects images below a confidence threshold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snellen.adapters.errors import InputError
from snellen.analysis.operating_points.threshold_scan import ThresholdScan, kept_counts
from snellen.analysis.record import RunFiles
from snellen.metrics.class_filter import class_ids
from snellen.metrics.confidence_curve import ConfidenceCurve
from snellen.pipelines.config.loader import build_config

REJECTION_COLUMNS = ("status", "true_label_id", "predicted_label_id", "confidence")


def scan_images(files: RunFiles) -> ThresholdScan:
    """Count the images of a run that are kept at every threshold, and the correct ones.

    Raises:
        InputError: CONFIDENCE_MISSING, predictions without a confidence.
    """
    confidence, right = scored_images(files)
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


def scored_images(files: RunFiles) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Read the confidence of each scored image, NaN without one, and whether it is correct."""
    config = build_config(files.run.config).metrics
    chosen = class_ids(config.classes, files.owner.class_names or ())
    confidences, correct = [], []
    for table in files.results.iter_units(REJECTION_COLUMNS):
        rows = [
            row
            for row in table.to_pylist()
            if row["status"] == "ok"
            and row["true_label_id"] is not None
            and row["predicted_label_id"] is not None
            and (chosen is None or row["true_label_id"] in chosen)
        ]
        confidences += [np.nan if row["confidence"] is None else row["confidence"] for row in rows]
        correct += [row["true_label_id"] == row["predicted_label_id"] for row in rows]
    return np.array(confidences, np.float32), np.array(correct, np.bool_)
