"""The tiny YOLO checkpoints of the fixtures, loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snellen.adapters.types import AdapterSpec
from snellen.adapters.ultralytics.adapter import UltralyticsAdapter
from snellen.adapters.ultralytics.environment import import_ultralytics

FIXTURES = Path(__file__).parents[2] / "fixtures"


def checkpoint(task: str) -> Path:
    return FIXTURES / f"tiny-{task}.pt"


def grey_checkpoint(task: str, path: Path) -> Path:
    """Write a fixture with an input of one channel, whose filters are the means over RGB."""
    import_ultralytics()
    import torch
    from ultralytics.nn.tasks import torch_safe_load

    content = torch_safe_load(str(checkpoint(task)), safe_only=True)[0]
    model = content["model"]
    first = model.model[0].conv
    first.weight = torch.nn.Parameter(first.weight.sum(dim=1, keepdim=True))
    first.in_channels = 1
    model.yaml["channels"] = 1
    torch.save(content, path)
    return path


def spec_of(path: Path, *, confidence: float | None = None, **options: Any) -> AdapterSpec:
    return AdapterSpec(
        "ultralytics", checkpoint=str(path), min_confidence=confidence, options=options
    )


def loaded(path: Path, *, confidence: float | None = None, **options: Any) -> UltralyticsAdapter:
    return UltralyticsAdapter.from_spec(
        spec_of(path, confidence=confidence, **options), device="cpu"
    )
