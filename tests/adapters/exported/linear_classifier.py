"""A linear classifier of the mean colour as another program would export it, and its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from snellen.adapters.base import Adapter
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import AdapterSpec
from tests.adapters.making import pixels

CLASSES = 12
SIDE = 32
SETTINGS: dict[str, Any] = {
    "crop_pct": 1.0, "interpolation": "bilinear", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3],
}  # fmt: skip
Node = tuple[str, dict[str, Any]]
Array = npt.NDArray[Any]


def weights(scale: float = 4.0) -> tuple[Array, Array]:
    rng = np.random.default_rng(5)
    matrix = rng.normal(0, scale, (3, CLASSES)).astype(np.float32)
    return matrix, rng.normal(0, 0.3, CLASSES).astype(np.float32)


@dataclass(frozen=True)
class Graph:
    """A linear classifier of the mean colour, and the nodes behind it.

    Attributes:
        tail: operators and attributes.
        kind: numbers of the input.
        axes: names or sizes of the input's axes.
        scale: of the weights.
        outputs: names of further outputs.
    """

    tail: Sequence[Node] = ()
    kind: int = TensorProto.FLOAT
    axes: Sequence[str | int] = ("batch", 3, SIDE, SIDE)
    scale: float = 4.0
    outputs: Sequence[str] = ()
    constants: dict[str, Array] = field(default_factory=dict)


def write(path: Path, graph: Graph) -> Path:
    matrix, bias = weights(graph.scale)
    stored = {"matrix": matrix, "bias": bias, **graph.constants}
    nodes, last = [], "images"
    chain: list[Node] = []
    if graph.kind != TensorProto.FLOAT:
        chain.append(("Cast", {"to": TensorProto.FLOAT}))
    if graph.axes[-1] == 3:
        chain.append(("Transpose", {"perm": [0, 3, 1, 2]}))
    if graph.kind == TensorProto.UINT8:
        stored["mean"] = np.array(SETTINGS["mean"], np.float32).reshape(1, 3, 1, 1) * 255
        stored["std"] = np.array(SETTINGS["std"], np.float32).reshape(1, 3, 1, 1) * 255
        chain += [("Sub", {"with": "mean"}), ("Div", {"with": "std"})]
    chain += [
        ("GlobalAveragePool", {}),
        ("Flatten", {"axis": 1}),
        ("Gemm", {"with": "matrix bias"}),
    ]
    for number, (operator, given) in enumerate([*chain, *graph.tail]):
        attributes = dict(given)
        inputs = [last, *attributes.pop("with", "").split()]
        last = f"value{number}"
        nodes.append(helper.make_node(operator, inputs, [last], **attributes))
    kind = TensorProto.INT64 if graph.tail and graph.tail[-1][0] == "ArgMax" else TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info(name, kind, None) for name in (last, *graph.outputs)]
    images = helper.make_tensor_value_info("images", graph.kind, list(graph.axes))
    made = helper.make_graph(
        nodes, "linear", [images], outputs,
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def loaded(path: Path, *, preprocess: dict[str, Any] | None = None, **options: Any) -> Adapter:
    kind = path.suffix[1:]
    fields: dict[str, Any] = {"architecture": options.pop("architecture", None)}
    given = {**SETTINGS, "img_size": SIDE} if preprocess is None else preprocess
    options |= {"trust": True} if kind == "torchscript" else {}
    spec = AdapterSpec(kind, str(path), preprocess=given, options=options, **fields)
    return load_adapter_class(kind).from_spec(spec, device="cpu")


def check(adapter: Adapter, scale: float = 4.0, tolerance: float = 1e-5) -> None:
    """Compare confidences, ranks, loss and true confidence of three images with numpy's."""
    items = [adapter.preprocess_image(pixels(50 + 9 * n, 40, seed=n)) for n in range(3)]
    batch = np.stack([item.array for item in items]).astype(np.float64) / 255
    shape = (1, 3, 1, 1)
    normal = (batch - np.reshape(SETTINGS["mean"], shape)) / np.reshape(SETTINGS["std"], shape)
    matrix, bias = weights(scale)
    logits = normal.mean((2, 3)) @ matrix + bias
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    shares = exponents / exponents.sum(1, keepdims=True)
    results = adapter.infer_preprocessed(items, batch_size=2, targets=[4, 0, 11])
    assert len(set(shares.argmax(1))) > 1 or len(set(shares.max(1).round(3))) > 1
    for result, row, target in zip(results, shares, (4, 0, 11), strict=True):
        assert result.predicted_label_id == row.argmax()
        assert result.confidence == pytest.approx(row.max(), abs=tolerance)
        assert result.true_confidence == pytest.approx(row[target], abs=tolerance)
        assert result.loss == pytest.approx(-np.log(row[target]), rel=1e-3, abs=tolerance)
        top = [score["label_id"] for score in result.top5_predictions or []]
        assert top == np.argsort(-row)[:5].tolist()
