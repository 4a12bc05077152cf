"""An image that raises in a batch fails alone; a model that fails on everything stops the run."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from snellen.adapters.base import Adapter
from snellen.adapters.errors import ErrorCode, ErrorStage, RunError
from snellen.adapters.runtime.isolated_inference import infer_isolated
from snellen.adapters.types import ImageStatus, InferenceResult, Preprocessed, TaskType

TASK = TaskType.OBJECT_DETECTION


class Model:
    """Raises for every image of a given width, and counts the images of each call."""

    def __init__(self, bad: int, error: Exception | None = None) -> None:
        self.info = SimpleNamespace(task_type=TASK)
        self.calls: list[int] = []
        self._bad, self._error = bad, error or ZeroDivisionError("in the model")

    def infer_preprocessed(
        self, items: Sequence[Preprocessed], *, batch_size: int, targets: Sequence[int | None]
    ) -> list[InferenceResult]:
        self.calls.append(len(items))
        assert len(items) == len(targets) <= batch_size
        if any(item.width == self._bad for item in items):
            raise self._error
        return [InferenceResult("", str(item.width), TASK) for item in items]


def infer(model: Model, *widths: int, batch_size: int = 3) -> list[InferenceResult]:
    items = [Preprocessed(np.zeros(1, np.uint8), width, 1) for width in widths]
    adapter: Any = model
    return infer_isolated(cast(Adapter, adapter), items, [None] * len(items), batch_size)


def test_a_good_batch_is_inferred_once() -> None:
    model = Model(bad=9)
    assert [result.image_name for result in infer(model, 1, 2, 3)] == ["1", "2", "3"]
    assert model.calls == [3]


def test_the_image_that_raises_fails_alone() -> None:
    model = Model(bad=2)
    results = infer(model, 1, 2, 3)
    assert model.calls == [3, 1, 1, 1]
    assert [result.status for result in results] == [
        ImageStatus.OK, ImageStatus.FAILED, ImageStatus.OK]  # fmt: skip
    failed = results[1]
    assert (failed.error_stage, failed.error_code) == (ErrorStage.INFER, ErrorCode.INTERNAL)
    assert failed.error_message == "ZeroDivisionError: in the model"


def test_a_full_batch_of_failures_is_an_error_of_the_model() -> None:
    with pytest.raises(RunError, match="failed on every image of a batch: ZeroDivisionError"):
        infer(Model(bad=2), 2, 2, 2)
    assert [result.status for result in infer(Model(bad=2), 2, 2)] == [ImageStatus.FAILED] * 2
    assert infer(Model(bad=2), 2, batch_size=1)[0].status is ImageStatus.FAILED


def test_an_error_of_the_run_is_not_isolated() -> None:
    model = Model(bad=2, error=RunError("OUT_OF_MEMORY", "no memory"))
    with pytest.raises(RunError, match="no memory"):
        infer(model, 1, 2, 3)
    assert model.calls == [3]
