"""Whole runs on detection datasets as people have them: the number stays the same.

The reference is the run on the dataset as it was made, or Ultralytics' own evaluation.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import snellen
from examples.shapes.make_dataset import CLASSES, make
from snellen.adapters.errors import InputError
from snellen.adapters.ultralytics.environment import import_ultralytics
from tests.adapters.making import exif
from tests.e2e.test_detection import EXACT, FIXTURES, ULTRALYTICS, coco_set, evaluated, yolo_set

pytestmark = pytest.mark.slow

IMAGES = 12
Document = dict[str, Any]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    make(folder, counts={"test": IMAGES, "val": 2}, seed=5)
    return folder


@pytest.fixture(scope="module")
def plain(root: Path, tmp_path_factory: pytest.TempPathFactory) -> snellen.TestRun:
    return evaluated("segment", tmp_path_factory.mktemp("plain"), coco_set(root, "segment"))


def same_metrics(run: snellen.TestRun, plain: snellen.TestRun) -> None:
    assert 0.1 < plain.metrics["mask_mAP50"] < 0.99
    for key, value in plain.metrics.items():
        assert run.metrics[key] == (value and pytest.approx(value, abs=EXACT)), key


def stored_sideways(root: Path, folder: Path) -> Document:
    """Store each image turned to the left with EXIF orientation 6: upright it is the same."""
    document: Document = json.loads((root / "test.json").read_text())
    (folder / "images").mkdir()
    for image in document["images"]:
        with Image.open(root / "segment" / "images" / "test" / image["file_name"]) as upright:
            turned = upright.transpose(Image.Transpose.ROTATE_90)
        turned.save(folder / "images" / image["file_name"], exif=exif(6))
    return document


def turn_labels(document: Document) -> None:
    """Move labels from the upright image, 6 x H to W, to the stored one: x, y -> y, W - x."""
    widths = {image["id"]: image["width"] for image in document["images"]}
    for one in document["annotations"]:
        width = widths[one["image_id"]]
        x, y, w, h = one["bbox"]
        one["bbox"] = [y, width - x - w, h, w]
        one["segmentation"] = [
            [value for x, y in zip(p[::2], p[1::2], strict=True) for value in (y, width - x)]
            for p in one["segmentation"]
        ]


def swap_sizes(document: Document) -> None:
    for image in document["images"]:
        image["width"], image["height"] = image["height"], image["width"]


def evaluated_coco(folder: Path, document: Document, **keys: Any) -> snellen.TestRun:
    (folder / "set.json").write_text(json.dumps(document))
    dataset = {
        "format": "coco", "path": str(folder / "images"), "annotations": str(folder / "set.json"),
        **keys,
    }  # fmt: skip
    return evaluated("segment", folder, dataset)


@pytest.mark.parametrize("labels", ["upright", "stored"])
def test_images_that_are_stored_sideways(
    root: Path, plain: snellen.TestRun, tmp_path: Path, labels: str
) -> None:
    document = stored_sideways(root, tmp_path)
    if labels == "stored":
        turn_labels(document)
    swap_sizes(document)
    run = evaluated_coco(tmp_path, document)
    same_metrics(run, plain)
    assert run.row.dataset_report is not None
    repaired = run.row.dataset_report["annotations"]["repaired"]
    reason = "rotated_by_exif" if labels == "stored" else "size_swapped_by_exif"
    assert set(repaired) <= {reason}


def test_images_that_were_resized_after_labelling(root: Path, tmp_path: Path) -> None:
    document = json.loads((root / "test.json").read_text())
    (tmp_path / "images").mkdir()
    for image in document["images"]:
        with Image.open(root / "segment" / "images" / "test" / image["file_name"]) as picture:
            picture.resize((64, 64)).save(tmp_path / "images" / image["file_name"])
    with pytest.raises(InputError, match="resized after they were labelled") as caught:
        evaluated_coco(tmp_path, document)
    assert caught.value.code == "DATASET_LABEL_SIZE"
    assert not list((tmp_path / "out").glob("*/*.parquet"))


@pytest.mark.parametrize("keys", [("area",), ("width", "height"), ("iscrowd",), ("bbox",)], ids=str)
def test_what_the_file_leaves_out(
    root: Path, plain: snellen.TestRun, tmp_path: Path, keys: tuple[str, ...]
) -> None:
    document = json.loads((root / "test.json").read_text())
    for record in (*document["images"], *document["annotations"]):
        for key in keys:
            record.pop(key, None)
    shutil.copytree(root / "segment" / "images" / "test", tmp_path / "images")
    run = evaluated_coco(tmp_path, document)
    for key, value in plain.metrics.items():
        if key.startswith("mask_"):
            # The file has the area of the polygon, the mask that of its pixels.
            close = 0.02 if keys == ("area",) else EXACT
            assert run.metrics[key] == (value and pytest.approx(value, abs=close)), key


def roboflow(root: Path, folder: Path, task: str) -> Path:
    """Copy the test images as Roboflow exports them: ``valid/images``, ``../valid/images``."""
    for kind in ("images", "labels"):
        shutil.copytree(root / task / kind / "test", folder / "valid" / kind)
    file = folder / "data.yaml"
    file.write_text(
        yaml.safe_dump(
            {"train": "../train/images", "val": "../valid/images", "test": "../test/images",
             "nc": len(CLASSES), "names": list(CLASSES)}
        )
    )  # fmt: skip
    return file


@pytest.mark.parametrize("layout", ["roboflow", "duplicate-lines"])
def test_ultralytics_val_agrees_on_the_layout(root: Path, tmp_path: Path, layout: str) -> None:
    import_ultralytics()
    from ultralytics import YOLO

    file = roboflow(root, tmp_path, "detect")
    if layout == "duplicate-lines":
        for label in (tmp_path / "valid" / "labels").glob("*.txt"):
            label.write_text(label.read_text() * 2)
    theirs = YOLO(str(FIXTURES / "tiny-detect.pt")).val(
        data=str(file), split="val", rect=False, conf=0.001, iou=0.7, imgsz=160, plots=False,
        device="cpu", workers=0, verbose=False, project=str(tmp_path / "ultralytics"),
    )  # fmt: skip
    run = evaluated("detect", tmp_path, {"path": str(file)})
    assert run.row.dataset_split == "val"
    expected = float(theirs.box.map50)
    assert run.metrics["ultralytics_mAP50"] == pytest.approx(expected, abs=ULTRALYTICS)
    assert 0.1 < expected < 0.99
    as_made = evaluated("detect", tmp_path / "made", yolo_set(root, "detect"))
    assert run.metrics == as_made.metrics
