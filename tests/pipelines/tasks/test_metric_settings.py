"""Metric settings that cannot be computed from the results are rejected before them."""

from __future__ import annotations

from typing import Any

import pytest

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.metrics import MetricsConfig
from snellen.pipelines.tasks.metric_settings import Measured, check_metric_settings

NAMES = ("person", "car", "crane", "crane")


def rejected(measured: Measured, **metrics: Any) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        check_metric_settings(MetricsConfig(**metrics), measured)
    return caught.value.code, caught.value.message


def test_limits_above_the_stored_detections() -> None:
    detector = Measured("object_detection", NAMES, max_detections=300)
    assert rejected(detector, max_dets=(500,)) == (
        "METRICS_MAX_DETS",
        "metrics.max_dets: 500 is above the 300 detections per image that the model keeps. "
        "Expected at most 300. Start a new run with model.max_detections=500",
    )
    check_metric_settings(MetricsConfig(max_dets=(10, 300)), detector)


@pytest.mark.parametrize(
    "measured",
    [
        Measured("object_detection", NAMES, max_detections=None),
        Measured("object_detection", NAMES, max_detections=500),
        Measured("image_classification", NAMES),
    ],
    ids=["I-unknown", "I-enough", "I-other-task"],
)
def test_limits_that_the_results_support(measured: Measured) -> None:
    check_metric_settings(MetricsConfig(max_dets=(500,)), measured)


def test_cocos_own_limits_fit_any_model() -> None:
    check_metric_settings(MetricsConfig(), Measured("object_detection", NAMES, max_detections=50))


@pytest.mark.parametrize("limits", [[], [10, 1], [0], [1, 1]], ids=str)
def test_limits_rise(limits: list[int]) -> None:
    with pytest.raises(ValueError, match="max_dets"):
        MetricsConfig(max_dets=limits)


@pytest.mark.parametrize(
    ("task", "name", "code", "message"),
    [
        ("object_detection", "persn", "CLASS_UNKNOWN", "did you mean person?"),
        ("image_classification", "boat", "CLASS_UNKNOWN", "no such class"),
        ("image_classification", "crane", "CLASS_SHARED", "'crane [2]'"),
    ],
)
def test_classes_that_the_run_does_not_have(task: str, name: str, code: str, message: str) -> None:
    found, text = rejected(Measured(task, NAMES), classes=(name,))
    assert found == code
    assert text.startswith(f"metrics.classes {name}:")
    assert message in text


def test_metrics_of_plugins_are_for_all_classes() -> None:
    code, _ = rejected(
        Measured("image_classification", NAMES), classes=("car",), extra=("some:Metric",)
    )
    assert code == "METRIC_CLASSES"


def test_at_least_one_class_is_scored() -> None:
    with pytest.raises(ValueError, match="classes"):
        MetricsConfig(classes=[])


@pytest.mark.parametrize(
    ("found", "labelled", "sigmas", "message"),
    [
        (4, 17, None, "the model finds 4 keypoints per object, and the objects of the dataset"),
        (4, None, 3, "metrics.kpt_sigmas has 3 numbers for 4 keypoints. Expected 4"),
        (None, 4, 3, "metrics.kpt_sigmas has 3 numbers for 4 keypoints. Expected 4"),
        (4, 4, 17, "metrics.kpt_sigmas has 17 numbers for 4 keypoints. Expected 4"),
    ],
    ids=["I-dataset", "I-sigmas", "I-sigmas-of-an-unknown-model", "I-sigmas-of-coco"],
)
def test_numbers_of_keypoints_that_differ(
    found: int | None, labelled: int | None, sigmas: int | None, message: str
) -> None:
    given = None if sigmas is None else (0.1,) * sigmas
    poses = Measured("pose_estimation", NAMES, keypoints=found, true_keypoints=labelled)
    code, text = rejected(poses, kpt_sigmas=given)
    assert code == "KEYPOINTS_MISMATCH"
    assert text.startswith(message)
    boxes = Measured("object_detection", NAMES, keypoints=found, true_keypoints=labelled)
    check_metric_settings(MetricsConfig(kpt_sigmas=given), boxes)


@pytest.mark.parametrize(("found", "labelled"), [(4, 4), (4, None), (None, 4), (None, None)])
def test_numbers_of_keypoints_that_agree(found: int | None, labelled: int | None) -> None:
    poses = Measured("pose_estimation", NAMES, keypoints=found, true_keypoints=labelled)
    check_metric_settings(MetricsConfig(), poses)
    check_metric_settings(MetricsConfig(kpt_sigmas=(0.1,) * 4), poses)
