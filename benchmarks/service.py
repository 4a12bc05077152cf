"""``snellen serve`` as a user starts it, with models to ask; and LitServe beside it."""

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
from collections.abc import Iterator
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
from tests.serve.local import fixture_job
from tests.serve.service import Process, free_port

ROOT = Path(__file__).resolve().parent.parent
PATH = "/inference/single"
MODELS = ("tiny-classify", "tiny-detect", "efficientnet-lite0")
_IMAGES = 8


class Bench:
    """A folder with run tables, the models in them, and images to send."""

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
        """One request for each image."""
        fields = {"training_job_id": str(self.jobs[model])}
        return [multipart(path, f"127.0.0.1:{port}", image, fields) for image in self.images]

    def spec_file(self, model: str) -> Path:
        """How another process builds the model."""
        path = self.folder / f"{model}.spec"
        path.write_bytes(pickle.dumps(self.specs[model]))
        return path


@contextmanager
def bench() -> Iterator[Bench]:
    """A folder that is removed at the end; its name is short, since sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="sb-", ignore_cleanup_errors=True) as name:
        yield Bench(Path(name))


def imagenet() -> list[str]:
    """The names of the 1,000 classes."""
    from snellen.adapters.timm.imagenet import imagenet_class_names

    return list(imagenet_class_names())


def write_lite0(folder: Path) -> Path:
    """A run directory with real weights, written by another process, since it needs torch."""
    command = [sys.executable, "-m", "benchmarks.lite0", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT)
    return folder


class Served:
    """The running command and everything that it started."""

    def __init__(self, made: Bench, *words: str, **environment: str) -> None:
        # Temporary files of its own, so that what is left behind can be seen.
        self.temporary = made.folder / "t"
        self.temporary.mkdir(exist_ok=True)
        environment["TMPDIR"] = str(self.temporary)
        self.command = Process(made.folder, *words, **environment)
        self.url, self.port = self.command.url, self.command.port

    def processes(self) -> list[psutil.Process]:
        """The command and all below it."""
        with suppress(psutil.Error):
            root = psutil.Process(self.command.process.pid)
            return [root, *root.children(recursive=True)]
        return []

    def memory(self) -> dict[str, int]:
        """Bytes by process, without pages that it shares with others."""
        found: dict[str, int] = {}
        for process in self.processes():
            with suppress(psutil.Error):
                name = f"{process.pid} {_short(process.cmdline())}"
                found[name] = process.memory_full_info().uss
        return found

    def descriptors(self) -> int:
        """Open files and sockets of all processes."""
        total = 0
        for process in self.processes():
            with suppress(psutil.Error):
                total += process.num_fds()
        return total

    def files(self) -> set[str]:
        """Temporary files, without the logs and sockets of Ray's session."""
        return {
            str(path.relative_to(self.temporary))
            for path in self.temporary.rglob("*")
            if path.relative_to(self.temporary).parts[0] != "ray"
        }

    def end(self) -> tuple[int, float]:
        """SIGTERM, as a process manager does; the exit code and the seconds until then."""
        begin = time.monotonic()
        return self.command.end(), time.monotonic() - begin


def _short(words: list[str]) -> str:
    """What a process is called: Ray's say it themselves, others by their program or module."""
    name = words[0].strip() if words else ""
    if name.startswith("ray::"):
        return name.split(".")[0]
    if "-m" in words:
        return words[words.index("-m") + 1]
    scripts = [word for word in words if word.endswith(".py")]
    return Path((scripts or [name])[-1]).name


@contextmanager
def served(made: Bench, model: str, *words: str, **environment: str) -> Iterator[Served]:
    """The service with one model loaded; it is ended in any case."""
    running = Served(made, f"preload=[{{job: {model}}}]", *words, **environment)
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
    """LitServe with the same adapter. It is halted while others are measured, since its workers
    look for requests a thousand times a second.
    """

    def __init__(self, made: Bench, model: str, batch: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (made.folder / "litserve.log").open("a")
        spec = str(made.spec_file(model))
        words = ["-m", "benchmarks.litserve_app", spec, str(self.port), str(batch)]
        self._process = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, stdout=self._log, stderr=self._log,
            start_new_session=True,
        )  # fmt: skip

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Until it answers."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
                return
            time.sleep(0.2)
        raise RuntimeError("LitServe does not start; see litserve.log")

    def halt(self, *, on: bool) -> None:
        """Stop all of its processes, or let them go on."""
        os.killpg(self._process.pid, signal.SIGSTOP if on else signal.SIGCONT)

    def end(self) -> None:
        """End all of its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()


@contextmanager
def litserved(made: Bench, model: str, batch: int) -> Iterator[Lit]:
    """LitServe, halted; it is ended in any case."""
    running = Lit(made, model, batch)
    try:
        running.wait_ready()
        running.halt(on=True)
        yield running
    finally:
        running.end()
