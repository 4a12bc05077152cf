"""Start ``snellen serve`` as a user does, and send requests to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from tests.ray_cluster import Cluster, free_port, without_ray_variables

REPOSITORY = Path(__file__).parents[2]


class Process:
    """The running command: its output so far, its port, and a client."""

    def __init__(
        self,
        folder: Path,
        *words: str,
        cluster: Cluster | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self.cluster = cluster
        self.client = httpx.Client(timeout=90)
        path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        self.environment = {**without_ray_variables(), "PYTHONPATH": path, "HOME": str(folder)}
        self.environment.update(environment or {})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "snellen", "serve", "--port", str(self.port), *words],
            cwd=folder,
            env=self.environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Wait until it has printed its address."""
        deadline = time.monotonic() + seconds
        while not any(f"serves at {self.url}" in line for line in self.lines):
            assert self.process.poll() is None, self.lines
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.1)

    def processes(self, title: str) -> list[psutil.Process]:
        """Return its processes with a title, and none of another service on this machine."""
        cluster = self.cluster
        own = psutil.Process(self.process.pid).children(recursive=True)
        return [
            process
            for process in (own if cluster is None else cluster.processes())
            if " ".join(process.cmdline()).startswith(title)
        ]

    @property
    def ray_address(self) -> str:
        """The address that it prints for evaluations."""
        text = "\n".join(self.lines)
        found = re.search(r"ray\.address=(\S+)", text)
        assert found is not None, text
        return found[1]

    def single(self, image: bytes, job: int, name: str = "a.png", **fields: str) -> httpx.Response:
        data = {"training_job_id": str(job), **fields}
        files = {"image": (name, image)}
        return self.client.post(f"{self.url}/inference/single", files=files, data=data)

    def end(self, number: int = signal.SIGTERM, seconds: float = 35.0) -> int:
        """Send a signal, wait, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
