"""COCO exports, read by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import snellen
from examples.shapes.make_dataset import CLASSES, make
from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.export.coco import CocoExporter
from snellen.store.sql.database import Database
from tests.analysis.export.made_up import request_for
from tests.contracts.exporter_contract import Exportable, ExporterContract, names
from tests.e2e.test_detection import SIGMAS, TASKS, coco_set, evaluated
from tests.metrics.detection.examples import TASK, coco_stats, draw, keys, report, table
from tests.pipelines.box_adapter import NAME

IMAGES = 12
EXACT = 1e-12


class TestCoco(ExporterContract):
    exporter = pytest.fixture(lambda self: "coco")
    exportable = pytest.fixture(lambda self, boxes: boxes)

    def rows(self, path: Path) -> list[str]:
        images = json.loads((path / "ground_truth.json").read_text())["images"]
        return [image["file_name"] for image in images]


def evaluation(folder: Path, kind: str, results: str, sigmas: Any = None) -> list[float]:
    """The numbers of pycocotools for an exported folder."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "ground_truth.json"))
        found = COCOeval(truth, truth.loadRes(str(folder / results)), kind)
        if sigmas is not None:
            found.params.kpt_oks_sigmas = np.asarray(sigmas, dtype=np.float64)
        found.evaluate()
        found.accumulate()
        found.summarize()
    stats: list[float] = found.stats.tolist()
    return stats


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exportable]:
    """Runs of real checkpoints on a COCO dataset, each made once."""
    root = tmp_path_factory.mktemp("shapes")
    make(root, counts={"test": IMAGES, "val": 2}, seed=5)

    @cache
    def run(task: str) -> Exportable:
        place = tmp_path_factory.mktemp(task)
        row = evaluated(task, place, coco_set(root, task)).row
        return Exportable(Database.open(f"sqlite:///{place / 'runs.db'}"), row)

    return run


@pytest.mark.parametrize("task", TASKS)
def test_pycocotools_gives_the_metrics_of_the_run(
    task: str, runs: Callable[[str], Exportable], tmp_path: Path
) -> None:
    made = runs(task)
    made.export("coco", tmp_path / "out")
    metrics = made.run.metrics  # type: ignore[attr-defined]
    kinds = TASKS[task]
    for kind in kinds:
        results = "bbox_results.json" if kind == "bbox" and len(kinds) > 1 else "results.json"
        sigmas = SIGMAS if kind == "keypoints" else None
        stats = evaluation(tmp_path / "out", kind, results, sigmas)
        assert len(stats) == len(keys(kind))
        for key, value in zip(keys(kind), stats, strict=True):
            assert metrics[key] == (None if value == -1 else pytest.approx(value, abs=EXACT)), key
    assert 0.1 < metrics["mAP50"] < 0.99  # neither hopeless nor perfect


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", TASK)
def test_crowds_and_ignored_objects_are_kept(
    kind: str, seed: int, boxes: Exportable, tmp_path: Path
) -> None:
    rows = sorted(draw(seed, kind, images=12), key=lambda row: row["image_index"])
    request = request_for(table(rows), kind, tmp_path, boxes.run)
    (tmp_path / "out").mkdir()
    CocoExporter().write(request, tmp_path / "out")
    true = [box for row in rows for box in row["true_boxes"]]
    written = json.loads((tmp_path / "out" / "ground_truth.json").read_text())["annotations"]
    assert [one["iscrowd"] for one in written] == [int(box["is_crowd"]) for box in true]
    assert [one.get("ignore", 0) for one in written] == [int(box["ignore"]) for box in true]
    assert any(box["ignore"] for box in true)
    assert any(box["is_crowd"] for box in true)
    stats = evaluation(tmp_path / "out", kind, "results.json")
    theirs = coco_stats(rows, kind, 3)
    assert theirs is not None
    assert stats == theirs.stats.tolist()
    ours = report(rows, TASK[kind], 3).metrics
    for key, value in zip(keys(kind), stats, strict=True):
        assert ours[key] == (None if value == -1 else pytest.approx(value, abs=EXACT)), key


