"""ONNX files that must not be run are rejected before onnxruntime reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from snellen.adapters.errors import InputError
from snellen.adapters.exported.description import KEY
from tests.adapters.exported.making import changed, load


def external_data(model: Any) -> None:
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    onnx.external_data_helper.set_external_data(tensor, "../../etc/passwd", offset=0, length=100)
    tensor.ClearField("raw_data")


def custom_operator(model: Any) -> None:
    model.graph.node[3].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def custom_operator_in_a_branch(model: Any) -> None:
    inner = helper.make_node("Evil", [], ["out"], domain="com.example")
    graph = helper.make_graph([inner], "branch", [], [])
    model.graph.node.append(helper.make_node("If", ["images"], ["z"], then_branch=graph))


def function(model: Any) -> None:
    model.functions.append(
        helper.make_function("local", "f", ["a"], ["b"], [], [helper.make_opsetid("", 17)])
    )


def claims_more_than_it_stores(model: Any) -> None:
    tensor = model.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend([100_000, 100_000])


def constant_bomb(model: Any) -> None:
    shape = numpy_helper.from_array(np.array([100_000, 100_000], dtype=np.int64), "bomb_shape")
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["bomb_shape"], ["bomb"]))


def integer_input(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def flat_input(model: Any) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[2:]


def two_inputs(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def other_size(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 320


def huge_input(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 10**9


def described(**changes: Any) -> Callable[[Any], None]:
    """Return a change that replaces the description in the file."""

    def change(model: Any) -> None:
        entry = next(entry for entry in model.metadata_props if entry.key == KEY)
        entry.value = json.dumps({**json.loads(entry.value), **changes})

    return change


def broken_node(model: Any) -> None:
    model.graph.node[5].input[0] = "nowhere"


REJECTED: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "external data": (external_data, "CHECKPOINT_UNSAFE", "external data"),
    "a custom operator": (custom_operator, "CHECKPOINT_UNSAFE", "com.example"),
    "one in a branch": (custom_operator_in_a_branch, "CHECKPOINT_UNSAFE", "com.example:Evil"),
    "a function": (function, "CHECKPOINT_UNSAFE", "defines functions"),
    "a tensor without data": (claims_more_than_it_stores, "CHECKPOINT_INVALID", "but stores"),
    "a constant bomb": (constant_bomb, "CHECKPOINT_INVALID", "'bomb' has 10000000000 elements"),
    "an integer input": (integer_input, "CHECKPOINT_INVALID", "Expected float images"),
    "a flat input": (flat_input, "CHECKPOINT_INVALID", "Expected float images"),
    "two inputs": (two_inputs, "CHECKPOINT_INVALID", "Expected one, images"),
    "another size": (other_size, "CHECKPOINT_INVALID", "shapes do not fit|height 320"),
    "a huge input": (huge_input, "CHECKPOINT_INVALID", "Expected float images"),
    "more classes": (described(num_classes=7), "CHECKPOINT_INVALID", "outputs do not fit"),
    "another task": (
        described(task="instance_segmentation"),
        "CHECKPOINT_INVALID",
        "outputs do not fit",
    ),
    "no task": (described(task="mind_reading"), "CHECKPOINT_INVALID", "task: "),
    "a newer format": (described(format=2), "CHECKPOINT_INVALID", "format: "),
    "an absurd stride": (
        described(preprocess={"imgsz": 160, "stride": 0}),
        "CHECKPOINT_INVALID",
        "stride: ",
    ),
    "a broken graph": (broken_node, "CHECKPOINT_INVALID", "rejects its graph"),
}


@pytest.mark.parametrize("what", REJECTED)
def test_rejected(
    what: str,
    files: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change, code, message = REJECTED[what]
    path = changed(files("detect"), tmp_path / "bad.onnx", change)
    sessions: list[Any] = []
    if code == "CHECKPOINT_UNSAFE" or "elements" in message:
        monkeypatch.setattr("onnxruntime.InferenceSession", lambda *_, **__: sessions.append(1))
    with pytest.raises(InputError, match=message) as caught:
        load("onnx", path)
    assert caught.value.code == code
    assert "bad.onnx" in caught.value.message
    assert "\n" not in caught.value.message or what == "a broken graph"
    assert not sessions


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_empty_and_truncated_files(
    share: float, files: Callable[[str], Path], tmp_path: Path
) -> None:
    data = files("detect").read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError) as caught:
        load("onnx", path)
    assert caught.value.code == "CHECKPOINT_UNREADABLE"


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xe0 a picture", b"text", b"\x80\x02}q\x00."])
def test_files_that_are_something_else(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match="not an ONNX file") as caught:
        load("onnx", path)
    assert caught.value.code == "CHECKPOINT_UNREADABLE"


def test_no_file_and_no_address() -> None:
    for path, code in (("https://x.example/m.onnx", "REMOTE_REFUSED"),
                       ("/nowhere.onnx", "CHECKPOINT_NOT_FOUND")):  # fmt: skip
        with pytest.raises(InputError) as caught:
            load("onnx", path)  # type: ignore[arg-type]
        assert caught.value.code == code
