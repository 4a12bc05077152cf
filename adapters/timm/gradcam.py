"""Grad-CAM of timm classifiers.

Source: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization (2017). The feature maps are those that the classifier pools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from snellen.adapters.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


def grad_cam(
    model: Any, pixels: Tensor, class_id: int | None, architecture: str
) -> tuple[int, npt.NDArray[np.float32]]:
    """Compute the heat map of a class: relu(sum_k w_k A_k), w_k the mean gradient of map A_k.

    Args:
        model: with timm's ``forward_features`` and ``forward_head``, in evaluation mode.
        pixels: normalised, (1, C, H, W).
        class_id: the class; None for the one with the highest score.
        architecture: for messages.

    Returns:
        The class and float32, (h, w), divided by its maximum.

    Raises:
        ConfigError: EXPLAIN_UNSUPPORTED, features that are no maps, as those of plain vision
            transformers.
    """
    import torch

    with torch.no_grad():
        features = model.forward_features(pixels) if hasattr(model, "forward_features") else None
    if not isinstance(features, torch.Tensor) or features.ndim != 4:
        raise ConfigError(
            "EXPLAIN_UNSUPPORTED",
            f"{architecture} has no feature maps for Grad-CAM. Expected a convolutional network, "
            "or a transformer with maps such as Swin. Remove --explain.",
        )
    with torch.enable_grad():
        maps = features.detach().float().requires_grad_(True)
        scores = model.forward_head(maps.clone())[0]
        chosen = int(scores.argmax()) if class_id is None else class_id
        (gradient,) = torch.autograd.grad(scores[chosen], maps)
    channels, *grid = (3, 1, 2) if _channels_last(model, features) else (1, 2, 3)
    weights = gradient.mean(dim=tuple(grid), keepdim=True)
    heat = (weights * maps.detach()).sum(dim=channels)[0].clamp(min=0)
    peak = float(heat.max())
    found = (heat / peak if peak > 0 else heat).cpu().numpy()
    return chosen, np.asarray(found, dtype=np.float32)


def _channels_last(model: Any, features: Tensor) -> bool:
    """Return True for maps of shape (N, H, W, C), as those of Swin."""
    width = getattr(model, "num_features", None)
    return bool(features.shape[1] != width and features.shape[-1] == width)
