"""A YOLO model as a plain module: one tensor in, one or two out. Imported when it is exported."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from snellen.adapters.types import TaskType


class PlainYolo(nn.Module):
    """A copy of a fused model, with its head set to what Ultralytics' own exporter sets."""

    def __init__(self, model: nn.Module, task: TaskType) -> None:
        super().__init__()
        self._task = task
        self.model = copy.deepcopy(model).cpu().float()
        head: Any = self.model.model[-1]  # type: ignore[index]
        if task is not TaskType.IMAGE_CLASSIFICATION:
            head.export, head.format, head.dynamic = True, "onnx", False
            head.shape = None  # anchors of the size at which it was tried
        self.eval()  # the whole: the exporter puts back the mode that it finds

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Run float32 (N, 3, H, W) in 0..1.

        Returns:
            Logits (N, classes); predictions (N, 4 + classes + extra, anchors), or of an
            end-to-end head (N, detections, 6 + extra); with mask prototypes (N, c, h, w) behind.
        """
        outputs = self.model(images)
        if self._task is TaskType.IMAGE_CLASSIFICATION:
            logits: Tensor = outputs[1]
            return logits
        if self._task is TaskType.INSTANCE_SEGMENTATION:
            return outputs[0], outputs[1]
        predictions: Tensor = outputs
        return predictions
