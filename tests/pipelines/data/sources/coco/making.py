"""COCO files and their pictures for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.data.sources.registry import open_source
from tests.contracts.source_contract import collected
from tests.pipelines.making import write_image

Document = dict[str, Any]
WIDTH, HEIGHT = 40, 30


def annotation(image: int, category: int = 7, **keys: Any) -> Document:
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [2.0, 3.0, 10.0, 5.0],
        "area": 50.0,
        "iscrowd": 0,
        **keys,
    }


def document(images: int = 5, *annotations: Document) -> Document:
    return {
        "images": [
            {"id": 100 + n, "file_name": f"sub {n % 2}/{n}.png", "width": WIDTH, "height": HEIGHT}
            for n in range(images)
        ],
        "annotations": [{**one, "id": n} for n, one in enumerate(annotations, 1)],
        "categories": [
            {"id": 90, "name": "dog"}, {"id": 7, "name": "cat"}, {"id": 13, "name": "bird"},
        ],
    }  # fmt: skip


def config_of(root: Path, content: Document | str) -> DatasetConfig:
    (root / "images").mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (root / "set.json").write_text(text)
    if isinstance(content, dict):
        for image in content.get("images") or []:
            path = root / "images" / image["file_name"]
            if not path.exists():
                write_image(path, size=(WIDTH, HEIGHT))
    return DatasetConfig(
        format="coco", path=str(root / "images"), annotations=str(root / "set.json")
    )


def opened(root: Path, content: Document | str) -> Source:
    return open_source(config_of(root, content))


def reported(
    root: Path, content: Document, needs: str | None = None, **options: Any
) -> tuple[list[Document], Document]:
    """Write the manifest of a dataset; return its rows and the report, which adds up.

    Args:
        root: folder to write the dataset into.
        content: of the annotation file; its images are written unless they exist.
        needs: what the task scores besides boxes; None reads everything.
        options: further keys of the section ``dataset``.
    """
    config = config_of(root, content).model_copy(update=options)
    source = open_source(config)
    source.needs = None if needs is None else frozenset(needs.split())
    info = source.describe()
    report = write_manifest(source, info, root / "manifest.parquet").report
    passed = sum(one["count"] for one in report["passed_over"].values())
    assert report["found"] == report["used"] + passed
    assert report["annotations"]["used"] == sum(report["classes"].values())
    return pq.read_table(root / "manifest.parquet").to_pylist(), report


def found(root: Path, *annotations: Document, images: int = 5) -> dict[str, list[Any]]:
    source = opened(root, document(images, *annotations))
    return collected(source, source.describe())
