"""Model processes: each loads models on demand and runs them on single images."""

from __future__ import annotations

from cachetools import LRUCache
from ray import serve

from snellen.adapters.errors import SnellenError
from snellen.serve.config import ServeConfig
from snellen.serve.inference.load_failures import LoadFailures
from snellen.serve.inference.messages import Failure, InferenceReply, InferenceRequest, ModelRef
from snellen.serve.inference.model_host import HostSettings, LoadedModel, ModelHost
from snellen.serve.ray.loopback import bind_to_loopback

_MAX_REFS = 10_000
"""References to models that a replica remembers; more than there are concurrent requests."""


def models_class(config: ServeConfig, *, loopback: bool) -> type:
    """Create the class of the model processes; Ray fixes its limit of models at definition."""
    settings = host_settings(config)

    class Models:
        """Load models and run them; the least recently used is unloaded to make room."""

        def __init__(self) -> None:
            if loopback:
                bind_to_loopback()
            self._host = ModelHost(settings)
            self._refs: LRUCache[str, ModelRef] = LRUCache(_MAX_REFS)
            self._failures = LoadFailures()

        @serve.multiplexed(  # type: ignore[untyped-decorator]
            max_num_models_per_replica=config.model.max_loaded
        )
        async def _get(self, key: str) -> LoadedModel:
            spec = self._refs[key].spec
            return await self._failures.load(key, lambda: self._host.load(spec))

        async def _model(self, ref: ModelRef) -> LoadedModel:
            self._failures.check(ref.key)
            self._refs[ref.key] = ref
            model: LoadedModel = await self._get(ref.key)
            return model

        async def infer(self, request: InferenceRequest) -> InferenceReply:
            try:
                model = await self._model(request.model)
            except SnellenError as error:
                return InferenceReply(failure=Failure(error.code, error.message))
            return await self._host.infer(model, request)

        async def preload(self, ref: ModelRef) -> InferenceReply:
            try:
                await self._model(ref)
            except SnellenError as error:
                return InferenceReply(failure=Failure(error.code, error.message))
            return InferenceReply()

        async def ping(self) -> None:
            """Do nothing: a reply shows that the process responds."""

    return Models


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
