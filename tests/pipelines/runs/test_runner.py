"""Runners take their own kind of configuration; what else they do stands with each of them."""

from __future__ import annotations

import pytest

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.runs.runner import InferenceRunner, TestRunner

MODEL = {"adapter": "noop"}
LABELLED = EvaluateConfig.model_validate({"model": MODEL, "dataset": {"path": "data"}})
UNLABELLED = PredictConfig.model_validate({"model": MODEL, "dataset": {"path": "data"}})


def test_the_other_kind_of_configuration_is_no_adapter() -> None:
    with pytest.raises(TypeError, match="TestRunner takes a EvaluateConfig"):
        TestRunner(UNLABELLED)
    with pytest.raises(TypeError, match="InferenceRunner takes a PredictConfig"):
        InferenceRunner(LABELLED)


def test_without_anything_there_is_nothing_to_start() -> None:
    with pytest.raises(ConfigError, match="run_test needs a configuration"):
        TestRunner().run_test("data")
    with pytest.raises(ConfigError, match="run_inference needs a configuration"):
        InferenceRunner().run_inference("data")
