"""Outputs of exported classifiers: logits, probabilities, or logarithms of probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from snellen.adapters.checkpoints.integrity import invalid

if TYPE_CHECKING:
    from torch import Tensor

OutputKind = Literal["logits", "probabilities", "log_probabilities"]
Activation = Literal["softmax", "log_softmax", "sigmoid"]
"""Last operation of a graph."""
KEY = "model.options.output"
_OF_ACTIVATION: dict[Activation, OutputKind] = {
    "softmax": "probabilities",
    "log_softmax": "log_probabilities",
}
_TOLERANCE = 1e-3
_MANY = 30
"""Number of outputs that are not in 0 to 1 by chance alone."""


def output_kind(
    stated: OutputKind | None, activation: Activation | None, usual: OutputKind, file: Path
) -> OutputKind:
    """Return what the outputs of a classifier are.

    Args:
        stated: by the settings; it wins.
        activation: the last operation of the graph, if it is one of these.
        usual: for a graph without one.
        file: for messages.

    Raises:
        InputError: CHECKPOINT_INVALID, a graph that ends in a sigmoid.
    """
    if stated is not None:
        return stated
    if activation == "sigmoid":
        raise _sigmoid(file, "its graph ends in a sigmoid")
    return usual if activation is None else _OF_ACTIVATION[activation]


def check_rows(kind: OutputKind, rows: Tensor, *, stated: bool, file: Path) -> None:
    """Check the outputs for a few images against what they are taken for.

    Args:
        kind: what they are taken for.
        rows: float32 (N, K), of images that differ.
        stated: the settings say so.
        file: for messages.

    Raises:
        InputError: CHECKPOINT_INVALID, they are something else.
    """
    rows = rows[rows.isfinite().all(dim=1)]
    if not len(rows) or rows.shape[1] < 2:
        return
    shares = rows.exp() if kind == "log_probabilities" else rows
    sums = shares.sum(dim=1)
    normalised = bool((shares >= -_TOLERANCE).all() and ((sums - 1).abs() <= _TOLERANCE).all())
    if kind == "logits" and not stated:
        if normalised:
            raise invalid(
                file,
                "its outputs for test images are not negative and sum to 1, as probabilities do, "
                "and its graph does not end in a softmax. Expected logits, whose softmax would be "
                f"computed. Set {KEY}=probabilities, or {KEY}=logits if they are logits.",
            )
        if rows.numel() >= _MANY and bool(((rows >= 0) & (rows <= 1)).all()):
            raise _sigmoid(file, "all its outputs for test images lie in 0 to 1")
    elif kind != "logits" and not normalised:
        why = f"{KEY} says so" if stated else "its graph or its description says so"
        found = ", ".join(f"{value:.4g}" for value in sums.tolist())
        raise invalid(
            file,
            f"its outputs are taken for {kind.replace('_', '-')} ({why}), and those of test images "
            f"sum to {found}. Expected sums of 1, and nothing below 0. Set {KEY}=logits if they "
            "are logits; else export the model without its last operation.",
        )


def as_logits(kind: OutputKind, outputs: Tensor) -> Tensor:
    """Return numbers whose softmax is the probabilities of the classes.

    Probabilities below the smallest float32 (1.2e-38) count as that, so that a loss is finite.

    Args:
        kind: what the outputs are.
        outputs: float32 (N, K), or with further axes of one element.
    """
    import torch

    rows = outputs.flatten(1).float()
    floor = torch.finfo(torch.float32).tiny
    if kind == "probabilities":
        return rows.clamp(min=floor).log()
    if kind == "log_probabilities":
        lowest = torch.tensor(floor, device=rows.device).log()
        return torch.where(torch.isneginf(rows), lowest, rows)
    return rows


def _sigmoid(file: Path, why: str) -> Exception:
    return invalid(
        file,
        f"{why}: one probability per class, as of a model that gives an image several classes. "
        "Expected logits or softmax probabilities of one class per image. Export the model without "
        f"the sigmoid, or set {KEY}=logits if its outputs are logits.",
    )
