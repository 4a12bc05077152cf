"""A classifier without weights; an image whose first pixel is ``KILL`` kills its process."""

from __future__ import annotations

from typing import Any

from snellen.adapters.runtime.device import Engine
from tests.pipelines.pixel_adapter import KILL, PixelAdapter

NAME = "tests.serve.crashing_adapter:CrashingAdapter"
__all__ = ["KILL", "NAME", "CrashingAdapter"]


class CrashingAdapter(PixelAdapter):
    """A PixelAdapter with the engine that a model host needs."""

    def _load_spec(self, *, inference_mode: bool, device: str | None) -> dict[str, Any]:
        from snellen.adapters.runtime.device import select_device

        self._engine = Engine(select_device("cpu"), "fp32")
        return super()._load_spec(inference_mode=inference_mode, device=device)
