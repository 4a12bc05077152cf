"""What a worker is told: the run, and the unit. Small, picklable, the same for both engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from snellen.adapters.types import AdapterSpec, ModelInfo
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.data.class_map import ClassMap
from snellen.pipelines.storage.address import Options
from snellen.pipelines.storage.remote_path import Place


@dataclass(frozen=True, slots=True)
class PictureSpec:
    """Which pictures are written beside the results.

    Attributes:
        visualize: annotated copies of no, failed or all images, or of so many, spread evenly.
        masks: also an image of instance numbers for each image with masks.
        total: images in the run.
        class_names: in the order of the outputs.
    """

    visualize: Literal["none", "failed", "all"] | int
    masks: bool
    total: int
    class_names: tuple[str, ...]

    def wants(self, image_index: int, *, failed: bool) -> bool:
        """Whether an annotated copy of the image is wanted."""
        if not isinstance(self.visualize, int):
            return self.visualize == "all" or (self.visualize == "failed" and failed)
        # The k-th of n is image floor(k * total / n), as dataset.limit takes them.
        n = min(self.visualize, self.total)
        k = -(-image_index * n // self.total)
        return k < n and k * self.total // n == image_index


@dataclass(frozen=True, slots=True)
class ScoringSpec:
    """Everything about the run that scoring a unit depends on.

    Attributes:
        adapter: how to build the model.
        info: what the driver found in the checkpoint.
        class_map: how labels become class ids; None where there are no labels.
        classes: the data set's classes, by its own ids.
        operating: where matches are counted; None for classification.
        results_dir: the run's folder, the same path on every node.
        root: the data set's root; no image may lie outside of it.
        batch_size: images a forward pass.
        device: ``cpu`` or ``cuda``; None lets a worker take a GPU if it has one.
        torch_threads: threads inside one forward pass on a CPU.
        follow_links: whether links may lead out of the root.
        storage: how remote images are reached; without credentials.
        pictures: which annotated images are written; None for none.
    """

    adapter: AdapterSpec
    info: ModelInfo
    class_map: ClassMap | None
    results_dir: Path
    manifest: Path
    root: Place
    batch_size: int
    device: str | None
    torch_threads: int = 1
    classes: tuple[str, ...] = ()
    operating: OperatingPoint | None = None
    follow_links: bool = False
    storage: Options = ()
    pictures: PictureSpec | None = None


@dataclass(frozen=True, slots=True)
class UnitOutcome:
    """What comes back from a worker: a commit record, or why there is none.

    ``error`` is a problem of the run, not of an image: no space left, a model that does not
    load. It is (code, message) and stops the run.
    """

    unit_id: int
    start: int
    stop: int
    file: str = ""
    sha256: str = ""
    rows: int = 0
    failed: int = 0
    attempt: str = ""
    worker: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    error: tuple[str, str] | None = None
