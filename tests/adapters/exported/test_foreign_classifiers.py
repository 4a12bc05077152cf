"""ONNX classifiers of other exporters: what their outputs are, and what their inputs take.

The expected results are computed with numpy from the same pixels and weights.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from snellen.adapters.errors import ConfigError, InputError
from tests.adapters.exported.linear_classifier import (
    CLASSES,
    SETTINGS,
    SIDE,
    Graph,
    Node,
    check,
    loaded,
    write,
)
from tests.adapters.making import pixels

SOFTMAX: Node = ("Softmax", {"axis": 1})
LOG_SOFTMAX: Node = ("LogSoftmax", {"axis": 1})
IDENTITY: Node = ("Identity", {})
AS_IMAGE = {"nhwc": np.array([-1, 1, 1, CLASSES]), "nchw": np.array([-1, CLASSES, 1, 1])}
HALF: list[Node] = [("Cast", {"to": TensorProto.FLOAT16}), ("Cast", {"to": TensorProto.FLOAT})]
NOT_SEEN: list[Node] = [("Mul", {"with": "one"})]
ONE = {"one": np.ones(1, np.float32)}

ACCEPTED: dict[str, tuple[Graph, str]] = {
    "K-logits": (Graph(), "logits"),
    "K-softmax": (Graph([SOFTMAX]), "probabilities"),
    "K-log-softmax": (Graph([LOG_SOFTMAX]), "log-probabilities"),
    "K-softmax-and-forms": (
        Graph(
            [SOFTMAX, IDENTITY, ("Reshape", {"with": "nhwc"}), ("Squeeze", {"with": "axes"})],
            constants={**AS_IMAGE, "axes": np.array([1, 2])},
        ),
        "probabilities",
    ),
    "K-exp-of-log-softmax": (Graph([LOG_SOFTMAX, ("Exp", {})]), "probabilities"),
    "K-log-of-softmax": (Graph([SOFTMAX, ("Log", {})]), "log-probabilities"),
    "K-output-1-1-K": (Graph([("Reshape", {"with": "nhwc"})], constants=AS_IMAGE), "logits"),
    "K-output-K-1-1": (
        Graph([SOFTMAX, ("Reshape", {"with": "nchw"})], constants=AS_IMAGE), "probabilities"
    ),
    "K-channels-last": (Graph([SOFTMAX], axes=("batch", SIDE, SIDE, 3)), "probabilities"),
    "K-open-channels-last": (Graph(axes=("batch", "height", "width", 3)), "logits"),
    "K-one-image": (Graph([SOFTMAX], axes=(1, 3, SIDE, SIDE)), "probabilities"),
    "K-open-size": (Graph(axes=("batch", 3, "height", "width")), "logits"),
    "K-two-images": (Graph(axes=(2, 3, SIDE, SIDE)), "logits"),
}  # fmt: skip


@pytest.mark.parametrize(("graph", "outputs"), ACCEPTED.values(), ids=ACCEPTED)
def test_results_are_those_of_numpy(graph: Graph, outputs: str, tmp_path: Path) -> None:
    adapter = loaded(write(tmp_path / "theirs.onnx", graph))
    check(adapter)
    info = adapter.info
    assert info.input_shape == (3, SIDE, SIDE)
    assert (info.num_classes, info.architecture) == (CLASSES, "theirs")
    assert info.preprocess["source"] == "settings"
    wanted = "" if outputs == "logits" else f"; its outputs are {outputs}"
    assert info.weights == f"export of an unknown checkpoint{wanted}"


@pytest.mark.parametrize("tail", [[SOFTMAX, *HALF], HALF], ids=["K-softmax", "K-logits"])
def test_half_precision_at_both_ends(tail: list[Node], tmp_path: Path) -> None:
    graph = Graph(tail, kind=TensorProto.FLOAT16)
    check(loaded(write(tmp_path / "half.onnx", graph)), tolerance=5e-3)


def test_a_graph_that_normalises_takes_the_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / "bytes.onnx", Graph([SOFTMAX], kind=TensorProto.UINT8))
    settings = {"crop_pct": 1.0, "interpolation": "bilinear"}
    adapter = loaded(path, preprocess=settings)
    check(adapter)
    assert adapter.info.preprocess["input"] == "uint8"
    with pytest.raises(ConfigError, match="takes uint8 pixels, and normalises them itself"):
        loaded(path, preprocess={**settings, "mean": [0.5, 0.5, 0.5]})


def test_outputs_that_the_graph_does_not_explain_need_a_statement(tmp_path: Path) -> None:
    path = write(tmp_path / "silent.onnx", Graph([SOFTMAX, *NOT_SEEN], constants=ONE))
    with pytest.raises(InputError, match=r"sum to 1, .*Set model\.options\.output=prob") as caught:
        loaded(path)
    assert caught.value.code == "CHECKPOINT_INVALID"
    check(loaded(path, output="probabilities"))
    wrong = loaded(path, output="logits").infer_single(pixels())
    right = loaded(path, output="probabilities").infer_single(pixels())
    assert (wrong.confidence or 1) < (right.confidence or 0), "the statement is followed"
    logs = write(tmp_path / "logs.onnx", Graph([LOG_SOFTMAX, *NOT_SEEN], constants=ONE))
    check(loaded(logs, output="log_probabilities"))


REJECTED: dict[str, tuple[Graph, dict[str, Any], str]] = {
    "K-logits-as-probabilities": (
        Graph(), {"output": "probabilities"}, r"model\.options\.output says so.*output=logits"
    ),
    "K-logits-as-log": (Graph(), {"output": "log_probabilities"}, "log-probabilities"),
    "K-softmax-over-the-batch": (Graph([("Softmax", {"axis": 0})]), {}, "of test images sum to"),
    "K-sigmoid": (Graph([("Sigmoid", {})]), {}, "its graph ends in a sigmoid"),
    "K-hidden-sigmoid": (
        Graph([("Sigmoid", {}), *NOT_SEEN], constants=ONE), {}, "lie in 0 to 1: one probability per"
    ),
    "K-two-outputs": (Graph(outputs=["value1"]), {}, "2 outputs.*as its only output"),
    "K-class-ids": (Graph([("ArgMax", {"axis": 1})]), {}, "its output is integers"),
    "K-one-class": (
        Graph([("ReduceMean", {"axes": [1]})]), {}, "the scores of two classes or more"
    ),
    "K-maps": (
        Graph([("Reshape", {"with": "map"})], constants={"map": np.array([-1, 2, 6])}),
        {}, "expected one output",
    ),
    "K-one-row-for-the-batch": (
        Graph([("ReduceMean", {"axes": [0]})]), {}, "expected 3 rows"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("graph", "options", "message"), REJECTED.values(), ids=REJECTED)
def test_outputs_that_are_no_scores_are_rejected(
    graph: Graph, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        loaded(write(tmp_path / "theirs.onnx", graph), **options)
    assert caught.value.code == "CHECKPOINT_INVALID"


def test_a_probability_of_0_has_a_finite_loss(tmp_path: Path) -> None:
    for tail in ([SOFTMAX], [SOFTMAX, ("Log", {})]):
        adapter = loaded(write(tmp_path / "steep.onnx", Graph(tail, scale=400.0)))
        item = adapter.preprocess_image(pixels())
        losses = [
            adapter.infer_preprocessed([item], batch_size=1, targets=[target])[0].loss or 0.0
            for target in range(CLASSES)
        ]
        assert max(losses) == pytest.approx(-np.log(np.finfo(np.float32).tiny), rel=1e-3)
        assert min(losses) < 1e-3


def test_the_settings_or_the_architecture_must_say_how_to_prepare(tmp_path: Path) -> None:
    path = write(tmp_path / "open.onnx", Graph(axes=("batch", 3, "height", "width")))
    with pytest.raises(InputError) as caught:
        loaded(path, preprocess={"crop_pct": 1.0, "mean": SETTINGS["mean"]})
    assert caught.value.code == "ARCHITECTURE_MISSING"
    message = caught.value.message
    assert "else set preprocess.img_size, preprocess.interpolation, preprocess.std." in message
    check(loaded(path, preprocess=SETTINGS, imgsz=SIDE))
    with pytest.raises(ConfigError, match=r"\(32, 32\), and model\.imgsz is \(64, 64\)") as wrong:
        loaded(path, imgsz=64)
    assert wrong.value.code == "OPTION_INVALID"


@pytest.mark.parametrize(
    ("side", "settings", "expected"),
    [
        pytest.param("any", {}, (224, 0.95, "timm test config"), id="K-open"),
        pytest.param("any", {"img_size": 96}, (96, 0.95, "timm test config; settings: img_size"),
                     id="K-settings"),
        pytest.param(224, {}, (224, 0.95, "timm test config; the exported file: img_size"),
                     id="K-size-of-tests"),
        pytest.param(176, {}, (176, 0.875, "timm config; the exported file: img_size"),
                     id="K-size-of-training"),
        pytest.param(176, {"crop_pct": 0.9},
                     (176, 0.9, "timm config; the exported file: img_size; settings: crop_pct"),
                     id="K-crop"),
    ],
)  # fmt: skip
def test_an_architecture_gives_the_preprocessing_of_the_size(
    side: str | int,
    settings: dict[str, Any],
    expected: tuple[int, float, str],
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "resnet.onnx", Graph(axes=("batch", 3, side, side)))
    info = loaded(path, preprocess=settings, architecture="resnet10t").info
    assert info.input_shape[1] == info.input_shape[2]
    found = info.input_shape[1], info.preprocess["crop_pct"], info.preprocess["source"]
    assert found == expected


def test_the_meaning_of_outputs_is_for_classifiers(files: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match="is no classifier") as caught:
        loaded(files("detect"), preprocess={}, output="logits")
    assert caught.value.code == "OPTION_INVALID"
