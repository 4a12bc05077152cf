"""Label Studio exports: the documented form, and the numbers of the rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from snellen.adapters.errors import ConfigError
from snellen.analysis.export.label_studio import CONFIG, TASKS, image_address
from tests.contracts.exporter_contract import Exportable, ExporterContract
from tests.metrics.detection.examples import TASK

PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
SCORE = {"type": "number", "minimum": 0, "maximum": 1}
NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}
PLACE = dict.fromkeys(("x", "y", "width", "height"), PERCENT)
SCHEMA = {
    "type": "array",
    "items": {
        "required": ["data", "predictions"],
        "properties": {
            "data": {"required": ["image"], "properties": {"image": {"type": "string"}}},
            "predictions": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/regions"}},
            "annotations": {"type": "array", "items": {"$ref": "#/$defs/regions"}},
        },
    },
    "$defs": {
        "regions": {
            "required": ["result"],
            "properties": {
                "model_version": {"type": "string"},
                "score": SCORE,
                "result": {"type": "array", "items": {"$ref": "#/$defs/region"}},
            },
        },
        "region": {
            "required": ["id", "type", "from_name", "to_name", "value"],
            "oneOf": [
                {
                    "required": ["original_width", "original_height", "image_rotation"],
                    "properties": {
                        "type": {"const": "rectanglelabels"},
                        "value": {
                            "required": ["rectanglelabels", "rotation", *PLACE],
                            "properties": {**PLACE, "rectanglelabels": NAMES},
                        },
                    },
                },
                {
                    "properties": {
                        "type": {"const": "choices"},
                        "value": {"required": ["choices"], "properties": {"choices": NAMES}},
                    }
                },
            ],
        },
    },
}
"""The form of tasks with predictions at https://labelstud.io/guide/predictions."""


class Form(ExporterContract):
    exporter = pytest.fixture(lambda self: "label-studio")

    def rows(self, path: Path) -> list[str]:
        return [task["data"]["image_id"] for task in read(path)]


class TestBoxes(Form):
    exportable = pytest.fixture(lambda self, boxes: boxes)


class TestClasses(Form):
    exportable = pytest.fixture(lambda self, greys: greys)


def read(folder: Path) -> list[dict[str, Any]]:
    from jsonschema import validate  # takes seconds to import

    tasks: list[dict[str, Any]] = json.loads((folder / TASKS).read_text(encoding="utf-8"))
    validate(tasks, SCHEMA)
    return tasks


def names(folder: Path) -> tuple[str, list[str | None]]:
    """The control of the labelling configuration, and its values."""
    root = ElementTree.parse(folder / CONFIG).getroot()
    _, control = list(root)
    return control.tag, [item.get("value") for item in control]


def test_boxes_are_per_cent_of_the_image(boxes: Exportable, tmp_path: Path) -> None:
    boxes.export("label-studio", tmp_path / "out")
    for task, row in zip(read(tmp_path / "out"), boxes.results.frame().to_dicts(), strict=True):
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "boxes (run 1)"
        assert prediction["score"] == row["predicted_boxes"][0]["confidence"]
        (annotation,) = task["annotations"]
        for found, expected in (
            (prediction["result"], row["predicted_boxes"]),
            (annotation["result"], row["true_boxes"]),
        ):
            assert len(found) == len(expected)
            for region, box in zip(found, expected, strict=True):
                value = region["value"]
                assert value["rectanglelabels"] == [("cat", "dog")[box["class_id"]]]
                assert value["x"] * 24 / 100 == pytest.approx(box["x1"])
                assert (value["y"] + value["height"]) * 24 / 100 == pytest.approx(box["y2"])
                assert region.get("score") == box.get("confidence")
    assert names(tmp_path / "out") == ("RectangleLabels", ["cat", "dog"])


def test_classes_are_choices(greys: Exportable, tmp_path: Path) -> None:
    greys.export("label-studio", tmp_path / "out", status="ok")
    rows = greys.results.frame().filter(greys.results.frame()["status"] == "ok").to_dicts()
    for task, row in zip(read(tmp_path / "out"), rows, strict=True):
        (region,) = task["predictions"][0]["result"]
        assert region["value"] == {"choices": [row["predicted_label"]]}
        assert region["score"] == row["confidence"]
        (truth,) = task["annotations"][0]["result"]
        assert truth["value"] == {"choices": [row["true_label"]]}
        assert "score" not in truth
    assert names(tmp_path / "out") == ("Choices", ["0", "1", "2"])


def test_less_confident_objects_are_omitted_and_counted(boxes: Exportable, tmp_path: Path) -> None:
    document = boxes.export("label-studio", tmp_path / "out", min_confidence=0.4)
    assert document["left_out"] == {"objects_below_min_confidence": 4}
    counts = [len(task["predictions"][0]["result"]) for task in read(tmp_path / "out")]
    assert counts == [2] * 4


def test_addresses_are_kept_and_local_files_are_served_by_their_id() -> None:
    remote = {"image_path": "s3://bucket/a b.png", "image_id": "a b.png"}
    assert image_address(remote) == "s3://bucket/a b.png"
    local = {"image_path": "/data/x/ä&b.png", "image_id": "x/ä&b.png"}
    assert image_address(local) == "/data/local-files/?d=x/%C3%A4%26b.png"


def test_masks_are_an_error_that_names_the_formats(boxes: Exportable, tmp_path: Path) -> None:
    masks = replace(boxes, run=replace(boxes.run, task_type=TASK["segm"]))
    with pytest.raises(ConfigError, match="image_classification or object_detection") as caught:
        masks.export("label-studio", tmp_path / "out")
    assert "coco, csv, cvat" in caught.value.message
