"""The configuration that describes an adapter that somebody made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


def sections_of(adapter: Adapter) -> dict[str, Any]:
    """The sections ``model``, ``preprocess`` and ``run`` (inline: it is loaded in this process)."""
    spec = adapter.spec
    model: dict[str, Any] = {
        "adapter": spec.adapter,
        "checkpoint": spec.checkpoint,
        "architecture": spec.architecture,
        "options": dict(spec.options),
    }
    if spec.class_names:
        model["class_names"] = list(spec.class_names)
    return {
        "model": model,
        "preprocess": dict(spec.preprocess),
        "run": {"engine": "inline", "precision": spec.precision},
    }