def test_ids_are_those_of_the_dataset_or_count_from_one(
    runs: Callable[[str], Exportable], tmp_path: Path
) -> None:
    made = runs("detect")
    made.export("coco", tmp_path / "out")
    document = json.loads((tmp_path / "out" / "ground_truth.json").read_text())
    ids = made.results.frame(["meta_coco_id"])["meta_coco_id"].to_list()
    assert [image["id"] for image in document["images"]] == ids
    assert [one["id"] for one in document["annotations"]] == list(
        range(1, len(document["annotations"]) + 1)
    )
    assert document["categories"] == [{"id": n, "name": c} for n, c in enumerate(CLASSES, 1)]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [([7, 3, 9], [7, 3, 9]), ([7, 7, 9], [1, 2, 3]), ([7, None, 9], [1, 2, 3])],
    ids=["unique", "repeated", "missing"],
)
def test_ids_of_the_dataset_are_kept_where_they_are_unique(
    ids: list[int | None], expected: list[int], boxes: Exportable, tmp_path: Path
) -> None:
    rows = table(draw(0, "bbox", images=3)).append_column(
        pa.field("meta_coco_id", pa.int64()), pa.array(ids, pa.int64())
    )
    request = request_for(rows, "bbox", tmp_path, boxes.run)
    (tmp_path / "out").mkdir()
    exported = CocoExporter().write(request, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "ground_truth.json").read_text())
    assert [image["id"] for image in document["images"]] == expected
    used = {one["image_id"] for one in document["annotations"]}
    used |= {one["image_id"] for one in json.loads((tmp_path / "out" / "results.json").read_text())}
    assert used <= set(expected)
    assert len(exported.notes) == (0 if ids == expected else 1)


def test_less_confident_objects_are_omitted_and_counted(boxes: Exportable, tmp_path: Path) -> None:
    """Each image has predictions with .9, .4 and .1, stored as float32."""
    for bound, kept in ((0.1, 3), (0.4, 2), (0.41, 1), (0.9, 1)):
        document = boxes.export("coco", tmp_path / "out", overwrite=True, min_confidence=bound)
        results = json.loads((tmp_path / "out" / "results.json").read_text())
        assert len(results) == 4 * kept
        skipped = {"objects_below_min_confidence": 4 * (3 - kept)} if kept < 3 else {}
        assert document["left_out"] == skipped


def test_failed_images_are_counted(boxes: Exportable, tmp_path: Path) -> None:
    rows = draw(0, "bbox", images=3)
    rows[1] |= {"status": "failed", "true_boxes": None, "predicted_boxes": None}
    request = request_for(table(rows), "bbox", tmp_path, boxes.run)
    (tmp_path / "out").mkdir()
    exported = CocoExporter().write(request, tmp_path / "out")
    assert (exported.images, exported.left_out) == (2, {"failed_images": 1})


def test_predictions_without_labels_have_no_ground_truth(boxes: Exportable, tmp_path: Path) -> None:
    """No annotations would mean that the images are empty."""
    data = Path(boxes.run.config["dataset"]["path"])  # type: ignore[index]
    image = next(path for path in data.parent.rglob("*.png"))
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    job = snellen.predict(
        images=str(image),
        overrides=[
            f"model.adapter={NAME}",
            "run.engine=inline",
            f"output.dir={tmp_path / 'o'}",
            f"database={url}",
        ],
    )
    Exportable(Database.open(url), job.row).export("coco", tmp_path / "out")
    assert names(tmp_path / "out") == ["export.json", "images.json", "results.json"]
    document = json.loads((tmp_path / "out" / "images.json").read_text())
    assert set(document) == {"info", "categories", "images"}
    assert document["images"][0]["file_name"] == image.name


def test_a_task_without_objects_is_an_error(greys: Exportable, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        greys.export("coco", tmp_path / "out")
    assert caught.value.code == "EXPORT_TASK"
    for task in TASK.values():
        assert task in caught.value.message
    assert "Choose a format for image_classification: csv, cvat, json" in caught.value.message
    assert names(tmp_path) == []


def test_a_folder_that_is_no_export_is_never_replaced(boxes: Exportable, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.png").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"not an earlier export") as caught:
        boxes.export("coco", tmp_path / "photos", overwrite=True)
    assert caught.value.code == "OUTPUT_TAKEN"
    assert names(tmp_path / "photos") == ["mine.png"]
    (tmp_path / "photos" / "mine.png").unlink()
    boxes.export("coco", tmp_path / "photos", overwrite=True)
    assert names(tmp_path / "photos") == ["export.json", "ground_truth.json", "results.json"]
