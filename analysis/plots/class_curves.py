"""The curves of a classification run, one class against the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from snellen.analysis.plots.curves import Curve, RunCurves, ranked_curve
from snellen.metrics.classification.confusion import DENSE_CLASSES
from snellen.metrics.detection.operating_point import CONFIDENCES
from snellen.metrics.errors.classified import CLASSIFIED_COLUMNS, classified
from snellen.metrics.matching.assignment import Ints
from snellen.metrics.matching.overlaps import Bools, Floats

SCORE_COLUMNS = (*CLASSIFIED_COLUMNS, "top5_predictions")
"""The columns of a result row that `read_scores` reads."""


@dataclass(frozen=True, eq=False)
class Scores:
    """The stored scores of N images, at most five classes of each.

    Attributes:
        confidence: float64, (N,), of the predicted class.
        right: bool, (N,).
        support: int64, (K,), number of images per true class.
        class_id, score, positive: (M,) each: every stored score, its class, and True where that is
            the true class.
        floor: no score that is not stored exceeds it; 0 where all of them are stored.
    """

    confidence: Floats
    right: Bools
    support: Ints
    class_id: Ints
    score: Floats
    positive: Bools
    floor: float


def read_scores(
    parts: Iterable[pa.Table], num_classes: int, class_ids: Sequence[int] | None = None
) -> Scores:
    """Read the scores of a run.

    Args:
        parts: rows of result files with `SCORE_COLUMNS`.
        num_classes: K.
        class_ids: the true classes whose images are scored; None for all.
    """
    confidences, rights, ids, scores, positives = ([] for _ in range(5))
    support, floor = np.zeros(num_classes, dtype=np.int64), 0.0
    for table in parts:
        found = classified(table, class_ids)
        if not len(found.image):
            continue
        places = pc.index_in(pa.array(found.image, pa.int64()), value_set=table["image_index"])
        stored = table["top5_predictions"].take(places).combine_chunks()
        counts = stored.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        flat = stored.flatten()
        of_class = flat.field("label_id").to_numpy(zero_copy_only=False).astype(np.int64)
        score = flat.field("confidence").to_numpy(zero_copy_only=False).astype(np.float64)
        last = score[np.cumsum(counts) - 1][counts < num_classes]
        floor = max(floor, float(last.max())) if len(last) else floor
        confidences.append(found.confidence)
        rights.append(~found.wrong)
        ids.append(of_class)
        scores.append(score)
        positives.append(np.repeat(found.true_class, counts) == of_class)
        np.add.at(support, found.true_class, 1)
    joined: list[npt.NDArray[Any]] = [
        np.concatenate(parts) if parts else np.empty(0)
        for parts in (confidences, rights, ids, scores, positives)
    ]
    confidence, right, of_class, score, positive = joined
    return Scores(
        confidence, right.astype(np.bool_), support, of_class.astype(np.int64), score,
        positive.astype(np.bool_), floor,
    )  # fmt: skip


def class_curves(details: dict[str, Any], names: Sequence[str], scores: Scores) -> RunCurves:
    """Compute the curves of a run.

    Args:
        details: of the run.
        names: K unique class names.
        scores: of the run.
    """
    below = f", scores above {scores.floor:.2f}" if scores.floor else ""
    return RunCurves(
        precision_recall=precision_recall(names, scores),
        precision_recall_note=f"one class against the others{below}",
        by_confidence=selective_curves(scores),
        by_confidence_title="Accuracy by confidence",
        operating_confidence=None,
        reliability=list(details.get("reliability") or ()),
        reliability_label="Accuracy",
        class_metric="f1",
        class_label="F1",
    )


def precision_recall(names: Sequence[str], scores: Scores) -> list[Curve]:
    """Compute precision over recall of all classes together (micro), then of each class.

    The rows have the five highest scores of an image. A curve ends where a score that is not
    stored could belong on it, so every point equals that of all scores.
    """
    known = scores.score > scores.floor
    class_id, score, positive = scores.class_id[known], scores.score[known], scores.positive[known]
    curves = [ranked_curve(None, score, positive, int(scores.support.sum()))]
    if len(names) <= DENSE_CLASSES:
        order = np.argsort(class_id, kind="stable")
        edges = np.searchsorted(class_id[order], np.arange(len(names) + 1))
        for number, name in enumerate(names):
            part = order[edges[number] : edges[number + 1]]
            support = int(scores.support[number])
            curves.append(ranked_curve(name, score[part], positive[part], support))
    return [curve for curve in curves if len(curve.x)]


def selective_curves(scores: Scores) -> list[Curve]:
    """Compute the accuracy and the share of the images whose prediction reaches a confidence."""
    if not len(scores.confidence):
        return []
    order = np.argsort(-scores.confidence, kind="stable")
    made = np.searchsorted(-scores.confidence[order], -CONFIDENCES, side="right")
    hits = np.append(0, np.cumsum(scores.right[order]))[made].astype(np.float64)
    some = made > 0
    return [
        Curve("Accuracy", CONFIDENCES[some], hits[some] / made[some]),
        Curve("Share of images", CONFIDENCES, made / len(scores.confidence)),
    ]
