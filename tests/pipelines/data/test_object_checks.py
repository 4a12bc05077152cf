"""Checks of the labelled objects of a whole dataset."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.data.object_checks import ObjectChecks
from snellen.pipelines.data.report import DatasetReport
from snellen.store.parquet.schema import manifest_schema

MASK = b"04"
Row = dict[str, Any]


def box(x1: float = 2, y1: float = 3, x2: float = 12, y2: float = 8) -> Row:
    return {
        "class_id": 0, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "area": 1.0, "is_crowd": False,
        "ignore": False,
    }  # fmt: skip


def image(*boxes: Row, **columns: Any) -> Row:
    return {"true_boxes": list(boxes), "label_width": 40, "label_height": 30, **columns}


def checked(*rows: Row, needs: str = "", fail_mixed: bool = False) -> tuple[list[Row], list[str]]:
    """Return the rows and the warnings of images that are checked one table at a time."""
    checks = ObjectChecks(frozenset(needs.split()), fail_mixed=fail_mixed)
    report = DatasetReport()
    found: list[Row] = []
    for number, row in enumerate(rows):
        named = {"image_id": f"{number}.png", **row}
        found += checks.apply(pa.Table.from_pylist([named], manifest_schema(()))).to_pylist()
    checks.finish(report)
    return found, report.warnings()


def rejected(*rows: Row, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        checked(*rows, **options)
    return caught.value


POINTS = [{"x": 1.0, "y": 1.0, "v": 2.0}]
MASKED = image(box(), true_masks=[MASK])
POSED = image(box(), true_keypoints=[POINTS])
PLAIN = image(box())
HALF = image(box(), box(), true_masks=[MASK, None])


@pytest.mark.parametrize(
    ("needs", "rows", "told"),
    [
        ("masks", [MASKED, PLAIN, image()],
         "1 of 2 images with objects have boxes without outlines, such as '1.png'"),
        ("masks", [MASKED, HALF], "1 of 2 images with objects have boxes without outlines"),
        ("keypoints", [PLAIN, POSED, PLAIN],
         "2 of 3 images with objects have boxes without keypoints, such as '0.png'"),
    ],
    ids=["E-boxes-among-masks", "E-one-object-without-mask", "E-boxes-among-keypoints"],
)  # fmt: skip
def test_mixed_labels_are_rejected(needs: str, rows: list[Row], told: str) -> None:
    error = rejected(*rows, needs=needs)
    assert error.code == "DATASET_MIXED_LABELS"
    assert error.message.startswith(told)
    assert "dataset.mixed_labels=fail" in error.message


@pytest.mark.parametrize(
    ("needs", "complete", "word"),
    [("masks", MASKED, "outlines"), ("keypoints", POSED, "keypoints")],
)
def test_mixed_labels_can_be_failed_rows(needs: str, complete: Row, word: str) -> None:
    rows, warnings = checked(complete, PLAIN, image(), needs=needs, fail_mixed=True)
    error = f"LABEL_INVALID: boxes without {word}"
    assert [row["label_error"] for row in rows] == [None, error, None]
    assert [row["true_boxes"] for row in rows] == [[box()], None, []]
    assert warnings == []


def test_an_image_with_an_error_or_without_objects_lacks_nothing() -> None:
    failed = {"true_boxes": None, "label_error": "LABEL_INVALID: x"}
    rows, warnings = checked(MASKED, image(), failed, needs="masks")
    assert (len(rows), warnings) == (3, [])


def test_boxes_alone_for_a_model_with_masks_are_said() -> None:
    _, warnings = checked(PLAIN, PLAIN, needs="masks")
    assert warnings == ["no object has outlines: only the metrics of boxes are defined"]
    assert checked(PLAIN, MASKED)[1] == []  # a detector needs boxes alone


def test_boxes_that_no_prediction_can_match_are_counted() -> None:
    _, warnings = checked(
        image(box(), box(5, 5, 5, 9), box(41, 3, 50, 9), box(-9, 3, 0, 9), box(38, 28, 60, 60)),
        image(box(100, 100, 120, 120), label_width=None, label_height=None),
    )
    assert warnings == [
        "1 of 6 boxes have no area: no prediction can match them",
        "2 of 6 boxes lie outside of the image: no prediction can match them",
    ]


def test_boxes_in_fractions_of_the_image_are_rejected() -> None:
    normalised = image(box(0.1, 0.2, 0.5, 1.0))
    assert rejected(normalised, normalised, image()).code == "DATASET_BOX_UNITS"
    assert checked(normalised, image(box()))[1] == []
    assert len(checked(image(box(0, 0, 0, 0)))[1]) == 1


@pytest.mark.parametrize(
    ("errors", "code", "told"),
    [
        (["LABEL_SIZE_MISMATCH: 4 x 4"] * 2, "DATASET_LABEL_SIZE", "resized after"),
        (["LABEL_INVALID: line 1", "LABEL_SIZE_MISMATCH: 4 x 4"], "DATASET_LABELS", "line 1"),
    ],
    ids=["B-every-size-differs", "G-every-label-wrong"],
)
def test_labels_that_are_all_wrong_are_rejected(errors: list[str], code: str, told: str) -> None:
    failed = [{"true_boxes": None, "label_error": error} for error in errors]
    error = rejected(*failed, image())
    assert error.code == code
    assert told in error.message
    assert error.message.startswith("no label can be used: 2 images have a wrong one")
    assert "'0.png'" in error.message
    assert len(checked(*failed, PLAIN)[0]) == 3  # one image with an object is enough
    assert len(checked(*failed, {"label": "cat"})[0]) == 3
