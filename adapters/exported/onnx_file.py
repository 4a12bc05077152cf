"""Safe reading of an ONNX file: everything is checked before a session is created.

A session would open other files (external data), load operators of other domains, and fold
constants, for which it allocates the sizes that the graph claims. So a file is parsed as a message
first, and rejected if it is not one graph of standard operators that carries its own weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.errors import InputError
from snellen.adapters.exported.class_outputs import Activation
from snellen.adapters.exported.description import Axes
from snellen.adapters.exported.onnx_graph import (
    GraphInput,
    gives_integers,
    graph_input,
    last_activation,
)
from snellen.adapters.plugins import missing_library

DOMAINS = ("", "ai.onnx")
MAX_BYTES = 2**31 - 1
"""Largest message of protobuf."""
MAX_ELEMENTS = 2**28
"""Maximum number of elements that the graph may compute for one image: 1 GiB as float32."""
_STRIPPED = 4096
"""Size in bytes above which the values of a weight cannot be shapes."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A checked file.

    Attributes:
        data: the checked bytes; the session is created from them.
        sha256: of the data.
        input: the input of its graph.
        activation: the last operation of its graph, if it is an activation of classes.
        metadata: properties of the file.
        parameters: number of weights.
    """

    data: bytes
    sha256: str
    input: GraphInput
    activation: Activation | None
    metadata: dict[str, str]
    parameters: int


def import_onnx() -> Any:
    """Import onnx.

    Raises:
        ConfigError: ADAPTER_MISSING_LIBRARY.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise missing_library("the adapter onnx", "onnx") from error
    return onnx


def read_onnx(file: Path) -> OnnxFile:
    """Read and check a file.

    Raises:
        InputError: CHECKPOINT_UNREADABLE (empty, truncated, not ONNX), CHECKPOINT_UNSAFE (external
            data, operators that are not standard) or CHECKPOINT_INVALID (tensors larger than
            their data, results larger than of any image model, an input that is no image).
    """
    onnx = import_onnx()
    size = file.stat().st_size
    if size == 0:
        raise _unreadable(file, "the file is empty")
    if size > MAX_BYTES:
        raise invalid(file, f"it has {size} bytes. Expected at most {MAX_BYTES} (2 GiB).")
    data = file.read_bytes()
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's decoder, in Python or in C
        raise _unreadable(file, "it is truncated or not an ONNX file") from error
    if not model.graph.node or not model.opset_import or not model.ir_version:
        raise _unreadable(file, "it is truncated or not an ONNX file: it has no graph")
    _check_operators(model, file)
    for tensor in _tensors(model.graph):
        _check_tensor(tensor, file)
    taken = graph_input(model.graph, file)
    if gives_integers(model.graph):
        raise invalid(
            file,
            "its output is integers, such as the ids of classes. Expected scores of the classes. "
            "Export the model without its last operation.",
        )
    _check_results(model, taken.axes, file)
    return OnnxFile(
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        input=taken,
        activation=last_activation(model.graph),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        parameters=sum(prod(tensor.dims) for tensor in model.graph.initializer),
    )


def _unreadable(file: Path, why: str) -> InputError:
    return InputError("CHECKPOINT_UNREADABLE", f"checkpoint '{file}' cannot be read as ONNX: {why}")


def _unsafe(file: Path, why: str) -> InputError:
    return InputError("CHECKPOINT_UNSAFE", f"checkpoint '{file}' is rejected: {why}")


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and those inside its nodes (branches and loops)."""
    waiting = [graph]
    while waiting:
        current = waiting.pop()
        yield current
        for node in current.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)


def _check_operators(model: Any, file: Path) -> None:
    if model.functions:
        raise _unsafe(
            file, f"it defines functions ({model.functions[0].name}). Export it with them inlined."
        )
    foreign = {
        f"{node.domain}:{node.op_type}"
        for graph in _graphs(model.graph)
        for node in graph.node
        if node.domain not in DOMAINS
    }
    foreign |= {entry.domain for entry in model.opset_import if entry.domain not in DOMAINS}
    if foreign:
        raise _unsafe(
            file,
            f"it uses operators that are not standard ({', '.join(sorted(foreign)[:5])}). Expected "
            "operators of the domain ai.onnx; export the model without the others.",
        )


def _tensors(graph: Any) -> Iterator[Any]:
    for part in _graphs(graph):
        yield from part.initializer
        for sparse in part.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in part.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                sparse_tensors = list(attribute.sparse_tensors)
                if attribute.HasField("sparse_tensor"):
                    sparse_tensors.append(attribute.sparse_tensor)
                for sparse in sparse_tensors:
                    yield from (sparse.values, sparse.indices)


def _check_tensor(tensor: Any, file: Path) -> None:
    if tensor.data_location != 0 or tensor.external_data:
        raise _unsafe(
            file,
            f"the tensor {tensor.name!r} is stored in another file (external data). Expected one "
            "file; save the model in one: onnx.save(onnx.load(path), path).",
        )
    dims = list(tensor.dims)
    if any(size < 0 for size in dims):
        raise invalid(file, f"the tensor {tensor.name!r} has the shape {tuple(dims)}")
    stored = len(tensor.raw_data) * 8 + 64 * sum(
        len(getattr(tensor, field))
        for field in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
    )
    stored += 64 * len(tensor.string_data)
    # Two bits are the smallest type; onnxruntime checks the sizes exactly.
    if prod(dims) * 2 > stored:
        raise invalid(
            file,
            f"the tensor {tensor.name!r} claims {prod(dims)} elements of shape {tuple(dims)} "
            f"but stores {stored // 8} bytes",
        )


def _check_results(model: Any, axes: Axes, file: Path) -> None:
    """Reject a graph whose intermediate tensors are too large, as far as shapes can be inferred."""
    onnx = import_onnx()
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(model)
    for tensor in skeleton.graph.initializer:
        if len(tensor.raw_data) > _STRIPPED:
            tensor.ClearField("raw_data")
    try:
        inferred = onnx.shape_inference.infer_shapes(skeleton, data_prop=True)
    except Exception as error:  # its C++ code raises many types
        raise invalid(file, f"its shapes do not fit: {str(error)[:300]}") from error
    batch = axes[0] or 1
    for graph in _graphs(inferred.graph):
        for value in (*graph.value_info, *graph.output):
            shape = [axis.dim_value or 1 for axis in value.type.tensor_type.shape.dim]
            if any(size < 0 for size in shape) or prod(shape) > MAX_ELEMENTS * batch:
                raise invalid(
                    file,
                    f"its result {value.name!r} has {prod(shape)} elements of shape "
                    f"{tuple(shape)}. Expected at most {MAX_ELEMENTS} per image.",
                )
