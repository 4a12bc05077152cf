"""Manifest exports: chosen images of a run are evaluated as a dataset."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.sql.database import Database
from tests.contracts.exporter_contract import Exportable, ExporterContract, names
from tests.pipelines.making import TIMES, write_image
from tests.pipelines.pixel_adapter import NAME

SCORED = ("image_id", "status", "error_code", "true_label", "predicted_label", "confidence", "loss",
          "is_correct", "true_boxes", "predicted_boxes", "tp", "fp", "fn", "content_hash",
          "image_path", "width", "height")  # fmt: skip


class TestManifest(ExporterContract):
    exporter = pytest.fixture(lambda self: "manifest")
    exportable = pytest.fixture(lambda self, greys: greys)

    def rows(self, path: Path) -> list[str]:
        return pl.read_parquet(path)["image_id"].to_list()


class TestManifestOfObjects(TestManifest):
    exportable = pytest.fixture(lambda self, boxes: boxes)


def evaluated(manifest: Path, made: Exportable, folder: Path) -> Exportable:
    """Evaluate a manifest with the model of a run."""
    assert made.run.config is not None
    config: dict[str, Any] = {
        "model": {"adapter": made.run.config["model"]["adapter"]},
        "dataset": {"path": str(manifest)},
        "run": {"engine": "inline", "unit_rows": 3},
        "metrics": {"bootstrap": 0},
        "output": {"dir": str(folder / "out")},
    }
    url = f"sqlite:///{folder / 'runs.db'}"
    run = TestRunner(build_config(config), database=url).run_test()
    return Exportable(Database.open(url), run)


@pytest.mark.parametrize("chosen", [{}, {"correct": False}, {"status": "ok", "correct": True}],
                         ids=["all", "incorrect", "correct"])  # fmt: skip
@pytest.mark.parametrize("name", ["greys", "boxes"])
def test_the_same_images_have_the_same_rows(
    name: str, chosen: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made: Exportable = request.getfixturevalue(name)
    made.export("manifest", tmp_path / "hard.parquet", **chosen)
    again = evaluated(tmp_path / "hard.parquet", made, tmp_path)
    expected = made.results.filter(**chosen).select(SCORED).collect()
    assert again.results.frame(SCORED).to_dicts() == expected.to_dicts()
    assert expected.height > 0
    assert again.run.class_names == made.run.class_names


def test_the_incorrect_images_have_accuracy_zero(greys: Exportable, tmp_path: Path) -> None:
    document = greys.export("manifest", tmp_path / "hard.parquet", correct=False)
    again = evaluated(tmp_path / "hard.parquet", greys, tmp_path).run
    assert again.metrics["accuracy"] == 0.0  # type: ignore[attr-defined]
    assert again.total_images == document["images"] > 1
    index = pl.read_parquet(tmp_path / "hard.parquet")["image_index"].to_list()
    assert index == list(range(document["images"]))


def test_members_of_shards_and_metadata_columns(tmp_path: Path) -> None:
    """Two shards; the exported rows point into them."""
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "classes.txt").write_text("0\n1\n2")
    for shard in range(2):
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for number in range(4):
                key = f"{shard}{number}"
                image = write_image(tmp_path / "one.png", 40 + 50 * number)
                for suffix, data in (("png", image.read_bytes()), ("cls", b"1")):
                    entry = tarfile.TarInfo(f"{key}.{suffix}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
    config = {
        "model": {"adapter": NAME},
        "dataset": {"path": str(folder)},
        "run": {"engine": "inline", "unit_rows": 4},
        "output": {"dir": str(tmp_path / "first")},
    }
    url = f"sqlite:///{tmp_path / 'first.db'}"
    run = TestRunner(build_config(config), database=url).run_test()
    made = Exportable(Database.open(url), run)
    made.export("manifest", tmp_path / "hard.parquet", correct=False)
    again = evaluated(tmp_path / "hard.parquet", made, tmp_path)
    expected = made.results.filter(correct=False).drop(TIMES, "image_index").collect()
    assert expected.height >= 2
    found = again.results.frame().drop(TIMES, "image_index")
    assert found.to_dicts() == expected.to_dicts()


def test_no_chosen_image_is_an_error(boxes: Exportable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="meets the conditions") as caught:
        boxes.export("manifest", tmp_path / "hard.parquet", status="failed")
    assert caught.value.code == "EXPORT_EMPTY"
    assert names(tmp_path) == []
