"""The AP that carries Ultralytics' name is the one that Ultralytics computes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from snellen.adapters.ultralytics.environment import import_ultralytics
from snellen.metrics.detection.options import options_of
from snellen.metrics.detection.rules import match
from snellen.metrics.detection.ultralytics_ap import ultralytics_ap
from snellen.metrics.matching.instances import read_images
from snellen.metrics.matching.overlaps import Kind
from snellen.metrics.tasks import task_of
from tests.metrics.detection.examples import TASK, draw, found, report, row, table, truth


@pytest.fixture(scope="module")
def peer() -> Any:
    os.environ.update(
        YOLO_OFFLINE="1", YOLO_AUTOINSTALL="0", ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS="1"
    )
    import_ultralytics()
    from ultralytics.engine.validator import BaseValidator
    from ultralytics.utils import metrics

    return metrics, BaseValidator


@pytest.mark.parametrize("seed", range(30))
def test_the_formula_equals_ap_per_class(seed: int, peer: Any) -> None:
    random = np.random.default_rng(seed)
    size, classes = int(random.integers(1, 300)), int(random.integers(1, 6))
    correct = np.cumsum(random.random((size, 10)) < 0.15, axis=1)[:, ::-1] > 0
    # Ultralytics' order of equal confidences is open: there are none
    confidence = random.permutation(size).astype(np.float32) / size
    class_id = random.integers(0, classes, size)
    true = random.integers(0, classes, int(random.integers(1, 200)))
    support = np.bincount(true, minlength=classes)
    expected = peer[0].ap_per_class(correct, confidence, class_id, true)
    values = ultralytics_ap(correct, confidence, class_id, support)
    assert np.abs(values[expected[6]] - expected[5]).max() < 1e-9
    assert np.isnan(values[support == 0]).all()


@pytest.mark.parametrize("kind", ["bbox", "keypoints"])
@pytest.mark.parametrize("seed", range(12))
def test_the_matches_equal_the_validator(seed: int, kind: Kind, peer: Any) -> None:
    import torch

    utils, validator = peer
    rows = [
        r | {"true_boxes": [box | {"is_crowd": False, "ignore": False} for box in r["true_boxes"]]}
        for r in draw(seed, kind, images=1)
    ]
    images = read_images(table(rows), kind, 3)
    got = match(images, kind, options_of(task_of(TASK[kind]).overlaps)).ultralytics
    true, predicted = images.truths, images.predictions
    if not len(true) or not len(predicted):
        assert not got.any()
        return
    boxes = torch.tensor(true.boxes, dtype=torch.float32)
    if kind == "bbox":
        overlap = utils.box_iou(boxes, torch.tensor(predicted.boxes, dtype=torch.float32))
    else:
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1) * 0.53
        points = [torch.tensor(side.keypoints).float() for side in (true, predicted)]
        overlap = utils.kpt_iou(*points, sigma=utils.OKS_SIGMA, area=area)
    plain = validator.__new__(validator)
    plain.iouv = torch.linspace(0.5, 0.95, 10)
    expected = plain.match_predictions(
        torch.tensor(predicted.class_id), torch.tensor(true.class_id), overlap
    )
    assert (got == expected.numpy()).all()


def test_the_keys_of_a_run() -> None:
    for kind, prefix in (("segm", "ultralytics_mask_"), ("keypoints", "ultralytics_pose_")):
        metrics = report(draw(1, kind, images=8), TASK[kind], 3).metrics
        for name in ("mAP50", "mAP50-95"):
            assert 0 < metrics[f"ultralytics_{name}"] < 1  # type: ignore[operator]
            assert 0 < metrics[prefix + name] < 1  # type: ignore[operator]


def test_a_perfect_answer_and_none() -> None:
    perfect = row(0, [truth(0, 0, 0, 10, 10)], [found(0, 0, 0, 10, 10)])
    assert report([perfect], TASK["bbox"], 2).metrics["ultralytics_mAP50-95"] == pytest.approx(
        0.995, abs=1e-9
    )
    missed = report([row(0, [truth(0, 0, 0, 10, 10)], [])], TASK["bbox"], 2).metrics
    assert missed["ultralytics_mAP50-95"] == 0.0
    assert report([row(0, [], [])], TASK["bbox"], 2).metrics["ultralytics_mAP50"] is None
