"""Explanations of a prediction: where in the image its evidence lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import DecodedImage

Method = Literal["gradcam"]
METHODS: tuple[Method, ...] = ("gradcam",)


@dataclass(frozen=True, eq=False)
class Explanation:
    """A heat map over the part of an image that the model sees.

    Attributes:
        class_id: the explained class.
        heat: float32, (h, w), from 0 to 1; all 0 if nothing speaks for the class.
        region: x1, y1, x2, y2 in pixels of the upright image that the heat map covers. It may reach
            beyond the image where the model's input is padded.
    """

    class_id: int
    heat: npt.NDArray[np.float32]
    region: tuple[float, float, float, float]


@runtime_checkable
class Explainer(Protocol):
    """An adapter that explains its predictions."""

    def explain(self, image: DecodedImage, class_id: int | None = None) -> Explanation:
        """Explain a class, or the predicted one.

        Raises:
            ConfigError: EXPLAIN_UNSUPPORTED, an architecture without feature maps.
            ImageError: the image cannot be prepared.
        """
        ...


def check_explains(adapter: object, name: str) -> None:
    """Raise ConfigError EXPLAIN_UNSUPPORTED for an adapter, or its class, that cannot explain."""
    if not callable(getattr(adapter, "explain", None)):
        raise ConfigError(
            "EXPLAIN_UNSUPPORTED",
            f"models of the adapter {name} cannot be explained. Expected a classifier of the "
            "adapter timm. Remove --explain.",
        )
