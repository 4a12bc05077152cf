"""CVAT exports, read back by the rules of the format."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as rle

from snellen.analysis.export.cvat import CvatExporter, mask_attributes
from tests.analysis.export.made_up import CLASS_NAMES, request_for
from tests.contracts.exporter_contract import Exportable, ExporterContract
from tests.metrics.detection.examples import draw, table

WITHIN = 0.006
"""Coordinates have two decimals."""


class Form(ExporterContract):
    exporter = pytest.fixture(lambda self: "cvat")

    def rows(self, path: Path) -> list[str]:
        return [str(image.get("name")) for image in ElementTree.parse(path).iter("image")]


class TestBoxes(Form):
    exportable = pytest.fixture(lambda self, boxes: boxes)


class TestClasses(Form):
    exportable = pytest.fixture(lambda self, greys: greys)


def mask_of(element: ElementTree.Element, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Decode a mask element: runs outside and inside in turn, row by row of its box."""
    left, top, w, h = (int(element.get(key, "")) for key in ("left", "top", "width", "height"))
    pixels: list[bool] = []
    for number, run in enumerate(map(int, element.get("rle", "").split(","))):
        pixels += [number % 2 == 1] * run
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[top : top + h, left : left + w] = np.array(pixels).reshape(h, w)
    return mask


@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
def test_objects_are_those_of_the_rows(kind: str, boxes: Exportable, tmp_path: Path) -> None:
    rows = draw(3, kind, images=8)
    target = tmp_path / "out.xml"
    exported = CvatExporter().write(request_for(table(rows), kind, tmp_path, boxes.run), target)
    assert exported.images == 8
    root = ElementTree.parse(target).getroot()
    assert root.findtext("version") == "1.1"
    assert [node.text for node in root.findall("meta/task/labels/label/name")] == CLASS_NAMES
    compared = 0
    for number, (image, row) in enumerate(zip(root.iter("image"), rows, strict=True)):
        assert image.get("id") == str(number)
        assert (image.get("name"), image.get("width")) == (row["image_id"], str(row["width"]))
        shapes = image.findall({"bbox": "box", "segm": "mask", "keypoints": "points"}[kind])
        masks = row["predicted_masks"] if kind == "segm" else []
        places = [
            place
            for place in range(len(row["predicted_boxes"]))
            if not masks
            or rle.area({"size": [row["height"], row["width"]], "counts": masks[place]})
        ]
        assert len(shapes) == len(places)
        for shape, place in zip(shapes, places, strict=True):
            box = row["predicted_boxes"][place]
            assert shape.get("label") == CLASS_NAMES[box["class_id"]]
            assert shape.get("source") == "auto"
            confidence = float(shape.findtext("attribute[@name='confidence']") or "nan")
            assert confidence == pytest.approx(box["confidence"], abs=1e-6)
            if kind == "bbox":
                corners = [float(shape.get(key, "")) for key in ("xtl", "ytl", "xbr", "ybr")]
                expected = [box[key] for key in ("x1", "y1", "x2", "y2")]
                assert corners == pytest.approx(expected, abs=WITHIN)
            elif kind == "segm":
                size = [row["height"], row["width"]]
                pixels = rle.decode({"size": size, "counts": masks[place]}).astype(bool)
                assert (mask_of(shape, *size) == pixels).all()
            else:
                points = [
                    tuple(map(float, p.split(","))) for p in shape.get("points", "").split(";")
                ]
                for (x, y), point in zip(points, row["predicted_keypoints"][place], strict=True):
                    assert (x, y) == pytest.approx((point["x"], point["y"]), abs=WITHIN)
            compared += 1
    assert compared > 10


@pytest.mark.parametrize("corner", [True, False])
def test_a_mask_that_starts_inside_has_a_run_of_nothing_first(corner: bool) -> None:
    mask = np.array([[corner, True], [True, True]])
    found = mask_attributes(mask)
    assert found == {
        "rle": "0, 4" if corner else "1, 3", "left": 0, "top": 0, "width": 2, "height": 2,
    }  # fmt: skip
    assert mask_attributes(np.zeros((3, 3), dtype=np.bool_)) is None


def test_names_are_text(greys: Exportable, tmp_path: Path) -> None:
    greys.export("cvat", tmp_path / "out.xml")
    names = {image.get("name") for image in ElementTree.parse(tmp_path / "out.xml").iter("image")}
    assert {'1/a"b.png', "1/ä 名.png", "1/a,b.png"} <= names


def test_less_confident_objects_are_omitted_and_counted(boxes: Exportable, tmp_path: Path) -> None:
    document = boxes.export("cvat", tmp_path / "out.xml", min_confidence=0.4)
    assert document["left_out"] == {"objects_below_min_confidence": 4}
    assert len(list(ElementTree.parse(tmp_path / "out.xml").iter("box"))) == 8
