"""Import ultralytics without its reach for the network, the package installer and pickle.

Everything here has to happen before or right at its first import. What each switch does:
``ULTRALYTICS_SAFE_LOAD``: checkpoints are read with an allow-list of classes; ``YOLO_OFFLINE``:
no DNS look-ups, analytics or error reports; ``YOLO_AUTOINSTALL`` and
``ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS``: nothing is pip-installed; ``YOLO_CONFIG_DIR``: settings
go to a private folder, not to the user's.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from snellen.adapters.errors import ConfigError, InputError

_SWITCHES = {
    "ULTRALYTICS_SAFE_LOAD": "1",
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "0",
    "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
    "YOLO_VERBOSE": "False",
}
_PREFIX = "snellen-ultralytics-"
_lock = threading.Lock()


def import_ultralytics() -> ModuleType:
    """The ultralytics package, closed up.

    Raises:
        ConfigError: ADAPTER_MISSING_LIBRARY, or ULTRALYTICS_UNSAFE where it was imported before
            without the switches.
        InputError: ULTRALYTICS_UNSAFE where this torch cannot load checkpoints safely.
    """
    with _lock:
        first = "ultralytics" not in sys.modules
        if first:
            os.environ.update(_SWITCHES)
            os.environ.setdefault("YOLO_CONFIG_DIR", _config_folder())
        from PIL import Image

        pillow_open = Image.open
        try:
            import ultralytics
            from ultralytics.nn import tasks
        except ModuleNotFoundError as error:
            raise ConfigError(
                "ADAPTER_MISSING_LIBRARY",
                f"the ultralytics adapter needs the library {error.name!r}: "
                "pip install 'snellen[ultralytics]' (AGPL-3.0)",
            ) from error
        if first:
            # Its import replaces PIL.Image.open by one that pip-installs a decoder on bad bytes.
            Image.open = pillow_open
    if not tasks.SAFE_LOAD:
        raise ConfigError(
            "ULTRALYTICS_UNSAFE",
            "ultralytics was imported before Snellen could switch its safe loading on; import "
            "snellen first, or set ULTRALYTICS_SAFE_LOAD=1 in the environment.",
        )
    if not tasks._SafeLoad.SUPPORTED:
        raise InputError(
            "ULTRALYTICS_UNSAFE",
            "this version of torch cannot load Ultralytics checkpoints safely; torch >= 2.6 is "
            "needed.",
        )
    module: ModuleType = ultralytics
    return module


def _config_folder() -> str:
    """A folder of this process; those of processes that were killed are swept here."""
    place = Path(tempfile.gettempdir())
    for folder in place.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            if folder.stat().st_uid == os.getuid() and not _lives(owner):
                shutil.rmtree(folder, ignore_errors=True)
    made = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True  # not one of ours, or somebody else's
    return True
