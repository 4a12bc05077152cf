"""What goes to a model and what comes back; both travel between processes."""

from __future__ import annotations

from dataclasses import dataclass, field

from snellen.adapters.types import AdapterSpec, InferenceResult


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model: a key that changes with the checkpoint's file and every setting, and how to
    build it.
    """

    key: str
    spec: AdapterSpec


@dataclass(frozen=True, slots=True)
class Query:
    """One image for one model.

    Attributes:
        data: bytes of the image file.
        name: display name, for messages.
        confidence: detections below it are left out; None keeps the model's setting.
        visualize: also draw the result.
    """

    model: ModelRef
    data: bytes
    name: str
    confidence: float | None = None
    visualize: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a model gave no answer at all: the code and message of a SnellenError."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a query: ``result`` or ``failure`` is set, never both.

    Attributes:
        result: the prediction, or the failure of this image alone (``status`` failed).
        labels: class id -> name, of the classes in ``result.predicted_boxes``.
        sha256: of the checkpoint.
        picture: JPEG of the annotated image, where it was asked for.
        batch_size: images that shared the forward pass.
    """

    result: InferenceResult | None = None
    failure: Failure | None = None
    labels: dict[int, str] = field(default_factory=dict)
    sha256: str = ""
    picture: bytes | None = None
    batch_size: int = 0
