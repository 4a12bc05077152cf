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


@pytest.mark.parametrize("part", range(15))
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


def test_max_dets_can_be_set_and_name_their_keys() -> None:
    rows = [r for seed in range(6) for r in draw(seed, "bbox", images=3)]
    rows = [r | {"image_index": i} for i, r in enumerate(rows)]
    metrics = report(rows, TASK["bbox"], CLASSES, max_dets=[1, 5, 300]).metrics
    assert "mAR_300" in metrics
    assert "mAR_100" not in metrics
    assert metrics["mAR_1"] == report(rows, TASK["bbox"], CLASSES).metrics["mAR_1"]
