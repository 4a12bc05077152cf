"""The data of charts, against scikit-learn and pycocotools."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from snellen.analysis.error_analysis import ErrorAnalysis
from snellen.analysis.plots.class_curves import (
    SCORE_COLUMNS,
    precision_recall,
    read_scores,
    selective_curves,
)
from snellen.analysis.plots.curves import Curve, reliability
from snellen.analysis.plots.object_curves import threshold_curves
from snellen.analysis.rescore import rescore_run
from snellen.metrics.detection.operating_point import CONFIDENCES, Ranked
from snellen.pipelines.progress import Reporter
from snellen.store.parquet.schema import RESULT_SCHEMA
from tests.analysis.detected import Detected
from tests.contracts.exporter_contract import Exportable

SCHEMA = pa.schema([RESULT_SCHEMA.field(name) for name in SCORE_COLUMNS])
NAMES = [f"class {number}" for number in range(8)]


def rows(probabilities: np.ndarray, labels: np.ndarray) -> pa.Table:
    """Result rows of a classifier, with the five highest scores."""
    made = []
    for index, (row, label) in enumerate(zip(probabilities, labels, strict=True)):
        order = np.argsort(-row, kind="stable")
        best = [{"label_id": int(k), "label": NAMES[k], "confidence": row[k]} for k in order[:5]]
        made.append(
            {
                "image_index": index, "image_id": f"{index}.png", "status": "ok",
                "true_label_id": int(label), "predicted_label_id": int(order[0]),
                "confidence": row[order[0]], "true_confidence": row[label],
                "top5_predictions": best,
            }
        )  # fmt: skip
    return pa.Table.from_pylist(made, SCHEMA)


def drawn(classes: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of float32 with ties, and labels that they predict better than chance."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, 300)
    logits = random.normal(size=(300, classes)).round(1)
    logits[np.arange(300), labels] += 1.5
    exponents = np.exp(logits)
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("classes", [4, 8])
def test_classes_against_the_others_equal_scikit_learn(classes: int) -> None:
    probabilities, labels = drawn(classes)
    table = rows(probabilities, labels)
    parts = (table.slice(0, 110), table.slice(110))
    scores = read_scores(parts, classes)
    assert (scores.floor > 0) == (classes > 5)
    curves = precision_recall(NAMES[:classes], scores)
    truth = labels[:, None] == np.arange(classes)
    expected: list[tuple[str | None, Any, Any]] = [(None, truth.ravel(), probabilities.ravel())]
    expected += [(NAMES[k], truth[:, k], probabilities[:, k]) for k in range(classes)]
    assert [curve.name for curve in curves] == [name for name, _, _ in expected]
    for curve, (_, positive, score) in zip(curves, expected, strict=True):
        precision, recall, thresholds = precision_recall_curve(positive, score)
        kept = np.flatnonzero(thresholds > scores.floor)[::-1]
        assert len(kept) > 20
        np.testing.assert_allclose(curve.x, recall[kept])
        np.testing.assert_allclose(curve.y, precision[kept])


def test_failed_images_and_other_classes_are_not_counted() -> None:
    probabilities, labels = drawn(4)
    table = rows(probabilities, labels)
    status = pa.array(["failed" if n % 3 == 0 else "ok" for n in range(300)])
    table = table.set_column(table.schema.get_field_index("status"), "status", status)
    scores = read_scores([table], 4, class_ids=[0, 2])
    kept = np.flatnonzero((np.arange(300) % 3 != 0) & np.isin(labels, [0, 2]))
    assert len(scores.confidence) == len(kept) == scores.support.sum()
    assert scores.right.sum() == (probabilities[kept].argmax(axis=1) == labels[kept]).sum()


def test_accuracy_and_share_of_images_above_a_confidence() -> None:
    probabilities, labels = drawn(4)
    accuracy, share = selective_curves(read_scores([rows(probabilities, labels)], 4))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    for number, limit in enumerate(CONFIDENCES):
        kept = confidence >= limit
        assert share.y[number] == pytest.approx(kept.mean())
        if kept.any():
            assert accuracy.y[np.flatnonzero(accuracy.x == limit)] == pytest.approx(
                [right[kept].mean()]
            )
        else:
            assert limit not in accuracy.x


def test_lines_over_the_confidence_equal_scikit_learn() -> None:
    random = np.random.default_rng(4)
    confidence = np.sort(random.random(400).round(2).astype(np.float32))[::-1]
    right = random.random(400) < confidence
    ranked = Ranked(confidence, right, support=350)
    f1, precision, recall = threshold_curves(ranked)
    found, part, thresholds = precision_recall_curve(right, confidence)
    share = right.sum() / 350  # objects that no prediction found
    for number, limit in enumerate(CONFIDENCES.astype(np.float32)):
        place = int(np.searchsorted(thresholds, limit))
        if place == len(thresholds):
            assert recall.y[number] == f1.y[number] == 0
            continue
        assert precision.y[number] == pytest.approx(found[place])
        assert recall.y[number] == pytest.approx(part[place] * share)
        mean = 2 * found[place] * part[place] * share / (found[place] + part[place] * share)
        assert f1.y[number] == pytest.approx(mean)


def test_a_reliability_diagram_equals_scikit_learn() -> None:
    random = np.random.default_rng(5)
    confidence = random.random(500)
    right = random.random(500) < confidence
    found = [one for one in reliability(confidence, right, bins=10) if one["count"]]
    accuracy, mean = calibration_curve(right, confidence, n_bins=10)
    np.testing.assert_allclose([one["accuracy"] for one in found], accuracy)
    np.testing.assert_allclose([one["confidence"] for one in found], mean)
    assert sum(one["count"] for one in found) == 500


def test_precision_over_recall_of_a_detector_is_that_of_pycocotools(
    detected: Detected, tmp_path: Path
) -> None:
    Exportable(detected.db, detected.run).export("coco", tmp_path / "out")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "out" / "ground_truth.json"))
        predictions = truth.loadRes(str(tmp_path / "out" / "results.json"))
        evaluation = COCOeval(truth, predictions, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, -1]
    curves = ErrorAnalysis(detected.db, detected.run).curves().precision_recall
    assert [curve.name for curve in curves] == [None, "cat", "dog"]
    np.testing.assert_allclose(curves[0].y, precision.mean(axis=1))
    np.testing.assert_allclose(curves[1].y, precision[:, 0])
    np.testing.assert_allclose(curves[2].y, precision[:, 1])
    assert 0 < precision.mean() < 1
    np.testing.assert_allclose(curves[0].x, np.linspace(0, 1, 101))


def test_the_counts_at_the_operating_point_are_those_of_the_run(detected: Detected) -> None:
    curves = ErrorAnalysis(detected.db, detected.run).curves()
    assert curves.operating_confidence == 0.25
    values = {
        curve.name: curve.y[np.flatnonzero(curve.x == 0.25)] for curve in curves.by_confidence
    }
    metrics = detected.run.metrics or {}
    assert values["F1"] == pytest.approx([metrics["f1"]])
    assert values["Precision"] == pytest.approx([metrics["precision"]])
    assert values["Recall"] == pytest.approx([metrics["recall"]])


def test_a_thinned_curve_keeps_its_ends() -> None:
    curve = Curve("all", np.linspace(0, 1, 1000), np.linspace(1, 0, 1000))
    thin = curve.thinned(10)
    assert (len(thin.x), thin.x[0], thin.x[-1], thin.y[-1]) == (10, 0.0, 1.0, 0.0)
    assert set(thin.x) <= set(curve.x)


def test_thresholds_by_class_are_no_point_on_the_curve_of_all_classes(detected: Detected) -> None:
    words = ["metrics.operating_confidence={cat: 0.5, default: 0.3}"]
    run = rescore_run(detected.db, detected.run, words, Reporter())
    assert ErrorAnalysis(detected.db, run).curves().operating_confidence is None
