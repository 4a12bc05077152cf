"""Inference in which one image that raises does not fail its whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError, RunError, SnellenError
from snellen.adapters.result_builders import failed_result
from snellen.adapters.types import ImageStatus, InferenceResult, Preprocessed

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter

Targets = Sequence[int | None]
"""True class ids, one per image, None where there is none."""


def infer_isolated(
    adapter: Adapter, items: Sequence[Preprocessed], targets: Targets, batch_size: int
) -> list[InferenceResult]:
    """Infer prepared images; after an unexpected error, infer them again one by one.

    Args:
        adapter: a loaded model.
        items: from ``preprocess``.
        targets: one per item.
        batch_size: maximum number of images per forward pass.

    Returns:
        One result per item, in order. An image that raises alone, too, has status ``failed``,
        stage ``infer`` and code INTERNAL.

    Raises:
        RunError: MODEL_ERROR where every image of a full batch fails: then the model is broken
            and not the images. A short last batch may well be two bad images.
        SnellenError: of the adapter, such as OUT_OF_MEMORY.
    """
    try:
        return adapter.infer_preprocessed(items, batch_size=batch_size, targets=targets)
    except SnellenError:
        raise
    except Exception as error:
        results = [
            _infer_alone(adapter, item, target) for item, target in zip(items, targets, strict=True)
        ]
        failed = all(result.status is ImageStatus.FAILED for result in results)
        if failed and len(items) > 1 and len(items) == batch_size:
            raise RunError(
                "MODEL_ERROR",
                f"the model failed on every image of a batch: {type(error).__name__}: {error}",
            ) from error
        return results


def _infer_alone(adapter: Adapter, item: Preprocessed, target: int | None) -> InferenceResult:
    try:
        (result,) = adapter.infer_preprocessed([item], batch_size=1, targets=[target])
    except SnellenError:
        raise  # a problem of the run, such as memory, and not of the image
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        problem = ImageError(ErrorStage.INFER, ErrorCode.INTERNAL, message)
        return failed_result(problem, adapter.info.task_type)
    return result
