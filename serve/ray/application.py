"""The Ray Serve application: processes that speak HTTP in front of processes that hold models.

``snellen serve`` runs it on this machine; on a cluster ``serve deploy`` takes a YAML file whose
``import_path`` is ``snellen.serve.ray.application:build`` (see configs/serve-cluster.yaml).

Neither kind reserves CPUs in Ray by default, so that an evaluation on the same machine finds them
free; the operating system shares them out.
"""

from __future__ import annotations

import asyncio
import logging
import math
from pathlib import Path
from typing import Any

import ray
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError, RayError, RayTaskError, TaskCancelledError
from ray.serve.config import AutoscalingConfig, BackpressureConfig
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from snellen.adapters.errors import SnellenError
from snellen.pipelines.config.loader import build_as
from snellen.serve.access import check_keys, needs_keys
from snellen.serve.api.app import create_app
from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.api.middleware import api_keys
from snellen.serve.api.state import make_state
from snellen.serve.config import ServeConfig
from snellen.serve.http.server import Listener
from snellen.serve.inference.load_failures import KnownFailures
from snellen.serve.inference.messages import Answer, Failure, ModelRef, Query
from snellen.serve.inference.model_host import (
    CPU_BATCH,
    GPU_BATCH,
    HostSettings,
    LoadedModel,
    ModelHost,
)
from snellen.serve.logs import log_to_file
from snellen.serve.ray.loopback import keep_to_loopback
from snellen.store.sql.database import Database

INGRESS = "Ingress"
MODELS = "Models"
_ALWAYS_OPEN = 1000
"""Requests at a time in a process that speaks HTTP: far above what admission lets through, so
that health and refusals are answered even when the queue is full."""
_REFS = 10_000
"""Descriptions of models that a replica remembers; more than requests at a time."""
_HEALTH: dict[str, Any] = {"health_check_period_s": 2.0, "health_check_timeout_s": 15.0}


class RayBackend:
    """The models behind a handle of Ray Serve."""

    def __init__(self, models: DeploymentHandle[Any]) -> None:
        self._models = models

    async def answer(self, query: Query) -> Answer:
        """Answer a query on the replica that has the model, if one has."""
        answer: Answer = await self._call("answer", query.model.key, query)
        return answer

    async def preload(self, model: ModelRef) -> Answer:
        """Load a model on one replica."""
        answer: Answer = await self._call("preload", model.key, model)
        return answer

    async def ping(self) -> None:
        """Return if a replica answers."""
        await self._call("ping", "")

    async def _call(self, method: str, key: str, *arguments: Any) -> Any:
        handle = self._models.options(method_name=method, multiplexed_model_id=key)
        response = handle.remote(*arguments)
        try:
            return await response
        except asyncio.CancelledError:
            # Nobody waits for it: the model is free for others.
            response.cancel()  # type: ignore[no-untyped-call]
            raise
        except BackPressureError as error:
            raise Busy(str(error)) from error
        except (RayActorError, RayServeException, TaskCancelledError) as error:
            raise Unavailable(str(error)) from error
        except RayTaskError:
            raise  # a fault of ours, not of a process: asking again does not help
        except RayError as error:
            logging.getLogger("snellen.serve").error("%s: %s", method, error)
            raise Unavailable(type(error).__name__) from error


class _Http:
    """What speaks HTTP, in whichever way requests get to it."""

    def __init__(self, config: ServeConfig, root: str, models: DeploymentHandle[Any]) -> None:
        check_keys(config)
        log_to_file(config)
        db = Database.open(config.database)
        self._state = make_state(config, db, RayBackend(models), Path(root))
        self._config = config

    def _app(self) -> FastAPI:
        return create_app(self._state, keys=api_keys(), loopback=not needs_keys(self._config))

    async def open_requests(self) -> int:
        """Requests between their first byte and their answer."""
        return self._state.admission.open

    async def drain(self) -> int:
        """Take on nothing more and wait for what is open; how many requests were left."""
        return await self._state.admission.drain(self._config.limits.drain_timeout_s)


