"""Adapter of TorchScript archives that are trusted: timm classifiers and YOLO models.

A TorchScript file is a program: the code of its layers runs when it is loaded and called. Unlike a
checkpoint's pickle or an ONNX graph, it cannot be checked against a list of allowed operations. So
nothing in a file is run unless ``model.trust: true`` says that its author is trusted. An ONNX file
needs no trust.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from snellen.adapters.checkpoints.digest import sha256_file
from snellen.adapters.checkpoints.integrity import check_expansion, invalid
from snellen.adapters.errors import InputError
from snellen.adapters.exported.adapter import ExportedAdapter, ExportedOptions
from snellen.adapters.exported.class_outputs import Activation
from snellen.adapters.exported.description import KEY
from snellen.adapters.exported.opened import Opened

if TYPE_CHECKING:
    from torch import Tensor

_ULTRALYTICS = "config.txt"
"""Name of the file in which Ultralytics' exporter stores its properties."""
_MAX_TEXT = 64 * 2**20
# Operations that change the form of an output, not its values.
_FORMS = frozenset(
    f"aten::{name}"
    for name in (
        "to",
        "view",
        "reshape",
        "squeeze",
        "unsqueeze",
        "flatten",
        "contiguous",
        "dropout",
    )
)
_ACTIVATIONS: dict[str, Activation] = {
    "aten::softmax": "softmax",
    "aten::log_softmax": "log_softmax",
    "aten::sigmoid": "sigmoid",
}


class TorchScriptOptions(ExportedOptions):
    """Options of the adapter: those of exported models, and whether the file's code may run."""

    trust: bool = False


class TorchScriptAdapter(ExportedAdapter):
    """A model in a TorchScript archive."""

    framework: ClassVar[str] = "torchscript"
    options: ClassVar[type[ExportedOptions]] = TorchScriptOptions
    export_suffix: ClassVar[str | None] = ".torchscript"

    def _open(self, file: Path) -> Opened:
        self._check_trust(file)
        metadata = _metadata(file)
        sha256 = sha256_file(file)
        module = _loaded(file, self.engine.device)
        return Opened(
            run=lambda pixels: _run(module, pixels),
            axes=(_fixed_batch(metadata), None, None, None),
            metadata=metadata,
            sha256=sha256,
            parameters=sum(tensor.numel() for tensor in module.parameters()),
            activation=_last_activation(module),
        )

    def _check_trust(self, file: Path) -> None:
        assert isinstance(self._options, TorchScriptOptions)
        if not self._options.trust:
            raise InputError(
                "CHECKPOINT_UNSAFE",
                f"checkpoint '{file}' is rejected: a TorchScript file is code that runs when it is "
                "loaded, and nothing was run. If you trust its author, set model.trust: true; or "
                "export the model to ONNX, which needs no trust.",
            )


def _metadata(file: Path) -> dict[str, Any]:
    """Read the texts that travel in the archive; nothing in it is run."""
    size = file.stat().st_size
    if not zipfile.is_zipfile(file):
        what = "the file is empty" if size == 0 else "it is truncated or not a TorchScript file"
        raise InputError("CHECKPOINT_UNREADABLE", f"checkpoint '{file}' cannot be read: {what}")
    check_expansion(file, size)
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if not any(name.endswith("/constants.pkl") for name in names):
            raise InputError(
                "CHECKPOINT_UNREADABLE",
                f"checkpoint '{file}' cannot be read: it is an archive, but not a TorchScript file",
            )
        own = _text(archive, names, KEY)
        if own is not None:
            return {KEY: own}
        theirs = _text(archive, names, _ULTRALYTICS)
    try:
        found = json.loads(theirs) if theirs else {}
    except (ValueError, RecursionError) as error:
        raise invalid(file, f"its {_ULTRALYTICS} is not JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _text(archive: zipfile.ZipFile, names: list[str], wanted: str) -> str | None:
    for name in names:
        if name.endswith(f"/extra/{wanted}"):
            with archive.open(name) as member:
                return member.read(_MAX_TEXT).decode("utf-8", errors="replace")
    return None


def _fixed_batch(metadata: dict[str, Any]) -> int | None:
    """Return the batch size that Ultralytics traced with, unless it exported a dynamic one."""
    arguments, batch = metadata.get("args"), metadata.get("batch")
    dynamic = isinstance(arguments, dict) and arguments.get("dynamic")
    if KEY in metadata or dynamic or not isinstance(batch, int) or batch < 1:
        return None
    return batch


def _loaded(file: Path, device: Any) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit warns that it is deprecated
            module = torch.jit.load(  # type: ignore[no-untyped-call]
                str(file), map_location=device
            )
    except Exception as error:  # its C++ code raises many types
        raise invalid(file, f"torch cannot load it: {str(error)[:300]}") from error
    return module.eval()


def _last_activation(module: Any) -> Activation | None:
    """Return the activation that a program's only output comes from, if it is plainly one."""
    try:
        outputs = list(module.inlined_graph.outputs())
        node = outputs[0].node() if len(outputs) == 1 else None
        while node is not None and node.kind() in _FORMS:
            node = next(node.inputs()).node()
        return None if node is None else _ACTIVATIONS.get(node.kind())
    except (RuntimeError, AttributeError, StopIteration):  # a program that cannot be inlined
        return None


def _run(module: Any, pixels: Tensor) -> list[Tensor]:
    outputs = module(pixels)
    found = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
    return [output.float() for output in found]
