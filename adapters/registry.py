"""Which adapters there are. To add one, add a line here, or an entry point in your package:

[project.entry-points."snellen.adapters"]
mine = "my_package.my_module:MyAdapter"
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

from snellen.adapters.base import Adapter
from snellen.adapters.checkpoints.local_path import check_not_remote
from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import nearest

ENTRY_POINTS = "snellen.adapters"
ADAPTERS: dict[str, str] = {
    "timm": "snellen.adapters.timm.adapter:TimmAdapter",
    "ultralytics": "snellen.adapters.ultralytics.adapter:UltralyticsAdapter",
    "onnx": "snellen.adapters.exported.onnx_adapter:OnnxAdapter",
    "torchscript": "snellen.adapters.exported.torchscript_adapter:TorchScriptAdapter",
    "noop": "snellen.adapters.noop:NoopAdapter",
}
_INSTALLED_BY: dict[str, str] = {
    "torch": "pip install snellen",
    "torchvision": "pip install snellen",
    "timm": "pip install snellen",
    "ultralytics": "pip install 'snellen[ultralytics]' (AGPL-3.0)",
    "onnxruntime": "pip install 'snellen[onnx]'",
    "onnx": "pip install 'snellen[onnx]'",
}


def adapter_names() -> dict[str, str]:
    """Return name -> ``module:attr`` of our own adapters and of installed packages' ones.

    Our own names win: a package cannot replace an adapter by taking its name.
    """
    found = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return {**found, **ADAPTERS}


def load_adapter_class(name: str) -> type[Adapter]:
    """Import an adapter by its registry name or as ``module:Class``.

    Raises:
        ConfigError: ADAPTER_UNKNOWN (with the choices and the nearest), ADAPTER_MISSING_LIBRARY
            (with what installs it) or ADAPTER_INVALID (not an Adapter).
    """
    known = adapter_names()
    target = known.get(name, name if ":" in name else None)
    if target is None:
        raise ConfigError(
            "ADAPTER_UNKNOWN",
            f"adapter {name!r}: expected one of {', '.join(sorted(known))}, or module:Class of an "
            f"installed package{nearest(name, known)}",
        )
    module_name, _, attribute = target.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *attribute.split("."))):
        check_not_remote(target, "adapter")
    try:
        loaded = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise _missing(name, module_name, error) from error
    except (AttributeError, ValueError) as error:
        raise ConfigError("ADAPTER_INVALID", f"adapter {name!r} ({target}): {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Adapter)):
        raise ConfigError(
            "ADAPTER_INVALID",
            f"adapter {name!r}: {target} is not a subclass of snellen.adapters.base.Adapter",
        )
    return loaded


def _missing(name: str, module_name: str, error: ModuleNotFoundError) -> ConfigError:
    library = (error.name or "").split(".")[0]
    if library == module_name.split(".")[0]:
        return ConfigError(
            "ADAPTER_UNKNOWN", f"adapter {name!r}: there is no module {module_name!r} to import"
        )
    how = _INSTALLED_BY.get(library, f"pip install {library}")
    return ConfigError(
        "ADAPTER_MISSING_LIBRARY", f"adapter {name!r} needs the library {library!r}: {how}"
    )
