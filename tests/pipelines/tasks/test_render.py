"""Pictures of results: what stands where, and that no result or image is too odd to be drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hotcoco import mask as rle

from snellen.adapters.errors import ErrorCode, ErrorStage
from snellen.adapters.types import Box, ImageStatus, InferenceResult, TaskType
from snellen.pipelines.tasks.render import draw_result, draw_row
from snellen.pipelines.visualization.palette import class_colour, text_colour

GREY = 128
NAMES = ("cat", "dog", "bird")


def grey(height: int = 400, width: int = 500) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), GREY, np.uint8)


def box(x1: float, y1: float, x2: float, y2: float, class_id: int = 0) -> Box:
    return Box(class_id=class_id, x1=x1, y1=y1, x2=x2, y2=y2, confidence=0.9)


def result(task: TaskType = TaskType.OBJECT_DETECTION, **fields: Any) -> InferenceResult:
    return InferenceResult(image_path="", image_name="", task_type=task, **fields)


def top5(*labels: str) -> list[Any]:
    return [
        {"label_id": number, "label": label, "confidence": 0.8 / (number + 1)}
        for number, label in enumerate(labels)
    ]


def mask_of(height: int, width: int, part: Any) -> bytes:
    pixels = np.zeros((height, width), np.uint8)
    pixels[part] = 1
    counts: bytes = rle.encode(np.asfortranarray(pixels))["counts"]
    return counts


def changed(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> Any:
    return (before != after).any(axis=2)


def test_a_box_has_its_colour_and_leaves_the_rest_alone() -> None:
    pixels = grey()
    drawn = draw_result(pixels, result(predicted_boxes=[box(100, 150, 300, 350, 1)]), NAMES)
    assert drawn.shape == pixels.shape
    assert drawn.dtype == np.uint8
    for y, x in ((250, 100), (250, 300), (350, 200)):
        assert tuple(drawn[y, x]) == class_colour(1)
    touched = changed(pixels, drawn)
    assert not touched[160:340, 110:290].any()
    assert not touched[355:].any()
    assert not touched[:, :95].any()
    assert (pixels == GREY).all(), "the original is not touched"


def test_the_label_stands_on_a_chip_above_its_box() -> None:
    drawn = draw_result(grey(), result(predicted_boxes=[box(100, 150, 300, 350)]), NAMES)
    above = drawn[135:150, 100:150].reshape(-1, 3)
    colours = {tuple(pixel) for pixel in above.tolist()}
    assert class_colour(0) in colours
    assert text_colour(class_colour(0)) in colours


@pytest.mark.parametrize(
    "corners", [(0, 0, 500, 400), (480, 0, 500, 30), (-20, 390, 30, 420), (200, 100, 200, 100)]
)
def test_labels_of_boxes_at_the_edge_are_inside(corners: tuple[float, ...]) -> None:
    from snellen.pipelines.visualization.canvas import canvas_of
    from snellen.pipelines.visualization.labels import Labeller

    canvas = canvas_of(grey())
    for _ in range(3):
        x1, y1, x2, y2 = Labeller(canvas).put("a long name", "0.90", corners, (9, 9, 9))  # type: ignore[arg-type]
        assert (x1 >= 0, y1 >= 0, x2 < 500, y2 < 400) == (True,) * 4


def test_labels_of_equal_boxes_do_not_hide_each_other() -> None:
    from snellen.pipelines.visualization.canvas import canvas_of
    from snellen.pipelines.visualization.labels import Labeller, _common

    labeller = Labeller(canvas_of(grey()))
    places = [labeller.put("cat", "0.90", (100, 150, 300, 350), (9, 9, 9)) for _ in range(3)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert _common(places[one], places[other]) == 0


def test_a_mask_is_half_transparent_inside_and_strong_at_its_rim() -> None:
    pixels = grey()
    part = np.s_[150:350, 100:300]
    drawn = draw_result(
        pixels,
        result(
            TaskType.INSTANCE_SEGMENTATION,
            predicted_boxes=[box(20, 20, 480, 380, 2)],
            predicted_masks=[mask_of(400, 500, part)],
        ),
        NAMES,
    )
    expected = [round(GREY * 0.55 + channel * 0.45) for channel in class_colour(2)]
    assert np.abs(drawn[250, 200].astype(int) - expected).max() <= 1
    assert tuple(drawn[250, 100]) == class_colour(2)
    assert tuple(drawn[250, 90]) == (GREY,) * 3


def test_keypoints_of_people_are_joined_and_unsure_ones_left_out() -> None:
    points = [{"x": 50.0 + 20 * n, "y": 200.0, "v": 0.9} for n in range(17)]
    points[16] = {"x": 480.0, "y": 350.0, "v": 0.1}
    drawn = draw_result(
        grey(),
        result(
            TaskType.POSE_ESTIMATION,
            predicted_boxes=[box(20, 100, 490, 390)],
            predicted_keypoints=[points],
        ),
        ("person",),
    )
    assert tuple(drawn[200, 60]) != (GREY,) * 3, "between the nose and the left eye"
    assert tuple(drawn[350, 480]) == (GREY,) * 3
    four = draw_result(
        grey(),
        result(
            TaskType.POSE_ESTIMATION,
            predicted_boxes=[box(20, 100, 490, 390)],
            predicted_keypoints=[[*points[:3], {"x": 300.0, "y": 300.0, "v": 1.0}]],
        ),
        ("person",),
    )
    assert tuple(four[200, 60]) == (GREY,) * 3, "points that are no person's are not joined"
    assert tuple(four[300, 300]) == class_colour(3)


def test_classes_stand_in_a_band_below() -> None:
    pixels = grey()
    drawn = draw_result(
        pixels, result(TaskType.IMAGE_CLASSIFICATION, top5_predictions=top5(*NAMES))
    )
    assert drawn.shape[0] > 400
    assert (drawn[:400] == pixels).all()
    lengths = [int((drawn[400:] == class_colour(n)).all(axis=2).sum()) for n in range(3)]
    assert lengths[0] > 1.8 * lengths[1] > 1.8 * lengths[2] > 0


def test_a_failed_image_is_dark_and_says_why() -> None:
    failed = result(
        status=ImageStatus.FAILED,
        error_stage=ErrorStage.INFER,
        error_code=ErrorCode.NONFINITE,
        error_message="the model's output holds NaN or infinity",
    )
    drawn = draw_result(grey(), failed)
    assert drawn.shape[0] > 400
    assert (drawn[:400] < GREY).all()
    assert len({tuple(p) for p in drawn[405:].reshape(-1, 3).tolist()}) > 5, "there is text"


def test_a_stored_row_gives_the_same_picture() -> None:
    part = np.s_[150:350, 100:300]
    counts = mask_of(400, 500, part)
    found = result(
        TaskType.INSTANCE_SEGMENTATION,
        predicted_boxes=[box(100, 150, 300, 350, 2)],
        predicted_masks=[counts],
    )
    row = {
        "status": "ok",
        "predicted_boxes": [dict(box(100, 150, 300, 350, 2))],
        "predicted_masks": [counts.decode()],
        "predicted_keypoints": None,
        "top5_predictions": None,
    }
    expected = draw_result(grey(), found, NAMES)
    assert (draw_row(grey(), row, NAMES) == expected).all()


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (8, 8), (8, 300), (1, 30_000), (3000, 10), (4000, 6000)]
)
@pytest.mark.parametrize("boxes", [True, False])
def test_any_size_can_be_drawn(height: int, width: int, boxes: bool) -> None:
    found = (
        result(predicted_boxes=[box(0, 0, width, height), box(-9, -9, width + 9, 3)])
        if boxes
        else result(TaskType.IMAGE_CLASSIFICATION, top5_predictions=top5(*NAMES))
    )
    drawn = draw_result(grey(height, width), found, NAMES)
    assert max(drawn.shape) <= 1600 + 400
    assert min(drawn.shape[:2]) >= 96
    assert changed(np.full_like(drawn, GREY), drawn).any()


def test_a_small_image_is_enlarged_by_whole_pixels() -> None:
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    drawn = draw_result(pixels, result(predicted_boxes=[]))
    assert drawn.shape == (320, 320, 3)
    assert (drawn[::40, ::40] == pixels).all()


@pytest.mark.parametrize(
    "found",
    [
        result(predicted_boxes=[]),
        result(predicted_boxes=[], predicted_masks=[], predicted_keypoints=[]),
        result(TaskType.IMAGE_CLASSIFICATION, top5_predictions=[]),
        result(TaskType.IMAGE_CLASSIFICATION),
    ],
)
def test_nothing_found_is_the_image_itself(found: InferenceResult) -> None:
    assert (draw_result(grey(), found, NAMES) == grey()).all()


@pytest.mark.parametrize(
    "name", ["猫", "café", "a" * 500, "", "\n\t", "<script>", "é\u0301", "👩‍🚀", "\udc80", "\x00"]
)
def test_any_class_name_can_be_drawn(name: str) -> None:
    found = result(predicted_boxes=[box(100, 150, 300, 350, 0)])
    assert changed(draw_result(grey(), found, (name,)), grey()).any()
    classes = result(TaskType.IMAGE_CLASSIFICATION, top5_predictions=top5(name, "b"))
    assert draw_result(grey(), classes).shape[0] > 400


def test_a_class_without_a_name_has_its_number() -> None:
    found = result(predicted_boxes=[box(100, 150, 300, 350, 7)])
    assert (draw_result(grey(), found, NAMES) == draw_result(grey(), found, ())).all()


def test_pixels_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected uint8 of"):
        draw_result(np.zeros((4, 4), np.uint8), result())


def test_the_ground_truth_of_a_classified_image_stands_below_it() -> None:
    plain = {"status": "ok", "top5_predictions": top5("cat", "dog")}
    unlabelled = draw_row(grey(), plain, NAMES)
    right = draw_row(grey(), plain | {"true_label": "cat", "is_correct": True}, NAMES)
    wrong = draw_row(grey(), plain | {"true_label": "dog", "is_correct": False}, NAMES)
    assert right.shape == wrong.shape
    assert right.shape[0] > unlabelled.shape[0]
    assert tuple(right[405, 490]) == (0, 121, 95)
    assert tuple(wrong[405, 490]) == (176, 68, 0)
