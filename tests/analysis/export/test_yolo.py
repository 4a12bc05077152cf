"""YOLO exports, read by the reader of YOLO labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.export.yolo import YoloExporter
from snellen.pipelines.data.sources.yolo.label_lines import LabelFormat, parse_labels
from tests.analysis.export.made_up import request_for
from tests.contracts.exporter_contract import Exportable, ExporterContract, names
from tests.metrics.detection.examples import TASK, draw, table

CORNERS = ("x1", "y1", "x2", "y2")
WITHIN = 1e-4


class TestYolo(ExporterContract):
    exporter = pytest.fixture(lambda self: "yolo")
    exportable = pytest.fixture(lambda self, boxes: boxes)


def wide(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows on large images with sides that differ."""
    return [row | {"width": 4001, "height": 3003} for row in rows]


@pytest.mark.parametrize("kind", ["bbox", "keypoints"])
def test_the_label_reader_gives_the_boxes_back(
    kind: str, boxes: Exportable, tmp_path: Path
) -> None:
    rows = wide(draw(3, kind, images=8))
    request = request_for(table(rows), kind, tmp_path, boxes.run)
    (tmp_path / "out").mkdir()
    exported = YoloExporter().write(request, tmp_path / "out")
    assert exported.images == len(list((tmp_path / "out" / "labels").iterdir())) == 8
    data = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == {0: "a", 1: "b", 2: "ä: c"}
    shape = tuple(data["kpt_shape"]) if kind == "keypoints" else None
    assert shape == ((17, 3) if kind == "keypoints" else None)
    compared = 0
    for row in rows:
        text = (tmp_path / "out" / "labels" / f"{Path(row['image_id']).stem}.txt").read_text()
        lines = [line.rpartition(" ") for line in text.splitlines()]
        expected = row["predicted_boxes"]
        confidences = [float(confidence) for _, _, confidence in lines]
        assert confidences == pytest.approx([box["confidence"] for box in expected], abs=1e-7)
        for box, line in zip(expected, lines, strict=True):
            size = (row["width"], row["height"])
            # the reader drops equal lines and confidences of keypoints: one line, no keypoints
            (found,) = parse_labels(line[0], size, LabelFormat(3, shape, keypoints=False))[0].boxes
            assert found["class_id"] == box["class_id"]
            for corner in CORNERS:
                assert found[corner] == pytest.approx(box[corner], abs=WITHIN)
                compared += 1
        if shape:
            for points, line in zip(row["predicted_keypoints"], lines, strict=True):
                values = [float(word) for word in line[0].split()[5:]]
                for number, point in enumerate(points):
                    x, y, v = values[3 * number : 3 * number + 3]
                    assert (x * 4001, y * 3003) == pytest.approx(
                        (point["x"], point["y"]), abs=WITHIN
                    )
                    assert v == pytest.approx(point["v"], abs=WITHIN)
    assert compared > 50


def test_an_image_without_predictions_has_an_empty_file(boxes: Exportable, tmp_path: Path) -> None:
    rows = draw(0, "bbox", images=3)
    rows[0]["predicted_boxes"] = []
    rows[1] |= {"status": "failed", "predicted_boxes": None}
    (tmp_path / "out").mkdir()
    request = request_for(table(rows), "bbox", tmp_path, boxes.run)
    exported = YoloExporter().write(request, tmp_path / "out")
    assert (exported.images, exported.left_out) == (2, {"failed_images": 1})
    labels = tmp_path / "out" / "labels"
    assert (labels / f"{rows[0]['image_index']}.txt").read_text() == ""
    assert not (labels / f"{rows[1]['image_index']}.txt").exists()


def test_files_have_the_paths_of_their_images(boxes: Exportable, tmp_path: Path) -> None:
    rows = draw(0, "bbox", images=3)
    for row, name in zip(rows, ("a/1.jpg", "../b/1.jpg", "s3://c/x.tar.jpg"), strict=True):
        row["image_id"] = name
    (tmp_path / "out").mkdir()
    YoloExporter().write(request_for(table(rows), "bbox", tmp_path, boxes.run), tmp_path / "out")
    labels = tmp_path / "out" / "labels"
    found = sorted(p.relative_to(labels).as_posix() for p in labels.rglob("*.txt"))
    assert found == ["a/1.txt", "b/1.txt", "c/x.tar.txt"]
    rows[1]["image_id"] = "a/1.png"
    with pytest.raises(InputError, match=r"'a/1\.jpg' and 'a/1\.png'") as caught:
        request = request_for(table(rows), "bbox", tmp_path, boxes.run)
        YoloExporter().write(request, tmp_path / "out")
    assert caught.value.code == "EXPORT_NAMES"


def test_less_confident_objects_are_omitted_and_counted(boxes: Exportable, tmp_path: Path) -> None:
    document = boxes.export("yolo", tmp_path / "out", min_confidence=0.4)
    assert document["left_out"] == {"objects_below_min_confidence": 4}
    lines = [p.read_text().splitlines() for p in (tmp_path / "out" / "labels").rglob("*.txt")]
    assert [len(one) for one in lines] == [2] * 4


def test_masks_are_an_error_that_names_the_tasks(boxes: Exportable, tmp_path: Path) -> None:
    masks = replace(boxes, run=replace(boxes.run, task_type=TASK["segm"]))
    with pytest.raises(ConfigError, match=r"object_detection or pose_estimation") as caught:
        masks.export("yolo", tmp_path / "out")
    assert caught.value.code == "EXPORT_TASK"
    assert "instance_segmentation: coco" in caught.value.message
    assert names(tmp_path) == []
