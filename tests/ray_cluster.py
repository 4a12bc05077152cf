"""A Ray cluster on this machine, as an operator starts it with ``ray start``."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

_START_S = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def without_ray_variables() -> dict[str, str]:
    """Return the environment without what a Ray of this process has set in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


class Cluster:
    """A separate Ray; ``folder`` is its home and contains its token. Use as a context manager.

    Args:
        folder: home of the processes.
        python: the interpreter of the workers.
        cpus: of the head node.
        authenticated: with token authentication; the token is written to the home.
    """

    def __init__(
        self,
        folder: Path,
        python: str | Path = sys.executable,
        *,
        cpus: int = 2,
        authenticated: bool = False,
    ) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._python = str(python)
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        self._environment = {
            **without_ray_variables(),
            "HOME": str(folder),
            "RAY_AUTH_MODE": "token" if authenticated else "disabled",
            # As recommended in docs/serve.md.
            "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
        }
        if authenticated:
            file = folder / ".ray" / "auth_token"
            file.parent.mkdir()
            file.write_text(secrets.token_hex(32))
        port = self.address.rpartition(":")[2]
        self._nodes = [
            self._start(
                "--head", f"--num-cpus={cpus}", f"--port={port}", "--include-dashboard=false",
                f"--temp-dir={self._folder.name}",
            )
        ]  # fmt: skip

    def add_node(self, cpus: int) -> subprocess.Popen[bytes]:
        """Start another node, and return its ``ray start``."""
        self._nodes.append(self._start(f"--address={self.address}", f"--num-cpus={cpus}"))
        return self._nodes[-1]

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        log = Path(self._folder.name) / f"start-{secrets.token_hex(4)}.log"
        with log.open("wb") as stream:
            node = subprocess.Popen(
                [self._python, "-P", "-m", "ray.scripts.scripts", "start", "--block", *words,
                 "--node-ip-address=127.0.0.1", "--disable-usage-stats"],
                stdout=stream, stderr=stream, start_new_session=True, env=self._environment,
            )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and node.poll() is None:
            if "Ray runtime started" in log.read_text():
                return node
            time.sleep(0.1)
        end(node)
        raise AssertionError(f"ray start did not start: {log.read_text()}")

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the head node."""
        return psutil.Process(self._nodes[0].pid).children(recursive=True)

    @property
    def alive(self) -> bool:
        """True while the head node runs."""
        return self._nodes[0].poll() is None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self._nodes):
            end(node)
        self._folder.cleanup()


def end(node: subprocess.Popen[bytes]) -> None:
    """Kill a node with all its processes at once, as a machine that loses its power."""
    with suppress(psutil.NoSuchProcess):
        left = psutil.Process(node.pid).children(recursive=True)
        node.kill()
        for process in left:
            with suppress(psutil.Error):
                process.kill()
    node.wait()