@serve.ingress()
class ProxiedIngress(_Http):
    """Gets its requests from Ray Serve's proxies, which listen on the nodes of a cluster."""

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Ray Serve, once, in the replica."""
        return self._app()


class ListeningIngress(_Http):
    """Listens itself: on one machine a proxy is a process more that every byte goes through."""

    async def __init__(  # type: ignore[misc]  # Ray awaits it
        self, config: ServeConfig, root: str, models: DeploymentHandle[Any]
    ) -> None:
        keep_to_loopback()
        super().__init__(config, root, models)
        self._listener = Listener(
            self._app(),
            host=config.host,
            port=config.port,
            limits=config.limits,
            shared=config.ingress_replicas > 1,
        )
        await self._listener.start()

    def check_health(self) -> None:
        """Called by Ray Serve, which replaces the process where it raises."""
        if not self._listener.alive:
            raise RuntimeError("the HTTP server has ended")

    async def drain(self) -> int:
        """As above; then nobody can connect any more."""
        left = await super().drain()
        await self._listener.close()
        return left


def _models_class(config: ServeConfig, *, loopback: bool) -> type:
    """The class that holds models; its limit of models is fixed when it is made."""
    settings = host_settings(config)

    class Models:
        """Holds models; the one that was not used for longest makes room for another."""

        def __init__(self) -> None:
            if loopback:
                keep_to_loopback()
            self._host = ModelHost(settings)
            self._refs: dict[str, ModelRef] = {}
            self._failed = KnownFailures()

        @serve.multiplexed(  # type: ignore[untyped-decorator]
            max_num_models_per_replica=config.model.max_loaded
        )
        async def _get(self, key: str) -> LoadedModel:
            spec = self._refs[key].spec
            return await self._failed.load(key, lambda: self._host.load(spec))

        async def _model(self, ref: ModelRef) -> LoadedModel:
            self._failed.check(ref.key)
            self._refs[ref.key] = ref
            while len(self._refs) > _REFS:
                self._refs.pop(next(iter(self._refs)))
            model: LoadedModel = await self._get(ref.key)
            return model

        async def answer(self, query: Query) -> Answer:
            try:
                model = await self._model(query.model)
            except SnellenError as error:
                return Answer(failure=Failure(error.code, error.message))
            return await self._host.answer(model, query)

        async def preload(self, ref: ModelRef) -> Answer:
            try:
                await self._model(ref)
            except SnellenError as error:
                return Answer(failure=Failure(error.code, error.message))
            return Answer()

        async def ping(self) -> None:
            """Nothing: that it answers is the answer."""

    return Models


def build(args: dict[str, Any]) -> serve.Application:
    """The application of ``serve deploy``: ``args`` is a ServeConfig as it stands in YAML.

    Who can reach it is not known here, so callers need keys unless
    ``security.require_keys: false`` says otherwise.

    Raises:
        ConfigError: what is wrong with the configuration.
    """
    config = build_as(ServeConfig, args, where="args")
    if config.security.require_keys == "auto":
        security = config.security.model_copy(update={"require_keys": True})
        config = config.model_copy(update={"security": security})
    return application(config)


def application(config: ServeConfig, *, alone: bool = False) -> serve.Application:
    """The deployments of a configuration, bound together. Ray has to run.

    Args:
        config: of the service.
        alone: Ray is this machine alone. Then what speaks HTTP listens itself, at ``host`` and
            ``port``, and Ray's own servers keep to loopback; else Ray Serve's proxies listen.

    Raises:
        ConfigError: a folder that cannot be.
    """
    root = Path("runs" if config.output_dir == "auto" else config.output_dir).expanduser()
    models = serve.deployment(**_models_options(config))(_models_class(config, loopback=alone))
    ingress = serve.deployment(
        name=INGRESS,
        num_replicas=config.ingress_replicas,
        max_ongoing_requests=_ALWAYS_OPEN,
        max_queued_requests=_ALWAYS_OPEN,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=config.limits.drain_timeout_s,
        backpressure_config=BackpressureConfig(retry_after_s=config.limits.retry_after_s),
        **_HEALTH,
    )(ListeningIngress if alone else ProxiedIngress)
    bound: serve.Application = ingress.bind(config, str(root.absolute()), models.bind())
    return bound


def _models_options(config: ServeConfig) -> dict[str, Any]:
    replicas, limits = config.model.replicas, config.limits
    gpus = _gpus(config)
    size = host_settings(config).max_batch_size or (GPU_BATCH if gpus else CPU_BATCH)
    share = math.ceil(limits.max_queued / replicas.max)
    options: dict[str, Any] = {
        "name": MODELS,
        "max_ongoing_requests": max(2 * size, share),
        "max_queued_requests": limits.max_queued,
        "ray_actor_options": {"num_cpus": config.model.num_cpus, "num_gpus": gpus},
        "graceful_shutdown_timeout_s": limits.drain_timeout_s,
        **_HEALTH,
    }
    if replicas.min == replicas.max:
        return {**options, "num_replicas": replicas.min}
    autoscaling = AutoscalingConfig(
        min_replicas=replicas.min,
        max_replicas=replicas.max,
        target_ongoing_requests=replicas.target_ongoing,
    )
    return {**options, "autoscaling_config": autoscaling}


def _gpus(config: ServeConfig) -> int:
    if config.model.device == "auto":
        return 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0  # type: ignore[no-untyped-call]
    return 1 if config.model.device == "cuda" else 0


def host_settings(config: ServeConfig) -> HostSettings:
    """What a model process needs of the configuration."""
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
