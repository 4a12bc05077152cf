"""Made-up results of a classifier, and the report of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from snellen.metrics.classification.metrics import (
    ClassificationOptions,
    ClassificationReport,
    compute,
)
from snellen.metrics.classification.state import ClassificationState, ImageArrays

EXACT = 1e-12


def draw(seed: int, images: int, classes: int) -> dict[str, Any]:
    """Results of a model that is right about half the time, with some rows not scored."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(classes, 0.3), images)
    true = random.integers(0, classes, images)
    true = np.where(random.random(images) < 0.4, probabilities.argmax(1), true)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5].astype(np.int64)
    of_true = probabilities[np.arange(images), true]
    return {
        "true_ids": true,
        "predicted_ids": order[:, 0],
        "top5_ids": order,
        "confidence": probabilities.max(1).astype(np.float32),
        "true_confidence": of_true.astype(np.float32),
        "loss": (-np.log(np.maximum(of_true, 1e-12))).astype(np.float32),
        "scored": random.random(images) < 0.9,
    }


def cut(data: dict[str, Any], rows: Any) -> dict[str, Any]:
    return {name: array[rows] for name, array in data.items()}


def report(
    state: ClassificationState, total: int, failed: int = 0, **options: Any
) -> ClassificationReport:
    names = [f"class-{i}" for i in range(state.num_classes)]
    chosen = ClassificationOptions(**options)
    return compute(state, names, chosen, total_images=total, failed_images=failed)


def whole(seed: int, images: int, classes: int) -> tuple[dict[str, Any], ClassificationReport]:
    data = draw(seed, images, classes)
    result = report(ClassificationState.from_arrays(classes, ImageArrays(**data)), images)
    return cut(data, data["scored"]), result
