"""Metric settings that cannot be computed from the results are rejected before them."""

from __future__ import annotations

from typing import Any

import pytest

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.metrics import MetricsConfig
from snellen.pipelines.tasks.metric_settings import Measured, check_metric_settings


def rejected(measured: Measured, **metrics: Any) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        check_metric_settings(MetricsConfig(**metrics), measured)
    return caught.value.code, caught.value.message


def test_limits_above_the_stored_detections() -> None:
    detector = Measured("object_detection", max_detections=300)
    assert rejected(detector, max_dets=(500,)) == (
        "METRICS_MAX_DETS",
        "metrics.max_dets: 500 is above the 300 detections per image that the model keeps. "
        "Expected at most 300. Start a new run with model.max_detections=500",
    )
    check_metric_settings(MetricsConfig(max_dets=(10, 300)), detector)


@pytest.mark.parametrize(
    "measured",
    [
        Measured("object_detection", max_detections=None),
        Measured("object_detection", max_detections=500),
        Measured("image_classification"),
    ],
    ids=["I-unknown", "I-enough", "I-other-task"],
)
def test_limits_that_the_results_support(measured: Measured) -> None:
    check_metric_settings(MetricsConfig(max_dets=(500,)), measured)


def test_cocos_own_limits_fit_any_model() -> None:
    check_metric_settings(MetricsConfig(), Measured("object_detection", max_detections=50))


@pytest.mark.parametrize("limits", [[], [10, 1], [0], [1, 1]], ids=str)
def test_limits_rise(limits: list[int]) -> None:
    with pytest.raises(ValueError, match="max_dets"):
        MetricsConfig(max_dets=limits)
