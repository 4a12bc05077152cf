"""Start ``snellen serve`` as a user does, with models to run; and LitServe for comparison."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.files import make_images
from benchmarks.load import multipart
from snellen.adapters.types import AdapterSpec
from snellen.pipelines.models.training_jobs import register_directory
from snellen.serve.api.model_resolver import ModelResolver
from snellen.serve.config import ServedModelConfig
from snellen.store.sql.database import Database
from tests.ray_cluster import free_port
from tests.serve.local_service import fixture_job
from tests.serve.serve_process import Process

ROOT = Path(__file__).resolve().parent.parent
PATH = "/inference/single"
MODELS = ("tiny-classify", "tiny-detect", "efficientnet-lite0")
_IMAGES = 8


class Bench:
    """A folder with run tables, models and images to send."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.specs: dict[str, AdapterSpec] = {}
        self.jobs: dict[str, int] = {}
        db = Database.open(f"sqlite:///{folder / 'runs' / 'snellen.db'}")
        jobs = [fixture_job(db, "classify"), fixture_job(db, "detect")]
        run = write_lite0(folder / "efficientnet-lite0")
        jobs.append(register_directory(db, run, class_names=imagenet()))
        resolver = ModelResolver(db, ServedModelConfig())
        for job in jobs:
            self.jobs[job.name] = job.id
            self.specs[job.name] = resolver.resolve(job.id, "best").model.spec
        db.close()
        make_images(folder / "images", _IMAGES)
        self.images = [path.read_bytes() for path in sorted((folder / "images").rglob("*.jpg"))]

    def requests(self, model: str, port: int, path: str = PATH) -> list[bytes]:
        """Create one request per image."""
        fields = {"training_job_id": str(self.jobs[model])}
        return [multipart(path, f"127.0.0.1:{port}", image, fields) for image in self.images]

    def spec_file(self, model: str) -> Path:
        """Write the file from which another process builds the model."""
        path = self.folder / f"{model}.spec"
        path.write_bytes(pickle.dumps(self.specs[model]))
        return path


@contextmanager
def make_bench() -> Iterator[Bench]:
    """Create a temporary folder; its name is short because paths of sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="sb-", ignore_cleanup_errors=True) as name:
        yield Bench(Path(name))


def imagenet() -> list[str]:
    """Return the names of the 1,000 classes."""
    from snellen.adapters.timm.imagenet import imagenet_class_names

    return list(imagenet_class_names())


def write_lite0(folder: Path) -> Path:
    """Write a run directory with real weights, in another process because it imports torch."""
    command = [sys.executable, "-m", "benchmarks.lite0", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT)
    return folder


class Served:
    """The running command and all of its child processes."""

    def __init__(
        self, bench: Bench, *words: str, environment: Mapping[str, str] | None = None
    ) -> None:
        # A separate folder for temporary files, so that leftovers can be detected.
        self.temporary = bench.folder / "t"
        self.temporary.mkdir(exist_ok=True)
        variables = {**(environment or {}), "TMPDIR": str(self.temporary)}
        self.command = Process(bench.folder, *words, environment=variables)
        self.url, self.port = self.command.url, self.command.port

    def processes(self) -> list[psutil.Process]:
        """Return the command and all of its descendants."""
        with suppress(psutil.Error):
            root = psutil.Process(self.command.process.pid)
            return [root, *root.children(recursive=True)]
        return []

    def memory(self) -> dict[str, int]:
        """Return the memory of each process without shared pages, in bytes."""
        found: dict[str, int] = {}
        for process in self.processes():
            with suppress(psutil.Error):
                name = f"{process.pid} {_short(process.cmdline())}"
                found[name] = process.memory_full_info().uss
        return found

    def descriptors(self) -> int:
        """Count the open files and sockets of all processes."""
        total = 0
        for process in self.processes():
            with suppress(psutil.Error):
                total += process.num_fds()
        return total

    def files(self) -> set[str]:
        """Return temporary files, without the logs and sockets of Ray."""
        return {
            str(path.relative_to(self.temporary))
            for path in self.temporary.rglob("*")
            if path.relative_to(self.temporary).parts[0] != "ray"
        }

    def end(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit code and the time until exit in seconds."""
        begin = time.monotonic()
        return self.command.end(), time.monotonic() - begin


def _short(words: list[str]) -> str:
    """Return a short name: the title of a Ray process, else the program or module."""
    name = words[0].strip() if words else ""
    if name.startswith("ray::"):
        return name.split(".")[0]
    if "-m" in words:
        return words[words.index("-m") + 1]
    scripts = [word for word in words if word.endswith(".py")]
    return Path((scripts or [name])[-1]).name


@contextmanager
def served(
    bench: Bench, model: str, *words: str, environment: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Start the service with one model loaded, and stop it at the end."""
    running = Served(bench, f"model.preload=[{{job: {model}}}]", *words, environment=environment)
    try:
        running.command.wait_ready()
        yield running
    finally:
        left = running.processes()
        with suppress(Exception):
            running.end()
        for process in left:
            with suppress(psutil.Error):
                process.kill()


class Lit:
    """LitServe with the same adapter.

    It is paused while others are measured: its workers poll for requests 1,000 times per second.
    """

    def __init__(self, bench: Bench, model: str, batch: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (bench.folder / "litserve.log").open("a")
        spec = str(bench.spec_file(model))
        words = ["-m", "benchmarks.litserve_app", spec, str(self.port), str(batch)]
        self._process = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, stdout=self._log, stderr=self._log,
            start_new_session=True,
        )  # fmt: skip

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Wait until it responds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
                return
            time.sleep(0.2)
        raise RuntimeError("LitServe did not start; see litserve.log")

    def pause(self, *, on: bool) -> None:
        """Pause all of its processes, or resume them."""
        os.killpg(self._process.pid, signal.SIGSTOP if on else signal.SIGCONT)

    def end(self) -> None:
        """Kill all of its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()


@contextmanager
def litserved(bench: Bench, model: str, batch: int) -> Iterator[Lit]:
    """Start LitServe, paused, and kill it at the end."""
    running = Lit(bench, model, batch)
    try:
        running.wait_ready()
        running.pause(on=True)
        yield running
    finally:
        running.end()
