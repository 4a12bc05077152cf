"""Label files are accepted, read and rejected as Ultralytics does."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snellen.adapters.text_files import decode_text
from snellen.adapters.ultralytics.environment import import_ultralytics
from snellen.pipelines.data.sources.annotations import LabelProblem, Targets
from snellen.pipelines.data.sources.yolo.label_lines import LabelFormat, parse_labels
from tests.pipelines.making import write_image

SIZE = (40, 20)
CLASSES = 2
BOX = "0 0.5 0.5 0.25 0.5"
OTHER = "1 0.25 0.25 0.125 0.25"
TRIANGLE = "0 0.1 0.1 0.9 0.2 0.5 0.8"
SQUARE = "1 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75"
POSE = f"{BOX} 0.5 0.5 2 0.25 0.5 1"
SHAPE = (2, 3)


def theirs(root: Path, text: str, shape: tuple[int, int] | None, *, pose: bool) -> Any:
    """Return what Ultralytics' own reader finds: boxes, polygons and keypoints, or None."""
    import_ultralytics()
    from ultralytics.data.utils import verify_image_label

    image = write_image(root / "x.png", size=SIZE)
    (root / "x.txt").write_text(text, "utf-8")
    count, values = shape or (0, 0)
    found = verify_image_label(
        (str(image), str(root / "x.txt"), "", pose, CLASSES, count, values, False)
    )
    return None if found[0] is None else found[1:5]


def ours(
    text: str, shape: tuple[int, int] | None, *, pose: bool, masks: bool = True
) -> tuple[Targets, int] | None:
    try:
        return parse_labels(text, SIZE, LabelFormat(CLASSES, shape, masks, keypoints=pose))
    except LabelProblem:
        return None


FILES: dict[str, str] = {
    "empty": "",
    "blank-lines": f"\n{BOX}\n\n",
    "boxes": f"{BOX}\n{OTHER}",
    "tabs": BOX.replace(" ", "\t"),
    "duplicate-boxes": f"{BOX}\n{OTHER}\n{BOX}\n{BOX}",
    "polygons": f"{TRIANGLE}\n{SQUARE}",
    "duplicate-polygons": f"{TRIANGLE}\n{SQUARE}\n{TRIANGLE}",
    "polygons-of-one-box": "0 0.1 0.1 0.9 0.1 0.9 0.9\n0 0.1 0.1 0.9 0.9 0.1 0.9",
    "box-among-polygons": f"{TRIANGLE}\n{BOX}",
    "sixth-column": f"{BOX} 0.9",
    "sixth-column-in-one": f"{BOX}\n{BOX} 0.9",
    "odd-polygon": "0 0.1 0.1 0.5 0.5 0.2 0.2 0.3",
    "commas": BOX.replace(" ", ","),
    "pixels": "0 20 10 4 4",
    "a-little-outside": "0 1.005 0.5 0.1 0.1\n0 -0.005 0.5 0.1 0.1",
    "outside": "0 1.02 0.5 0.1 0.1",
    "negative": "0 -0.02 0.5 0.1 0.1",
    "negative-size": "0 0.5 0.5 -0.005 0.1",
    "class-out-of-range": "2 0.5 0.5 0.1 0.1",
    "fractional-class": "0.5 0.5 0.5 0.1 0.1",
    "words": "cat 0.5 0.5 0.1 0.1",
    "poses": f"{POSE}\n{OTHER} 0.1 0.2 1 0.3 0.4 0",
    "duplicate-poses": f"{POSE}\n{POSE}",
    "poses-of-one-box": f"{POSE}\n{BOX} 0.1 0.1 2 0.25 0.5 1",
    "box-among-poses": f"{POSE}\n{BOX}",
    "pose-in-pixels": f"{BOX} 20 10 2 10 10 1",
    "too-few-keypoints": f"{BOX} 0.5 0.5 2",
}


def box_rows(found: Targets) -> list[tuple[float, ...]]:
    corners = ("class_id", "x1", "y1", "x2", "y2")
    return sorted(tuple(box[key] for key in corners) for box in found.boxes)


