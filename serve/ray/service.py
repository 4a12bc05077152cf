"""``snellen serve``: start Ray and the application on this machine, and stop them in order."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from operator import not_
from pathlib import Path
from typing import Any

import psutil
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from snellen.adapters.errors import RunError
from snellen.adapters.runtime.temporary_folder import temporary_folder
from snellen.pipelines.execution.ray.cluster import ignored_cluster
from snellen.pipelines.execution.ray.session import RaySession
from snellen.pipelines.progress import Reporter
from snellen.serve.access import check_keys
from snellen.serve.api.preload import preloaded_models
from snellen.serve.config import ServeConfig
from snellen.serve.jobs.runner import JobRunner, RunnerSettings
from snellen.serve.logs import log_file, log_to_file
from snellen.serve.ray.preflight import check_port, socket_parent, with_absolute_paths
from snellen.serve.ray.signals import signals_ignored
from snellen.serve.ray.token import share_token
from snellen.store.sql.database import Database

_APPLICATION = "snellen"
_WORKER_SWITCHES = (
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP",
)
"""Separate threads of Ray Serve. They cost a context switch per request, and are not needed: our
code never blocks its event loop."""
_READY_TIMEOUT_S = 600.0
_POLL_S = 0.2
_STOP_TIMEOUT_S = 28.0
"""Time after which everything has stopped, however long the last requests took."""
_MIN_STEP_S = 4.0
"""Minimum time for each step of stopping."""


class Service:
    """The running service. Use as a context manager."""

    def __init__(self, config: ServeConfig, reporter: Reporter) -> None:
        self._config = with_absolute_paths(config)
        self._reporter = reporter
        self._ray: RaySession | None = None
        self._handle: Any = None
        self._jobs: JobRunner | None = None
        self._sockets = ExitStack()

    @property
    def url(self) -> str:
        """URL for clients on this machine."""
        host = self._config.host
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._config.port}"

    @property
    def ray_address(self) -> str:
        """Value of ``ray.address`` for an evaluation that shares the Ray of the service."""
        import ray

        return str(ray.get_runtime_context().gcs_address)

    @property
    def log(self) -> Path:
        """Path of the log file."""
        return log_file(self._config)

    def start(self) -> None:
        """Start everything, and return when ``/health/ready`` returns 200.

        Raises:
            ConfigError: API_KEYS_MISSING.
            InputError: PORT_TAKEN, an error of the run tables, or a model of ``model.preload``
                that is not in them.
            RunError: SERVE_START, with Ray's own reason; SERVE_PRELOAD.
        """
        config = self._config
        check_keys(config)
        check_port(config.host, config.port)
        self._check_tables(config)
        _quiet()
        if config.ray.address is None:
            share_token()
        if (note := ignored_cluster(config.ray)) is not None:
            self._reporter.note(note)
        self._reporter.status("Starting Ray")
        self._ray = RaySession(config.ray, instead="").start()
        self._ray.ready()
        for name in _WORKER_SWITCHES:
            # This process has no event loop, so its handle needs a thread.
            os.environ.pop(name, None)
        from ray import serve

        from snellen.serve.ray.application import INGRESS, application

        self._reporter.status("Starting HTTP and model processes")
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        try:
            alone = config.ray.address is None
            serve.start(
                http_options=None if alone else _proxy_options(config),
                proxy_location="Disabled" if alone else "HeadOnly",
                logging_config={"enable_access_log": False, "log_level": "WARNING"},
            )
            folder = None
            if alone:
                folder = self._sockets.enter_context(temporary_folder("http", socket_parent()))
            app = application(config, alone=alone, folder=folder)
            serve.run(app, name=_APPLICATION, route_prefix=None if alone else "/")
        except Exception as error:
            raise RunError(
                "SERVE_START",
                f"Ray Serve did not start: {_reason(error)}. Expected it to start the HTTP and "
                f"model processes. See '{self.log}' for the reason.",
            ) from error
        self._handle = serve.get_deployment_handle(INGRESS, _APPLICATION)
        # After the first call the handle knows all processes, so that draining reaches them.
        self._handle.open_requests.remote().result()
        self._wait_ready()
        self._start_jobs()

    def _start_jobs(self) -> None:
        """Start to execute queued jobs, in processes of this one."""
        config = self._config
        if not config.jobs.max_running:
            return
        log_to_file(config)
        settings = RunnerSettings(
            config.jobs.max_running,
            config.jobs.nice,
            Path(config.output_dir),
            # Jobs that name no cluster share the Ray of the service, whose models reserve no CPUs.
            self.ray_address if config.ray.address is None else config.ray.address,
        )
        db = Database.open(config.database)
        self._jobs = JobRunner(db, settings, logging.getLogger("snellen.serve").info).start()

    def _check_tables(self, config: ServeConfig) -> None:
        """Check that the run tables respond, and contain the models of ``model.preload``."""
        db = Database.open(config.database)
        try:
            for _ in preloaded_models(config, db):
                pass
        finally:
            db.close()

    def _wait_ready(self) -> None:
        self._reporter.status("Waiting for the service to become ready")
        retrying = Retrying(
            retry=retry_if_result(not_),
            wait=wait_fixed(_POLL_S),
            stop=stop_after_delay(_READY_TIMEOUT_S),
        )
        try:
            retrying(self._is_ready)
        except RetryError:
            raise RunError(
                "SERVE_START",
                f"the service is not ready after {_READY_TIMEOUT_S:.0f} s. Expected 200 from "
                f"{self.url}/health/ready. See '{self.log}' for the reason.",
            ) from None

    def _is_ready(self) -> bool:
        """Return True if the service is ready.

        Raises:
            RunError: SERVE_PRELOAD.
        """
        # Ignore proxies that the environment configures.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/health/ready", timeout=10) as response:
                return bool(response.status == 200)
        except urllib.error.HTTPError as error:
            _check_preload(error.read(), self.log)
        except (urllib.error.URLError, OSError):
            pass
        return False

    def stop(self) -> int:
        """Finish accepted requests, then stop everything; return the number of unfinished ones."""
        if self._ray is None:
            return 0
        with signals_ignored():
            return self._stop()

    def _stop(self) -> int:
        left = [0]
        end = time.monotonic() + _STOP_TIMEOUT_S
        interrupting = threading.Thread(target=self._stop_jobs, daemon=True)
        interrupting.start()
        if self._handle is not None:
            self._reporter.status("Finishing accepted requests")
            _until(end - 2 * _MIN_STEP_S, lambda: self._drain(left))
            self._handle = None
        interrupting.join(max(0.0, end - 2 * _MIN_STEP_S - time.monotonic()))
        self._reporter.status("Stopping the service")
        started = psutil.Process().children(recursive=True)
        _until(end - _MIN_STEP_S, _shutdown_serve)
        assert self._ray is not None
        _until(end, self._ray.stop)
        self._ray = None
        if self._config.ray.address is None:
            _kill(started)
        self._sockets.close()
        return left[0]

    def _stop_jobs(self) -> None:
        """Interrupt the running jobs, which stay in the queue."""
        if self._jobs is not None:
            self._jobs.stop()
            self._jobs.db.close()
            self._jobs = None

    def _drain(self, left: list[int]) -> None:
        # A process that died has nothing to drain.
        with suppress(Exception):
            counts = self._handle.broadcast("drain").results(return_exceptions=True)
            left[0] = sum(count for count in counts if isinstance(count, int))

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _proxy_options(config: ServeConfig) -> dict[str, Any]:
    limits = config.limits
    # Longer than our own limit, which responds with a problem document.
    seconds = limits.request_timeout_s + max(limits.body_timeout_s, limits.upload_timeout_s)
    return {"host": config.host, "port": config.port, "request_timeout_s": seconds}


def _shutdown_serve() -> None:
    import ray
    from ray import serve

    if ray.is_initialized():  # otherwise shutdown() would start a Ray first
        serve.shutdown()  # type: ignore[no-untyped-call]


def _kill(processes: Sequence[psutil.Process]) -> None:
    """Kill processes that our own Ray has left behind; usually there are none."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _until(end: float, work: Callable[[], object]) -> None:
    """Run ``work`` in a thread, and return when it is done or at ``end`` (monotonic time)."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(max(0.0, end - time.monotonic()))


def _quiet() -> None:
    """Set variables that Ray Serve's processes read from the environment in which Ray starts."""
    # Ray gives its workers a low priority: right for batches, not for a server.
    for name in ("RAY_SERVE_LOG_TO_STDERR", "RAY_worker_niceness", *_WORKER_SWITCHES):
        os.environ.setdefault(name, "0")


def _check_preload(body: bytes, log: Path) -> None:
    """Stop waiting if a model of ``model.preload`` cannot be loaded.

    Raises:
        RunError: SERVE_PRELOAD.
    """
    try:
        problem = json.loads(body)
    except ValueError:
        return
    if problem.get("code") == "PRELOAD_FAILED":
        raise RunError(
            "SERVE_PRELOAD",
            f"{problem['detail']} Expected a checkpoint that can be loaded. See '{log}' for the "
            "reason.",
        )


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip()[:500] if lines else type(error).__name__
