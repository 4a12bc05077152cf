"""Write a loaded model into a file that another program runs, and try it there.

A loaded adapter tells how: ``Adapter.exportable`` returns a module from normalised float32 images
to plain outputs, and what the file has to say of itself.
"""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.model import KEY, ExportedModel
from snellen.adapters.plugins import nearest
from snellen.adapters.types import TaskType

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 17
"""Understood by onnxruntime from 1.12 and TensorRT from 8.6 on; it has all that is needed."""
INPUT = "images"
_TRACED = 2
"""Images in the example: with one, a size of 1 could be taken for a constant."""


@dataclass(frozen=True, slots=True)
class Exportable:
    """A model as it can be exported.

    Attributes:
        module: float32 (N, C, H, W), normalised -> a tensor or two, batch first.
        model: what the file says of itself.
    """

    module: nn.Module
    model: ExportedModel

    @property
    def output_names(self) -> tuple[str, ...]:
        """As Ultralytics names them, so that its tools find them."""
        pair = self.model.task is TaskType.INSTANCE_SEGMENTATION
        return ("output0", "output1") if pair else ("output0",)

    @property
    def description(self) -> str:
        """The JSON value that travels in the file."""
        return self.model.model_dump_json()


def write_export(exportable: Exportable, file_format: str, path: Path) -> None:
    """Write the file.

    Args:
        exportable: from a loaded adapter.
        file_format: one of `FORMATS`.
        path: to write; what is there is replaced.

    Raises:
        ConfigError: FORMAT_UNKNOWN, or ADAPTER_MISSING_LIBRARY.
        InputError: EXPORT_FAILED, a model that cannot be exported.
        OSError: the file cannot be written.
    """
    if file_format not in FORMATS:
        raise ConfigError(
            "FORMAT_UNKNOWN",
            f"format {file_format!r}: expected one of {', '.join(FORMATS)}"
            f"{nearest(file_format, FORMATS)}",
        )
    data = FORMATS[file_format](exportable)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _onnx(exportable: Exportable) -> bytes:
    import torch

    from snellen.adapters.exported.onnx_file import import_onnx

    onnx = import_onnx()
    written: list[bytes] = []

    def trace(images: Tensor) -> None:
        try:
            written.append(_by_tracing(exportable, images))
        except torch.onnx.errors.UnsupportedOperatorError as error:
            written.append(_by_export(exportable, images, error))

    outputs = _traced(exportable, trace)
    model = onnx.load_model_from_string(written[0])
    for value, output in zip(model.graph.output, outputs, strict=True):
        # Only the batch is open; the exporter leaves some other sizes out.
        for axis, size in list(zip(value.type.tensor_type.shape.dim, output.shape, strict=True))[
            1:
        ]:
            axis.dim_value = size
    theirs = {key: str(value) for key, value in _for_ultralytics(exportable.model).items()}
    onnx.helper.set_model_props(model, {KEY: exportable.description, **theirs})
    data: bytes = model.SerializeToString()
    return data


def _by_tracing(exportable: Exportable, images: Tensor) -> bytes:
    """torch's first exporter: quick, and in need of no further package."""
    import torch

    names = exportable.output_names
    buffer = io.BytesIO()
    with suppress(AttributeError):
        # When it fails it prints the whole graph, from C++; stdout is for results alone.
        torch._C._jit_set_onnx_log_output_stream("stderr")
    torch.onnx.export(
        exportable.module,
        (images,),
        buffer,  # type: ignore[arg-type]  # a stream is written to, too
        dynamo=False,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=list(names),
        dynamic_axes={name: {0: "batch"} for name in (INPUT, *names)},
    )
    return buffer.getvalue()


def _by_export(exportable: Exportable, images: Tensor, reason: Exception) -> bytes:
    """torch's second exporter, for operations that the first one does not know."""
    import torch

    if find_spec("onnxscript") is None:
        raise InputError(
            "EXPORT_FAILED",
            f"{exportable.model.architecture} cannot be exported without the package onnxscript, "
            f"which torch needs for it ({str(reason)[:200]}): pip install onnxscript",
        )
    program = torch.onnx.export(
        exportable.module,
        (images,),
        dynamo=True,
        external_data=False,
        verbose=False,
        input_names=[INPUT],
        output_names=list(exportable.output_names),
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=2**16)},),
    )
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data


def _torchscript(exportable: Exportable) -> bytes:
    import torch

    buffer = io.BytesIO()
    extra = {KEY: exportable.description}
    theirs = _for_ultralytics(exportable.model)
    if theirs:
        extra["config.txt"] = json.dumps(theirs)

    def trace(images: Tensor) -> None:
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            exportable.module, images, check_trace=False
        )
        torch.jit.save(traced, buffer, _extra_files=extra)

    _traced(exportable, trace)
    return buffer.getvalue()


def _traced(exportable: Exportable, trace: Callable[[Tensor], Any]) -> list[Tensor]:
    """Run an exporter, quietly; return the outputs of the example."""
    import torch

    images = torch.zeros(_TRACED, *exportable.model.input_shape)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # The exporter's own deprecation, and every branch of the model that depends on sizes.
            warnings.simplefilter("ignore")
            outputs = exportable.module(images)
            trace(images)
    except InputError:
        raise
    except Exception as error:  # whatever the model's layers raise in an exporter
        raise InputError(
            "EXPORT_FAILED",
            f"{exportable.model.architecture} cannot be exported: {type(error).__name__}: "
            f"{str(error)[:500]}",
        ) from error
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


def _for_ultralytics(model: ExportedModel) -> dict[str, Any]:
    """The properties that Ultralytics' own tools read, of models that they can read."""
    if model.family != "yolo" or model.task is TaskType.IMAGE_CLASSIFICATION:
        return {}  # a classifier of ours gives logits, theirs gives probabilities
    from snellen.adapters.ultralytics.load import TASKS

    task = next(name for name, value in TASKS.items() if value is model.task)
    names = dict(enumerate(model.class_names or ()))
    properties: dict[str, Any] = {
        "task": task,
        "names": names,
        "imgsz": list(model.input_shape[1:]),
        "stride": model.preprocess["stride"],
        "end2end": model.end2end,
        "batch": 1,
    }
    if model.kpt_shape is not None:
        properties["kpt_shape"] = list(model.kpt_shape)
    return properties


FORMATS: dict[str, Callable[[Exportable], bytes]] = {"onnx": _onnx, "torchscript": _torchscript}
"""What can be written; the name is also the ending of the file and the adapter that reads it."""
