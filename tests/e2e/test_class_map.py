"""Whole runs in merged and restricted classes: rows, metrics, engines and exported files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import nms

import snellen
from examples.shapes.make_dataset import CLASSES, make
from snellen.adapters.errors import ConfigError
from snellen.adapters.exported.writer import write_export
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import AdapterSpec
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.progress import Reporter
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from tests.metrics.detection.examples import coco_stats
from tests.pipelines.making import TIMES

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[1] / "fixtures"
POLYGON = {"square": "polygon", "triangle": "polygon"}
SIDES = ("x1", "y1", "x2", "y2")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    make(folder, counts={"test": 16, "val": 1}, seed=5)
    return folder


def evaluated(place: Path, dataset: dict[str, Any], **settings: Any) -> snellen.TestRun:
    model = settings.pop("model", {})
    return snellen.evaluate(
        {
            "model": {"adapter": "ultralytics", **model},
            "dataset": dataset,
            "run": {"engine": settings.pop("engine", "inline"), "unit_rows": 7, "batch_size": 3},
            "metrics": {"bootstrap": 0, **settings.pop("metrics", {})},
            "output": {"dir": str(place / "out")},
            "database": f"sqlite:///{place / 'runs.db'}",
        }
    )


def classified(place: Path, path: Path, metrics: Any = None, **model: Any) -> snellen.TestRun:
    model = {"checkpoint": str(FIXTURES / "tiny-classify.pt"), **model}
    return evaluated(place, {"path": str(path)}, model=model, metrics=metrics or {})


def detected(place: Path, root: Path, engine: str = "inline", **model: Any) -> snellen.TestRun:
    task = model.pop("task", "detect")
    model = {"checkpoint": str(FIXTURES / f"tiny-{task}.pt"), **model}
    dataset = {"path": str(root / task / "data.yaml"), "split": "test"}
    return evaluated(place, dataset, model=model, engine=engine)


def probabilities(row: dict[str, Any]) -> dict[str, float]:
    return {one["label"]: one["confidence"] for one in row["top5_predictions"]}


def stable(run: snellen.TestRun) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in row.items() if key not in TIMES}
        for row in run.results().to_dicts()
    ]


def polygons(root: Path, place: Path) -> Path:
    """Copy the images of the classifier into the folders circle and polygon."""
    for name in CLASSES:
        target = place / ("circle" if name == "circle" else "polygon")
        target.mkdir(parents=True, exist_ok=True)
        for path in (root / "classify" / "test" / name).iterdir():
            shutil.copy(path, target / path.name)
    return place


@pytest.mark.parametrize("side", ["I-both-sides", "I-checkpoint-side"])
def test_merged_classes_of_a_classifier(side: str, root: Path, tmp_path: Path) -> None:
    plain = root / "classify" / "test"
    base = classified(tmp_path, plain).results().to_dicts()
    data = plain if side == "I-both-sides" else polygons(root, tmp_path / "data")
    run = classified(tmp_path, data, class_map=POLYGON)
    assert run.row.class_names == ["circle", "polygon"]
    assert run.row.class_map["notes"] == ["the checkpoint's square, triangle count as polygon"]
    assert run.row.class_map["outputs"] == {
        "circle": ["circle"], "polygon": ["square", "triangle"]}  # fmt: skip
    before = {row["image_name"]: row for row in base}
    correct = []
    for row in run.results().to_dicts():
        single = probabilities(before[row["image_name"]])
        polygon = single["square"] + single["triangle"]
        expected = {"circle": single["circle"], "polygon": polygon}
        assert probabilities(row) == pytest.approx(expected, abs=1e-6)
        best = max(expected, key=lambda name: expected[name])
        assert (row["predicted_label"], row["confidence"]) == (
            best, pytest.approx(expected[best], abs=1e-6))  # fmt: skip
        true = "circle" if before[row["image_name"]]["true_label"] == "circle" else "polygon"
        assert (row["true_label"], row["true_label_id"]) == (true, int(true == "polygon"))
        assert row["true_confidence"] == pytest.approx(expected[true], abs=1e-6)
        assert row["loss"] == pytest.approx(-np.log(expected[true]), abs=1e-4)
        correct.append(best == true)
        assert row["is_correct"] == correct[-1]
    assert run.metrics["accuracy"] == pytest.approx(np.mean(correct))
    assert set(run.per_class_metrics) == {"circle", "polygon"}


def test_the_job_keeps_the_names_of_the_checkpoint(root: Path, tmp_path: Path) -> None:
    run = classified(tmp_path, root / "classify" / "test", class_map=POLYGON)
    again = classified(tmp_path, root / "classify" / "test")
    assert again.row.class_names == list(CLASSES)
    assert again.row.training_job_id == run.row.training_job_id


def test_an_exported_classifier_has_the_merged_classes_of_its_checkpoint(
    root: Path, tmp_path: Path
) -> None:
    spec = AdapterSpec("ultralytics", str(FIXTURES / "tiny-classify.pt"))
    adapter = load_adapter_class("ultralytics").from_spec(spec, device="cpu")
    path = tmp_path / "tiny.onnx"
    write_export(adapter.as_exportable(), "onnx", path)
    data = root / "classify" / "test"
    first = classified(tmp_path, data, class_map=POLYGON).results().to_dicts()
    second = classified(tmp_path, data, class_map=POLYGON, adapter="onnx", checkpoint=str(path))
    for one, other in zip(first, second.results().to_dicts(), strict=True):
        assert probabilities(other) == pytest.approx(probabilities(one), abs=1e-4)
        assert other["predicted_label_id"] == one["predicted_label_id"]


def test_restricted_outputs_are_renormalised(root: Path, tmp_path: Path) -> None:
    plain = root / "classify" / "test"
    base = classified(tmp_path, plain).results().to_dicts()
    data = tmp_path / "data"
    for name in ("circle", "square"):
        shutil.copytree(plain / name, data / name)
    run = classified(tmp_path, data, class_map="subset", restrict_logits=True)
    assert run.row.class_names == list(CLASSES)
    before = {row["image_name"]: probabilities(row) for row in base}
    rows = run.results().to_dicts()
    for row in rows:
        single = before[row["image_name"]]
        total = single["circle"] + single["square"]
        expected = {name: single[name] / total for name in ("circle", "square")}
        assert probabilities(row) == pytest.approx(expected, abs=1e-5)
        true = expected[row["true_label"]]
        assert row["loss"] == pytest.approx(-np.log(true), abs=1e-4)
    assert run.metrics["loss"] == pytest.approx(np.mean([row["loss"] for row in rows]))
    db = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    with pytest.raises(ConfigError, match="triangle is never predicted") as caught:
        rescore_run(db, get_test_run(db, run.id), ["metrics.classes=[triangle]"], Reporter())
    assert caught.value.code == "METRICS_CLASSES"


def test_restricted_outputs_are_those_of_metrics_classes(root: Path, tmp_path: Path) -> None:
    run = classified(
        tmp_path,
        root / "classify" / "test",
        {"classes": ["square", "triangle"]},
        restrict_logits=True,
    )
    rows = run.results().to_dicts()
    circles = [row for row in rows if row["true_label"] == "circle"]
    assert circles
    for row in circles:
        assert (row["is_correct"], row["loss"], row["true_confidence"]) == (None, None, None)
    assert {row["predicted_label"] for row in rows} <= {"square", "triangle"}
    others = [row["is_correct"] for row in rows if row["true_label"] != "circle"]
    assert run.metrics["accuracy"] == pytest.approx(np.mean(others))
    assert (run.row.details or {})["classes"]["excluded_images"] == len(circles)
    db = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    with pytest.raises(ConfigError, match="circle is never predicted"):
        rescore_run(db, get_test_run(db, run.id), ["metrics.classes=null"], Reporter())


def test_restricting_a_detector_is_rejected(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Set metrics\.classes instead") as caught:
        detected(tmp_path, root, restrict_logits=True)
    assert caught.value.code == "OPTION_INVALID"


@pytest.mark.parametrize("task", ["detect", "segment", "pose"])
def test_merged_classes_of_a_detector(task: str, root: Path, tmp_path: Path) -> None:
    base = detected(tmp_path, root, task=task, nms_iou=0.5).results().to_dicts()
    run = detected(tmp_path, root, task=task, nms_iou=0.5, class_map=POLYGON)
    dropped = 0
    for one, row in zip(base, run.results().to_dicts(), strict=True):
        boxes = one["predicted_boxes"]
        ids = np.array([min(box["class_id"], 1) for box in boxes])
        polygon = np.flatnonzero(ids == 1)
        corners = torch.tensor([[boxes[place][side] for side in SIDES] for place in polygon])
        scores = torch.tensor([boxes[place]["confidence"] for place in polygon])
        remaining = nms(corners.reshape(-1, 4), scores, 0.5).numpy()
        kept = sorted([*np.flatnonzero(ids == 0).tolist(), *polygon[remaining].tolist()])
        assert row["predicted_boxes"] == [
            {**boxes[place], "class_id": int(ids[place])} for place in kept
        ]
        for column in ("predicted_masks", "predicted_keypoints"):
            expected = one[column] and [one[column][place] for place in kept]
            assert row[column] == expected
        assert [box["class_id"] for box in row["true_boxes"]] == [
            min(box["class_id"], 1) for box in one["true_boxes"]]  # fmt: skip
        dropped += len(boxes) - len(kept)
    assert dropped > 0
    assert run.row.class_names == ["circle", "polygon"]
    theirs = coco_stats(run.results().to_dicts(), "bbox", 2)
    assert theirs is not None
    assert run.metrics["mAP50-95"] == pytest.approx(theirs.stats[0], abs=1e-12)


@pytest.mark.ray
def test_ray_gives_the_merged_rows_of_the_inline_run(
    root: Path, tmp_path: Path, shared_ray: None
) -> None:
    inline = detected(tmp_path, root, class_map=POLYGON)
    spread = detected(tmp_path, root, engine="ray", class_map=POLYGON)
    assert stable(spread) == stable(inline)
    assert spread.metrics == inline.metrics
