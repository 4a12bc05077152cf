"""The pixel adapter with a checkpoint file, which may say that the model is slow."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snellen.adapters.types import InferenceResult, ModelInfo, Preprocessed
from tests.pipelines.pixel_adapter import PixelAdapter

NAME = "tests.serve.file_adapter:FileAdapter"


class FileAdapter(PixelAdapter):
    """The checkpoint is JSON: ``sleep_ms`` is the time per image in milliseconds."""

    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        info, states = super()._load(inference_mode)
        return replace(info, checkpoint_path=self.spec.checkpoint or ""), states

    def infer_preprocessed(
        self,
        items: Sequence[Preprocessed],
        *,
        batch_size: int,
        targets: Sequence[int | None] | None = None,
    ) -> list[InferenceResult]:
        settings: dict[str, Any] = json.loads(Path(self.spec.checkpoint or "").read_text())
        time.sleep(settings["sleep_ms"] * len(items) / 1000)
        return super().infer_preprocessed(items, batch_size=batch_size, targets=targets)
