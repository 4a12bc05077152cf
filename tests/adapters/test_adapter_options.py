"""Validation of the options that an adapter declares."""

from __future__ import annotations

from typing import Any

import pytest

from snellen.adapters.adapter_options import AdapterOptions, AnyOptions, parse_options
from snellen.adapters.errors import ConfigError
from snellen.adapters.exported.torchscript_adapter import TorchScriptOptions
from snellen.adapters.registry import ADAPTERS
from snellen.adapters.timm.adapter import TimmOptions
from snellen.adapters.ultralytics.nms import YoloOptions


def test_every_adapter_has_defaults_for_its_options() -> None:
    for _, adapter in ADAPTERS:
        assert parse_options(adapter.options, {}, adapter.framework)


def test_options_are_parsed() -> None:
    found = parse_options(YoloOptions, {"imgsz": 96, "nms_iou": 1, "nms": None}, "ultralytics")
    assert (found.imgsz, found.nms_iou, found.nms) == (96, 1.0, None)
    assert parse_options(TimmOptions, {"model_kwargs": {"a": [1]}}, "timm").model_kwargs == {
        "a": [1]
    }
    assert parse_options(AnyOptions, {"anything": 1}, "mine").model_extra == {"anything": 1}


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (YoloOptions, {"imgsize": 64}, "'imgsize' is unknown to the adapter a. Expected one of "
                                       "imgsz, nms, nms_iou, agnostic_nms, max_detections; "
                                       "did you mean imgsz?"),
        (TimmOptions, {"imgsz": 64}, "'imgsz' is unknown to the adapter a. It is a setting of "
                                     "detectors; a timm classifier's input size is "
                                     "preprocess.img_size."),
        (AdapterOptions, {"x": 1}, "'x' is unknown to the adapter a. It has no options."),
        (TimmOptions, {"use_ema": "no"}, "'use_ema' of the adapter a is 'no'. Expected: a valid "
                                         "boolean."),
        (TimmOptions, {"match": "order"}, "'match' of the adapter a is 'order'. Expected: 'name' "
                                          "or 'position'."),
        (TimmOptions, {"num_classes": 0}, "'num_classes' of the adapter a is 0. Expected: greater "
                                          "than or equal to 1."),
        (TorchScriptOptions, {"trust": 1}, "'trust' of the adapter a is 1. Expected: a valid "
                                           "boolean."),
    ],
)  # fmt: skip
def test_invalid_options(kind: type[AdapterOptions], given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_options(kind, given, "a")
    assert caught.value.code == "OPTION_INVALID"
    assert caught.value.message == f"model option {message}"
