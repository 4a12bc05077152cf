"""The tiny YOLO checkpoints of the fixtures, loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snellen.adapters.types import AdapterSpec
from snellen.adapters.ultralytics.adapter import UltralyticsAdapter

FIXTURES = Path(__file__).parents[2] / "fixtures"


def checkpoint(task: str) -> Path:
    return FIXTURES / f"tiny-{task}.pt"


def spec_of(path: Path, *, confidence: float | None = None, **options: Any) -> AdapterSpec:
    return AdapterSpec(
        "ultralytics", checkpoint=str(path), min_confidence=confidence, options=options
    )


def loaded(path: Path, *, confidence: float | None = None, **options: Any) -> UltralyticsAdapter:
    return UltralyticsAdapter.from_spec(
        spec_of(path, confidence=confidence, **options), device="cpu"
    )
