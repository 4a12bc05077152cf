"""Sizes in a COCO file against those of the pictures: EXIF, resized pictures, no size.

The picture is made of a mask, so that Pillow's own transposition says where an object is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps
from pycocotools import mask as rle

from snellen.adapters.errors import InputError
from tests.adapters.making import exif
from tests.pipelines.data.sources.coco.making import Document, reported

STORED = (40, 30)
"""Width and height of the stored pixels."""
SIDEWAYS = [5, 6, 7, 8]


def pixels(x1: int, y1: int, x2: int, y2: int) -> npt.NDArray[np.uint8]:
    """Return a stored picture that is white where the object is: an L, so that no turn is alike."""
    image = np.zeros(STORED[::-1], np.uint8)
    image[y1:y2, x1 : (x1 + x2) // 2] = 1
    image[(y1 + y2) // 2 : y2, x1:x2] = 1
    return image


def upright(image: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    tagged = Image.fromarray(image)
    tagged.getexif()[0x0112] = orientation
    return np.asfortranarray(ImageOps.exif_transpose(tagged))


def outline(x1: int, y1: int, x2: int, y2: int) -> list[float]:
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    return [x1, y1, x, y1, x, y, x2, y, x2, y2, x1, y2]


def annotation_of(image: npt.NDArray[np.uint8], number: int, **keys: Any) -> Document:
    encoded = rle.encode(np.asfortranarray(image))
    return {
        "id": number, "image_id": number, "category_id": 1, "iscrowd": 0,
        "area": float(rle.area(encoded)), "bbox": rle.toBbox(encoded).tolist(),
        "segmentation": {"size": list(image.shape), "counts": encoded["counts"].decode()}, **keys,
    }  # fmt: skip


def save(root: Path, number: int, orientation: int) -> str:
    (root / "images").mkdir(exist_ok=True)
    name = f"{number}.jpg"
    Image.new("RGB", STORED).save(root / "images" / name, exif=exif(orientation))
    return name


def content(root: Path, *images: tuple[int, tuple[int, int] | None, list[Document]]) -> Document:
    """Return a file of images with an orientation, a stated size and annotations."""
    listed = []
    for number, (orientation, size, _) in enumerate(images, 1):
        width, height = size or (None, None)
        name = save(root, number, orientation)
        listed.append({"id": number, "file_name": name, "width": width, "height": height})
    return {
        "images": listed,
        "annotations": [one for *_, objects in images for one in objects],
        "categories": [{"id": 1, "name": "cat"}],
    }


def corners(row: Document) -> list[float]:
    return [row["true_boxes"][0][key] for key in ("x1", "y1", "x2", "y2")]


def assert_is(row: Document, expected: npt.NDArray[np.uint8]) -> None:
    """Compare box, area, mask and size with those of a mask of the upright picture."""
    encoded = rle.encode(expected)
    x, y, w, h = rle.toBbox(encoded).tolist()
    assert row["label_error"] is None
    assert corners(row) == [x, y, x + w, y + h]
    assert row["true_boxes"][0]["area"] == float(rle.area(encoded))
    assert row["true_masks"] == [encoded["counts"]]
    assert (row["label_height"], row["label_width"]) == expected.shape


WIDE = (2, 3, 36, 13)
"""Fits the stored picture alone: its right side is outside of an upright one."""


@pytest.mark.parametrize("orientation", SIDEWAYS, ids=lambda n: f"B-exif-rotated-{n}")
@pytest.mark.parametrize("form", ["rle", "polygon"])
def test_labels_of_the_stored_picture_are_turned(
    tmp_path: Path, orientation: int, form: str
) -> None:
    image = pixels(*WIDE)
    own = {} if form == "rle" else {"segmentation": [outline(*WIDE)]}
    file = content(tmp_path, (orientation, STORED, [annotation_of(image, 1, **own)]))
    (row,), report = reported(tmp_path, file)
    assert_is(row, upright(image, orientation))
    assert report["annotations"]["repaired"] == {"rotated_by_exif": 1}


@pytest.mark.parametrize("orientation", SIDEWAYS, ids=lambda n: f"B-exif-swapped-{n}")
def test_labels_of_the_upright_picture_with_the_stored_size_are_kept(
    tmp_path: Path, orientation: int
) -> None:
    image = upright(pixels(*WIDE), orientation)
    own = annotation_of(image, 1)
    (row,), report = reported(tmp_path, content(tmp_path, (orientation, STORED, [own])))
    assert_is(row, image)
    assert report["annotations"]["repaired"] == {"size_swapped_by_exif": 1}


@pytest.mark.parametrize("orientation", range(1, 9), ids=lambda n: f"B-exif-upright-{n}")
def test_labels_of_the_upright_picture_with_its_size_are_kept(
    tmp_path: Path, orientation: int
) -> None:
    image = upright(pixels(*WIDE), orientation)
    file = content(tmp_path, (orientation, image.shape[::-1], [annotation_of(image, 1)]))
    (row,), report = reported(tmp_path, file)
    assert_is(row, image)
    assert report["annotations"]["repaired"] == {}


@pytest.mark.parametrize("orientation", SIDEWAYS)
def test_keypoints_are_turned_like_the_pixels(tmp_path: Path, orientation: int) -> None:
    image = pixels(*WIDE)
    points = [2.0, 3.0, 2.0, 36.0, 13.0, 1.0, 0.0, 0.0, 0.0]
    own = annotation_of(image, 1, keypoints=points)
    (row,), _ = reported(tmp_path, content(tmp_path, (orientation, STORED, [own])))
    x1, y1, x2, y2 = corners(row)
    turned = [(point["x"], point["y"], point["v"]) for point in row["true_keypoints"][0]]
    # The two corners of the box in the stored picture are corners of the upright one.
    first, second = turned[0][:2], turned[1][:2]
    expected = {
        5: ((x1, y1), (x2, y2)), 6: ((x2, y1), (x1, y2)),
        7: ((x2, y2), (x1, y1)), 8: ((x1, y2), (x2, y1)),
    }  # fmt: skip
    assert (first, second) == expected[orientation]
    assert turned[2] == (0, 0, 0)


SMALL = (2, 3, 12, 9)
"""Fits either picture."""


def test_a_label_that_fits_both_pictures_follows_the_dataset(tmp_path: Path) -> None:
    small, wide = pixels(*SMALL), pixels(*WIDE)
    boxes: Document = {"segmentation": None}
    stored: tuple[tuple[int, tuple[int, int], list[Document]], ...] = (
        (6, STORED, [annotation_of(small, 1, **boxes)]),
        (6, STORED, [annotation_of(wide, 2, **boxes)]),
        (6, STORED, []),
    )
    rows, report = reported(tmp_path, content(tmp_path, *stored))
    assert corners(rows[0]) == [30 - 9, 2, 30 - 3, 12]
    assert report["annotations"]["repaired"] == {"rotated_by_exif": 2}
    alone, report = reported(tmp_path, content(tmp_path, stored[0]))
    assert corners(alone[0]) == [2, 3, 12, 9]
    assert report["annotations"]["repaired"] == {"size_swapped_by_exif": 1}


@pytest.mark.parametrize("orientation", range(2, 9), ids=lambda n: f"B-follows-{n}")
@pytest.mark.parametrize("form", ["rle", "polygon"])
def test_an_image_whose_size_does_not_tell_follows_the_dataset(
    tmp_path: Path, orientation: int, form: str
) -> None:
    """A tool that ignores EXIF does so for photographs that were taken upside down as well."""
    image, wide = pixels(*SMALL), pixels(*WIDE)
    own = {} if form == "rle" else {"segmentation": [outline(*SMALL)]}
    told = (6, STORED, [annotation_of(wide, 2)])
    images = ((orientation, STORED, [annotation_of(image, 1, **own)]), told)
    rows, report = reported(tmp_path, content(tmp_path, *images))
    assert_is(rows[0], upright(image, orientation))
    assert_is(rows[1], upright(wide, 6))
    assert report["annotations"]["repaired"] == {"rotated_by_exif": 2}


def test_without_a_size_the_coordinates_tell(tmp_path: Path) -> None:
    wide = pixels(*WIDE)
    (row,), report = reported(tmp_path, content(tmp_path, (6, None, [annotation_of(wide, 1)])))
    assert_is(row, upright(wide, 6))
    assert report["annotations"]["repaired"] == {"rotated_by_exif": 1}


def test_a_label_that_fits_both_pictures_of_a_mixed_dataset_fails(tmp_path: Path) -> None:
    boxes: Document = {"segmentation": None}
    images = (
        (6, STORED, [annotation_of(pixels(*SMALL), 1, **boxes)]),
        (6, STORED, [annotation_of(pixels(*WIDE), 2, **boxes)]),
        (6, STORED, [annotation_of(upright(pixels(*WIDE), 6), 3, **boxes)]),
    )
    rows, _ = reported(tmp_path, content(tmp_path, *images))
    assert [row["label_error"] and row["label_error"][:20] for row in rows] == [
        "LABEL_SIZE_MISMATCH:", None, None]  # fmt: skip


def test_another_size_costs_its_image_alone(tmp_path: Path) -> None:
    image = pixels(*SMALL)
    images = (
        (1, STORED, [annotation_of(image, 1)]),
        (1, (80, 60), [annotation_of(image, 2)]),
        (1, STORED[::-1], [annotation_of(image, 3)]),
    )
    rows, report = reported(tmp_path, content(tmp_path, *images))
    error = "LABEL_SIZE_MISMATCH: the annotation file states {} pixels, the image has 40 x 30"
    assert [row["label_error"] for row in rows] == [
        None, error.format("80 x 60"), error.format("30 x 40")]  # fmt: skip
    assert report["label_errors"]["LABEL_SIZE_MISMATCH"]["count"] == 2


def test_a_dataset_of_resized_pictures_is_rejected(tmp_path: Path) -> None:
    image = pixels(*SMALL)
    images = [(1, (80, 60), [annotation_of(image, n)]) for n in (1, 2)]
    with pytest.raises(InputError, match="resized after they were labelled") as caught:
        reported(tmp_path, content(tmp_path, *images))
    assert caught.value.code == "DATASET_LABEL_SIZE"
    assert "80 x 60" in caught.value.message
    assert "40 x 30" in caught.value.message


@pytest.mark.parametrize("size", [None, (0, 0), (40, None), ("40", "30"), (40.0, 30.0)], ids=str)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_size_that_is_missing_is_the_pictures(
    tmp_path: Path, size: Any, orientation: int
) -> None:
    known = isinstance(size, tuple) and size[1] not in (0, None)
    if known and orientation == 6:
        size = size[::-1]
    image = upright(pixels(*SMALL), orientation)
    (row,), report = reported(
        tmp_path, content(tmp_path, (orientation, size, [annotation_of(image, 1)]))
    )
    assert_is(row, image)
    assert report["annotations"]["repaired"] == {}


def test_a_picture_that_cannot_be_read_has_its_own_error(tmp_path: Path) -> None:
    image = pixels(*SMALL)
    file = content(tmp_path, *((1, STORED, [annotation_of(image, n)]) for n in (1, 2)))
    (tmp_path / "images" / "2.jpg").write_bytes(b"no picture")
    rows, _ = reported(tmp_path, file)
    assert [row["label_error"] for row in rows] == [None, None]
    assert (rows[1]["label_width"], rows[1]["label_height"]) == STORED
