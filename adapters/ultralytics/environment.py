"""Import of ultralytics without network access, package installation and unsafe pickles.

Everything here has to happen before or at its first import. The switches:
``ULTRALYTICS_SAFE_LOAD``: checkpoints are read with an allow-list of classes; ``YOLO_OFFLINE``:
no DNS look-ups, analytics or error reports; ``YOLO_AUTOINSTALL`` and
``ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS``: nothing is pip-installed; ``YOLO_CONFIG_DIR``: settings
go to a private folder, not to the user's.
"""

from __future__ import annotations

import os
import sys
import threading
from types import ModuleType

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.plugins import missing_library
from snellen.adapters.runtime.temporary_folder import folder_of_process
from snellen.adapters.runtime.torchvision_operators import suppression

_SWITCHES = {
    "ULTRALYTICS_SAFE_LOAD": "1",
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "0",
    "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
    "YOLO_VERBOSE": "False",
}
_lock = threading.Lock()


def import_ultralytics() -> ModuleType:
    """Import ultralytics with its switches set.

    Raises:
        ConfigError: ADAPTER_MISSING_LIBRARY, or ULTRALYTICS_UNSAFE if it was imported before
            without the switches.
        InputError: ULTRALYTICS_UNSAFE if this torch cannot load checkpoints safely.
    """
    with _lock:
        first = "ultralytics" not in sys.modules
        if first:
            os.environ.update(_SWITCHES)
            os.environ.setdefault("YOLO_CONFIG_DIR", str(folder_of_process("ultralytics")))
        from PIL import Image

        pillow_open = Image.open
        try:
            import ultralytics
            from ultralytics.nn import tasks
            from ultralytics.utils import nms
        except ModuleNotFoundError as error:
            library = (error.name or "ultralytics").split(".")[0]
            raise missing_library("the adapter ultralytics", library) from error
        if first:
            # Its import replaces PIL.Image.open with one that pip-installs a decoder on bad bytes.
            Image.open = pillow_open
            # Where nothing has imported torchvision, Ultralytics suppresses boxes in a loop that is
            # twenty times slower and orders equal confidences differently.
            nms.TorchNMS.nms = staticmethod(suppression())
    if not tasks.SAFE_LOAD:
        raise ConfigError(
            "ULTRALYTICS_UNSAFE",
            "ultralytics was imported before Snellen could switch its safe loading on; import "
            "snellen first, or set ULTRALYTICS_SAFE_LOAD=1 in the environment.",
        )
    if not tasks._SafeLoad.SUPPORTED:
        raise InputError(
            "ULTRALYTICS_UNSAFE",
            "this version of torch cannot load Ultralytics checkpoints safely. Expected torch >= "
            "2.6.",
        )
    module: ModuleType = ultralytics
    return module
