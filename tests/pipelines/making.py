"""Datasets, configurations and specs for the tests of the pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from PIL import Image

from snellen.adapters.types import AdapterSpec
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.data.class_map import ClassMap, align_classes
from snellen.pipelines.data.image_reader import ImageAccess
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.execution.worker.spec import ScoringSpec
from tests.pipelines.pixel_adapter import NAME, PixelAdapter

TIMES = ("preprocessing_time_ms", "inference_time_ms", "postprocessing_time_ms")


def write_image(
    path: Path,
    value: int = 100,
    *,
    marker: tuple[int, int, int] | None = None,
    size: tuple[int, int] = (6, 5),
) -> Path:
    """Write a PNG of one grey; ``marker`` is the colour of its first pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), value, np.uint8)
    if marker is not None:
        pixels[0, 0] = marker
    Image.fromarray(pixels).save(path, "PNG")
    return path


def grey_folder(root: Path, classes: tuple[str, ...] = ("0", "1", "2"), each: int = 4) -> Path:
    """Write ``root/class/NN.png`` with a different grey per image."""
    for number, name in enumerate(classes):
        for index in range(each):
            write_image(root / name / f"{index:02}.png", (number * each + index) * 7 % 200 + 20)
    return root


def pixel_config(path: Path, folder: Path | None = None, /, **sections: Any) -> EvaluateConfig:
    """Return a configuration with the pixel adapter, inline by default."""
    data: dict[str, Any] = {
        "model": {"adapter": NAME},
        "dataset": {"path": str(path)},
        "run": {"engine": "inline", "unit_rows": 4, "batch_size": 3},
    }
    if folder is not None:
        data["output"] = {"dir": str(folder)}
    for name, values in sections.items():
        data[name] = {**data.get(name, {}), **values} if isinstance(values, dict) else values
    return build_config(data)


class SpecOptions(TypedDict, total=False):
    """Settings of a scoring spec that a test changes."""

    batch_size: int
    class_map: ClassMap
    options: dict[str, Any]
    follow_links: bool


def scoring_spec(root: Path, folder: Path, **chosen: Unpack[SpecOptions]) -> ScoringSpec:
    """Write the manifest of ``root`` into ``folder`` and return the spec that a worker gets."""
    config = DatasetConfig(path=str(root), follow_links=chosen.get("follow_links", False))
    source = open_source(config)
    info = source.describe()
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(source, info, folder / MANIFEST_NAME)
    names = info.classes or ("0",)
    adapter = AdapterSpec(
        NAME, class_names=names, options={"num_classes": len(names), **chosen.get("options", {})}
    )
    return ScoringSpec(
        adapter=adapter,
        info=PixelAdapter.from_spec(adapter).info,
        class_map=chosen.get("class_map") or align_classes(names, names),
        results_dir=folder,
        manifest=folder / MANIFEST_NAME,
        access=ImageAccess.of(config, info.root),
        batch_size=chosen.get("batch_size", 3),
        device="cpu",
    )
