"""``snellen serve``: start Ray and the application on this machine, and end them in order."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from snellen.adapters.errors import RunError
from snellen.pipelines.execution.ray.session import RaySession
from snellen.pipelines.progress import Reporter
from snellen.serve.access import check_keys
from snellen.serve.api.model_resolver import ModelResolver
from snellen.serve.config import ServeConfig
from snellen.serve.logs import log_file
from snellen.serve.ray.preflight import absolute, check_port
from snellen.serve.ray.token import share_token
from snellen.store.sql.database import Database

_APPLICATION = "snellen"
_WORKER_SWITCHES = (
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP",
)
"""Threads that cost a switch for each request; our code never blocks its event loop."""
_READY_SECONDS = 600.0
_POLL = 0.2
_END_SECONDS = 28.0
"""In which everything has ended, however long answering the last requests took."""
_LEAST_SECONDS = 4.0
"""What each step of ending gets at least."""


class Service:
    """The running service. Use as a context manager."""

    def __init__(self, config: ServeConfig, reporter: Reporter) -> None:
        self._config = absolute(config)
        self._reporter = reporter
        self._ray: RaySession | None = None
        self._handle: Any = None

    @property
    def url(self) -> str:
        """Address for a client on this machine."""
        host = self._config.host
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._config.port}"

    @property
    def ray_address(self) -> str:
        """What an evaluation names as ``ray.address`` to run beside the service."""
        import ray

        return str(ray.get_runtime_context().gcs_address)

    @property
    def log(self) -> Path:
        """Where the service says what it does not tell its callers."""
        return log_file(self._config)

    def start(self) -> None:
        """Start everything and return when ``/health/ready`` answers 200.

        Raises:
            ConfigError: API_KEYS_MISSING.
            InputError: PORT_TAKEN, what is wrong with the run tables, or a model of ``preload``
                that they do not have.
            RunError: SERVE_START, with Ray's own reason; SERVE_PRELOAD.
        """
        config = self._config
        check_keys(config)
        check_port(config.host, config.port)
        self._check_tables(config)
        _quiet()
        if config.ray.address is None:
            share_token()
        self._reporter.status("Starting Ray")
        self._ray = RaySession(config.ray, instead="").start()
        self._ray.ready()
        for name in _WORKER_SWITCHES:
            # This process has no event loop, so a handle of it needs a thread of its own.
            os.environ.pop(name, None)
        from ray import serve

        from snellen.serve.ray.application import INGRESS, application

        self._reporter.status("starting the processes, which load torch")
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        try:
            alone = config.ray.address is None
            serve.start(
                http_options=None if alone else _proxy_options(config),
                proxy_location="Disabled" if alone else "HeadOnly",
                logging_config={"enable_access_log": False, "log_level": "WARNING"},
            )
            made = application(config, alone=alone)
            serve.run(made, name=_APPLICATION, route_prefix=None if alone else "/")
        except Exception as error:
            raise RunError("SERVE_START", f"Ray Serve could not start: {_reason(error)}") from error
        self._handle = serve.get_deployment_handle(INGRESS, _APPLICATION)
        # Now the handle knows the processes, and draining reaches all of them.
        self._handle.open_requests.remote().result()
        self._wait_ready()

    def _check_tables(self, config: ServeConfig) -> None:
        """The run tables answer, and have the models that are to be loaded."""
        db = Database.open(config.database)
        try:
            resolver = ModelResolver(db, config.model)
            for wanted in config.preload:
                resolver.resolve(wanted.job, str(wanted.checkpoint))
        finally:
            db.close()

    def _wait_ready(self) -> None:
        self._reporter.status("waiting for the service to be ready")
        deadline = time.monotonic() + _READY_SECONDS
        # Not by way of a proxy that the environment names.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline:
            try:
                with opener.open(f"{self.url}/health/ready", timeout=10) as answer:
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as error:
                _check_preload(error.read(), self.log)
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(_POLL)
        raise RunError("SERVE_START", f"the service was not ready within {_READY_SECONDS:.0f} s.")

    def stop(self) -> int:
        """Answer what was accepted, then end everything; how many requests were left."""
        if self._ray is None:
            return 0
        with _undisturbed():
            return self._stop()

    def _stop(self) -> int:
        left = [0]
        end = time.monotonic() + _END_SECONDS
        if self._handle is not None:
            self._reporter.status("answering the requests that were accepted")
            _until(end - 2 * _LEAST_SECONDS, lambda: self._drain(left))
            self._handle = None
        self._reporter.status("stopping")
        started = psutil.Process().children(recursive=True)
        _until(end - _LEAST_SECONDS, _shutdown_serve)
        assert self._ray is not None
        _until(end, self._ray.stop)
        self._ray = None
        if self._config.ray.address is None:
            _kill(started)
        return left[0]

    def _drain(self, left: list[int]) -> None:
        # A process that is gone has nothing to drain.
        with suppress(Exception):
            answers = self._handle.broadcast("drain").results(return_exceptions=True)
            left[0] = sum(answer for answer in answers if isinstance(answer, int))

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _proxy_options(config: ServeConfig) -> dict[str, Any]:
    limits = config.limits
    # Behind our own limit, which answers with a problem document.
    seconds = limits.request_timeout_s + limits.body_timeout_s
    return {"host": config.host, "port": config.port, "request_timeout_s": seconds}


def _shutdown_serve() -> None:
    import ray
    from ray import serve

    if ray.is_initialized():  # else it would start a Ray, only to find nothing there
        serve.shutdown()  # type: ignore[no-untyped-call]


def _kill(processes: Sequence[psutil.Process]) -> None:
    """End what a Ray of our own has left behind; mostly there is nothing."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _until(end: float, work: Callable[[], object]) -> None:
    """Run ``work`` and go on when it is done, or at ``end`` (monotonic time) without it."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(max(0.0, end - time.monotonic()))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Further signals do not keep the processes from being ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_signal() -> str:
    """Wait for SIGINT or SIGTERM; return its name."""
    caught: list[int] = []
    arrived = threading.Event()

    def note(number: int, _: FrameType | None) -> None:
        caught.append(number)
        arrived.set()

    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not arrived.wait(0.5):
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return signal.Signals(caught[0]).name


def _quiet() -> None:
    """Switches that Ray Serve's processes read from the environment that Ray is started in."""
    # Ray gives its workers the lowest priority but four: right for batches, not for a server.
    for name in ("RAY_SERVE_LOG_TO_STDERR", "RAY_worker_niceness", *_WORKER_SWITCHES):
        os.environ.setdefault(name, "0")


def _check_preload(body: bytes, log: Path) -> None:
    """End the start where a model that was to be loaded cannot be.

    Raises:
        RunError: SERVE_PRELOAD.
    """
    try:
        problem = json.loads(body)
    except ValueError:
        return
    if problem.get("code") == "PRELOAD_FAILED":
        raise RunError("SERVE_PRELOAD", f"preload: {problem['detail']} '{log}' says why.")


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip()[:500] if lines else type(error).__name__
