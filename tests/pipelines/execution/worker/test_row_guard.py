"""Invalid labels of an image stay in its row; the other rows are untouched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from snellen.adapters.errors import ImageError
from snellen.adapters.types import ImageStatus, InferenceResult, Preprocessed, TaskType
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.metrics.tasks import load
from snellen.pipelines.execution.worker.label_checks import (
    check_keypoints,
    check_label_size,
    mask_pixels,
)
from snellen.pipelines.execution.worker.preprocess import ImagePreparer, UnitImage
from snellen.pipelines.execution.worker.result_rows import result_table
from snellen.pipelines.execution.worker.row_guard import with_matches
from snellen.pipelines.tasks import registry
from snellen.pipelines.tasks.record import GroundTruth
from snellen.store.parquet.schema import MANIFEST_SCHEMA
from tests.pipelines.making import grey_folder, scoring_spec
from tests.pipelines.pixel_adapter import PixelAdapter

POINT = OperatingPoint(0.25, 0.5)
SIZE = (20, 10)
MASK = b"088"  # 4 x 4 pixels


def box(**columns: Any) -> dict[str, Any]:
    return {"class_id": 0, "x1": 1.0, "y1": 1.0, "x2": 9.0, "y2": 9.0, "area": 64.0,
            "is_crowd": False, "ignore": False, **columns}  # fmt: skip


def points(count: int) -> list[Any]:
    return [{"x": 2.0, "y": 3.0, "v": 2.0} for _ in range(count)]


def image(truth: GroundTruth, count: int = 3) -> UnitImage:
    predicted: Any = {"class_id": 0, "x1": 1.0, "y1": 1.0, "x2": 9.0, "y2": 9.0, "confidence": 0.9}
    result = InferenceResult(
        image_path="",
        image_name="",
        task_type=TaskType.POSE_ESTIMATION,
        status=ImageStatus.OK,
        predicted_boxes=[predicted],
        predicted_masks=[MASK],
        predicted_keypoints=[points(count)],
        inference_time_ms=1.0,
    )
    item = Preprocessed(array=np.empty(0, np.uint8), width=SIZE[0], height=SIZE[1])
    return UnitImage(truth=truth, item=item, result=result)


def good() -> GroundTruth:
    return GroundTruth(boxes=[box()], masks=[MASK], keypoints=[points(3)])


def rows_of(
    images: list[UnitImage], task: TaskType = TaskType.POSE_ESTIMATION
) -> tuple[pa.Table, list[dict[str, Any]]]:
    manifest = pa.Table.from_pylist(
        [
            {"image_index": n, "image_id": f"{n}.png", "location": f"/data/{n}.png"}
            for n in range(len(images))
        ],
        schema=MANIFEST_SCHEMA,
    )
    table = result_table(manifest, images, task, ["cat"], POINT)
    return table, table.to_pylist()


BAD: dict[str, Callable[[], GroundTruth]] = {
    "no keypoints of an object": lambda: GroundTruth(boxes=[box()], keypoints=[[]]),
    "missing keypoints": lambda: GroundTruth(boxes=[box()], keypoints=cast(Any, [None])),
    "other number of keypoints": lambda: GroundTruth(boxes=[box()], keypoints=[points(5)]),
    "mixed numbers of keypoints": lambda: GroundTruth(
        boxes=[box(), box()], keypoints=[points(3), points(2)]
    ),
    "fewer keypoints than boxes": lambda: GroundTruth(boxes=[box(), box()], keypoints=[points(3)]),
    "class id above int32": lambda: GroundTruth(boxes=[box(class_id=2**40)], keypoints=[points(3)]),
    "class id of text": lambda: GroundTruth(boxes=[box(class_id="cat")], keypoints=[points(3)]),
    "coordinate above float32": lambda: GroundTruth(boxes=[box(x2=1e300)], keypoints=[points(3)]),
    "missing coordinate": lambda: GroundTruth(boxes=[box(y1=None)], keypoints=[points(3)]),
    "keypoint that is not a number": lambda: GroundTruth(
        boxes=[box()], keypoints=[[*points(2), {"x": float("nan"), "y": 1.0, "v": 2.0}]]
    ),
    "label outside of the names": lambda: GroundTruth(class_id=7),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_ground_truth_fails_its_own_row(case: str) -> None:
    table, rows = rows_of([image(good()), image(BAD[case]()), image(good())])
    _, expected = rows_of([image(good()), image(good()), image(good())])
    assert (rows[0], rows[2]) == (expected[0], expected[2])
    failed = rows[1]
    assert (failed["status"], failed["error_stage"]) == ("failed", "label")
    assert failed["error_code"] == "LABEL_INVALID"
    assert failed["error_message"].startswith("the ground truth cannot be used: ")
    assert "Expected labels that fit the image and the model" in failed["error_message"]
    assert (failed["width"], failed["height"]) == SIZE or case == "label outside of the names"
    for column in ("true_boxes", "true_keypoints", "predicted_boxes", "matches", "tp"):
        assert failed[column] is None, column
    metrics = load(TaskType.POSE_ESTIMATION)
    report = metrics.compute(
        metrics.merge([metrics.state(table, ("cat",))]), ("cat",), total_images=3, failed_images=1
    )
    assert report.metrics["oks_mAP50-95"] == 1.0


@pytest.mark.parametrize("column", ["predicted_boxes", "predicted_keypoints"])
def test_a_prediction_that_cannot_be_stored_fails_its_own_row(column: str) -> None:
    bad = image(good())
    assert bad.result is not None
    setattr(bad.result, column, [{"class_id": "text"}] if column == "predicted_boxes" else [[7]])
    _, rows = rows_of([image(good()), bad])
    assert [row["status"] for row in rows] == ["ok", "failed"]
    assert (rows[1]["error_stage"], rows[1]["error_code"]) == ("postprocess", "INTERNAL")


def test_good_rows_are_matched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    record = registry.task_of(TaskType.POSE_ESTIMATION)
    real = record.match_columns
    assert real is not None

    def counting(table: pa.Table, operating: OperatingPoint) -> Any:
        seen.append(table.num_rows)
        return real(table, operating)

    changed = replace(record, match_columns=counting)
    monkeypatch.setitem(registry.TASKS, TaskType.POSE_ESTIMATION, changed)
    rows_of([image(good()) for _ in range(5)])
    assert seen == [5]
    seen.clear()
    rows_of([image(good()), image(BAD["no keypoints of an object"]())])
    assert seen == [2, 1, 1, 2]


def test_a_unit_that_fails_without_a_bad_image_is_an_error_of_the_run() -> None:
    table, _ = rows_of([image(good()), image(good())])

    def match(part: pa.Table) -> dict[str, pa.Array]:
        if part.num_rows > 1:
            raise ValueError("a fault of the program")
        return {}

    with pytest.raises(ValueError, match="a fault of the program"):
        with_matches(table, match)


def full(width: int, height: int) -> bytes:
    """A mask of all pixels, encoded by an independent library."""
    mask = pytest.importorskip("pycocotools.mask")
    counts: bytes = mask.encode(np.asfortranarray(np.ones((height, width), np.uint8)))["counts"]
    return counts


@pytest.mark.parametrize("seed", range(5))
def test_the_pixels_of_a_mask_equal_those_of_pycocotools(seed: int) -> None:
    mask = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    pixels = (rng.random((rng.integers(1, 90), rng.integers(1, 90))) < rng.random()).astype(
        np.uint8
    )
    counts = mask.encode(np.asfortranarray(pixels))["counts"]
    assert mask_pixels(counts) == pixels.size


@pytest.mark.parametrize(
    ("row", "masks", "message"),
    [
        ({"label_width": 20, "label_height": 10}, None, None),
        ({"label_width": None, "label_height": None}, None, None),
        ({}, [full(20, 10)], None),
        (
            {"label_width": 10, "label_height": 20},
            None,
            "for an image of 10 x 20; the image has 20",
        ),
        (
            {"label_width": 40, "label_height": 20},
            None,
            "for an image of 40 x 20; the image has 20",
        ),
        ({}, [full(20, 10), full(21, 10)], "for an image of 210 pixels; the image has 20 x 10"),
        ({}, [full(19, 10)], "for an image of 190 pixels; the image has 20 x 10"),
    ],
)
def test_labels_of_another_size_are_rejected(
    row: dict[str, Any], masks: list[bytes] | None, message: str | None
) -> None:
    truth = GroundTruth(boxes=[box()], masks=masks)
    if message is None:
        return check_label_size(row, truth, SIZE)
    with pytest.raises(ImageError, match=message) as caught:
        check_label_size(row, truth, SIZE)
    assert (caught.value.stage, caught.value.code) == ("label", "LABEL_SIZE_MISMATCH")
    return check_label_size(row, GroundTruth(boxes=[]), SIZE)  # nothing refers to the size


def test_keypoints_are_counted_against_the_model() -> None:
    check_keypoints(GroundTruth(keypoints=[points(3)]), 3)
    check_keypoints(GroundTruth(keypoints=[points(5)]), None)
    check_keypoints(GroundTruth(), 3)
    with pytest.raises(ImageError, match=r"object 1 has 2 keypoints\. Expected 3") as caught:
        check_keypoints(GroundTruth(keypoints=[points(3), points(2)]), 3)
    assert caught.value.code == "LABEL_INVALID"


@pytest.mark.parametrize("size", [(6, 5), (7, 5)])
def test_the_worker_compares_the_size_after_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    data = grey_folder(tmp_path / "data", ("0", "1"), 1)
    spec = scoring_spec(data, tmp_path / "run")
    info = replace(spec.info, task_type=TaskType.OBJECT_DETECTION)
    spec = replace(spec, info=info, classes=("0", "1"))
    adapter = PixelAdapter.from_spec(spec.adapter)
    row = {
        "image_id": "0/00.png",
        "location": str(data / "0" / "00.png"),
        "size": None,
        "mtime_ns": None,
        "true_boxes": [box()],
        "label_width": size[0],
        "label_height": size[1],
    }
    prepared = ImagePreparer(spec, adapter, reads_images=True).prepare(row)
    if size == (6, 5):
        assert prepared.error is None
        assert prepared.truth.boxes == [box()]
        return
    assert prepared.error is not None
    assert prepared.error.code == "LABEL_SIZE_MISMATCH"
    assert prepared.truth == GroundTruth()
    assert prepared.item is None
