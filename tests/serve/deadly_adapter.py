"""A classifier without weights; an image whose first pixel is ``KILL`` ends its process."""

from __future__ import annotations

from typing import Any

from snellen.adapters.runtime.device import Engine
from tests.pipelines.pixel_adapter import KILL, PixelAdapter

NAME = "tests.serve.deadly_adapter:DeadlyAdapter"
__all__ = ["KILL", "NAME", "DeadlyAdapter"]


class DeadlyAdapter(PixelAdapter):
    """As it is, with the engine that a host of models asks about."""

    def _load_spec(self, *, inference_mode: bool, device: str | None) -> dict[str, Any]:
        from snellen.adapters.runtime.device import select_device

        self._engine = Engine(select_device("cpu"), "fp32")
        return super()._load_spec(inference_mode=inference_mode, device=device)
