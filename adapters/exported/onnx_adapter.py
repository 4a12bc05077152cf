"""Adapter of ONNX files, run by onnxruntime: classifiers and YOLO models.

Files written by ``snellen export-model`` or by Ultralytics describe themselves. A classifier that
another program exported needs ``model.architecture``, or its preprocessing. The options are those
of YOLO models, and what the outputs of a classifier are; ``imgsz`` and ``nms`` must agree with the
file.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.adapter import ExportedAdapter
from snellen.adapters.exported.onnx_file import OnnxFile, read_onnx
from snellen.adapters.exported.opened import Opened
from snellen.adapters.plugins import missing_library
from snellen.adapters.runtime.threads import compute_threads

if TYPE_CHECKING:
    from torch import Tensor

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class OnnxAdapter(ExportedAdapter):
    """A model in an ONNX file."""

    framework: ClassVar[str] = "onnx"
    export_suffix: ClassVar[str | None] = ".onnx"
    libraries: ClassVar[tuple[str, ...]] = ("onnxruntime",)

    def _load_spec(self, *, inference_mode: bool, device: str | None) -> dict[str, Any]:
        return super()._load_spec(inference_mode=inference_mode, device=_device(device))

    def _open(self, file: Path) -> Opened:
        checked = read_onnx(file)
        session = OnnxSession(file, checked, self.engine.device)
        return Opened(
            run=session.run,
            axes=checked.input.axes,
            metadata=checked.metadata,
            sha256=checked.sha256,
            parameters=checked.parameters,
            raw=checked.input.numbers == "uint8",
            activation=checked.activation,
        )


def import_onnxruntime() -> Any:
    """Import onnxruntime, with telemetry switched off.

    Raises:
        ConfigError: ADAPTER_MISSING_LIBRARY.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise missing_library("the adapter onnx", "onnxruntime") from error
    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(3)
    return onnxruntime


def _device(name: str | None) -> str | None:
    """Return a GPU only if onnxruntime can use it too."""
    offered = _CUDA in import_onnxruntime().get_available_providers()
    if offered or (name is not None and not name.startswith("cuda")):
        return name
    if name is None:
        return "cpu"
    raise ConfigError(
        "DEVICE_MISSING",
        f"device {name!r} is not supported by this onnxruntime, which has no {_CUDA}. Expected "
        "cpu; for a GPU, install onnxruntime-gpu in place of onnxruntime.",
    )


class OnnxSession:
    """Session of a checked file, shared by threads, with the compute threads of the process.

    onnxruntime fixes the number of threads when a session is created, and Snellen decides it when
    a run is planned. So the session is created again if the number has changed.
    """

    def __init__(self, file: Path, checked: OnnxFile, device: Any) -> None:
        """Create the first session of a file.

        Raises:
            InputError: CHECKPOINT_INVALID, a graph that onnxruntime rejects.
        """
        self._file, self._sha256 = file, checked.sha256
        self._input = checked.input
        self._device = device
        self._lock = threading.Lock()
        self._threads, self._session = compute_threads(), self._make(checked.data)

    def run(self, pixels: Tensor) -> list[Tensor]:
        """Run (N, C, H, W), of uint8 or float32; return float32 outputs on the same device."""
        import numpy as np
        import torch

        if self._input.channels_last:
            pixels = pixels.permute(0, 2, 3, 1)
        images = pixels.contiguous().cpu().numpy().astype(self._input.numbers, copy=False)
        outputs = self._current().run(None, {self._input.name: images})
        return [torch.from_numpy(np.asarray(o)).float().to(pixels.device) for o in outputs]

    def _current(self) -> Any:
        threads = compute_threads()
        if threads != self._threads:
            with self._lock:
                if threads != self._threads:
                    self._session, self._threads = self._again(), threads
        return self._session

    def _again(self) -> Any:
        checked = read_onnx(self._file)
        if checked.sha256 != self._sha256:
            raise InputError(
                "CHECKPOINT_INVALID",
                f"checkpoint '{self._file}' has changed since it was loaded. Load it again.",
            )
        return self._make(checked.data)

    def _make(self, data: bytes) -> Any:
        runtime = import_onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = compute_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin while they wait take the cores of other units.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.load_model_format", "ONNX")
        providers: list[Any] = [_CPU]
        if self._device.type == "cuda":
            providers.insert(0, (_CUDA, {"device_id": self._device.index or 0}))
        try:
            # Without its fallback, which prints to stdout and may leave the GPU without an error.
            return runtime.InferenceSession(
                data, options, providers=providers, enable_fallback=False
            )
        except Exception as error:  # its C++ code raises many types
            raise invalid(
                self._file, f"onnxruntime rejects its graph: {str(error)[:300]}"
            ) from error
