"""A YOLO model as a plain module for export: one tensor in, one or two out.

It imports torch; it is imported when a model is exported.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from snellen.adapters.ultralytics.tasks import YoloTask


class PlainYolo(nn.Module):
    """A copy of a fused model, with its head set to what Ultralytics' own exporter sets."""

    def __init__(self, model: nn.Module, task: YoloTask) -> None:
        super().__init__()
        self._split = task.split
        self.model = copy.deepcopy(model).cpu().float()
        head: Any = self.model.model[-1]  # type: ignore[index]
        if task.finds_objects:
            # Not of classifiers: in export mode those return probabilities instead of logits.
            head.export, head.format, head.dynamic = True, "onnx", False
            head.shape = None  # anchors of the size at which it was tried
        self.eval()  # the whole: the exporter puts back the mode that it finds

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Run float32 (N, 3, H, W) in 0..1.

        Returns:
            Logits (N, classes); predictions (N, 4 + classes + extra, anchors), or of an
            end-to-end head (N, detections, 6 + extra); with mask prototypes (N, c, h, w) behind.
        """
        predictions, protos = self._split(self.model(images))
        return predictions if protos is None else (predictions, protos)
