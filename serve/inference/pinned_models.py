"""Models that stay loaded: those of ``model.preload``, which are never unloaded to make room."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from snellen.serve.inference.messages import ModelRef

Model = TypeVar("Model")


class PinnedModels(Generic[Model]):
    """Loaded models by what pins them. Belongs to one event loop."""

    def __init__(self) -> None:
        self._models: dict[str, tuple[str, Model]] = {}
        self._lock = asyncio.Lock()

    def get(self, ref: ModelRef) -> Model | None:
        """Return a model that is loaded, whichever entry pins it; None if there is none."""
        return next((model for key, model in self._models.values() if key == ref.key), None)

    async def load(self, ref: ModelRef, load: Callable[[], Awaitable[Model]]) -> Model:
        """Return a model that its reference pins; it is loaded first if necessary.

        A model that the same entry pinned before is released: its checkpoint was overwritten.

        Args:
            ref: of a model with a ``pin``.
            load: loads the model; only one is loaded at a time.
        """
        assert ref.pin is not None
        async with self._lock:
            model = self.get(ref)
            if model is None:
                model = await load()
            self._models[ref.pin] = (ref.key, model)
            return model
