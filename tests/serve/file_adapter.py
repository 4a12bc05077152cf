"""The pixel adapter with a checkpoint file, which may say that the model is slow."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snellen.adapters.types import InferenceResult, Preprocessed
from tests.pipelines.pixel_adapter import PixelAdapter

NAME = "tests.serve.file_adapter:FileAdapter"


class FileAdapter(PixelAdapter):
    """The checkpoint is JSON: ``sleep_ms`` is the time per image in milliseconds."""

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
