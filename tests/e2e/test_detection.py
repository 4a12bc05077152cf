"""Whole runs with boxes, masks and keypoints against pycocotools and Ultralytics."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import snellen
from examples.shapes.make_dataset import CLASSES, make
from snellen.adapters.ultralytics.environment import import_ultralytics
from tests.metrics.detection.examples import coco_stats, keys
from tests.pipelines.making import TIMES

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXACT = 1e-12
ULTRALYTICS = 0.01
TASKS = {"detect": ("bbox",), "segment": ("bbox", "segm"), "pose": ("bbox", "keypoints")}
SIGMAS = [1 / 4] * 4
IMAGES = 24
Evaluate = Callable[..., snellen.TestRun]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    make(folder, counts={"test": IMAGES, "val": 2}, seed=5)
    return folder


def evaluated(task: str, place: Path, dataset: dict[str, Any], **run: Any) -> snellen.TestRun:
    return snellen.evaluate(
        {
            "model": {"adapter": "ultralytics", "checkpoint": str(FIXTURES / f"tiny-{task}.pt")},
            "dataset": dataset,
            "run": {"engine": "inline", "unit_rows": 7, "batch_size": 5, **run},
            "metrics": {"bootstrap": 0},
            "output": {"dir": str(place / "out")},
            "database": f"sqlite:///{place / 'runs.db'}",
        }
    )


def yolo_set(root: Path, task: str) -> dict[str, Any]:
    return {"path": str(root / task / "data.yaml"), "split": "test"}


def coco_set(root: Path, task: str) -> dict[str, Any]:
    images = root / task / "images" / "test"
    return {"format": "coco", "path": str(images), "annotations": str(root / "test.json")}


def tar_set(root: Path, task: str) -> dict[str, Any]:
    """Two shards of the COCO dataset: an image and the JSON of its objects per key."""
    document = json.loads((root / "test.json").read_text())
    folder = root / f"shards-{task}"
    folder.mkdir()
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    order = [category["id"] for category in document["categories"]]
    for number in range(2):
        with tarfile.open(folder / f"{number}.tar", "w") as shard:
            half = IMAGES // 2
            for image in document["images"][number * half : (number + 1) * half]:
                of_image = [a for a in document["annotations"] if a["image_id"] == image["id"]]
                name = image["file_name"]
                shard.add(root / task / "images" / "test" / name, name)
                label = json.dumps(objects(image, of_image, order, task)).encode()
                entry = tarfile.TarInfo(f"{Path(name).stem}.json")
                entry.size = len(label)
                shard.addfile(entry, io.BytesIO(label))
    return {"path": str(folder)}


def objects(
    image: dict[str, Any], annotations: list[dict[str, Any]], order: list[int], task: str
) -> dict[str, Any]:
    boxes = [
        {
            "class_id": order.index(annotation["category_id"]),
            **{"x1": x, "y1": y, "x2": x + w, "y2": y + h, "area": annotation["area"]},
        }
        for annotation in annotations
        for x, y, w, h in [annotation["bbox"]]
    ]
    found = {"boxes": boxes, "height": image["height"], "width": image["width"]}
    if task == "segment":
        found["masks"] = [annotation["segmentation"] for annotation in annotations]
    if task == "pose":
        points = [annotation["keypoints"] for annotation in annotations]
        found["keypoints"] = [[p[i : i + 3] for i in range(0, len(p), 3)] for p in points]
    return found


@pytest.fixture(scope="module")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Any]:
    """The run of a task on the dataset in a format, made once."""

    @cache
    def run(task: str, kind: str) -> snellen.TestRun:
        dataset = {"yolo": yolo_set, "coco": coco_set, "tar": tar_set}[kind](root, task)
        return evaluated(task, tmp_path_factory.mktemp(f"{task}-{kind}"), dataset)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("form", ["yolo", "coco"])
@pytest.mark.parametrize("task", TASKS)
def test_every_number_is_pycocotools(
    task: str, form: str, runs: Callable[[str, str], snellen.TestRun]
) -> None:
    run = runs(task, form)
    rows = run.results().to_dicts()
    assert len(rows) == IMAGES
    assert {row["status"] for row in rows} == {"ok"}
    for kind in TASKS[task]:
        theirs = coco_stats(rows, kind, len(CLASSES), SIGMAS if kind == "keypoints" else None)
        assert theirs is not None
        for key, value in zip(keys(kind), theirs.stats.tolist(), strict=True):
            if value == -1:
                assert run.metrics[key] is None, key
            else:
                assert run.metrics[key] == pytest.approx(value, abs=EXACT), key
    assert 0.1 < run.metrics["mAP50"] < 0.99  # neither hopeless nor perfect


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_ultralytics_own_evaluation_agrees(
    task: str, root: Path, runs: Callable[[str, str], snellen.TestRun], tmp_path: Path
) -> None:
    """Its validation resizes images by another rule, so some boxes differ.

    By default it measures masks at a quarter of the size, without their overlapped parts. The
    settings here measure whole masks. (The default is .035 lower on this dataset.)
    """
    import_ultralytics()
    from ultralytics import YOLO

    whole = {"mask_ratio": 1, "overlap_mask": False, "save_txt": True} if task == "segment" else {}
    theirs = YOLO(str(FIXTURES / f"tiny-{task}.pt")).val(
        data=str(root / task / "data.yaml"), split="test", rect=False, conf=0.001, iou=0.7,
        imgsz=160, plots=False, device="cpu", workers=0, verbose=False, project=str(tmp_path),
        **whole,
    )  # fmt: skip
    ours = runs(task, "yolo").metrics
    pairs = [("ultralytics_", theirs.box)]
    if task == "segment":
        pairs.append(("ultralytics_mask_", theirs.seg))
    if task == "pose":
        pairs.append(("ultralytics_pose_", theirs.pose))
    for prefix, numbers in pairs:
        assert ours[f"{prefix}mAP50"] == pytest.approx(float(numbers.map50), abs=ULTRALYTICS)
        assert ours[f"{prefix}mAP50-95"] == pytest.approx(float(numbers.map), abs=ULTRALYTICS)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_form_of_the_set_does_not_matter(
    task: str, runs: Callable[[str, str], snellen.TestRun]
) -> None:
    """Shards hold all of COCO; YOLO has no areas, so only metrics without them are equal."""
    yolo, coco, tar = (runs(task, form) for form in ("yolo", "coco", "tar"))
    assert tar.metrics.keys() == coco.metrics.keys()
    for key, value in coco.metrics.items():
        assert tar.metrics[key] == (value and pytest.approx(value, abs=EXACT)), key
    assert tar.per_class_metrics == coco.per_class_metrics
    for key in ("mAP50-95", "mAP50", "mAP75", "precision", "recall"):
        if task == "pose" and key in ("precision", "recall"):
            continue  # OKS has the area in it
        assert yolo.metrics[key] == pytest.approx(coco.metrics[key], abs=EXACT), key
    forms = [run.results().to_dicts() for run in (yolo, tar, coco)]
    for one, shard, other in zip(*forms, strict=True):
        assert one["image_name"] == shard["image_name"] == other["image_name"]
        assert shard["true_boxes"] == other["true_boxes"]
        assert shard["predicted_boxes"] == other["predicted_boxes"]
        assert one["predicted_boxes"] == other["predicted_boxes"]
        assert len(one["true_boxes"]) == len(other["true_boxes"])


def test_rows_hold_what_their_counts_say(runs: Callable[[str, str], snellen.TestRun]) -> None:
    run = runs("detect", "yolo")
    assert run.row.primary_metric_name == "mAP50-95"
    for row in run.results().to_dicts():
        kinds = [match["kind"] for match in row["matches"]]
        assert (kinds.count("TP"), kinds.count("FP"), kinds.count("FN")) == (
            row["tp"], row["fp"], row["fn"])  # fmt: skip
        assert row["tp"] + row["fn"] == len(row["true_boxes"])
        assert row["is_correct"] == (row["fp"] == row["fn"] == 0)
        confidences = [box["confidence"] for box in row["predicted_boxes"]]
        assert confidences == sorted(confidences, reverse=True)
        assert min(confidences, default=1) > 0.001


def test_label_faults_are_failed_rows(root: Path, tmp_path: Path) -> None:
    make(tmp_path, counts={"test": 8, "val": 1}, seed=5)
    labels = tmp_path / "detect" / "labels" / "test"
    (labels / "0001.txt").unlink()
    (labels / "0003.txt").write_text("3 0.5 0.5 0.1 0.1\n")
    (labels / "0005.txt").write_text("0 0.5 nan 0.1 0.1\n")
    run = evaluated("detect", tmp_path, yolo_set(tmp_path, "detect"))
    rows = run.results().to_dicts()
    failed = {row["image_name"]: (row["error_stage"], row["error_code"]) for row in rows
              if row["status"] == "failed"}  # fmt: skip
    assert failed == {
        "0001.png": ("label", "LABEL_MISSING"),
        "0003.png": ("label", "LABEL_RANGE"),
        "0005.png": ("label", "LABEL_INVALID"),
    }
    assert run.metrics["coverage"] == 5 / 8
    good = [row for row in rows if row["status"] == "ok"]
    theirs = coco_stats(good, "bbox", len(CLASSES))
    assert theirs is not None
    assert run.metrics["mAP50-95"] == pytest.approx(theirs.stats[0], abs=EXACT)


@pytest.mark.slow
def test_a_coco_fault_is_a_failed_row_too(root: Path, tmp_path: Path) -> None:
    document = json.loads((root / "test.json").read_text())
    faulty = document["annotations"][0]
    faulty["segmentation"] = {"size": [1, 1], "counts": [1]}
    (tmp_path / "set.json").write_text(json.dumps(document))
    dataset = {**coco_set(root, "segment"), "annotations": str(tmp_path / "set.json")}
    run = evaluated("segment", tmp_path, dataset)
    failed = [row for row in run.results().to_dicts() if row["status"] == "failed"]
    assert [row["meta_coco_id"] for row in failed] == [faulty["image_id"]]
    assert failed[0]["error_code"] == "LABEL_INVALID"
    assert run.metrics["coverage"] == (IMAGES - 1) / IMAGES


@pytest.mark.ray
@pytest.mark.slow
def test_ray_gives_the_rows_of_the_inline_run(
    root: Path, tmp_path: Path, shared_ray: None, runs: Callable[[str, str], snellen.TestRun]
) -> None:
    inline = runs("segment", "yolo")
    spread = evaluated("segment", tmp_path, yolo_set(root, "segment"), engine="ray")
    for ours, theirs in zip(spread.results().to_dicts(), inline.results().to_dicts(), strict=True):
        for name in ours:
            if name not in TIMES:
                assert ours[name] == theirs[name], name
    assert spread.metrics == inline.metrics
