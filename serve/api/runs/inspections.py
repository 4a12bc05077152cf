"""Cache of inspected checkpoints: what a checkpoint tells about its model, loaded once."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path

from cachetools import LRUCache

from snellen.adapters.runtime.inspect import Inspection, inspect_model
from snellen.adapters.types import AdapterSpec

_MAX_CACHED = 256


class Inspections:
    """Inspects checkpoints in another process, one at a time. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: LRUCache[str, Inspection] = LRUCache(_MAX_CACHED)
        self._lock = threading.Lock()

    def of(self, spec: AdapterSpec) -> Inspection:
        """Return the description of a model; it is loaded unless its file is known.

        Raises:
            ConfigError, InputError: the checkpoint or a setting cannot be used.
        """
        key = _key(spec)
        with self._lock:
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = inspect_model(spec)
            return found


def _key(spec: AdapterSpec) -> str:
    """Return a key that changes with the file and with every setting."""
    stat = Path(spec.checkpoint).stat() if spec.checkpoint else None
    file = [stat.st_size, stat.st_mtime_ns, stat.st_ino] if stat else None
    return json.dumps([asdict(spec), file], sort_keys=True, default=str)
