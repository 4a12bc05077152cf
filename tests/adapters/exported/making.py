"""Exported models for tests, and the comparison with their checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import onnx

from snellen.adapters.base import Adapter
from snellen.adapters.exported.writer import write_export
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import AdapterSpec, InferenceResult
from snellen.metrics.parity.compare import compare_image
from snellen.metrics.parity.differences import ImageDifference, Tolerance
from tests.adapters.making import pixels

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODELS: dict[str, dict[str, Any]] = {
    "classify": {},
    "detect": {},
    "detect-8": {},
    "segment": {},
    "pose": {},
    "detect-26": {"nms": False},
    "segment-26": {"nms": False},
    "pose-26": {"nms": False},
}
"""The tiny YOLO models of the fixtures and the options that they are exported with."""


def load(adapter: str, path: Path, confidence: float | None = 0.05, **options: Any) -> Adapter:
    spec = AdapterSpec(adapter, str(path), min_confidence=confidence, options=options)
    return load_adapter_class(adapter).from_spec(spec, device="cpu")


@cache
def original(name: str) -> Adapter:
    """Load a tiny YOLO model from its checkpoint."""
    return load("ultralytics", FIXTURES / f"tiny-{name}.pt", **MODELS[name])


def export(adapter: Adapter, path: Path) -> Path:
    write_export(adapter.as_exportable(), path.suffix[1:], path)
    return path


def differences(first: Adapter, second: Adapter, images: Sequence[Any]) -> list[ImageDifference]:
    """Compare two models from confidence 0.05 on, in batches of one and of three."""
    tolerance = Tolerance(compared_from=0.05)
    found = []
    for size in (1, 3):
        pairs = zip(first.infer_batch(images, size), second.infer_batch(images, size), strict=True)
        found += [compare_image(one, other, tolerance) for one, other in pairs]
    return found


def pictures() -> list[Any]:
    return [pixels(60 + 45 * n, 90 + 17 * n, seed=n) for n in range(5)]


def objects(results: Sequence[InferenceResult]) -> int:
    return sum(len(result.predicted_boxes or ()) for result in results)


def changed(path: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """Write a changed copy of an ONNX file."""
    model = onnx.load(path)
    change(model)
    target.write_bytes(model.SerializeToString())
    return target
