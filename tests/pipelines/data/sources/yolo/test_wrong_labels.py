"""YOLO labels that are mixed or wrong throughout: rejected before inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.sources.registry import open_source
from tests.pipelines.data.sources.yolo.test_layouts import (
    BOX,
    PLAIN,
    TRIANGLE,
    USUAL,
    Layout,
    config_of,
)

MIXED: dict[str, str | None] = {**PLAIN, "images/val/c.png": TRIANGLE, "images/val/d.png": ""}


def test_boxes_among_polygons_are_rejected_where_masks_are_scored(tmp_path: Path) -> None:
    config = config_of(Layout(USUAL, MIXED), tmp_path)
    with pytest.raises(InputError) as caught:
        written(config, "masks", tmp_path)
    assert caught.value.code == "DATASET_MIXED_LABELS"
    assert "2 of 3 images with objects have boxes without outlines" in caught.value.message
    failing = config.model_copy(update={"mixed_labels": "fail"})
    errors = [row["label_error"] for row in written(failing, "masks", tmp_path)]
    assert errors == ["LABEL_INVALID: boxes without outlines"] * 2 + [None, None]


@pytest.mark.parametrize(
    ("line", "keys", "needs"),
    [("0 20 10 4 4", {}, ""), (f"{BOX} 20 10 2", {"kpt_shape": [1, 3]}, "keypoints"),
     (BOX, {"kpt_shape": [1, 3]}, "keypoints")],
    ids=["G-boxes-in-pixels", "G-keypoints-in-pixels", "E-boxes-for-a-pose-model"],
)  # fmt: skip
def test_files_that_are_all_wrong_are_rejected(
    tmp_path: Path, line: str, keys: dict[str, Any], needs: str
) -> None:
    images: dict[str, str | None] = {**dict.fromkeys(PLAIN, line), "images/val/empty.png": ""}
    with pytest.raises(InputError, match="no label can be used: 2 images") as caught:
        written(config_of(Layout({**USUAL, **keys}, images), tmp_path), needs, tmp_path)
    assert caught.value.code == "DATASET_LABELS"
    assert "line 1" in caught.value.message


def written(config: DatasetConfig, needs: str, folder: Path) -> list[dict[str, Any]]:
    source = open_source(config)
    source.needs = frozenset(needs.split())
    write_manifest(source, source.describe(), folder / "m.parquet")
    rows: list[dict[str, Any]] = pq.read_table(folder / "m.parquet").to_pylist()
    return rows


def test_the_same_labels_in_a_manifest_file_are_rejected_too(tmp_path: Path) -> None:
    """Converting reads everything there is; what a model needs is checked when it is evaluated."""
    source = open_source(config_of(Layout(USUAL, MIXED), tmp_path))
    write_manifest(source, source.describe(), tmp_path / "set.parquet")
    config = DatasetConfig(path=str(tmp_path / "set.parquet"))
    with pytest.raises(InputError) as caught:
        written(config, "masks", tmp_path)
    assert caught.value.code == "DATASET_MIXED_LABELS"
    assert len(written(config, "", tmp_path)) == 4
