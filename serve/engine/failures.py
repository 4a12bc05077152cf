"""Remember for a while which models could not be loaded.

Loading takes seconds and one model is loaded at a time: requests for a broken checkpoint would
keep everybody else's models from being loaded.
"""

from __future__ import annotations

import time
from collections import OrderedDict

from adapters.types import SnellenError

SECONDS = 60.0
_MOST = 256


class KnownFailures:
    """Keys of models with the error that loading them gave. Belongs to one event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, SnellenError]] = OrderedDict()

    def add(self, key: str, error: SnellenError) -> None:
        """Remember an error."""
        self._known[key] = (time.monotonic(), error)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def check(self, key: str) -> None:
        """Raise the error that is remembered of a model, if there is one."""
        known = self._known.get(key)
        if known is None:
            return
        since, error = known
        if time.monotonic() - since < SECONDS:
            raise error
        del self._known[key]
