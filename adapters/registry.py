"""The adapters by name, and the adapter that a file belongs to.

To add one, add a line here, or an entry point in your package:

[project.entry-points."snellen.adapters"]
mine = "my_package.my_module:MyAdapter"
"""

from __future__ import annotations

from pathlib import Path

from snellen.adapters.base import Adapter
from snellen.adapters.plugins import PluginCodes, Registry


def _checked(loaded: object) -> type[Adapter]:
    if not (isinstance(loaded, type) and issubclass(loaded, Adapter)):
        raise TypeError("it is not a subclass of snellen.adapters.base.Adapter")
    if not getattr(loaded, "tasks", None):
        raise TypeError("it declares no tasks. Set the class attribute tasks to a frozenset")
    return loaded


ADAPTERS: Registry[type[Adapter]] = Registry(
    kind="adapters",
    what="adapter",
    builtin={
        "timm": "snellen.adapters.timm.adapter:TimmAdapter",
        "ultralytics": "snellen.adapters.ultralytics.adapter:UltralyticsAdapter",
        "onnx": "snellen.adapters.exported.onnx_adapter:OnnxAdapter",
        "torchscript": "snellen.adapters.exported.torchscript_adapter:TorchScriptAdapter",
        "noop": "snellen.adapters.noop:NoopAdapter",
    },
    codes=PluginCodes(
        unknown="ADAPTER_UNKNOWN",
        invalid="ADAPTER_INVALID",
        missing_library="ADAPTER_MISSING_LIBRARY",
    ),
    check=_checked,
)


def load_adapter_class(name: str) -> type[Adapter]:
    """Import an adapter class by its registry name or as ``module:Class``.

    What the adapter supports stands on the class: ``tasks``, ``options``, ``needs_checkpoint``,
    ``exportable`` and so on. Importing it is cheap: no framework is imported before a checkpoint
    is loaded.

    Raises:
        ConfigError: ADAPTER_UNKNOWN (with the choices and the nearest), ADAPTER_MISSING_LIBRARY
            (with the command that installs it) or ADAPTER_INVALID (not an Adapter).
    """
    return ADAPTERS.load(name)


def adapter_for_file(path: str | Path) -> str | None:
    """Return the name of the adapter that recognises a checkpoint file.

    Nothing in the file is executed.

    Args:
        path: of the file; need not exist.

    Returns:
        The first name, Snellen's own before those of installed packages; None if no adapter
        recognises the file, as for a plain state dict.
    """
    file = Path(path)
    return next((name for name, adapter in ADAPTERS if adapter.recognises(file)), None)
