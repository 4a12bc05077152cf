"""An opened file of an exported model, and the images to try it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.exported.class_outputs import Activation
from snellen.adapters.exported.description import MAX_SIDE, Axes, ExportedModel

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that can be run.

    Attributes:
        run: (N, C, H, W) on the engine's device -> outputs, float32, there as well. The input is
            float32, normalised; or uint8 where the graph normalises.
        axes: of the input: batch, channels, height, width; None where the graph leaves it open.
        metadata: texts that travel in the file.
        sha256: of the file.
        parameters: number of weights.
        raw: the input is uint8, the pixels as they are.
        activation: the last operation of the graph, if it is known to be an activation.
    """

    run: Callable[[Tensor], list[Tensor]]
    axes: Axes
    metadata: Mapping[str, Any]
    sha256: str
    parameters: int
    raw: bool = False
    activation: Activation | None = None


def probe_images(shape: Sequence[int], *, raw: bool) -> Tensor:
    """Return three images of a shape (C, H, W) that differ: dark, bright and noise.

    They are uint8 if ``raw``, else float32 in 0..1.
    """
    import torch

    noise = torch.randint(0, 256, tuple(shape), generator=torch.Generator().manual_seed(0))
    images = torch.stack([torch.zeros_like(noise), torch.full_like(noise, 255), noise])
    return images.to(torch.uint8) if raw else images.to(torch.float32) / 255


def check_axes(model: ExportedModel, axes: Axes, file: Path) -> None:
    """Check the input of a graph against the description of its file.

    Raises:
        InputError: CHECKPOINT_INVALID, another number of channels, height or width.
    """
    wanted = ("channels", "height", "width")
    for name, expected, found in zip(wanted, model.input_shape, axes[1:], strict=True):
        if found is not None and found != expected:
            raise invalid(
                file,
                f"its input has {name} {found}. Expected {expected}, as its description says: the "
                f"input is (batch, channels, height, width), up to {MAX_SIDE} pixels per side",
            )
