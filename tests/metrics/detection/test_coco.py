"""COCO's numbers are pycocotools', in one pass and merged over any partition."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from snellen.metrics.detection.metrics import DetectionReport
from snellen.metrics.tasks import load
from tests.metrics.classification.examples import EXACT
from tests.metrics.detection.examples import (
    PREFIX,
    TASK,
    coco_stats,
    draw,
    found,
    keys,
    report,
    row,
    table,
    truth,
)

CLASSES = 3
SIGMAS = (0.02, 0.1, 0.05, 0.3, 0.09)
CASES = [
    *(("bbox", seed, None) for seed in range(140)),
    *(("segm", seed, None) for seed in range(80)),
    *(("keypoints", seed, None) for seed in range(50)),
    *(("keypoints", seed, SIGMAS) for seed in range(50, 80)),
]


def points(sigmas: Any) -> int:
    return 17 if sigmas is None else len(sigmas)


def same(got: float | None, expected: float) -> bool:
    return got is None if expected == -1 else got is not None and abs(got - expected) <= EXACT


def assert_coco(
    result: DetectionReport, rows: list[dict[str, Any]], kind: str, sigmas: Any
) -> None:
    kinds = dict.fromkeys(("bbox", kind))
    for measured in kinds:
        expected = coco_stats(rows, measured, CLASSES, sigmas if measured == "keypoints" else None)
        if expected is None:
            continue
        for key, value in zip(keys(measured), expected.stats, strict=True):
            assert same(result.metrics[key], value), (key, result.metrics[key], value)
        of_class = expected.eval["precision"][:, :, :, 0, -1]
        for number, values in enumerate(result.per_class.values()):
            plain = of_class[:, :, number]
            mean = plain.mean() if (plain > -1).all() else -1
            assert same(values[f"{PREFIX[measured]}AP"], mean)


def merged(rows: list[dict[str, Any]], task: str, seed: int, **options: Any) -> DetectionReport:
    random = np.random.default_rng(seed)
    metrics = load(task, bootstrap=0, **options)
    names = [f"class-{i}" for i in range(CLASSES)]
    places = random.integers(0, 3, len(rows))
    parts = [[r for r, place in zip(rows, places, strict=True) if place == n] for n in range(3)]
    states = [metrics.state(table(part), names) for part in parts]
    random.shuffle(states)
    states = [metrics.merge(states[:2]), pickle.loads(pickle.dumps(states[2]))]
    return metrics.compute(  # type: ignore[no-any-return]
        metrics.merge(states), names, total_images=len(rows), failed_images=0
    )


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 15))]
)
def test_300_random_sets_equal_pycocotools_whole_and_merged(part: int) -> None:
    assert len(CASES) == 300
    for kind, seed, sigmas in CASES[part::15]:
        rows = draw(seed, kind, points=points(sigmas))
        one = report(rows, TASK[kind], CLASSES, kpt_sigmas=sigmas)
        assert_coco(one, rows, kind, sigmas)
        parts = merged(rows, TASK[kind], seed, kpt_sigmas=sigmas)
        # the ground is the same to the last bit: merging redoes no arithmetic
        assert parts.to_dict() == one.to_dict()


def test_sets_with_more_predictions_than_coco_counts_were_drawn() -> None:
    rows = [r for seed in range(140) for r in draw(seed, "bbox")]
    assert sum(len(r["predicted_boxes"]) > 100 for r in rows) > 5


def test_ap_with_one_of_two_objects_found() -> None:
    true = [truth(0, 0, 0, 10, 10), truth(0, 50, 50, 60, 60)]
    result = report([row(0, true, [found(0, 0, 0, 10, 10)])], TASK["bbox"], 1)
    assert result.metrics["mAP50-95"] == pytest.approx(0.50495, abs=5e-6)
    assert result.metrics["mAP50-95"] == pytest.approx(51 / 101, abs=EXACT)


def test_ap_with_a_mistake_between_two_finds() -> None:
    true = [truth(0, 0, 0, 10, 10), truth(0, 50, 50, 60, 60)]
    predicted = [
        found(0, 0, 0, 10, 10, confidence=0.9),
        found(0, 90, 90, 99, 99, confidence=0.8),
        found(0, 50, 50, 60, 60, confidence=0.7),
    ]
    result = report([row(0, true, predicted)], TASK["bbox"], 1)
    assert result.metrics["mAP50-95"] == pytest.approx(0.83498, abs=5e-6)
    assert result.metrics["mAP50-95"] == pytest.approx((51 + 50 * 2 / 3) / 101, abs=EXACT)


def crowded_rows() -> list[dict[str, Any]]:
    """Draw images of which some have more than 100 predictions of a class."""
    rows = [r for seed in range(140) for r in draw(seed, "bbox")]
    many = [r for r in rows if len(r["predicted_boxes"]) > 100][:6]
    some = [r for r in rows if 0 < len(r["predicted_boxes"]) < 20][:6]
    return [r | {"image_index": i} for i, r in enumerate((*many, *some))]


@pytest.mark.parametrize("limits", [[500], [7], [1, 5, 300], [1, 2, 3, 150]], ids=str)
def test_other_limits_are_pycocotools_and_name_their_keys(limits: list[int]) -> None:
    rows = crowded_rows()
    result = report(rows, TASK["bbox"], CLASSES, max_dets=limits)
    expected = coco_stats(rows, "bbox", CLASSES, max_dets=limits)
    assert expected is not None
    precision, recall = expected.eval["precision"], expected.eval["recall"]
    last = limits[-1]

    def mean(values: Any) -> float:
        known = values[values > -1]
        return float(known.mean()) if known.size else -1

    theirs = {
        f"mAP50-95@{last}": mean(precision[..., 0, -1]),
        f"mAP50@{last}": mean(precision[0, ..., 0, -1]),
        f"mAP75@{last}": mean(precision[5, ..., 0, -1]),
        **{
            f"m{kind}_{area}@{last}": mean(values[..., number, -1])
            for kind, values in (("AP", precision), ("AR", recall))
            for number, area in enumerate(("small", "medium", "large"), start=1)
        },
        **{f"mAR_{limit}": mean(recall[..., 0, n]) for n, limit in enumerate(limits)},
    }
    assert result.primary_metric_name == f"mAP50-95@{last}"
    for key, value in theirs.items():
        assert same(result.metrics[key], value), key
    coco = {key for key in result.metrics if key.startswith(("mAP", "mAR"))}
    assert coco == set(theirs)
    assert f"AP@{last}" in result.per_class["class-0"]


def test_limits_change_what_is_measured() -> None:
    values = {
        limit: report(crowded_rows(), TASK["bbox"], CLASSES, max_dets=[limit]).primary_metric_value
        for limit in (7, 100, 500)
    }
    assert len(set(values.values())) == 3


def test_intervals_of_other_limits_have_their_keys() -> None:
    intervals = report(crowded_rows(), TASK["bbox"], CLASSES, max_dets=[500], bootstrap=5).intervals
    assert intervals["mAP50-95@500"] is not None
    assert "mAP50-95" not in intervals


def test_limits_of_poses_are_cocos() -> None:
    rows = draw(0, "keypoints")
    result = report(rows, TASK["keypoints"], CLASSES, max_dets=[500])
    assert result.primary_metric_name == "oks_mAP50-95"
    assert "mAP50-95@500" in result.metrics
