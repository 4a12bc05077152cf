"""Model processes: each loads models on demand and runs them on single images."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from cachetools import LRUCache
from ray import serve

from snellen.adapters.errors import SnellenError
from snellen.serve.api.preload import preloaded_models
from snellen.serve.config import ServeConfig
from snellen.serve.inference.channel import ChannelServer
from snellen.serve.inference.load_failures import LoadFailures
from snellen.serve.inference.messages import Failure, InferenceReply, InferenceRequest, ModelRef
from snellen.serve.inference.model_host import HostSettings, LoadedModel, ModelHost
from snellen.serve.inference.pinned_models import PinnedModels
from snellen.serve.ray.loopback import bind_to_loopback
from snellen.store.sql.database import Database

_log = logging.getLogger("snellen.serve")

_MAX_REFS = 10_000
"""References to models that a replica remembers; more than there are concurrent requests."""


class ModelProcess(ABC):
    """Load models and run them; the least recently used is unloaded to make room."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._host = ModelHost(host_settings(config))
        self._refs: LRUCache[str, ModelRef] = LRUCache(_MAX_REFS)
        self._failures = LoadFailures()
        self._pinned: PinnedModels[LoadedModel] = PinnedModels()

    @abstractmethod
    async def _cached(self, key: str) -> LoadedModel:
        """Return a model that may be unloaded later; Ray's wrapper keeps the recently used ones."""

    async def _load(self, ref: ModelRef) -> LoadedModel:
        return await self._failures.load(ref.key, lambda: self._host.load(ref.spec))

    async def _load_preloaded(self) -> None:
        """Load the models of ``model.preload``: a new process takes no request without them."""
        try:
            refs = await asyncio.to_thread(_preloaded_refs, self._config)
        except SnellenError as error:
            # The HTTP process reports it when it tries to preload.
            _log.warning("model.preload: %s: %s", error.code, error.message)
            return
        for ref in refs:
            with suppress(SnellenError):
                await self._model(ref)

    async def _model(self, ref: ModelRef) -> LoadedModel:
        pinned = self._pinned.get(ref)
        if pinned is not None:
            return pinned
        self._failures.check(ref.key)
        if ref.pin is not None:
            return await self._pinned.load(ref, lambda: self._load(ref))
        self._refs[ref.key] = ref
        return await self._cached(ref.key)

    async def infer(self, request: InferenceRequest) -> InferenceReply:
        """Run a model on one image; errors are in the reply."""
        try:
            model = await self._model(request.model)
        except SnellenError as error:
            return InferenceReply(failure=Failure(error.code, error.message))
        return await self._host.infer(model, request)

    async def preload(self, ref: ModelRef) -> InferenceReply:
        """Load a model; the reply contains only a failure, if any."""
        try:
            await self._model(ref)
        except SnellenError as error:
            return InferenceReply(failure=Failure(error.code, error.message))
        return InferenceReply()

    async def ping(self) -> None:
        """Do nothing: a reply shows that the process responds."""
        return


def models_class(config: ServeConfig, *, loopback: bool, socket: Path | None = None) -> type:
    """Create the class of the model processes; Ray fixes its limit of models at definition.

    Args:
        config: configuration of the service.
        loopback: Ray's servers listen on loopback only.
        socket: where the only model process also listens for requests of this machine; None does
            not listen.
    """

    class Models(ModelProcess):
        """Model process of Ray Serve."""

        async def __init__(self) -> None:  # type: ignore[misc]  # Ray awaits it
            if loopback:
                bind_to_loopback()
            super().__init__(config)
            await self._load_preloaded()
            self._channel = None if socket is None else ChannelServer(socket, self.infer)
            if self._channel is not None:
                await self._channel.start()

        @serve.multiplexed(  # type: ignore[untyped-decorator]
            max_num_models_per_replica=config.model.max_loaded
        )
        async def _cached(self, key: str) -> LoadedModel:
            return await self._load(self._refs[key])

    return Models


def _preloaded_refs(config: ServeConfig) -> list[ModelRef]:
    if not config.model.preload:
        return []
    db = Database.open(config.database)
    try:
        return [found.model for found in preloaded_models(config, db)]
    finally:
        db.close()


def host_settings(config: ServeConfig) -> HostSettings:
    """Extract the settings of the model processes."""
    model = config.model
    return HostSettings(
        device=None if model.device == "auto" else model.device,
        max_batch_size=None if model.max_batch_size == "auto" else model.max_batch_size,
        batch_window_s=model.batch_window_ms / 1000,
        threads=None if model.threads == "auto" else model.threads,
        max_pixels=config.limits.max_pixels,
        max_bytes=config.limits.max_image_bytes,
        max_mask_pixels=config.limits.max_mask_pixels,
    )
