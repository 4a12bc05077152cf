"""The choice of ``run.engine: auto``: one process where that is enough, Ray otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from snellen.adapters.types import ModelInfo
from snellen.pipelines.config.ray_section import RayConfig
from snellen.pipelines.planning.plan import image_seconds

EngineName = Literal["inline", "ray"]
SHORT_S = 120.0
"""Estimated work that one process does, in seconds: starting Ray takes about ten."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a run.

    Attributes:
        info: the checkpoint.
        total: number of images.
        cpus: CPUs of this machine that the run may use.
        reads_images: False for an adapter that does not read pixels.
    """

    info: ModelInfo
    total: int
    cpus: int
    reads_images: bool = True

    @property
    def seconds(self) -> float:
        """Estimated time in one process on CPUs, in seconds."""
        each = image_seconds(self.info, "cpu") if self.reads_images else 0.0
        return self.total * each / max(1, self.cpus)


def needs_ray(config: RayConfig, has_gpu: bool) -> str | None:
    """Return why a run goes to Ray whatever its size; None if its size decides."""
    if config.address is not None:
        return f"auto: Ray, because ray.address is {config.address}"
    if config.runtime_env:
        return "auto: Ray, because ray.runtime_env is set"
    if has_gpu:
        return "auto: Ray, because this machine has a GPU"
    return None


def choose_engine(work: Work) -> tuple[EngineName, str]:
    """Choose the engine of a run without a GPU and without a cluster.

    Returns:
        The engine, and the reason for the user.
    """
    if not work.reads_images:
        return "inline", "auto: inline, because the adapter reads no images"
    about = f"about {_spoken(work.seconds)} of work on {work.cpus} CPUs"
    if work.seconds <= SHORT_S:
        return "inline", f"auto: inline, because {about} needs no other process"
    return "ray", f"auto: Ray, because {about} is long enough for several processes"


def _spoken(seconds: float) -> str:
    if seconds < SHORT_S:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
