"""The description that travels in an exported file: one JSON value.

An exported graph has tensors and no meaning. The classes, the preprocessing and the meaning of the
outputs are in this value, under `KEY`. It is written by ``writer`` and read by the adapters of
exported models, and like the rest of the file it is not trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from snellen.adapters.exported.class_outputs import OutputKind
from snellen.adapters.types import TaskType

KEY = "snellen"
MAX_SIDE = 8192
"""Pixels; no model takes a larger input."""
_MAX_CLASSES = 1_000_000

Axes = Sequence[int | None]
"""Sizes of a graph's input: batch, channels, height, width; None where the graph leaves it open."""
FamilyName = Literal["timm", "yolo"]
Side = Annotated[StrictInt, Field(ge=1, le=MAX_SIDE)]
Text = Annotated[str, StringConstraints(max_length=1000)]
Names = Annotated[tuple[Text, ...], Field(max_length=_MAX_CLASSES)]


class ExportedModel(BaseModel):
    """An exported model, as far as its graph does not describe it.

    Attributes:
        format: version of this description.
        family: whose preprocessing and outputs these are; ``timm`` classifiers give logits.
        task: of the model.
        architecture: model name.
        num_classes: K.
        class_names, class_names_source: as in `snellen.adapters.types.ModelInfo`.
        input_shape: channels, height and width.
        preprocess: timm's data config; or of YOLO imgsz, stride, end2end and kpt_shape.
        output: what a classifier's outputs are; Ultralytics exports probabilities.
        source_framework, source_sha256: the checkpoint that it was made from, if known.
        weights, epoch, flops_per_image: of that checkpoint.
        versions: of the libraries that made it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    format: Literal[1] = 1
    family: FamilyName
    task: TaskType
    architecture: Text
    num_classes: Annotated[StrictInt, Field(ge=1, le=_MAX_CLASSES)]
    class_names: Names | None = None
    class_names_source: Text | None = None
    input_shape: tuple[Annotated[StrictInt, Field(ge=1, le=3)], Side, Side]
    preprocess: dict[str, Any]
    output: OutputKind = "logits"
    source_framework: Text | None = None
    source_sha256: Text | None = None
    weights: Text | None = None
    epoch: StrictInt | None = None
    flops_per_image: float | None = None
    versions: dict[Text, Text] = Field(default_factory=dict)

    @property
    def end2end(self) -> bool:
        """True for a YOLO model whose outputs need no non-maximum suppression."""
        return bool(self.preprocess.get("end2end", False))

    @property
    def kpt_shape(self) -> tuple[int, int] | None:
        """Number of keypoints and numbers per keypoint, of a YOLO pose model."""
        shape = self.preprocess.get("kpt_shape")
        return (int(shape[0]), int(shape[1])) if shape else None
