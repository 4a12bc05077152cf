"""The Ray Serve application: HTTP processes in front of model processes.

``snellen serve`` runs it on this machine; on a cluster ``serve deploy`` takes a YAML file whose
``import_path`` is ``snellen.serve.ray.application:build`` (see configs/serve-cluster.yaml).

By default neither kind of process reserves CPUs in Ray, so that an evaluation on the same machine
can use them; the operating system shares them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, BackpressureConfig

from snellen.pipelines.config.loader import build_as
from snellen.serve.config import ServeConfig
from snellen.serve.inference.model_host import CPU_BATCH, GPU_BATCH
from snellen.serve.ray.ingress import ListeningIngress, ProxiedIngress
from snellen.serve.ray.model_replica import host_settings, models_class

INGRESS = "Ingress"
MODELS = "Models"
_MAX_ONGOING = 1000
"""Concurrent requests per HTTP process: far more than admission accepts, so that health checks and
rejections work even when the queue is full."""
_SOCKET = "models.sock"
_HEALTH: dict[str, Any] = {"health_check_period_s": 2.0, "health_check_timeout_s": 15.0}


def build(args: dict[str, Any]) -> serve.Application:
    """Build the application for ``serve deploy``.

    It is not known here who can connect, so requests need API keys unless
    ``security.require_keys`` is false.

    Args:
        args: a ServeConfig as written in YAML.

    Raises:
        ConfigError: the configuration is invalid, with the key.
    """
    config = build_as(ServeConfig, args, where="args")
    if config.security.require_keys == "auto":
        security = config.security.model_copy(update={"require_keys": True})
        config = config.model_copy(update={"security": security})
    return application(config)


def application(
    config: ServeConfig, *, alone: bool = False, folder: Path | None = None
) -> serve.Application:
    """Bind the deployments of the service together. Ray must be running.

    Args:
        config: configuration of the service.
        alone: Ray runs on this machine only. Then the HTTP processes listen themselves, at
            ``host`` and ``port``, and Ray's own servers listen on loopback; otherwise Ray Serve's
            proxies listen.
        folder: folder that only this user can enter, for a socket through which requests reach
            the model process if there is only one; None without such a socket.
    """
    socket = None
    if alone and folder is not None and config.model.replicas.max == 1:
        socket = folder / _SOCKET
    root = Path("runs" if config.output_dir == "auto" else config.output_dir).expanduser()
    models = serve.deployment(**_models_options(config))(
        models_class(config, loopback=alone, socket=socket)
    )
    ingress = serve.deployment(
        name=INGRESS,
        num_replicas=config.ingress_replicas,
        max_ongoing_requests=_MAX_ONGOING,
        max_queued_requests=_MAX_ONGOING,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=config.limits.drain_timeout_s,
        backpressure_config=BackpressureConfig(retry_after_s=config.limits.retry_after_s),
        **_HEALTH,
    )(ListeningIngress if alone else ProxiedIngress)
    bound: serve.Application = ingress.bind(
        config, str(root.absolute()), models.bind(), *(() if socket is None else (socket,))
    )
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
