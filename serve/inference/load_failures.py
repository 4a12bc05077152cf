"""Cache of models that failed to load.

Loading takes seconds, and models are loaded one at a time: without the cache, requests for a broken
checkpoint would block the loading of all other models.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from cachetools import TTLCache

from snellen.adapters.errors import SnellenError

TTL_S = 60.0
_MAX_CACHED = 256
Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class _Error:
    """An error to raise again. The exception itself would hold the frames of every request."""

    kind: type[SnellenError]
    code: str
    message: str


class LoadFailures:
    """Errors of models that failed to load, by key of the model. Belongs to one event loop."""

    def __init__(self, ttl_s: float = TTL_S) -> None:
        """Create the cache; errors expire after ``ttl_s`` seconds."""
        self._errors: TTLCache[str, _Error] = TTLCache(_MAX_CACHED, ttl_s, timer=time.monotonic)

    def add(self, key: str, error: SnellenError) -> None:
        """Remember the error of a model."""
        self._errors[key] = _Error(type(error), error.code, error.message)

    def check(self, key: str) -> None:
        """Raise the error of a model, if one is remembered.

        Raises:
            SnellenError: a new exception with the same class, code and message.
        """
        error = self._errors.get(key)
        if error is not None:
            raise error.kind(error.code, error.message)

    async def load(self, key: str, load: Callable[[], Awaitable[Model]]) -> Model:
        """Load a model, unless it is known to fail.

        Call it where models are loaded one at a time: requests that waited for a failed attempt
        do not try again.

        Raises:
            SnellenError: the model cannot be loaded.
        """
        self.check(key)
        try:
            return await load()
        except SnellenError as error:
            self.add(key, error)
            raise
