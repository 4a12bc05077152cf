"""Remember for a while which models could not be loaded.

Loading takes seconds and one model is loaded at a time: requests for a broken checkpoint would
keep everybody else's models from being loaded.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from snellen.adapters.errors import SnellenError

SECONDS = 60.0
_MOST = 256
Model = TypeVar("Model")


class KnownFailures:
    """Keys of models with the error that loading them gave. Belongs to one event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, type[SnellenError], str, str]] = OrderedDict()

    def add(self, key: str, error: SnellenError) -> None:
        """Remember an error."""
        # Not the object: each time that it is raised it would take hold of one more request.
        self._known[key] = (time.monotonic(), type(error), error.code, error.message)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def check(self, key: str) -> None:
        """Raise the error that is remembered of a model, if there is one."""
        known = self._known.get(key)
        if known is None:
            return
        since, kind, code, message = known
        if time.monotonic() - since < SECONDS:
            raise kind(code, message)
        del self._known[key]

    async def load(self, key: str, load: Callable[[], Awaitable[Model]]) -> Model:
        """Load a model unless that is known to fail. To be called where one loads at a time:
        those who waited for the first to fail do not try again.
        """
        self.check(key)
        try:
            return await load()
        except SnellenError as error:
            self.add(key, error)
            raise
