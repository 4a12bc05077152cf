"""Options of the Ray Serve deployments: replicas, resources, queues; and API keys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from snellen.adapters.errors import ConfigError
from snellen.serve.access import check_keys, needs_keys
from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.config import ServeConfig
from snellen.serve.ray.application import _models_options, application, build
from snellen.serve.ray.handle import RayBackend
from snellen.serve.ray.ingress import ListeningIngress, ProxiedIngress
from snellen.serve.ray.model_replica import host_settings
from tests.ray_cluster import free_port


def config(**settings: Any) -> ServeConfig:
    return ServeConfig.model_validate(settings)


def models(**settings: Any) -> dict[str, Any]:
    return _models_options(config(model={"device": "cpu", **settings}))


def test_by_default_one_replica_reserves_nothing() -> None:
    options = models()
    assert options["num_replicas"] == 1
    assert options["ray_actor_options"] == {"num_cpus": 0.0, "num_gpus": 0}
    assert options["max_queued_requests"] == 64
    # A replica takes one full batch and the next one.
    assert options["max_ongoing_requests"] >= 2 * 8


def test_replicas_are_scaled_between_limits() -> None:
    options = models(replicas={"min": 1, "max": 4, "target_ongoing": 3}, num_cpus=1)
    scaling = options["autoscaling_config"]
    assert (scaling.min_replicas, scaling.max_replicas) == (1, 4)
    assert scaling.target_ongoing_requests == 3
    assert "num_replicas" not in options
    assert options["ray_actor_options"]["num_cpus"] == 1
    # The queue is shared: one replica does not take all of it.
    assert options["max_ongoing_requests"] == 16


def test_a_gpu_is_reserved_for_cuda() -> None:
    options = models(device="cuda")
    assert options["ray_actor_options"]["num_gpus"] == 1
    assert options["max_ongoing_requests"] >= 2 * 32


def test_auto_settings_are_left_to_the_model_process() -> None:
    auto = host_settings(config())
    assert (auto.device, auto.max_batch_size, auto.threads) == (None, None, None)
    named = host_settings(
        config(model={"device": "cpu", "max_batch_size": 4, "threads": 2, "batch_window_ms": 5})
    )
    assert (named.device, named.max_batch_size, named.threads) == ("cpu", 4, 2)
    assert named.batch_window_s == 0.005


def test_keys_are_needed_unless_only_this_machine_can_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SNELLEN_API_KEYS", raising=False)
    assert not needs_keys(config())
    assert needs_keys(config(host="0.0.0.0"))
    assert needs_keys(config(security={"require_keys": True}))
    assert not needs_keys(config(host="0.0.0.0", security={"require_keys": False}))
    check_keys(config())
    with pytest.raises(ConfigError, match=r"can reach '0\.0\.0\.0'.*SNELLEN_API_KEYS"):
        check_keys(config(host="0.0.0.0"))
    monkeypatch.setenv("SNELLEN_API_KEYS", "a")
    check_keys(config(host="0.0.0.0"))


def test_serve_deploy_needs_keys_whatever_the_host() -> None:
    def ingress_config(arguments: dict[str, Any]) -> ServeConfig:
        bound = build({"model": {"device": "cpu"}, **arguments})
        found: ServeConfig = bound._bound_deployment.init_args[0]
        return found

    assert needs_keys(ingress_config({}))
    assert not needs_keys(ingress_config({"security": {"require_keys": False}}))
    with pytest.raises(ConfigError, match=r"args: limits\.max_queue: unknown key"):
        build({"limits": {"max_queue": 3}})


def test_http_processes_accept_more_requests_than_admission() -> None:
    bound = application(config(model={"device": "cpu"}, limits={"retry_after_s": 3}))
    deployment = bound._bound_deployment
    assert deployment.max_ongoing_requests > 64
    assert deployment._deployment_config.backpressure_config.retry_after_s == 3


def test_on_one_machine_the_http_process_listens_itself() -> None:
    alone = application(config(model={"device": "cpu"}), alone=True)._bound_deployment
    behind = application(config(model={"device": "cpu"}))._bound_deployment
    assert alone.func_or_class is ListeningIngress
    assert isinstance(behind.func_or_class, type)
    assert issubclass(behind.func_or_class, ProxiedIngress)
    assert alone.name == behind.name == "Ingress"


@pytest.mark.anyio
async def test_a_stopped_listener_is_unhealthy(tmp_path: Path) -> None:
    settings = {"port": free_port(), "database": f"sqlite:///{tmp_path / 'runs.db'}"}
    ingress = ListeningIngress.__new__(ListeningIngress)
    await ingress.__init__(config(**settings), str(tmp_path), None)  # type: ignore[misc]
    ingress.check_health()
    assert await ingress.drain() == 0
    with pytest.raises(RuntimeError, match="stopped"):
        ingress.check_health()


@pytest.mark.anyio
async def test_a_cancelled_call_is_cancelled_in_the_model_process() -> None:
    cancelled: list[str] = []

    class Response:
        def __await__(self) -> Iterator[None]:
            return asyncio.sleep(60).__await__()

        def cancel(self) -> None:
            cancelled.append("ping")

    class Handle:
        def options(self, **_: Any) -> Handle:
            return self

        def remote(self, *_: Any) -> Response:
            return Response()

    task = asyncio.create_task(RayBackend(Handle()).ping())  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == ["ping"]


def task_error() -> Exception:
    """An exception raised in the model process by our own code."""
    error: Any = RayTaskError
    found: Exception = error("infer", "traceback", ZeroDivisionError("x"))
    return found


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BackPressureError(num_queued_requests=1, max_queued_requests=1), Busy),
        (RayServeException("no replica"), Unavailable),
        (ActorDiedError(), Unavailable),
        # A bug in our code: 500, not a dead process.
        (task_error(), RayTaskError),
    ],
)
async def test_ray_errors_become_states_of_the_backend(
    error: Exception, expected: type[Exception]
) -> None:
    class Handle:
        def options(self, **_: Any) -> Handle:
            return self

        async def remote(self, *_: Any) -> None:
            raise error

    with pytest.raises(expected):
        await RayBackend(Handle()).ping()  # type: ignore[arg-type]