def box_rows_of_theirs(lines: Any) -> list[tuple[float, ...]]:
    width, height = SIZE
    return sorted(
        (c, (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
        for c, x, y, w, h in np.asarray(lines, float).tolist()
    )


@pytest.mark.parametrize(
    ("shape", "pose"),
    [(None, False), (SHAPE, False), (SHAPE, True)],
    ids=["plain", "detector-with-kpt_shape", "pose"],
)
@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_a_file_is_read_as_ultralytics_reads_it(
    tmp_path: Path, text: str, shape: tuple[int, int] | None, pose: bool
) -> None:
    expected, found = theirs(tmp_path, text, shape, pose=pose), ours(text, shape, pose=pose)
    assert (found is None) == (expected is None)
    if found is None:
        return
    lines, _, polygons, keypoints = expected
    targets, duplicates = found
    written = len([line for line in text.splitlines() if line.strip()])
    assert duplicates == written - len(lines)
    assert np.allclose(box_rows(targets), box_rows_of_theirs(lines), atol=1e-4)
    assert len(targets.masks or ()) == len(polygons)
    if pose and len(lines):
        points = np.array(
            [[[p["x"] / SIZE[0], p["y"] / SIZE[1], p["v"]] for p in one]
             for one in targets.keypoints or ()]
        )  # fmt: skip
        assert np.allclose(sorted(points.tolist()), sorted(keypoints.tolist()), atol=1e-6)


@pytest.mark.parametrize(
    ("text", "shape", "error"),
    [
        (BOX.replace(" ", ","), None,
         "LABEL_INVALID: line 1 is separated by commas. Expected spaces: class xc yc w h"),
        (f"{BOX}\n{BOX.replace(' ', '; ')}", None, "LABEL_INVALID: line 2 is separated by semi"),
        (f"{BOX} 0.9", None, "LABEL_INVALID: line 1: 6 values. Expected 5: class xc yc w h"),
        (f"{TRIANGLE}\n\n{BOX}", None, "LABEL_INVALID: line 3 is a box and line 1 a polygon"),
        (BOX, SHAPE, "LABEL_INVALID: line 1: 5 values. Expected 11: class xc yc w h and 6 keyp"),
        (f"{BOX} 20 10 2 0.1 0.1 1", SHAPE,
         "LABEL_INVALID: line 1: keypoint [20.0, 10.0] is not normalised to 0..1"),
        (f"{BOX} 0.5 0.5 2 0.1 -0.2 1", SHAPE, "LABEL_INVALID: line 1: keypoint [0.1, -0.2]"),
    ],
    ids=["H-commas", "H-semicolons", "H-confidence", "E-mixed-lines", "E-box-among-poses",
         "G-pixels", "G-negative"],
)  # fmt: skip
def test_messages_say_what_was_found(text: str, shape: tuple[int, int] | None, error: str) -> None:
    with pytest.raises(LabelProblem) as caught:
        parse_labels(text, SIZE, LabelFormat(CLASSES, shape))
    assert caught.value.text.startswith(error)


def test_a_keypoint_that_is_not_labelled_may_be_anywhere_before_the_image() -> None:
    found, _ = parse_labels(f"{BOX} -1 -1 0 0.5 0.5 2", SIZE, LabelFormat(CLASSES, SHAPE))
    assert [[p["v"] for p in points] for points in found.keypoints or ()] == [[0, 2]]


def test_a_detector_reads_polygons_and_poses_as_boxes() -> None:
    found, _ = parse_labels(TRIANGLE, SIZE, LabelFormat(CLASSES, masks=False))
    assert (found.masks, len(found.boxes)) == (None, 1)
    assert (
        found.boxes[0]["area"]
        == parse_labels(TRIANGLE, SIZE, LabelFormat(CLASSES))[0].boxes[0]["area"]
    )
    posed = LabelFormat(CLASSES, SHAPE, masks=False, keypoints=False)
    found, duplicates = parse_labels(f"{POSE}\n{BOX} 0.1 0.1 2 0.2 0.2 2", SIZE, posed)
    assert (found.keypoints, len(found.boxes), duplicates) == (None, 1, 1)


@pytest.mark.parametrize(
    "data",
    [BOX.encode(), codecs.BOM_UTF8 + BOX.encode(), BOX.encode("utf-16"), f"{BOX}\r\n".encode()],
    ids=["H-plain", "H-bom", "H-utf-16", "H-crlf"],
)
def test_encodings_of_label_files(data: bytes) -> None:
    found, _ = parse_labels(decode_text(data), SIZE, LabelFormat(CLASSES))
    assert box_rows(found) == [(0, 15, 5, 25, 15)]
