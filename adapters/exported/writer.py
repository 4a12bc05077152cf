"""Export of a loaded model to an ONNX or TorchScript file.

`snellen.adapters.base.Adapter.as_exportable` returns a module from normalised float32 images to
plain outputs, and the description that travels in the file.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.description import KEY, ExportedModel
from snellen.adapters.exported.family import FAMILIES
from snellen.adapters.plugins import nearest

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 17
"""Supported by onnxruntime from 1.12 and TensorRT from 8.6 on."""
INPUT = "images"
_TRACED = 2
"""Number of images in the example: with one, a size of 1 could be taken for a constant."""


@dataclass(frozen=True, slots=True)
class Exportable:
    """A model in the form that can be exported.

    Attributes:
        module: float32 (N, C, H, W), normalised -> one or two tensors, batch first.
        model: the description that travels in the file.
    """

    module: nn.Module
    model: ExportedModel

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names as Ultralytics gives them, so that its tools find the outputs."""
        count = FAMILIES[self.model.family].output_count(self.model)
        return tuple(f"output{number}" for number in range(count))

    @property
    def properties(self) -> dict[str, Any]:
        """Properties by which the framework's own tools read the file."""
        return FAMILIES[self.model.family].properties(self.model)

    @property
    def description(self) -> str:
        """The JSON value that travels in the file."""
        return self.model.model_dump_json()


def write_export(exportable: Exportable, file_format: str, path: Path) -> None:
    """Write an exported model to a file.

    Args:
        exportable: from a loaded adapter.
        file_format: one of `FORMATS`.
        path: of the file; an existing one is replaced.

    Raises:
        ConfigError: FORMAT_UNKNOWN, or ADAPTER_MISSING_LIBRARY.
        InputError: EXPORT_FAILED, a model that cannot be exported.
        OSError: the file cannot be written.
    """
    if file_format not in FORMATS:
        raise ConfigError(
            "FORMAT_UNKNOWN",
            f"format {file_format!r} is unknown. Expected one of {', '.join(FORMATS)}"
            f"{nearest(file_format, FORMATS) or '.'}",
        )
    path.write_bytes(FORMATS[file_format](exportable))


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
    theirs = {key: str(value) for key, value in exportable.properties.items()}
    onnx.helper.set_model_props(model, {KEY: exportable.description, **theirs})
    data: bytes = model.SerializeToString()
    return data


def _by_tracing(exportable: Exportable, images: Tensor) -> bytes:
    """Export with torch's first exporter, which is fast and needs no further package."""
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
    """Export with torch's second exporter, for operations that the first does not support."""
    import torch

    if find_spec("onnxscript") is None:
        raise InputError(
            "EXPORT_FAILED",
            f"{exportable.model.architecture} cannot be exported without the package onnxscript, "
            f"which torch needs for it ({str(reason)[:200]}). Run: pip install onnxscript",
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
    theirs = exportable.properties
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
    """Run an exporter without its warnings; return the outputs of the example."""
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
    except Exception as error:  # layers may raise anything in an exporter
        raise InputError(
            "EXPORT_FAILED",
            f"{exportable.model.architecture} cannot be exported: {type(error).__name__}: "
            f"{str(error)[:500]}",
        ) from error
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


FORMATS: dict[str, Callable[[Exportable], bytes]] = {"onnx": _onnx, "torchscript": _torchscript}
"""Format -> function that exports to it; a format is named like the adapter that reads it."""
