"""Start Ray quietly, embedded in this process or by joining a cluster, and stop it cleanly."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from snellen.adapters.errors import RunError, SnellenError
from snellen.pipelines.config.ray_section import RayConfig
from snellen.pipelines.config.runtime_env import resolved_env
from snellen.pipelines.execution.ray.cluster import check_cluster, cluster_address
from snellen.pipelines.execution.ray.environment import RayEnvironment
from snellen.pipelines.execution.ray.watchdog import start_watchdog
from snellen.pipelines.planning.plan import Available

_STORE_BYTES = 1 << 30
_INSTEAD = "Set run.engine=inline to run without Ray."


class RaySession:
    """A connection to Ray that starts in the background while other things are prepared.

    Use it as a context manager: leaving it stops the embedded Ray and all its workers.

    The thread that starts Ray lives as long as the session: Linux sends the parent-death signal,
    by which Ray's daemons follow their parent, when the *thread* that forked them ends.
    """

    def __init__(self, config: RayConfig, *, instead: str = _INSTEAD) -> None:
        """Prepare a session; ``instead`` ends the message when Ray cannot be started."""
        self._config = config
        self._instead = instead
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._owned = False
        self._environment = RayEnvironment()
        self._address: str | None = None
        self._runtime_env: dict[str, Any] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._checked = threading.Event()
        self._connected = threading.Event()
        self._leaving = threading.Event()

    def start(self) -> RaySession:
        """Start Ray in a thread; `ready` waits for it.

        Raises:
            ConfigError: CONFIG_INVALID, a variable of ``ray.runtime_env`` has no value.
        """
        self._runtime_env = resolved_env(self._config.runtime_env, os.environ)
        self._environment.quiet()
        if self._config.address is None and not _is_connected():
            self._environment.embedded()
        self._thread = threading.Thread(target=self._connect, name="snellen-ray", daemon=True)
        self._thread.start()
        return self

    def ready(self) -> Available:
        """Wait until Ray runs, and return its free resources.

        Raises:
            RunError: RAY_START, with the reason and what to do.
        """
        if self._thread is None:
            self.start()
        self._wait(self._connected)
        return _available()

    def check(self) -> None:
        """Wait until it is known if the cluster can be joined; Ray itself takes seconds more.

        Raises:
            RunError: RAY_START, with the reason and what to do.
        """
        self._wait(self._checked)

    def _wait(self, event: threading.Event) -> None:
        while not event.wait(0.2):
            pass  # short waits leave room for Ctrl-C
        if isinstance(self._error, SnellenError):
            text = f"{self._error.message} {self._instead}".rstrip()
            raise type(self._error)(self._error.code, text) from self._error
        if self._error is not None:
            where = self._config.address or "an embedded Ray on this machine"
            raise RunError(
                "RAY_START",
                f"could not start or join {where}: {self._error}. {self._instead}".rstrip(),
            ) from self._error

    def stop(self) -> None:
        """Leave Ray; an embedded one stops with all its processes."""
        if self._thread is None:
            return
        self._connected.wait()
        if self._owned:
            import ray

            ray.shutdown()
            self._owned = False
        if self._watchdog is not None:
            self._watchdog.terminate()
            self._watchdog.wait()
            self._watchdog = None
        self._leaving.set()
        self._thread.join()
        self._thread = None
        self._environment.restore()

    def __enter__(self) -> RaySession:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _connect(self) -> None:
        try:
            import ray

            if not ray.is_initialized():
                if self._config.address is not None:
                    self._address = self._prepare_to_join(self._config.address)
                self._checked.set()
                ray.init(**self._arguments())
                self._owned = True
                if self._config.address is None:
                    self._watchdog = start_watchdog(os.getpid(), _session_name())
            elif self._runtime_env:
                raise RunError(
                    "RAY_START",
                    "this process is connected to Ray already, so ray.runtime_env would have no "
                    "effect. Expected no connection. Fix: ray.shutdown() before the run.",
                )
            _configure_data(self._config)
        except BaseException as error:
            self._error = error
        self._checked.set()
        self._connected.set()
        self._leaving.wait()

    def _prepare_to_join(self, configured: str) -> str:
        """Check the cluster, and return its address."""
        cluster = cluster_address(configured)
        token = check_cluster(cluster)
        self._environment.join(cluster.address, token=token)
        return cluster.address

    def _arguments(self) -> dict[str, Any]:
        common: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            "job_config": _job_config(),
        }
        config = self._config
        if self._address is not None:
            # Ray follows the links inside, so the package arrives whole.
            package = str(Path(sys.modules["snellen"].__path__[0]))
            modules = [package, *self._runtime_env.get("py_modules", ())]
            return {
                **common,
                "address": self._address,
                "runtime_env": {**self._runtime_env, "py_modules": modules},
            }
        return {
            **common,
            **({"runtime_env": self._runtime_env} if self._runtime_env else {}),
            # Without an address Ray joins RAY_ADDRESS, or whatever runs on this machine.
            "address": "local",
            "num_cpus": config.num_cpus or _cpus(),
            "num_gpus": config.num_gpus,
            "include_dashboard": False,
            "object_store_memory": config.object_store_memory or _STORE_BYTES,
        }


def _job_config() -> Any:
    """Return a job configuration that keeps the working folder off the path of the workers.

    Ray puts the folder that a command is started in first on every worker's path, where a
    ``random.py`` or ``metrics.py`` of the user would hide the real module. Workers get the
    folders that this process imports from instead, a script's own folder among them.
    """
    from ray.job_config import JobConfig

    class WithoutWorkingFolder(JobConfig):
        def _runtime_env_has_working_dir(self) -> bool:
            return True  # then Ray adds neither the working folder nor the script's

    installed = tuple({sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix})
    own = [path for path in sys.path if path and not path.startswith(installed)]
    # Each worker puts them in front one by one, so the last one comes first.
    return WithoutWorkingFolder(_py_driver_sys_path=own[::-1])


def _is_connected() -> bool:
    """Return True if this process has joined a Ray already, which the session then uses."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def _session_name() -> str:
    """Return the name of the folder of the running Ray, such as session_2026-01-01_12-00-00_1."""
    from ray._private import worker

    node: Any = worker._global_node
    return Path(node.get_session_dir_path()).name


def _cpus() -> int:
    return len(os.sched_getaffinity(0))


def _configure_data(config: RayConfig) -> None:
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # A block whose worker died is scored again, alone, by the caller.
    context.max_errored_blocks = -1
    context.execution_no_progress_timeout_s = float(config.no_progress_timeout)


def _available() -> Available:
    import ray
    from ray._private.state import available_resources_per_node

    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    memory = min((int(node["Resources"].get("memory", 0)) for node in nodes), default=0)
    free = available_resources_per_node()  # type: ignore[no-untyped-call]
    cpus = tuple(float(resources.get("CPU", 0.0)) for resources in free.values())
    gpus = sum(int(resources.get("GPU", 0.0)) for resources in free.values())
    return Available(cpus=sum(cpus), gpus=gpus, memory=memory, node_cpus=cpus)
