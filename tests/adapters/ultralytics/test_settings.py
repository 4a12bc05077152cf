"""Invalid settings of Ultralytics models."""

from __future__ import annotations

from typing import Any

import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.types import AdapterSpec
from snellen.adapters.ultralytics.adapter import UltralyticsAdapter
from tests.adapters.making import picture
from tests.adapters.ultralytics.making import checkpoint, loaded


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"imgsize": 64}, "'imgsize' is unknown .* imgsz, nms, nms_iou"),
        ({"imgsz": 100}, "100 is no multiple of the model's stride 32"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        loaded(checkpoint("detect"), **options)
    assert caught.value.code == "OPTION_INVALID"


def test_class_names_are_as_many_as_outputs() -> None:
    spec = AdapterSpec("ultralytics", str(checkpoint("detect")), class_names=("a", "b"))
    with pytest.raises(InputError) as caught:
        UltralyticsAdapter.from_spec(spec, device="cpu")
    assert caught.value.code == "CLASS_COUNT"
    named = AdapterSpec("ultralytics", str(checkpoint("classify")), class_names=("a", "b", "c"))
    adapter = UltralyticsAdapter.from_spec(named, device="cpu")
    assert adapter.info.class_names_source == "given"
    assert adapter.infer_single(picture()).predicted_label in {"a", "b", "c"}


def test_preprocessing_of_classifiers_does_not_apply() -> None:
    spec = AdapterSpec("ultralytics", str(checkpoint("detect")), preprocess={"img_size": 64})
    with pytest.raises(ConfigError, match=r"set model\.imgsz instead") as caught:
        UltralyticsAdapter.from_spec(spec, device="cpu")
    assert caught.value.code == "PREPROCESS_INVALID"
