"""Messages between the HTTP processes and the model processes."""

from __future__ import annotations

from dataclasses import dataclass, field

from snellen.adapters.types import AdapterSpec, InferenceResult


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model and how to build it.

    Attributes:
        key: changes with the checkpoint file and with every setting.
        spec: how to build the adapter.
        pin: keeps the model loaded: training job and checkpoint of an entry of
            ``model.preload``; None lets the model process unload it.
    """

    key: str
    spec: AdapterSpec
    pin: str | None = None


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One image for one model.

    Attributes:
        model: the model to run.
        data: bytes of the image file.
        name: display name, for messages.
        confidence: confidence threshold of detections; None keeps the model's setting.
        visualize: also draw the result.
        explain: also return where the evidence for the predicted class lies (Grad-CAM).
    """

    model: ModelRef
    data: bytes
    name: str
    confidence: float | None = None
    visualize: bool = False
    explain: bool = False


@dataclass(frozen=True, slots=True)
class HeatPicture:
    """An explanation of a prediction, as a picture that lies over the image.

    Attributes:
        class_id: the explained class.
        picture: PNG with transparency, clear where the evidence is weak.
        region: x1, y1, x2, y2 in pixels of the upright image that the picture covers; it may reach
            beyond the image.
    """

    class_id: int
    picture: bytes
    region: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Failure:
    """The code and message of an error that prevented a prediction."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class InferenceReply:
    """Reply to a request: either ``result`` or ``failure`` is set.

    Attributes:
        result: the prediction, or the failure of this image alone (``status`` is failed).
        failure: the model could not be loaded or run.
        labels: class id -> name, for the classes in ``result.predicted_boxes``.
        sha256: sha256 of the checkpoint (hexadecimal).
        picture: annotated image (JPEG), if requested.
        heat: explanation of the prediction, if requested.
        batch_size: number of images in the forward pass.
    """

    result: InferenceResult | None = None
    failure: Failure | None = None
    labels: dict[int, str] = field(default_factory=dict)
    sha256: str = ""
    picture: bytes | None = None
    heat: HeatPicture | None = None
    batch_size: int = 0
