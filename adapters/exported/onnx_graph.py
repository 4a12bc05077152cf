"""Reading of an ONNX graph: its input, and the operation that its outputs come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.exported.class_outputs import Activation
from snellen.adapters.exported.description import MAX_SIDE, Axes

_CHANNELS = (1, 3)
_MAX_BATCH = 4096
# Operations that change the form of an output, not its values.
_FORMS = frozenset(("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Dropout"))
_ACTIVATIONS: dict[str, Activation] = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
}
# An exponential or a logarithm behind an activation.
_AFTER: dict[tuple[str, str], Activation] = {
    ("Exp", "LogSoftmax"): "softmax",
    ("Log", "Softmax"): "log_softmax",
}


@dataclass(frozen=True, slots=True)
class GraphInput:
    """The input of a graph.

    Attributes:
        name: of the input.
        axes: batch, channels, height, width; None where the graph leaves it open.
        numbers: ``float32``, ``float16``, or ``uint8`` for pixels of 0..255.
        channels_last: the graph takes (batch, height, width, channels).
    """

    name: str
    axes: Axes
    numbers: str
    channels_last: bool


def graph_input(graph: Any, file: Path) -> GraphInput:
    """Return the input of a graph.

    Raises:
        InputError: CHECKPOINT_INVALID, it is not one batch of images.
    """
    from onnx import TensorProto

    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise invalid(file, f"it has the inputs {[v.name for v in inputs]}. Expected one, images.")
    kind = inputs[0].type.tensor_type
    axes = [int(axis.dim_value) if axis.HasField("dim_value") else None for axis in kind.shape.dim]
    numbers = {
        TensorProto.FLOAT: "float32",
        TensorProto.FLOAT16: "float16",
        TensorProto.UINT8: "uint8",
    }.get(kind.elem_type)
    last = len(axes) == 4 and axes[3] in _CHANNELS and axes[1] not in _CHANNELS
    if last:
        axes = [axes[0], axes[3], axes[1], axes[2]]
    limits = (_MAX_BATCH, max(_CHANNELS), MAX_SIDE, MAX_SIDE)
    fits = len(axes) == 4 and all(
        n is None or 1 <= n <= limit for n, limit in zip(axes, limits, strict=True)
    )
    if not fits or numbers is None:
        named = TensorProto.DataType.Name(kind.elem_type).lower()
        raise invalid(
            file,
            f"its input {inputs[0].name!r} has the shape {tuple(axes)} of {named}. Expected float "
            f"images (batch, 1 or 3, height, width) of up to {MAX_SIDE} pixels per side, or the "
            "same of uint8, or with the channels last.",
        )
    return GraphInput(inputs[0].name, tuple(axes), numbers, last)


def last_activation(graph: Any) -> Activation | None:
    """Return the activation that the only output of a graph comes from, if it is one."""
    if len(graph.output) != 1:
        return None
    made_by = {name: node for node in graph.node for name in node.output}
    node = _source(graph.output[0].name, made_by)
    if node is None:
        return None
    before = _source(node.input[0], made_by) if node.op_type in ("Exp", "Log") else None
    if before is not None:
        return _AFTER.get((node.op_type, before.op_type))
    return _ACTIVATIONS.get(node.op_type)


def gives_integers(graph: Any) -> bool:
    """Return True if the only output of a graph is integers, such as the ids of classes."""
    from onnx import TensorProto

    integers = (TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8, TensorProto.INT8)
    return len(graph.output) == 1 and graph.output[0].type.tensor_type.elem_type in integers


def _source(name: str, made_by: dict[str, Any]) -> Any:
    """Return the node that computes a value, before operations that only change its form."""
    node = made_by.get(name)
    for _ in range(len(made_by)):
        if node is None or node.op_type not in _FORMS or not node.input:
            return node
        node = made_by.get(node.input[0])
    return None
